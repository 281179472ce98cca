/* What is told of requests on their way, and what their responses know of it afterwards. */

/* Answers by path. */
#define TRACE_EARLY "HTTP/1.1 103 Early\r\nLink:  x\r\n\r\n"
#define TRACE_MOVED "HTTP/1.1 302 Go\r\nLocation: /b\r\nContent-Length: 2\r\n\r\n"
#define TRACE_THERE "HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\n"
#define TRACE_BODY  "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: 1\r\n\r\n"
struct trace_site { aio_task task; aio_stream *stream; aio_text text; const char *says; };
static AIO_CORO(trace_site)
{
    AIO_BEGIN(trace_site);
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EINCOMPLETE) AIO_RETURN();
            AIO_RERAISE();
        } AIO_END_TRY;
        self->says = strstr(self->text.data, " /a ") ? TRACE_EARLY TRACE_EARLY TRACE_MOVED "xy"
                   : strstr(self->text.data, " /c ") ? HEAD_5 "hello" : TRACE_EARLY TRACE_THERE TRACE_BODY;
        if (strstr(self->text.data, " /drop ")) break;
        if (aio_stream_write(self->stream, self->says, strlen(self->says))) break;
        if (strstr(self->text.data, " /c ")) break;
    }
    AIO_END;
}
static void *trace_site_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(trace_site, .stream = stream);
}

struct trace_log { char names[1200], heads[1200]; size_t received, sent; double last; uint64_t request; int hop;
                   void *context; };
static void trace_note(const aio_trace_event *event, void *arg)
{
    struct trace_log *log = (struct trace_log *)arg;
    size_t used = strlen(log->names), heads = strlen(log->heads);
    snprintf(log->names + used, sizeof log->names - used, "%s ", aio_trace_name(event->kind));
    if (event->kind == AIO_TRACE_HEAD_RECEIVED)
        snprintf(log->heads + heads, sizeof log->heads - heads, "%.*s", (int)event->bytes.length, event->bytes.data);
    if (event->kind == AIO_TRACE_CHUNK_RECEIVED) log->received += event->bytes.length;
    if (event->kind == AIO_TRACE_CHUNK_SENT) log->sent += event->bytes.length;
    if (event->kind == AIO_TRACE_REQUEST_END) CHECK(event->response && event->response->status == 200);
    if (event->kind == AIO_TRACE_REDIRECT) CHECK(event->response && event->response->status == 302);
    if (event->kind == AIO_TRACE_REQUEST_EXCEPTION) CHECK(event->exception != NULL);
    /* and nothing of what was told before */
    bool named = event->kind >= AIO_TRACE_DNS_CACHE_HIT && event->kind <= AIO_TRACE_DNS_END;
    bool read = event->kind >= AIO_TRACE_HEADERS_SENT && event->kind <= AIO_TRACE_CHUNK_RECEIVED;
    bool over = event->kind >= AIO_TRACE_REDIRECT;
    CHECK_INT(event->host != NULL, named);
    CHECK(read || !event->bytes.length);
    CHECK(over || (!event->response && !event->exception));
    CHECK_INT(event->reason != NULL, event->kind == AIO_TRACE_COOKIE_REFUSED);
    ALWAYS(event->time >= log->last);
    log->last = event->time;
    log->request = event->request;
    log->hop = event->hop;
    log->context = event->context;
    ALWAYS(event->method && event->url);
}
static struct trace_log the_log;
static void trace_clear(void)
{
    double last = the_log.last;
    memset(&the_log, 0, sizeof the_log);
    the_log.last = last;
}

#define TRACE_FIRST "request_start connection_create_start connection_create_end headers_sent "
struct trace_events { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; };
SCENARIO(trace_events, .may = CLIENT_MAY)
{
    AIO_BEGIN(trace_events);
    memset(&the_log, 0, sizeof the_log);
    AIO_AWAIT(self->server, aio_start_server(trace_site_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.trace = trace_note, .trace_arg = &the_log));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/a", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .trace_context = self));
    CHECK_STR(the_log.heads, TRACE_EARLY TRACE_EARLY TRACE_MOVED TRACE_EARLY TRACE_THERE);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    if (now.w->kind != KIND_SLICE)
        CHECK_STR(the_log.names, TRACE_FIRST "head_received head_received head_received redirect chunk_received "
                  "connection_reused headers_sent head_received head_received chunk_received chunk_received "
                  "request_end ");
    CHECK_INT(the_log.received, 7);
    CHECK_INT(the_log.request, 1);
    CHECK_INT(the_log.hop, 1);
    CHECK_PTR(the_log.context, self);
    aio_response_release(self->r);
    self->r = NULL;
    trace_clear();
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/b", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .data = "body", .data_length = 4));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK(strstr(the_log.names, "request_start connection_reused headers_sent chunk_sent head_received") != NULL);
    CHECK_INT(the_log.sent, 4);
    CHECK_INT(the_log.request, 2);
    aio_response_release(self->r);
    self->r = NULL;
    trace_clear();
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/drop", aio_server_port(self->server));
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_delete(self->session, self->url));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EDISCONNECTED);
    } AIO_END_TRY;
    CHECK_STR(the_log.names, "request_start connection_reused headers_sent retry connection_create_start "
              "connection_create_end headers_sent request_exception ");
    trace_clear();
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_delete(self->session, self->url, .retry = { .attempts = 2 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EDISCONNECTED);
    } AIO_END_TRY;
    CHECK_STR(the_log.names, TRACE_FIRST "retry connection_create_start connection_create_end headers_sent "
              "request_exception ");
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Of a body that is made while it is sent each piece is told, without what says how long a chunk is. */
struct trace_uploads { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; char url[60]; int known; };
SCENARIO(trace_uploads, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED,
                                 AIO_EINCOMPLETE })
{
    AIO_BEGIN(trace_uploads);
    memset(&the_log, 0, sizeof the_log);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/size", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.trace = trace_note, .trace_arg = &the_log));
    for (; self->known < 2; self->known++) {
        trace_clear();
        memset(&self->from, 0, sizeof self->from);
        self->from.text = "abcde";
        self->from.step = 2;
        AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .producer = {
            .next = pieces_next, .arg = &self->from, .length = self->known ? 5 : 0 }));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "5");
        CHECK(strstr(the_log.names, "headers_sent chunk_sent chunk_sent chunk_sent head_received") != NULL);
        CHECK_INT(the_log.sent, 5);
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* One place for two requests; and names: asked for, known, asked again without a cache. */
struct trace_queue { aio_task task; aio_server *server; aio_session *session; struct get_url *get[2]; int i; };
SCENARIO(trace_queue, .may = CLIENT_MAY)
{
    AIO_BEGIN(trace_queue);
    memset(&the_log, 0, sizeof the_log);
    AIO_AWAIT(self->server, aio_start_server(trace_site_handler, NULL, "127.0.0.1", 0, .family = AF_INET));
    REQUIRE(self->session = aio_session_open(.trace = trace_note, .trace_arg = &the_log, .limit = 1,
                                             .family = AF_INET));
    for (self->i = 0; self->i < 2; self->i++) {
        self->get[self->i] = get_task(self->session, aio_server_port(self->server), "/c", no_timeouts);
        REQUIRE(self->get[self->i]);
        snprintf(self->get[self->i]->url, sizeof self->get[self->i]->url, "http://localhost:%d/c",
                 aio_server_port(self->server));
    }
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT((struct get_url *)aio_ref(self->get[self->i]));
    CHECK_INT(self->get[1]->code, 0);
    CHECK(strstr(the_log.names, "queued_start "));
    CHECK(strstr(the_log.names, "dns_cache_miss dns_start "));
    CHECK(strstr(the_log.names, "dns_end connection_create_end headers_sent"));
    CHECK(strstr(the_log.names, "connection_create_start dns_cache_hit connection_create_end"));
    AIO_FINALLY;
        aio_unref_all(self->get, 2);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Heads, bytes, addresses and times, of each hop; without a callback. */
static bool trace_heads_are(const aio_response *response, const char *const *heads)
{
    size_t position = 0, i = 0;
    aio_text head;
    while (aio_response_next_head(response, &position, &head)) {
        if (!heads[i] || head.length != strlen(heads[i]) || memcmp(head.data, heads[i], head.length) != 0) return false;
        i++;
    }
    return !heads[i];
}
struct trace_response { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text, head;
    const aio_connection_info *info; char url[60], peer[60], *picture; size_t size; FILE *out; };
SCENARIO(trace_response, .may = CLIENT_MAY)
{
    static const char *const first[] = { TRACE_EARLY, TRACE_EARLY, TRACE_MOVED, NULL };
    static const char *const second[] = { TRACE_EARLY, TRACE_THERE, NULL };
    AIO_BEGIN(trace_response);
    AIO_AWAIT(self->server, aio_start_server(trace_site_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/a", aio_server_port(self->server));
    snprintf(self->peer, sizeof self->peer, "127.0.0.1:%d", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "abcde");
    REQUIRE(self->r->history_count == 1);
    CHECK(trace_heads_are(self->r->history[0], first));
    CHECK(trace_heads_are(self->r, second));
    self->head = aio_response_request_head(self->r->history[0]);
    CHECK(self->head.length > 20 && !memcmp(self->head.data, "GET /a HTTP/1.1\r\nHost: ", 23));
    CHECK_INT(aio_response_bytes_sent(self->r->history[0]), self->head.length);
    self->head = aio_response_request_head(self->r);
    CHECK(self->head.length > 20 && !memcmp(self->head.data, "GET /b HTTP/1.1\r\nHost: ", 23));
    CHECK_INT(aio_response_bytes_sent(self->r), self->head.length);
    CHECK_INT(aio_response_bytes_received(self->r), strlen(TRACE_EARLY TRACE_THERE TRACE_BODY));
    REQUIRE(self->info = aio_response_connection(self->r));
    CHECK_PTR(aio_response_connection(self->r->history[0]), self->info);
    CHECK_STR(self->info->peer, self->peer);
    CHECK(!self->info->tls_version && !aio_response_peer_certificate(self->r));
    CHECK_INT(self->info->attempt_count, 1);
    CHECK_STR(self->info->attempts[0].address, self->peer);
    CHECK_INT(self->info->attempts[0].code, 0);
    CHECK(self->r->times.reused && !self->r->history[0]->times.reused);
    CHECK(self->r->times.start >= self->r->history[0]->times.start);
    if (!touched() && (self->out = open_memstream(&self->picture, &self->size))) {
        aio_print_waterfall(self->r, self->out);
        fclose(self->out);
        self->out = NULL;
        CHECK(strstr(self->picture, "/a: 302, ") && strstr(self->picture, "/b: 200, ")
              && strstr(self->picture, ", reused\n"));
    }
    aio_print_waterfall(NULL, NULL);
    AIO_FINALLY;
        free(self->picture);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Bars of phases, on a scale that all hops share. */
TEST(trace_waterfall)
{
    static const char wanted[] =
        "GET http://a.test/: 302, 30.000 ms, no connection\n"
        "  dns      [==========                              ]     10.000 ms\n"
        "  wait     [          ====================          ]     20.000 ms\n"
        "POST http://b.test/: 200, 10.000 ms, no connection, reused\n"
        "  send     [                              |         ]      0.001 ms\n"
        "  receive  [                              ==========]      9.999 ms\n";
    static aio__reply hops[2];
    aio_response *const history[] = { &hops[0].response };
    char text[1024];
    FILE *out = fmemopen(text, sizeof text, "w");
    hops[0].response = (aio_response){ .status = 302, .method = "GET", .url = "http://a.test/",
                                       .times = { .resolve = 0.01, .wait = 0.02, .start = 1 } };
    hops[1].response = (aio_response){ .status = 200, .method = "POST", .url = "http://b.test/", .history = history,
        .history_count = 1, .times = { .send = 0.000001, .receive = 0.009999, .start = 1.03, .reused = true } };
    if (!out) return;
    aio_print_waterfall(&hops[1].response, out);
    fclose(out);
    CHECK_STR(text, wanted);
}

/* A callback that cancels the task of its request, whatever the event is: nothing of it is left. */
static struct { aio_response_task *get; int kind; bool ended; } trace_stopped;
static void trace_stop(const aio_trace_event *event, void *arg)
{
    (void)arg;
    if ((int)event->kind == trace_stopped.kind && trace_stopped.get) aio_task_cancel(trace_stopped.get);
    if (event->kind == AIO_TRACE_REQUEST_END) trace_stopped.ended = true;
}
struct trace_cancels { aio_task task; aio_server *server; aio_session *session; char url[60]; int i; };
SCENARIO(trace_cancels, .may = CLIENT_MAY)
{
    static const aio_trace_kind kinds[] = { AIO_TRACE_REQUEST_START, AIO_TRACE_CONNECTION_CREATE_END,
                                            AIO_TRACE_HEADERS_SENT, AIO_TRACE_HEAD_RECEIVED, AIO_TRACE_REQUEST_END };
    AIO_BEGIN(trace_cancels);
    AIO_AWAIT(self->server, aio_start_server(trace_site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/c", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.trace = trace_stop));
    for (self->i = 0; self->i < 5; self->i++) {
        trace_stopped.kind = (int)kinds[self->i];
        trace_stopped.ended = false;
        trace_stopped.get = (aio_response_task *)aio_create_task(aio_session_get(self->session, self->url));
        REQUIRE(trace_stopped.get);
        AIO_TRY {
            AIO_AWAIT((aio_future *)aio_ref(trace_stopped.get));
            UNREACHED();
            aio_response_release(trace_stopped.get->result);
        } AIO_CATCH_ALL {
            CAUGHT(AIO_ECANCELLED);
        } AIO_END_TRY;
        CHECK_INT(trace_stopped.ended, self->i == 4);
        CHECK_INT(aio_session_busy(self->session), 0);
        CHECK(aio__ring_empty(&self->session->live));
        aio_unref(trace_stopped.get);
        trace_stopped.get = NULL;
    }
    AIO_FINALLY;
        if (trace_stopped.get && aio_future_done(trace_stopped.get) && trace_stopped.get->result)
            aio_response_release(trace_stopped.get->result);
        aio_unref(trace_stopped.get);
        trace_stopped.get = NULL;
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}
