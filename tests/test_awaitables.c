/* Every typed awaitable of the public half, through each combinator: pending, done before, and cancelled. The table
 * has a row for each function that gives one; the first test says which is missing. */
struct awaited { /* what a row makes its awaitable of */
    aio_task         task;
    const struct awaitable *row;
    int              way, round, code, port, i;
    aio_server      *echo, *unix_echo, *http, *ws_http, *left;
    aio_session     *session;
    aio_datagram_endpoint *endpoint;
    aio_resolver    *resolver;
    aio_barrier      barrier;
    char             path[64], url[64], ws_url[64], bytes[16];
    struct sockaddr_in udp_address;
    int              file, udp, listener, client, pipe[2], pair[2], given; /* given: to what takes it, once it runs */
    size_t           fd_count;
    struct ws_site   site;
    struct recorder  recorder;
    aio_future      *sleep;            /* from here on: one's own, made for each */
    aio_completions *all;
    aio_stream      *a, *b;
    aio_response    *response;
    aio_process     *process;
    struct mp_body   body;
    aio_multipart   *multipart;
    aio_part        *part;
    aio_ws          *ws;
    aio_sse         *sse;
    aio_app         *app;
    aio_handle       timer;
    aio_file        *lines;
    aio_response_task *around;         /* whose middleware holds awaited_around */
    void            *made, *wrapped;
};

/* A request that its handler holds for a row. */
static const char awaited_post[] = "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    "Content-Length: 2\r\n\r\n7\n";
static aio_request *awaited_request;
struct awaited_hold { aio_task task; aio_request *request; };
static AIO_CORO(awaited_hold)
{
    AIO_BEGIN(awaited_hold);
    if (strcmp(self->request->path.data, "/hold") != 0) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "7\n"));
        AIO_RETURN();
    }
    awaited_request = self->request;
    AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}
static void *awaited_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(awaited_hold, .request = request);
}

/* And one that its middleware does. */
static aio_client_request *awaited_around;
struct awaited_middle { aio_task task; aio_response *result; aio_client_request *request; };
static AIO_CORO(awaited_middle)
{
    AIO_BEGIN(awaited_middle);
    awaited_around = self->request;
    AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}
static void *awaited_middleware(aio_client_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(awaited_middle, .request = request);
}
static const aio_middleware awaited_middlewares[] = { { awaited_middleware, NULL }, { NULL, NULL } };

static void awaited_come(void *arg)
{
    struct awaited *self = (struct awaited *)arg;
    if (self->b) {
        aio_stream_write(self->b, "7\n", 2);
        aio_stream_write_eof(self->b);
    }
    if (self->pair[1]) ALWAYS(write(self->pair[1], "7\n", 2) == 2);
}

/* The awaitable, to which two bytes will come. */
static void *awaited_soon(struct awaited *self, void *awaitable)
{
    self->timer = aio_loop_call_later(aio_get_running_loop(), 0.01, awaited_come, self);
    return awaitable;
}

static void *awaited_sleep(struct awaited *self) { return self->sleep = aio_sleep(0.01); }

static bool awaited_is_7(aio_text text) { return text.length == 2 && memcmp(text.data, "7\n", 2) == 0; }

static int awaited_connect(struct awaited *self)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    self->client = socket(AF_INET, SOCK_STREAM, 0);
    getsockname(self->listener, (struct sockaddr *)&address, &length);
    ALWAYS(connect(self->client, (struct sockaddr *)&address, length) == 0);
    return self->listener;
}

static void awaited_send(struct awaited *self, in_port_t port)
{
    struct sockaddr_in address = self->udp_address;
    address.sin_port = port;
    ALWAYS(sendto(self->udp, "7\n", 2, 0, (struct sockaddr *)&address, sizeof address) == 2);
}

static int awaited_pipe(struct awaited *self, int end)
{
    ALWAYS(pipe2(self->pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    int fd = self->pipe[end];
    self->pipe[end] = 0;
    return self->given = fd;
}

static int awaited_socket(struct awaited *self)
{
    ALWAYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->pipe) == 0);
    int fd = self->pipe[0];
    self->pipe[0] = 0;
    return self->given = fd;
}

/* This file, open. */
static aio_file *awaited_file(struct awaited *self)
{
    static const char path[] = __FILE__;
    if (self->lines) aio_file_seek(self->lines, 0);
    else self->lines = (aio_file *)aio__calloc(sizeof(aio_file) + sizeof path);
    if (!self->lines || self->lines->refs) return self->lines;
    self->lines->refs = 1;
    self->lines->fd = aio__os.open(path, O_RDONLY);
    memcpy(self->lines->path, path, sizeof path);
    return self->lines;
}

static aio_sse *awaited_sse(struct awaited *self) { return self->sse = aio_sse_open(self->session, self->url); }
static aio_app *awaited_app(struct awaited *self) { return self->app = aio_app_open(); }

static const char *const awaited_argv[] = { "sh", "-c", "exit 7", NULL };

enum { NEEDS_PAIR = 1, NEEDS_RESPONSE, NEEDS_PROCESS, NEEDS_PARTS, NEEDS_PART, NEEDS_REQUEST, NEEDS_WS, NEEDS_AROUND };

/* X(function, type, needs, code, the awaitable, whether *f is right, what frees its result); `self` has what it needs.
 */
#define AWAITABLES(X)                                                                                                 \
    X(aio_wait, aio_wait_future, 0, 0, (awaited_sleep(self), aio_wait(&self->sleep, 1)), f->result == 1, (void)f)     \
    X(aio_as_completed_next, aio_completions_future, 0, 0,                                                            \
      (awaited_sleep(self), aio_as_completed_next(self->all = aio_as_completed(&self->sleep, 1))),                    \
      (void *)f->result == self->sleep, (void)f)                                                                      \
    X(aio_barrier_wait, aio_barrier_task, 0, 0, aio_barrier_wait(&self->barrier), f->result == 0, (void)f)            \
    X(aio_to_thread, aio_job_future, 0, 0, aio_to_thread(typed_job, self), f->result == self, (void)f)                \
    X(aio_loop_run_in_executor, aio_job_future, 0, 0,                                                                 \
      aio_loop_run_in_executor(aio_get_running_loop(), NULL, typed_job, self), f->result == self, (void)f)            \
    X(aio_open_connection, aio_stream_task, 0, 0, aio_open_connection("127.0.0.1", aio_server_port(self->echo)),      \
      aio_stream_fileno(f->result) > 0, aio_stream_abort(f->result))                                                  \
    X(aio_stream_from_fd, aio_stream_task, 0, 0, aio_stream_from_fd(awaited_socket(self)),                            \
      aio_stream_fileno(f->result) > 0, aio_stream_abort(f->result))                                                  \
    X(aio_open_unix_connection, aio_stream_task, 0, 0, aio_open_unix_connection(self->path),                          \
      aio_stream_fileno(f->result) > 0, aio_stream_abort(f->result))                                                  \
    X(aio_stream_read, aio_text_future, NEEDS_PAIR, 0, awaited_soon(self, aio_stream_read(self->a, 10)),              \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_stream_read_all, aio_text_future, NEEDS_PAIR, 0, awaited_soon(self, aio_stream_read_all(self->a, 0)),       \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_stream_readexactly, aio_text_future, NEEDS_PAIR, 0, awaited_soon(self, aio_stream_readexactly(self->a, 2)), \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_stream_readline, aio_text_future, NEEDS_PAIR, 0, awaited_soon(self, aio_stream_readline(self->a)),          \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_stream_readuntil, aio_text_future, NEEDS_PAIR, 0,                                                           \
      awaited_soon(self, aio_stream_readuntil(self->a, "7\n", 2)), awaited_is_7(f->result), (void)f)                  \
    X(aio_stream_more, aio_text_future, NEEDS_PAIR, 0, awaited_soon(self, aio_stream_more(self->a)),                  \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_stream_sendfile, aio_size_task, NEEDS_PAIR, 0, aio_stream_sendfile(self->a, self->file, 0, 2),              \
      f->result == 2, (void)f)                                                                                        \
    X(aio_start_server, aio_server_task, 0, 0, aio_start_server(echo_handler, NULL, "127.0.0.1", 0),                  \
      aio_server_port(f->result) > 0, self->left = f->result)                                                         \
    X(aio_start_unix_server, aio_server_task, 0, 0, aio_start_unix_server(echo_handler, NULL, self->path),            \
      f->result != NULL, self->left = f->result)                                                                      \
    X(aio_create_connection, aio_transport_task, 0, 0,                                                                \
      aio_create_connection(&recording, &self->recorder, "127.0.0.1", aio_server_port(self->echo)),                   \
      f->result != NULL, aio_transport_abort(f->result))                                                              \
    X(aio_create_unix_connection, aio_transport_task, 0, 0,                                                           \
      aio_create_unix_connection(&recording, &self->recorder, self->path), f->result != NULL,                         \
      aio_transport_abort(f->result))                                                                                 \
    X(aio_create_server, aio_server_task, 0, 0, aio_create_server(&recording, &self->recorder, "127.0.0.1", 0),       \
      aio_server_port(f->result) > 0, self->left = f->result)                                                         \
    X(aio_create_unix_server, aio_server_task, 0, 0,                                                                  \
      aio_create_unix_server(&recording, &self->recorder, self->path),                                                \
      f->result != NULL, self->left = f->result)                                                                      \
    X(aio_sock_recv_into, aio_size_task, NEEDS_PAIR, 0,                                                               \
      awaited_soon(self, aio_sock_recv_into(self->pair[0], self->bytes, 10)), f->result == 2, (void)f)                \
    X(aio_sock_recv_fds, aio_size_task, NEEDS_PAIR, 0, (self->fd_count = 0,                                           \
      awaited_soon(self, aio_sock_recv_fds(self->pair[0], self->bytes, 10, NULL, &self->fd_count))),                  \
      f->result == 2, (void)f)                                                                                        \
    X(aio_sock_sendfile, aio_size_task, NEEDS_PAIR, 0, aio_sock_sendfile(self->pair[0], self->file, 0, 2),            \
      f->result == 2, (void)f)                                                                                        \
    X(aio_sock_accept, aio_fd_task, 0, 0, aio_sock_accept(awaited_connect(self)), f->result > 0, close(f->result))    \
    X(aio_sock_sendto, aio_size_task, 0, 0,                                                                           \
      aio_sock_sendto(self->udp, "7\n", 2, &self->udp_address, sizeof self->udp_address), f->result == 2, (void)f)    \
    X(aio_sock_recvfrom, aio_size_task, 0, 0,                                                                         \
      (awaited_send(self, self->udp_address.sin_port), aio_sock_recvfrom(self->udp, self->bytes, 10, NULL, NULL)),    \
      f->result == 2, (void)f)                                                                                        \
    X(aio_file_open, aio_file_task, 0, 0, aio_file_open("/dev/null", "r"), aio_file_fileno(f->result) > 0,            \
      aio_file_close(f->result))                                                                                      \
    X(aio_file_pread, aio_size_task, 0, 0, aio_file_pread(awaited_file(self), self->bytes, 2, 0), f->result == 2,     \
      (void)f)                                                                                                        \
    X(aio_file_read, aio_text_task, 0, 0, aio_file_read(awaited_file(self), 2), f->result.length == 2, (void)f)       \
    X(aio_file_read_all, aio_text_task, 0, 0, aio_file_read_all(awaited_file(self), 0), f->result.length > 2, (void)f)\
    X(aio_file_readline, aio_text_task, 0, 0, aio_file_readline(awaited_file(self)), f->result.length > 2, (void)f)   \
    X(aio_stat, aio_file_info_task, 0, 0, aio_stat("/"), f->result.is_dir, (void)f)                                   \
    X(aio_lstat, aio_file_info_task, 0, 0, aio_lstat("/"), f->result.is_dir, (void)f)                                 \
    X(aio_listdir, aio_listing_task, 0, 0, aio_listdir("/"), f->result->count > 0, aio_listing_free(f->result))       \
    X(aio_response_save, aio_size_task, NEEDS_RESPONSE, 0, aio_response_save(self->response, "/dev/null"),            \
      f->result == 2, (void)f)                                                                                        \
    X(aio_connect_read_pipe, aio_stream_task, 0, 0, aio_connect_read_pipe(awaited_pipe(self, 0)),                     \
      aio_stream_fileno(f->result) > 0, aio_stream_abort(f->result))                                                  \
    X(aio_connect_write_pipe, aio_stream_task, 0, 0, aio_connect_write_pipe(awaited_pipe(self, 1)),                   \
      aio_stream_fileno(f->result) > 0, aio_stream_abort(f->result))                                                  \
    X(aio_create_datagram_endpoint, aio_endpoint_task, 0, 0,                                                          \
      aio_create_datagram_endpoint(.local_host = "127.0.0.1"), aio_datagram_port(f->result) > 0,                      \
      aio_datagram_abort(f->result))                                                                                  \
    X(aio_datagram_receive, aio_datagram_task, 0, 0,                                                                  \
      (awaited_send(self, htons((in_port_t)aio_datagram_port(self->endpoint))),                                       \
       aio_datagram_receive(self->endpoint)), f->result.length == 2, (void)f)                                         \
    X(aio_resolver_resolve, aio_addresses_task, 0, 0, aio_resolver_resolve(self->resolver, "127.0.0.1", 80),          \
      aio_addresses_count(f->result) == 1, aio_addresses_free(f->result))                                             \
    X(aio_resolver_query, aio_dns_task, 0, EINVAL, aio_resolver_query(self->resolver, "a..b", 1), f->result != NULL,  \
      aio_dns_answer_free(f->result))                                                                                 \
    X(aio_loop_getaddrinfo, aio_addresses_task, 0, 0, aio_loop_getaddrinfo(aio_get_running_loop(), "127.0.0.1", 80),  \
      aio_addresses_count(f->result) > 1, aio_addresses_free(f->result))                                              \
    X(aio_loop_getnameinfo, aio_nameinfo_task, 0, 0,                                                                  \
      aio_loop_getnameinfo(aio_get_running_loop(), &self->udp_address, sizeof self->udp_address,                      \
                           NI_NUMERICHOST | NI_NUMERICSERV), !strcmp(f->result.host, "127.0.0.1"), (void)f)           \
    X(aio_create_subprocess_exec, aio_process_task, 0, 0, aio_create_subprocess_exec(awaited_argv),                   \
      f->result != NULL, aio_process_release(f->result))                                                              \
    X(aio_create_subprocess_shell, aio_process_task, 0, 0, aio_create_subprocess_shell("exit 7"),                     \
      f->result != NULL, aio_process_release(f->result))                                                              \
    X(aio_process_wait, aio_process_future, NEEDS_PROCESS, 0, aio_process_wait(self->process), f->result == 7,        \
      (void)f)                                                                                                        \
    X(aio_process_communicate, aio_output_task, NEEDS_PROCESS, 0, aio_process_communicate(self->process, NULL, 0),    \
      f->result.returncode == 7 && awaited_is_7(f->result.out), (void)f)                                              \
    X(aio_session_request, aio_response_task, 0, 0, aio_session_request(self->session, "GET", self->url),             \
      f->result->status == 200, aio_response_release(f->result))                                                      \
    X(aio_response_read, aio_text_task, NEEDS_RESPONSE, 0, aio_response_read(self->response),                         \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_text, aio_text_task, NEEDS_RESPONSE, 0, aio_response_text(self->response),                         \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_read_chunk, aio_text_task, NEEDS_RESPONSE, 0, aio_response_read_chunk(self->response),             \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_read_some, aio_text_task, NEEDS_RESPONSE, 0, aio_response_read_some(self->response, 9),            \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_readexactly, aio_text_task, NEEDS_RESPONSE, 0, aio_response_readexactly(self->response, 2),        \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_readuntil, aio_text_task, NEEDS_RESPONSE, 0, aio_response_readuntil(self->response, "7\n", 2),     \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_readline, aio_text_task, NEEDS_RESPONSE, 0, aio_response_readline(self->response),                 \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_response_json, aio_json_task, NEEDS_RESPONSE, 0, aio_response_json(self->response, .any_type = true),       \
      aio_json_int(f->result, "", 0) == 7, (void)f) \
    X(aio_multipart_next, aio_part_task, NEEDS_PARTS, 0, aio_multipart_next(self->multipart), f->result != NULL,      \
      (void)f)                                                                                                        \
    X(aio_part_read, aio_text_task, NEEDS_PART, 0, aio_part_read(self->part), awaited_is_7(f->result), (void)f)       \
    X(aio_part_read_chunk, aio_text_task, NEEDS_PART, 0, aio_part_read_chunk(self->part), awaited_is_7(f->result),    \
      (void)f)                                                                                                        \
    X(aio_part_read_decoded, aio_text_task, NEEDS_PART, 0, aio_part_read_decoded(self->part), awaited_is_7(f->result), \
      (void)f)                                                                                                        \
    X(aio_client_request_next, aio_response_task, NEEDS_AROUND, 0, aio_client_request_next(awaited_around),           \
      f->result->status == 200, (void)f)                                                                              \
    X(aio_client_request_respond, aio_response_task, NEEDS_AROUND, 0,                                                 \
      aio_client_request_respond(awaited_around, 204), f->result->status == 204, (void)f)                             \
    X(aio_start_http_server, aio_server_task, 0, 0, aio_start_http_server(awaited_handler, NULL, "127.0.0.1", 0),     \
      aio_server_port(f->result) > 0, self->left = f->result)                                                         \
    X(aio_start_unix_http_server, aio_server_task, 0, 0,                                                              \
      aio_start_unix_http_server(awaited_handler, NULL, self->path), f->result != NULL, self->left = f->result)       \
    X(aio_request_read, aio_text_task, NEEDS_REQUEST, 0, aio_request_read(awaited_request), awaited_is_7(f->result),  \
      (void)f)                                                                                                        \
    X(aio_request_read_chunk, aio_text_task, NEEDS_REQUEST, 0, aio_request_read_chunk(awaited_request),               \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_request_read_some, aio_text_task, NEEDS_REQUEST, 0, aio_request_read_some(awaited_request, 9),              \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_request_readexactly, aio_text_task, NEEDS_REQUEST, 0, aio_request_readexactly(awaited_request, 2),          \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_request_readuntil, aio_text_task, NEEDS_REQUEST, 0, aio_request_readuntil(awaited_request, "7\n", 2),       \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_request_readline, aio_text_task, NEEDS_REQUEST, 0, aio_request_readline(awaited_request),                   \
      awaited_is_7(f->result), (void)f)                                                                               \
    X(aio_request_text, aio_text_task, NEEDS_REQUEST, 0, aio_request_text(awaited_request), awaited_is_7(f->result),  \
      (void)f)                                                                                                        \
    X(aio_request_json, aio_json_task, NEEDS_REQUEST, 0, aio_request_json(awaited_request, .any_type = true),         \
      aio_json_int(f->result, "", 0) == 7, (void)f) \
    X(aio_request_post, aio_post_task, NEEDS_REQUEST, 0, aio_request_post(awaited_request),                           \
      aio_post_get(f->result, "7\n") != NULL, (void)f)                                                                \
    X(aio_request_sendfile, aio_size_task, NEEDS_REQUEST, AIO_ERUNTIME,                                               \
      aio_request_sendfile(awaited_request, self->file, 0, 2), f->result == 2, (void)f)                               \
    X(aio_start_app, aio_server_task, 0, 0, aio_start_app(awaited_app(self), "127.0.0.1", 0),                         \
      aio_server_port(f->result) > 0, self->left = f->result)                                                         \
    X(aio_start_unix_app, aio_server_task, 0, 0, aio_start_unix_app(awaited_app(self), self->path), f->result != NULL,\
      self->left = f->result)                                                                                         \
    X(aio_sse_next, aio_sse_event_task, 0, AIO_ECONTENT, aio_sse_next(awaited_sse(self)), f->result.data.length > 0,  \
      (void)f)                                                                                                        \
    X(aio_request_upgrade, aio_stream_task, NEEDS_REQUEST, AIO_ERUNTIME, aio_request_upgrade(awaited_request),        \
      f->result != NULL, (void)f)                                                                                     \
    X(aio_request_upgrade_websocket, aio_ws_task, NEEDS_REQUEST, AIO_EHANDSHAKE,                                      \
      aio_request_upgrade_websocket(awaited_request), f->result != NULL, (void)f)                                     \
    X(aio_ws_connect, aio_ws_task, 0, 0, aio_ws_connect(self->session, self->ws_url), f->result != NULL,              \
      aio_ws_release(f->result))                                                                                      \
    X(aio_ws_receive, aio_ws_message_future, NEEDS_WS, 0, aio_ws_receive(self->ws),                                     \
      f->result.type == AIO_WS_TEXT && awaited_is_7(f->result.data), (void)f)                                         \
    X(aio_ws_receive_chunk, aio_ws_message_future, NEEDS_WS, 0, aio_ws_receive_chunk(self->ws),                         \
      f->result.type == AIO_WS_TEXT && awaited_is_7(f->result.data), (void)f)

#define AWAITABLE(name, type, needs, code, make, right, drop)                                           \
    static void *name##_begin(struct awaited *self) { (void)self; return make; }                        \
    static bool name##_right(struct awaited *self, const type *f) { (void)self; return right; }         \
    static void name##_drop(struct awaited *self, type *f) { (void)self; drop; }                        \
    static bool name##_right_any(struct awaited *self, void *f) { return name##_right(self, (type *)f); } \
    static void name##_drop_any(struct awaited *self, void *f) { name##_drop(self, (type *)f); }
AWAITABLES(AWAITABLE)

static const struct awaitable {
    const char *name;
    size_t      size;
    int         needs, code;
    void     *(*begin)(struct awaited *self);
    bool      (*right)(struct awaited *self, void *f);
    void      (*drop)(struct awaited *self, void *f);
} awaitables[] = {
#define AWAITABLE_ROW(name, type, needs, code, make, right, drop) \
    { #name, sizeof(type), needs, code, name##_begin, name##_right_any, name##_drop_any },
    AWAITABLES(AWAITABLE_ROW)
};
enum { AWAITABLE_COUNT = sizeof awaitables / sizeof *awaitables };

/* The header's declarations of functions that give a typed awaitable, by their names without `_with`. */
TEST(awaitables_are_all_listed)
{
    char line[400], type[64], name[64], path[300];
    int found = 0;
    snprintf(path, sizeof path, "%s", __FILE__);
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, 20, "%s", "../aio.h");
    FILE *header = fopen(path, "r");
    if (!CHECK(header != NULL)) return;
    while (fgets(line, sizeof line, header) && strncmp(line, "#ifdef AIO_IMPLEMENTATION", 25) != 0) {
        if (sscanf(line, "AIO_API %63[a-z_] *%63[a-z0-9_](", type, name) != 2) continue;
        size_t n = strlen(type), m = strlen(name);
        bool typed = n > 5 && (!strcmp(type + n - 5, "_task") || (n > 7 && !strcmp(type + n - 7, "_future")));
        if (!typed || !strcmp(type, "aio_task") || !strcmp(type, "aio_future")
            || !strcmp(type, "aio_concurrent_future")) continue;
        if (m > 5 && !strcmp(name + m - 5, "_with")) name[m - 5] = '\0';
        bool listed = false;
        for (size_t i = 0; i < AWAITABLE_COUNT; i++) listed = listed || !strcmp(awaitables[i].name, name);
        if (!CHECK(listed)) printf("# %s *%s has no row in AWAITABLES\n", type, name);
        found += listed;
    }
    fclose(header);
    CHECK_INT(found, AWAITABLE_COUNT);
}

/* Sets what the row needs, which takes a while. */
struct awaited_prepare { aio_task task; struct awaited *of; };
static AIO_CORO(awaited_prepare)
{
    static const char parts[] = "--x\r\n\r\n7\n\r\n--x--\r\n";
    AIO_BEGIN(awaited_prepare);
    struct awaited *of;
    of = self->of;
    memset(&of->recorder, 0, sizeof of->recorder);
    if (of->row->needs == NEEDS_PAIR) {
        REQUIRE(unix_pair(0, 0, &of->a, &of->b));
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, of->pair) == 0);
    }
    if (of->row->needs == NEEDS_RESPONSE)
        AIO_AWAIT(self->of->response, aio_session_get(self->of->session, self->of->url));
    if (self->of->row->needs == NEEDS_PROCESS)
        AIO_AWAIT(self->of->process, aio_create_subprocess_shell("echo 7; exit 7", .out = AIO_PIPE));
    if (self->of->row->needs == NEEDS_PARTS || self->of->row->needs == NEEDS_PART) {
        memset(&self->of->body, 0, sizeof self->of->body);
        self->of->body.data = parts;
        self->of->body.length = sizeof parts - 1;
        REQUIRE(self->of->multipart = aio__multipart_open(aio__text("multipart/mixed; boundary=x", 27), mp_source,
                                                          &self->of->body, NULL));
    }
    if (self->of->row->needs == NEEDS_PART) AIO_AWAIT(self->of->part, aio_multipart_next(self->of->multipart));
    if (self->of->row->needs == NEEDS_REQUEST) {
        awaited_request = NULL;
        AIO_AWAIT(self->of->a, aio_open_connection("127.0.0.1", aio_server_port(self->of->http)));
        aio_stream_write(self->of->a, awaited_post, sizeof awaited_post - 1);
        while (!awaited_request) AIO_AWAIT(aio_sleep(0.01));
    }
    if (self->of->row->needs == NEEDS_AROUND) {
        awaited_around = NULL;
        REQUIRE(self->of->around = aio_create_task(aio_session_get(self->of->session, self->of->url,
                                                                   .middlewares = awaited_middlewares)));
        while (!awaited_around) AIO_AWAIT(aio_sleep(0.01));
    }
    if (self->of->row->needs == NEEDS_WS) {
        AIO_AWAIT(self->of->ws, aio_ws_connect(self->of->session, self->of->ws_url));
        AIO_AWAIT(aio_ws_send_text(self->of->ws, "7\n", 2));
    }
    AIO_END;
}

/* Frees what one has been made of. */
static void awaited_clear(struct awaited *self)
{
    aio_handle_cancel(self->timer);
    memset(&self->timer, 0, sizeof self->timer);
    aio_unref(self->all);
    aio_unref(self->sleep);
    aio_stream_abort(self->a);
    aio_stream_abort(self->b);
    aio_response_release(self->response);
    aio_process_release(self->process);
    aio_multipart_close(self->multipart);
    free(self->body.copy);
    self->body.copy = NULL;
    aio_ws_release(self->ws);
    aio_sse_close(self->sse);
    aio_file_close(self->lines);
    self->lines = NULL;
    aio_app_close(self->app);
    if (self->client) close(self->client);
    for (int i = 0; i < 2; i++) {
        if (self->pipe[i]) close(self->pipe[i]);
        if (self->pair[i]) close(self->pair[i]);
    }
    memset(self->pipe, 0, sizeof self->pipe);
    memset(self->pair, 0, sizeof self->pair);
    self->client = self->given = 0;
    self->all = NULL;
    self->sleep = NULL;
    self->a = self->b = NULL;
    self->response = NULL;
    self->process = NULL;
    self->multipart = NULL;
    self->part = NULL;
    self->ws = NULL;
    self->sse = NULL;
    self->app = NULL;
    if (self->around) aio_task_cancel(self->around);
    aio_unref(self->around);
    self->around = NULL;
    if (awaited_request) aio_server_abort_clients(self->http);
    awaited_request = NULL;
}

static void *awaited_wrap(int way, void *f, size_t size)
{
    switch (way) {
    case TYPED_WAIT_FOR: return aio__wait_for(f, size, 50);
    case TYPED_SHIELD: return aio__shield(f, size);
    case TYPED_ENSURE: return aio__ensure_future(f, size);
    default: return f;
    }
}

/* One row, one way, one round: 0 pending, 1 done before, 2 cancelled. */
struct awaited_one { aio_task task; struct awaited *of; bool held; };
static AIO_CORO(awaited_one)
{
    AIO_BEGIN(awaited_one);
    AIO_AWAIT(AIO_CALL(awaited_prepare, .of = self->of));
    self->held = self->of->row->needs == NEEDS_PROCESS; /* it takes the time that the machine takes */
    SEAM_ADD(seam.lookups, self->held);
    REQUIRE(self->of->made = self->of->row->begin(self->of));
    if (self->of->round == 1) {
        REQUIRE(self->of->made = aio__ensure_future(self->of->made, self->of->row->size));
        AIO_TRY {
            AIO_AWAIT((aio_future *)aio_ref(self->of->made));
        } AIO_CATCH {
        } AIO_END_TRY;
    }
    self->of->wrapped = awaited_wrap(self->of->way, self->of->made, self->of->row->size);
    self->of->made = NULL;
    REQUIRE(self->of->wrapped);
    if (self->of->round == 2) { /* once it has begun; it may have ended with that */
        REQUIRE(self->of->wrapped = aio__ensure_future(self->of->wrapped, self->of->row->size));
        AIO_AWAIT(aio_sleep(0));
        aio_future_cancel(self->of->wrapped);
    }
    AIO_TRY {
        if (self->of->way == TYPED_GATHER) AIO_AWAIT(aio_gather(&self->of->wrapped, 1));
        else if (self->of->way == TYPED_WAIT) AIO_AWAIT(aio_wait(&self->of->wrapped, 1));
        else AIO_AWAIT((aio_future *)aio_ref(self->of->wrapped));
    } AIO_CATCH_ALL {
        if (aio_task_cancelling(aio_current_task())) AIO_RERAISE();
    } AIO_END_TRY;
    SEAM_ADD(seam.lookups, -self->held);
    CHECK(aio_future_done(self->of->wrapped));
    if (!aio_future_cancelled(self->of->wrapped)) {
        int code;
        code = comb_code(self->of->wrapped);
        CHECK_INT(code, self->of->row->code);
        if (!code) CHECK(self->of->row->right(self->of, self->of->wrapped));
        if (!code) self->of->row->drop(self->of, self->of->wrapped);
    } else CHECK_INT(self->of->round, 2);
    if (self->of->left) {
        aio_server *left;
        left = self->of->left;
        self->of->left = NULL;
        AIO_AWAIT(aio_server_wait_closed(left));
    }
    AIO_AWAIT(aio_sleep(0.01)); /* a protocol hears of its end */
    AIO_FINALLY;
    aio_unref(self->of->made);
    aio_unref(self->of->wrapped);
    self->of->made = self->of->wrapped = NULL;
    awaited_clear(self->of);
    AIO_END;
}

/* A bound socket, a listening one, and a file. */
static bool awaited_sockets(struct awaited *of)
{
    char name[] = "/tmp/aio-awaitables-XXXXXX";
    struct sockaddr *address = (struct sockaddr *)&of->udp_address;
    socklen_t length = sizeof of->udp_address;
    of->udp_address.sin_family = AF_INET;
    of->udp_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    of->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    of->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    of->file = mkstemp(name);
    unlink(name);
    return bind(of->udp, address, length) == 0 && bind(of->listener, address, length) == 0
           && listen(of->listener, 10) == 0 && getsockname(of->udp, address, &length) == 0
           && of->file > 0 && write(of->file, "7\n", 2) == 2;
}

/* The servers and sockets that all rows share. */
struct awaited_open { aio_task task; struct awaited *of; };
static AIO_CORO(awaited_open)
{
    AIO_BEGIN(awaited_open);
    struct awaited *of;
    snprintf(self->of->path, sizeof self->of->path, "/tmp/aio-awaitables-%ld", (long)getpid());
    AIO_AWAIT(self->of->echo, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->of->http, aio_start_http_server(awaited_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->of->ws_http, aio_start_http_server(ws_echo_handler, &self->of->site, "127.0.0.1", 0));
    AIO_AWAIT(self->of->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    of = self->of;
    snprintf(of->url, sizeof of->url, "http://127.0.0.1:%d/", aio_server_port(of->http));
    snprintf(of->ws_url, sizeof of->ws_url, "ws://127.0.0.1:%d/", aio_server_port(of->ws_http));
    REQUIRE(of->session = aio_session_open());
    REQUIRE(of->resolver = aio_resolver_open(.nameservers = "127.0.0.1"));
    REQUIRE(aio_barrier_init(&of->barrier, 1) == 0);
    REQUIRE(awaited_sockets(of));
    AIO_END;
}

struct awaited_close { aio_task task; struct awaited *of; };
static AIO_CORO(awaited_close)
{
    AIO_BEGIN(awaited_close);
    if (self->of->file > 0) close(self->of->file);
    if (self->of->udp > 0) close(self->of->udp);
    if (self->of->listener > 0) close(self->of->listener);
    aio_resolver_close(self->of->resolver);
    aio_datagram_abort(self->of->endpoint);
    AIO_AWAIT(aio_session_close(self->of->session));
    SERVER_END(self->of->echo);
    aio_server_abort_clients(self->of->http);
    SERVER_END(self->of->http);
    aio_server_abort_clients(self->of->ws_http);
    SERVER_END(self->of->ws_http);
    AIO_END;
}

/* KIND_...: what each of these does under faults and cancels, its own tests say. */
#define AWAITABLES_SKIP KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE
struct awaitables { aio_task task; struct awaited of; int i, errors; };
SCENARIO(awaitables, .skip = AWAITABLES_SKIP)
{
    AIO_BEGIN(awaitables);
    AIO_AWAIT(AIO_CALL(awaited_open, .of = &self->of));
    for (self->i = 0; self->i < AWAITABLE_COUNT; self->i++)
        for (self->of.way = 0; self->of.way < TYPED_COMPLETED; self->of.way++)
            for (self->of.round = 0; self->of.round < 3; self->of.round++) {
                if (self->of.way == TYPED_SHIELD_WAIT_FOR || self->of.way == TYPED_WAIT_FOR_SHIELD) continue;
                if (self->of.way == TYPED_SHIELD && self->of.round == 2) continue; /* typed_left has shields */
                self->of.row = &awaitables[self->i];
                self->errors = (int)now.failures;
                if (!self->of.unix_echo && strstr(self->of.row->name, "_unix_conn"))
                    AIO_AWAIT(self->of.unix_echo, aio_start_unix_server(echo_handler, NULL, self->of.path));
                AIO_AWAIT(AIO_CALL(awaited_one, .of = &self->of));
                if (self->of.unix_echo) {
                    aio_server *left;
                    left = self->of.unix_echo;
                    self->of.unix_echo = NULL;
                    aio_server_abort_clients(left);
                    AIO_AWAIT(aio_server_wait_closed(left));
                }
                now.reports = 0; /* of handlers whose clients have gone */
                if (now.failures > self->errors)
                    printf("#   that was %s, way %d, round %d\n", self->of.row->name, self->of.way, self->of.round);
            }
    AIO_FINALLY;
        AIO_AWAIT(AIO_CALL(awaited_close, .of = &self->of));
    AIO_END;
}

/* Each of them made and dropped, as it is, under aio_wait_for, and under that twice: debug mode says the same of all
 * three, if anything, and once; nobody reads a private name. */
static struct { int count; char text[512]; } dropped_told;
static void dropped_listen(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)exception, (void)arg;
    dropped_told.count++;
    snprintf(dropped_told.text, sizeof dropped_told.text, "%s", message);
}

struct awaited_dropped { aio_task task; struct awaited *of; int within; char *said; };
static AIO_CORO(awaited_dropped)
{
    AIO_BEGIN(awaited_dropped);
    AIO_AWAIT(AIO_CALL(awaited_prepare, .of = self->of));
    void *made;
    memset(&dropped_told, 0, sizeof dropped_told);
    made = self->of->row->begin(self->of);
    for (int i = 0; i < self->within; i++) made = aio__wait_for(made, self->of->row->size, 50);
    aio_unref(made);
    if (self->of->given) close(self->of->given); /* it has not run */
    CHECK(dropped_told.count < 2);
    CHECK(!strstr(dropped_told.text, "aio__"));
    if (self->within) CHECK_STR(dropped_told.text, self->said);
    else snprintf(self->said, sizeof dropped_told.text, "%s", dropped_told.text);
    if (self->of->left) {
        aio_server *left;
        left = self->of->left;
        self->of->left = NULL;
        AIO_AWAIT(aio_server_wait_closed(left));
    }
    AIO_FINALLY;
    awaited_clear(self->of);
    AIO_END;
}

struct awaitables_dropped { aio_task task; struct awaited of; int i, within, errors, told;
                            char said[sizeof dropped_told.text]; };
SCENARIO(awaitables_dropped, .skip = AWAITABLES_SKIP)
{
    AIO_BEGIN(awaitables_dropped);
    aio_loop_set_debug(aio_get_running_loop(), true);
    aio_loop_set_exception_handler(aio_get_running_loop(), dropped_listen, NULL);
    AIO_AWAIT(AIO_CALL(awaited_open, .of = &self->of));
    for (self->i = 0; self->i < AWAITABLE_COUNT; self->i++)
        for (self->within = 0; self->within < 3; self->within++) {
            self->of.row = &awaitables[self->i];
            self->errors = (int)now.failures;
            AIO_AWAIT(AIO_CALL(awaited_dropped, .of = &self->of, .within = self->within, .said = self->said));
            self->told += dropped_told.count;
            if (now.failures > self->errors) printf("#   that was %s: %s\n", self->of.row->name, dropped_told.text);
        }
    CHECK(self->told > AWAITABLE_COUNT);
    AIO_FINALLY;
        AIO_AWAIT(AIO_CALL(awaited_close, .of = &self->of));
    AIO_END;
}

/* A task of each of them that has no owner when it ends, alone and under aio_wait_for: what its result owns is let go;
 * memory is seen at the end. Servers, transports and processes go on. */
static bool unowned_goes_on(const struct awaitable *row)
{
    bool makes = !strncmp(row->name, "aio_start_", 10) || !strncmp(row->name, "aio_create_", 11);
    return (makes && strcmp(row->name, "aio_create_datagram_endpoint") != 0) || row->needs == NEEDS_PROCESS;
}

struct awaited_unowned { aio_task task; struct awaited *of; bool within; };
static AIO_CORO(awaited_unowned)
{
    AIO_BEGIN(awaited_unowned);
    AIO_AWAIT(AIO_CALL(awaited_prepare, .of = self->of));
    void *made;
    made = self->of->row->begin(self->of);
    if (self->within) made = aio__wait_for(made, self->of->row->size, 50);
    aio_unref(aio__ensure_future(made, self->of->row->size));
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_session_busy(self->of->session), 0);
    AIO_FINALLY;
    awaited_clear(self->of);
    AIO_AWAIT(aio_sleep(20)); /* kept connections expire */
    AIO_END;
}

struct awaitables_unowned { aio_task task; struct awaited of; int i, within, errors, descriptors; };
SCENARIO(awaitables_unowned, .skip = AWAITABLES_SKIP)
{
    AIO_BEGIN(awaitables_unowned);
    aio_loop_set_exception_handler(aio_get_running_loop(), dropped_listen, NULL);
    AIO_AWAIT(AIO_CALL(awaited_open, .of = &self->of));
    self->descriptors = seam_descriptors();
    for (self->i = 0; self->i < AWAITABLE_COUNT; self->i++)
        for (self->within = 0; self->within < 2; self->within++) {
            self->of.row = &awaitables[self->i];
            self->errors = (int)now.failures;
            if (unowned_goes_on(self->of.row)) continue;
            AIO_AWAIT(AIO_CALL(awaited_unowned, .of = &self->of, .within = self->within));
            CHECK_INT(seam_descriptors(), self->descriptors);
            self->descriptors = seam_descriptors();
            if (now.failures > self->errors) printf("#   that was %s, within %d\n", self->of.row->name, self->within);
        }
    AIO_FINALLY;
        AIO_AWAIT(AIO_CALL(awaited_close, .of = &self->of));
    AIO_END;
}
