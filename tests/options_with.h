/* Each function that takes options by pointer, with a struct made by its name and with NULL. C99 and C++11. */

/* 1 if the call did not give what it should. Takes the awaitable; it is done already if it was refused. */
static int with_awaitable(void *awaitable, int code)
{
    const aio_exception *error = awaitable && aio_future_done(awaitable) ? aio_future_exception(awaitable) : NULL;
    int wrong = !awaitable || (error ? error->code : 0) != code;
    if (awaitable && !error) aio_future_cancel(awaitable);
    aio_unref(awaitable);
    return wrong;
}

#define WITH_OPTIONS(type, name) type name; memset(&name, 0, sizeof name)
/* A call with options that are refused, and with NULL, which is not. */
#define WITH_BAD(...)  with_awaitable(__VA_ARGS__, EINVAL)
#define WITH_GOOD(...) with_awaitable(__VA_ARGS__, 0)

static void *with_client(aio_stream *stream, void *arg) { (void)stream; (void)arg; return NULL; }
static void *with_request(aio_request *request, void *arg) { (void)request; (void)arg; return NULL; }
static void *with_job(void *arg) { return arg; }
static int with_compare(const void *a, const void *b) { return a < b; }

static int with_connections(void)
{
    static aio_protocol protocol;
    int wrong = 0;
    WITH_OPTIONS(aio_connect_options, connect);
    connect.connect_timeout = -3;
    wrong += WITH_BAD(aio_open_connection_with("127.0.0.1", 1, &connect));
    wrong += WITH_GOOD(aio_open_connection_with("127.0.0.1", 1, NULL));
    wrong += WITH_BAD(aio_open_unix_connection_with("/none", &connect));
    wrong += WITH_GOOD(aio_open_unix_connection_with("/none", NULL));
    wrong += WITH_GOOD(aio_create_connection_with(&protocol, NULL, "127.0.0.1", 1, NULL));
    wrong += WITH_GOOD(aio_create_unix_connection_with(&protocol, NULL, "/none", NULL));
    WITH_OPTIONS(aio_server_options, server);
    server.tls_timeout = -3;
    wrong += WITH_BAD(aio_start_server_with(with_client, NULL, "127.0.0.1", 0, &server));
    wrong += WITH_GOOD(aio_start_server_with(with_client, NULL, "127.0.0.1", 0, NULL));
    wrong += WITH_BAD(aio_start_unix_server_with(with_client, NULL, "/none", &server));
    wrong += WITH_GOOD(aio_start_unix_server_with(with_client, NULL, "/none", NULL));
    wrong += WITH_BAD(aio_create_server_with(&protocol, NULL, "127.0.0.1", 0, &server));
    wrong += WITH_GOOD(aio_create_server_with(&protocol, NULL, "127.0.0.1", 0, NULL));
    wrong += WITH_BAD(aio_create_unix_server_with(&protocol, NULL, "/none", &server));
    wrong += WITH_GOOD(aio_create_unix_server_with(&protocol, NULL, "/none", NULL));
    WITH_OPTIONS(aio_http_server_options, http);
    http.body_timeout = -3;
    wrong += WITH_BAD(aio_start_http_server_with(with_request, NULL, "127.0.0.1", 0, &http));
    wrong += WITH_GOOD(aio_start_http_server_with(with_request, NULL, "127.0.0.1", 0, NULL));
    WITH_OPTIONS(aio_app_options, app_options);
    app_options.json_errors = true;
    aio_app *app = aio_app_open_with(&app_options), *other = aio_app_open_with(NULL);
    wrong += WITH_BAD(aio_start_app_with(app, "127.0.0.1", 0, &http)) + !app + !other;
    wrong += WITH_GOOD(aio_start_app_with(other, "127.0.0.1", 0, NULL));
    wrong += WITH_BAD(aio_start_unix_app_with(app, "/none", &http));
    wrong += WITH_GOOD(aio_start_unix_app_with(other, "/none", NULL));
    WITH_OPTIONS(aio_run_app_options, run_app);
    run_app.threads = -2;
    wrong += aio_run_app_with(app, "127.0.0.1", 0, &run_app) != 1;
    wrong += aio_run_app_with(NULL, "127.0.0.1", 0, NULL) != 1;
    aio_app_close(other);
    WITH_OPTIONS(aio_file_options, file);
    wrong += WITH_BAD(aio_request_send_file_with(NULL, "/", &file));
    wrong += WITH_BAD(aio_request_send_file_with(NULL, "/", NULL));
    WITH_OPTIONS(aio_set_cookie_options, cookie);
    wrong += aio_request_set_cookie_with(NULL, "a", "b", &cookie) != EINVAL;
    wrong += aio_request_set_cookie_with(NULL, "a", "b", NULL) != EINVAL;
    wrong += aio_request_delete_cookie_with(NULL, "a", NULL) != EINVAL;
    wrong += WITH_BAD(aio_start_unix_http_server_with(with_request, NULL, "/none", &http));
    WITH_OPTIONS(aio_post_options, post);
    wrong += WITH_BAD(aio_request_post_with(NULL, &post)) + WITH_BAD(aio_request_post_with(NULL, NULL));
    WITH_OPTIONS(aio_respond_options, respond);
    wrong += WITH_BAD(aio_request_respond_with(NULL, 200, &respond));
    wrong += WITH_BAD(aio_request_respond_with(NULL, 200, NULL));
    wrong += WITH_BAD(aio_request_start_with(NULL, 200, &respond)) + WITH_BAD(aio_request_start_with(NULL, 200, NULL));
    wrong += WITH_BAD(aio_request_upgrade_with(NULL, NULL)); /* there is no request */
    wrong += WITH_BAD(aio_request_upgrade_websocket_with(NULL, NULL));
    WITH_OPTIONS(aio_endpoint_options, endpoint);
    endpoint.local_port = 0;
    wrong += WITH_GOOD(aio_create_datagram_endpoint_with(&endpoint));
    wrong += WITH_GOOD(aio_create_datagram_endpoint_with(NULL));
    return wrong;
}

static int with_urls(void)
{
    int wrong = 0;
    aio_url base, url;
    WITH_OPTIONS(aio_url_options, its);
    its.encoded = true;
    wrong += aio_url_parse_with(&base, "http://h/ ", 10, NULL, &its) != AIO_EURL;
    wrong += aio_url_parse_with(&base, "http://h/ ", 10, NULL, NULL) != 0;
    wrong += aio_url_join_with(&url, &base, " ", 1, NULL, &its) != AIO_EURL;
    wrong += aio_url_join_with(&url, &base, " ", 1, NULL, NULL) != 0;
    aio_url_clear(&url);
    aio_url_clear(&base);
    return wrong;
}

static int with_session(void)
{
    int wrong = 0;
    WITH_OPTIONS(aio_session_options, its);
    its.keepalive_timeout = -3;
    wrong += aio_session_open_with(&its) != NULL;
    aio_session *session = aio_session_open_with(NULL);
    wrong += !session;
    WITH_OPTIONS(aio_request_options, request);
    request.timeout.total = -3;
    wrong += WITH_BAD(aio_session_request_with(session, "GET", "http://127.0.0.1:1/", &request));
    wrong += WITH_GOOD(aio_session_request_with(session, "GET", "http://127.0.0.1:1/", NULL));
    WITH_OPTIONS(aio_ws_options, socket);
    socket.compress = 8;
    wrong += WITH_BAD(aio_ws_connect_with(session, "ws://127.0.0.1:1/", &socket));
    wrong += WITH_GOOD(aio_ws_connect_with(session, "ws://127.0.0.1:1/", NULL));
    aio_unref(aio_session_close(session));
    aio_cookie_jar *jar = aio_cookie_jar_open_with(NULL);
    wrong += !jar;
    aio_cookie_jar_unref(jar);
    aio_tls_context *context = aio_tls_context_create_with(NULL);
#ifdef AIO_NO_TLS
    wrong += context != NULL;
#else
    wrong += !context;
#endif
    aio_tls_context_unref(context);
    WITH_OPTIONS(aio_tls_options, tls);
    tls.ca_file = "/none";
    wrong += aio_tls_context_create_with(&tls) != NULL;
    return wrong;
}

static int with_resolver(void)
{
    int wrong = 0;
    WITH_OPTIONS(aio_resolver_options, its);
    its.timeout = -3;
    wrong += aio_resolver_open_with(&its) != NULL;
    aio_resolver *resolver = aio_resolver_open_with(NULL);
    wrong += !resolver;
    WITH_OPTIONS(aio_resolve_options, resolve);
    wrong += WITH_GOOD(aio_resolver_resolve_with(resolver, "127.0.0.1", 80, &resolve));
    wrong += WITH_GOOD(aio_resolver_resolve_with(resolver, "127.0.0.1", 80, NULL));
    aio_resolver_close(resolver);
    WITH_OPTIONS(aio_getaddrinfo_options, looked);
    looked.service = "";
    wrong += WITH_BAD(aio_loop_getaddrinfo_with(aio_get_event_loop(), "127.0.0.1", 0, &looked));
    wrong += WITH_GOOD(aio_loop_getaddrinfo_with(aio_get_event_loop(), "127.0.0.1", 80, NULL));
    WITH_OPTIONS(aio_process_options, process);
    const char *const program[] = { "true", NULL };
    wrong += WITH_GOOD(aio_create_subprocess_exec_with(program, &process));
    wrong += WITH_GOOD(aio_create_subprocess_exec_with(program, NULL));
    wrong += WITH_GOOD(aio_create_subprocess_shell_with("true", NULL));
    return wrong;
}

static int with_loop(aio_loop *loop)
{
    int wrong = 0;
    WITH_OPTIONS(aio_queue_options, queue);
    queue.lifo = true;
    queue.compare = with_compare;
    wrong += aio_queue_create_with(int, &queue) != NULL;
    aio_queue *made = aio_queue_create_with(int, NULL);
    wrong += !made;
    aio_queue_free(made);
    WITH_OPTIONS(aio_executor_options, executor);
    executor.max_workers = -1;
    wrong += aio_executor_open_with(&executor) != NULL;
    aio_executor *threads = aio_executor_open_with(NULL);
    wrong += !threads;
    wrong += WITH_GOOD(aio_loop_run_in_executor_with(loop, threads, with_job, NULL, NULL));
    wrong += with_awaitable(aio_to_thread_with(with_job, NULL, NULL), AIO_ENOLOOP); /* outside of a running loop */
    aio_executor_close(threads);
    WITH_OPTIONS(aio_turn_limits, limits);
    limits.seconds = -3;
    wrong += aio_loop_set_turn_limits_with(loop, &limits) != EINVAL;
    wrong += aio_loop_set_turn_limits_with(loop, NULL) != 0;
    return wrong;
}

static int with_runners(void)
{
    int wrong = 0;
    WITH_OPTIONS(aio_run_options, run);
    run.turn.seconds = -3;
    wrong += aio_runner_open_with(&run) != NULL;
    aio_runner *runner = aio_runner_open_with(NULL);
    wrong += !runner;
    aio_runner_close(runner);
    wrong += aio_run_with(NULL, NULL) != 1;
    return wrong;
}

static int with_combinators(void)
{
    int wrong = 0;
    void *both[2] = { aio_future_create(), aio_future_create() };
    WITH_OPTIONS(aio_gather_options, gather);
    gather.return_exceptions = true;
    WITH_OPTIONS(aio_wait_options, wait);
    wait.timeout = -3;
    WITH_OPTIONS(aio_as_completed_options, each);
    each.timeout = -3;
    wrong += WITH_GOOD(aio_gather_with(both, 0, &gather));
    wrong += WITH_GOOD(aio_gather_with(both, 0, NULL));
    wrong += WITH_BAD(aio_wait_with(both, 2, &wait));
    wrong += WITH_GOOD(aio_wait_with(both, 2, NULL));
    wrong += aio_as_completed_with(both, 2, &each) != NULL;
    aio_completions *all = aio_as_completed_with(both, 2, NULL);
    wrong += !all;
    aio_unref(all);
    for (int i = 0; i < 2; i++) aio_future_cancel(both[i]);
    aio_unref_all(both, 2);
    return wrong;
}

/* How many calls did not give what they should. Sets the thread's loop, and leaves none. */
static int with_all(void)
{
    int wrong = with_runners();
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    wrong += with_connections() + with_urls() + with_session() + with_resolver() + with_loop(loop)
        + with_combinators();
    aio_loop_run_until_complete(loop, aio_sleep(0), NULL);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
    return wrong;
}
