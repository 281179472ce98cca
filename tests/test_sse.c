/* Server-sent events: the parser over every cut, the client's connections, what a server sends. */

static const struct { const char *stream, *events; } sse_cases[] = {
    { "data: a\n\n", "message|a||" }, { "data: a\r\n\r\n", "message|a||" }, { "data: a\r\r", "message|a||" },
    { "data:a\ndata: b\ndata:  c\n\n", "message|a\nb\n c||" }, { "data\n\n", "message|||" },
    { "data\ndata\n\n", "message|\n||" }, { "data:\n\n\n\n", "message|||" }, { "\n\n\r\n", "" },
    { "event: e\ndata: x\n\ndata: y\n\n", "e|x||message|y||" }, { "event: e\n\ndata: y\n\n", "message|y||" },
    { "id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", "message|x|1|message|y|1|message|z||" },
    { "id: 1\n\ndata: x\n\n", "message|x|1|" }, { ": comment\n:\n\ndata: x\n\n", "message|x||" },
    { "\xEF\xBB\xBF" "data: x\n\n\xEF\xBB\xBF" "data: y\n\n", "message|x||" },
    { "data: x\n", "" }, { "data: x", "" }, { "data: x\ndata: cut\n", "" },
    { "Data: x\n\nunknown: y\n\ndata : z\n\n", "" }, { "retry: 5\n\nretry: x\n\ndata: 1\n\n", "message|1||" },
    { "data: a: b\n\n", "message|a: b||" }, { "data:\ta\n\n", "message|\ta||" },
};

static void sse_events(const char *stream, size_t length, size_t cut, aio__sse_parser *p, char *out, size_t room)
{
    size_t used = 0;
    *out = '\0';
    memset(p, 0, sizeof *p);
    p->max_line = 100;
    p->max_event = 200;
    p->retry = -1;
    for (size_t at = 0, n; at < length; at += n) {
        n = length - at < cut ? length - at : cut;
        aio_text rest = aio__text(stream + at, n);
        while (aio__sse_feed(p, &rest) == AIO__SSE_EVENT)
            used += (size_t)snprintf(out + used, room - used, "%s|%s|%s|", p->type.data, p->data.data, p->id.data);
    }
}

TEST(sse_parser)
{
    static const char zero[] = "id: a\0b\ndata: x\nretry: 12\n\nretry: 1x\nretry:\n\n";
    char events[300];
    aio__sse_parser p;
    for (size_t i = 0; i < sizeof sse_cases / sizeof *sse_cases; i++) {
        for (size_t cut = 1; cut < 6; cut++) {
            sse_events(sse_cases[i].stream, strlen(sse_cases[i].stream), cut, &p, events, sizeof events);
            CHECK_STR(events, sse_cases[i].events);
            aio__sse_clear(&p);
        }
    }
    sse_events(zero, sizeof zero - 1, 3, &p, events, sizeof events);
    CHECK_STR(events, "message|x||");
    CHECK_INT(p.retry, 12);
    aio__sse_clear(&p);
}

/* Which fields set the time to wait, to what; names that are almost one of the known ones say nothing. */
TEST(sse_fields)
{
    static const struct { const char *stream; long long retry; const char *events; } rows[] = {
        { "retry: 0\n\n", 0, "" }, { "retry: 2147483647\n\n", 2147483647, "" }, { "retry: -1\n\n", -1, "" },
        { "retrys: 6\nretr: 7\nretri: 8\nRetry: 9\n\n", -1, "" }, { "retry: 5\nretry:\n\n", 5, "" },
        { "events: e\nevenf: f\nids: 3\nie: 4\ndatas: x\ndatb: y\ndata: z\n\n", -1, "message|z||" },
        { "id:\ndata: a\n\nid: 7\nid:\ndata: b\n\n", -1, "message|a||message|b||" },
    };
    char events[300];
    aio__sse_parser p;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sse_events(rows[i].stream, strlen(rows[i].stream), 100, &p, events, sizeof events);
        CHECK_INT(p.retry, rows[i].retry);
        CHECK_STR(events, rows[i].events);
        aio__sse_clear(&p);
    }
}

/* Of an event that was cut off, no field comes to the next stream: its first event has the last id that counted. */
TEST(sse_restarts)
{
    char events[300];
    aio__sse_parser p;
    aio_text rest = aio__text("data: c\n\n", 9);
    sse_events("id: 1\ndata: a\n\nid: 2\nevent: e\ndata: b\nda", 40, 100, &p, events, sizeof events);
    CHECK_STR(events, "message|a|1|");
    aio__sse_restart(&p);
    CHECK_INT(aio__sse_feed(&p, &rest), AIO__SSE_EVENT);
    CHECK_STR(p.type.data, "message");
    CHECK_STR(p.data.data, "c");
    CHECK_STR(p.id.data, "1");
    aio__sse_clear(&p);
}

/* The pause before the next connection: doubled by failures up to the maximum, unless the server asked for more. */
TEST(sse_delays)
{
    static const struct { long long retry; int failures; double pause; int ends; } rows[] = {
        { -1, 1, 3 }, { -1, 2, 6 }, { -1, 5, 48 }, { -1, 6, AIO_SSE_RETRY_MAX }, { -1, 60, AIO_SSE_RETRY_MAX },
        { 60000, 1, 60 }, { 61000, 1, 61 }, { 100000, 9, 100 }, { 50, 1, 0.05 }, { 50, 2, 0.2 }, { 0, 3, 0.4 },
        /* of connections that end without an event */
        { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, { 0, 0, 0.1, 2 }, { 0, 0, 0.2, 3 }, { 0, 0, 1.6, 6 },
        { 0, 0, AIO_SSE_RETRY, 7 }, { 0, 0, AIO_SSE_RETRY, 100 }, { 150, 0, 0.15, 2 },
        { 150, 0, 0.2, 3 }, { -1, 0, 3, 9 }, { 60000, 0, 60, 9 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_sse sse;
        memset(&sse, 0, sizeof sse);
        sse.retry = AIO_SSE_RETRY;
        sse.parser.retry = rows[i].retry;
        sse.failures = rows[i].failures;
        sse.ends = rows[i].ends;
        CHECK_NEAR(aio__sse_delay(&sse), rows[i].pause, 1e-9);
    }
}

/* What a source asks with: the program's own fields count, wherever it has given them. */
TEST(sse_fields_of_the_program)
{
    static const char *const own[] = { "accept", "x/y", NULL };
    aio_headers given, fields;
    aio_sse_options asked;
    memset(&given, 0, sizeof given);
    memset(&fields, 0, sizeof fields);
    memset(&asked, 0, sizeof asked);
    CHECK_INT(aio__sse_fields(&fields, &asked), 0);
    CHECK_STR(aio_headers_get(&fields, "Accept").data, "text/event-stream");
    CHECK_STR(aio_headers_get(&fields, "Cache-Control").data, "no-store");
    CHECK_INT((int)fields.count, 2);
    aio_headers_clear(&fields);
    CHECK_INT(aio_headers_add(&given, "Cache-Control", "private"), 0);
    CHECK_INT(aio_headers_add(&given, "X", "1"), 0);
    asked.headers = own;
    asked.header_fields = &given;
    CHECK_INT(aio__sse_fields(&fields, &asked), 0);
    CHECK_STR(aio_headers_get(&fields, "Accept").data, "x/y");
    CHECK_STR(aio_headers_get(&fields, "Cache-Control").data, "private");
    CHECK_STR(aio_headers_get(&fields, "X").data, "1");
    CHECK_INT((int)fields.count, 3);
    aio_headers_clear(&fields);
    aio_headers_clear(&given);
}

TEST(sse_bad_arguments)
{
    static const char *const half[] = { "A", NULL, NULL }, *const split[] = { "A", "b\nc", NULL };
    const aio_sse_options wrong[] = { { .retry = -3 }, { .retry = AIO_UNLIMITED }, { .silence = -3 },
        { .last_event_id = "a\nb" }, { .last_event_id = "\r" }, { .headers = half }, { .headers = split } };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *session = aio_session_open();
    CHECK(session != NULL);
    aio_headers fine; /* what is given beside something wrong */
    memset(&fine, 0, sizeof fine);
    CHECK_INT(aio_headers_add(&fine, "X", "1"), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK(!aio_sse_open_with(session, "http://h/", &wrong[i]) && errno == EINVAL);
        aio_sse_options both = wrong[i];
        both.header_fields = &fine;
        errno = 0;
        CHECK(!aio_sse_open_with(session, "http://h/", &both) && errno == EINVAL);
    }
    aio_headers_clear(&fine);
    errno = 0;
    CHECK(!aio_sse_open(NULL, "http://h/") && errno == EINVAL);
    errno = 0;
    CHECK(!aio_sse_open(session, NULL) && errno == EINVAL);
    aio_sse *sse = aio_sse_open(session, "http://h/", .retry = AIO_NOW, .silence = AIO_UNLIMITED, .last_event_id = "a b");
    CHECK(sse != NULL);
    aio_sse_close(sse);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_session_close(session), NULL), 0);
    aio_loop_free(loop);
}

/* The rules of the HTML standard (9.2.6) for a stream as a whole: its lines, their fields, the events. */
static void sse_rules(const char *at, size_t n, char *out, size_t room)
{
    char data[200] = "", type[100] = "", next[100] = "";
    size_t used = 0;
    bool has_data = false;
    *out = '\0';
    if (n >= 3 && !memcmp(at, "\xEF\xBB\xBF", 3)) at += 3, n -= 3;
    for (size_t end; n; at += end, n -= end) {
        for (end = 0; end < n && at[end] != '\r' && at[end] != '\n'; end++) { }
        if (end == n) return; /* a line without end, and its event with it */
        char line[100] = "";
        memcpy(line, at, end);
        memset(line + end, 0, 2);
        char *colon = (char *)memchr(line, ':', end), *value = colon ? colon + 1 + (colon[1] == ' ') : line + end;
        size_t length = (size_t)(line + end - value);
        if (colon) *colon = '\0';
        bool named = (colon ? (size_t)(colon - line) : end) == strlen(line);
        if (!end) {
            if (has_data)
                used += (size_t)snprintf(out + used, room - used, "%s|%.*s|%s|", *type ? type : "message",
                                         (int)strlen(data) - 1, data, next);
            has_data = false;
            *data = *type = '\0';
        } else if (named && !strcmp(line, "data")) {
            has_data = true;
            strcat(strncat(data, value, length), "\n");
        } else if (named && !strcmp(line, "event")) {
            strcpy(type, value);
        } else if (named && !strcmp(line, "id") && !memchr(value, '\0', length)) {
            strcpy(next, value);
        }
        end += at[end] == '\r' && end + 1 < n && at[end + 1] == '\n' ? 2 : 1;
    }
}

/* All orders of five parts of a stream, in pieces of one byte, of two, and as a whole. */
TEST(sse_generated)
{
    static const struct { const char *text; size_t n; } parts[] = {
        { "data", 4 }, { ":", 1 }, { " ", 1 }, { "x", 1 }, { "\r", 1 }, { "\n", 1 }, { "id", 2 }, { "event:e", 7 },
        { "data:y\n\n", 8 }, { "\0", 1 }, { "\xEF\xBB\xBF", 3 },
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    static const size_t cuts[] = { 1, 2, 99 };
    for (int i = 0; i < PARTS * PARTS * PARTS * PARTS * PARTS; i++) {
        char stream[64], wanted[300], events[300];
        size_t n = 0;
        bool zero = false;
        for (int k = 0, rest = i; k < 5; k++, rest /= PARTS) {
            memcpy(stream + n, parts[rest % PARTS].text, parts[rest % PARTS].n);
            n += parts[rest % PARTS].n;
            zero = zero || rest % PARTS == 9;
        }
        if (zero && !strstr(stream, "id")) continue; /* only there it counts; elsewhere C's strings end with it */
        memcpy(stream + n, "\n\ndata:z\r\n\r", 11);
        n += 11;
        sse_rules(stream, n, wanted, sizeof wanted);
        for (size_t cut = 0; cut < sizeof cuts / sizeof *cuts; cut++) {
            aio__sse_parser p;
            sse_events(stream, n, cuts[cut], &p, events, sizeof events);
            if (strcmp(events, wanted) != 0)
                fail("order %d in pieces of %zu: %s, not %s", i, cuts[cut], events, wanted);
            aio__sse_clear(&p);
        }
    }
}

TEST(sse_parser_limits)
{
    char line[120] = "", events[10];
    aio__sse_parser p;
    aio_text rest = aio__text(line, 101);
    memset(line, 'a', sizeof line);
    sse_events("", 0, 1, &p, events, sizeof events);
    CHECK_INT(aio__sse_feed(&p, &rest), AIO_ELIMIT);
    aio__sse_clear(&p);
    sse_events("", 0, 1, &p, events, sizeof events);
    memcpy(line, "data: ", 6);
    line[99] = '\n';
    rest = aio__text(line, 100);
    CHECK_INT(aio__sse_feed(&p, &rest), AIO__SSE_MORE);
    rest = aio__text(line, 100);
    CHECK_INT(aio__sse_feed(&p, &rest), AIO__SSE_MORE);
    rest = aio__text(line, 100);
    CHECK_INT(aio__sse_feed(&p, &rest), AIO_ELIMIT);
    aio__sse_clear(&p);
}

/* /events sends three events and ends; asked again, it goes on after Last-Event-ID; after 6 it answers 204. /status
 * gives 500, /pieces a long one, /type text, /long a line without end, /silent nothing. */
struct feeding { aio_task task; aio_request *request; int i, from; char id[20]; };
static AIO_CORO(feeding)
{
    AIO_BEGIN(feeding);
    const char *path;
    path = self->request->path.data;
    if (!strcmp(path, "/status")) AIO_AWAIT(aio_request_respond(self->request, 500, .text = "no"));
    else if (!strcmp(path, "/pieces")) {
        AIO_AWAIT(aio_request_start(self->request, 500));
        for (; self->i < 100; self->i++) {
            AIO_AWAIT(aio_request_chunk(self->request, "no", 2));
            AIO_AWAIT(aio_sleep(0.01));
        }
        AIO_AWAIT(aio_request_end(self->request));
    } else if (!strcmp(path, "/type")) AIO_AWAIT(aio_request_respond(self->request, 200, .text = "no"));
    else {
        CHECK_STR(aio_headers_get(&self->request->headers, "Accept").data, "text/event-stream");
        CHECK_STR(aio_headers_get(&self->request->headers, "Cache-Control").data, "no-store");
        aio_text last;
        last = aio_headers_get(&self->request->headers, "Last-Event-ID");
        self->from = last.data ? atoi(last.data) : 0;
        if (self->from == 6) {
            AIO_AWAIT(aio_request_respond(self->request, 204));
            AIO_RETURN();
        }
        AIO_AWAIT(aio_request_sse(self->request));
        if (!strcmp(self->request->path.data, "/silent")) AIO_AWAIT(aio_sleep(1000));
        if (!strcmp(self->request->path.data, "/long")) {
            AIO_AWAIT(aio_request_chunk(self->request, plenty, 100));
            AIO_AWAIT(aio_sleep(1000));
        }
        AIO_AWAIT(aio_request_sse_ping(self->request));
        for (self->i = 1; self->i <= 3; self->i++) {
            snprintf(self->id, sizeof self->id, "%d", self->from + self->i);
            AIO_AWAIT(aio_request_sse_send(self->request, self->i == 2 ? "two\r\nlines" : "one", .id = self->id,
                                           .event = self->i == 3 ? "end" : NULL, .comment = "so\nit is", .retry = 7));
        }
        AIO_AWAIT(aio_request_end(self->request));
    }
    AIO_END;
}
static void *feeding_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(feeding, .request = request);
}

struct sse_client { aio_task task; aio_server *server; aio_session *session; aio_sse *sse; aio_sse_event event;
    char url[60], seen[200]; double began; };
SCENARIO(sse_client, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, ECONNREFUSED, AIO_EHTTP,
                              AIO_ESTATUS })
{
    AIO_BEGIN(sse_client);
    AIO_AWAIT(self->server, aio_start_http_server(feeding_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open();
    if (!self->session) AIO_RAISE(ENOMEM);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/events", aio_server_port(self->server));
    self->sse = aio_sse_open(self->session, self->url);
    if (!self->sse) AIO_RAISE(errno);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_ASYNC_FOR(self->event, aio_sse_next(self->sse)) {
        CHECK_INT(strlen(self->event.data.data), self->event.data.length);
        strcat(self->seen, self->event.event.data);
        strcat(self->seen, self->event.id.data);
        strcat(self->seen, self->event.data.data);
        strcat(self->seen, ";");
        if (strlen(self->seen) > 150) break; /* a fault has made it begin anew */
    }
    CHECK_STR(self->seen, "message1one;message2two\nlines;end3one;message4one;message5two\nlines;end6one;");
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 14, 0.5); /* retry, twice */
    AIO_TRY {
        AIO_AWAIT(aio_sse_next(self->sse));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ESTOPITERATION);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

/* With each connection comes the id that the events before it have left (HTML 9.2.6): at first the program's own, none
 * behind an empty one, and none that no field can have. */
static char sse_ids[200];
static void *sse_tells_ids(aio_request *request, void *arg)
{
    static const char *const streams[] = { "data: 1\n\n", "id: long\ndata: 2\n\n", "id: b\n\nid: not\n",
        "id\ndata: 3\n\n", "data: 4\n\n", "id: c\ndata: 5\n\n", "id: d\x01\ndata: 6\n\n", "id: e\n\n" };
    int *asked = (int *)arg;
    aio_text id = aio_headers_get(&request->headers, "Last-Event-ID");
    snprintf(sse_ids + strlen(sse_ids), 20, "%s;", id.data ? id.data : "-");
    if (*asked == (int)(sizeof streams / sizeof *streams)) return aio_request_respond(request, 204);
    return aio_request_respond(request, 200, .text = streams[(*asked)++], .content_type = "text/event-stream");
}

struct sse_last_ids { aio_task task; aio_server *server; aio_session *session; aio_sse *sse; aio_sse_event event;
    int asked; char url[60], seen[100]; };
SCENARIO(sse_last_ids, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, ECONNREFUSED, AIO_EHTTP,
                                AIO_ESTATUS })
{
    AIO_BEGIN(sse_last_ids);
    sse_ids[0] = '\0';
    AIO_AWAIT(self->server, aio_start_http_server(sse_tells_ids, &self->asked, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->sse = aio_sse_open(self->session, self->url, .last_event_id = "a"));
    AIO_ASYNC_FOR(self->event, aio_sse_next(self->sse)) {
        snprintf(self->seen + strlen(self->seen), 20, "%s=%s;", self->event.id.data, self->event.data.data);
        if (strlen(self->seen) > 70) break; /* a fault has made it begin anew */
    }
    CHECK_STR(self->seen, "a=1;long=2;=3;=4;c=5;d\x01=6;");
    CHECK_STR(sse_ids, "a;a;long;b;-;-;c;-;e;");
    AIO_FINALLY;
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

/* A source that is closed before what was asked of it has begun, or while it waits: to connect again, for the answer,
 * for an event; and one that nobody asks in the end. */
struct sse_closed { aio_task task; aio_server *server; aio_session *session; aio_sse *sse; aio_future *next; int i;
    char url[60]; double began; };
SCENARIO(sse_closed, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, ECONNREFUSED, AIO_EHTTP,
                              AIO_ESTATUS })
{
    static const struct { const char *path; double after; } rows[] = {
        { "/events", 0 }, { "/silent", 1 }, { "/refused", 1 }, { "/events", 0.0001 },
    };
    AIO_BEGIN(sse_closed);
    AIO_AWAIT(self->server, aio_start_http_server(feeding_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < 4; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s",
                 self->i == 2 ? dead_port : aio_server_port(self->server), rows[self->i].path);
        REQUIRE(self->sse = aio_sse_open(self->session, self->url, .retry = 100));
        REQUIRE(self->next = (aio_future *)aio_sse_next(self->sse));
        aio_unref(self->next);
        REQUIRE(self->next = (aio_future *)aio_create_task(aio_sse_next(self->sse)));
        if (rows[self->i].after > 0) AIO_AWAIT(aio_sleep(rows[self->i].after));
        self->began = aio_loop_time(aio_get_running_loop());
        aio_sse_close(self->sse);
        self->sse = NULL;
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->next));
            CHECK_INT(self->i, 3); /* it may have its event by then */
        } AIO_CATCH {
            CAUGHT(ECONNABORTED);
            CHECK_STR(aio_caught(self)->message, "the event source was closed");
        } AIO_END_TRY;
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0, 0.5);
        aio_unref(self->next);
        self->next = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->next);
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

/* What ends a source for good, and after how long. */
struct sse_ends { aio_task task; aio_server *server; aio_session *session; aio_sse *sse; aio_sse_event event;
    int i, port; char url[60]; double began; };
SCENARIO(sse_ends, .may = { EPIPE, ECONNRESET, AIO_EPAYLOAD, ETIMEDOUT, AIO_EDISCONNECTED, ECONNREFUSED, AIO_EHTTP,
                            AIO_ESTATUS })
{
    static const struct { const char *path; int code; double seconds; } cases[] = {
        { "/status", AIO_ESTATUS, 0 }, { "/pieces", AIO_ESTATUS, 0 }, { "/type", AIO_ECONTENT, 0 },
        { "/long", AIO_ELIMIT, 0 },
        { "/silent", AIO_ETIMEOUT, 5 + 2 + 5 + 4 + 5 }, { NULL, ECONNREFUSED, 2 + 4 },
    };
    AIO_BEGIN(sse_ends);
    AIO_AWAIT(self->server, aio_start_http_server(feeding_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open();
    if (!self->session) AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i < (int)(sizeof cases / sizeof *cases); self->i++) {
        self->port = cases[self->i].path ? aio_server_port(self->server) : dead_port;
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s", self->port,
                 cases[self->i].path ? cases[self->i].path : "/");
        self->sse = aio_sse_open(self->session, self->url, .max_line = 99, .silence = 5, .retry = 2, .max_retries = 2);
        if (!self->sse) AIO_RAISE(errno);
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            AIO_AWAIT(self->event, aio_sse_next(self->sse));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(cases[self->i].code);
        } AIO_END_TRY;
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, cases[self->i].seconds, 0.5);
        if (self->i < 3) { /* the refused answer is let go of at once: its connection is closed, or can be used again */
            SOON();
            CHECK_INT(aio_session_idle(self->session), aio_server_client_count(self->server));
        }
        aio_sse_close(self->sse);
        self->sse = NULL;
    }
    AIO_FINALLY;
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

/* A server that wants no pause, and whose answers have no event, is not asked without one all the time. */
static int sse_asked;
struct sse_empty_one { aio_task task; aio_request *request; };
static AIO_CORO(sse_empty_one)
{
    AIO_BEGIN(sse_empty_one);
    if (++sse_asked > 200) {
        AIO_AWAIT(aio_request_respond(self->request, 204));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_request_sse(self->request));
    if (!strcmp(self->request->path.data, "/says")) AIO_AWAIT(aio_request_sse_send(self->request, NULL, .retry = AIO_NOW));
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *sse_empty_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(sse_empty_one, .request = request);
}
struct sse_pauses { aio_task task; aio_server *server; aio_session *session; aio_sse *sse; int i; char url[60]; };
SCENARIO(sse_pauses, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, ECONNREFUSED, AIO_EHTTP,
                              AIO_ESTATUS })
{
    AIO_BEGIN(sse_pauses);
    AIO_AWAIT(self->server, aio_start_http_server(sse_empty_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open();
    if (!self->session) AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i < 2; self->i++) {
        sse_asked = 0;
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/%s", aio_server_port(self->server),
                 self->i ? "says" : "nothing");
        self->sse = aio_sse_open(self->session, self->url, .retry = AIO_NOW);
        if (!self->sse) AIO_RAISE(errno);
        AIO_TRY {
            AIO_TIMEOUT(10) AIO_AWAIT(aio_sse_next(self->sse));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY;
        CHECK(sse_asked >= 7 && sse_asked <= 11); /* at 0, 0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.1, 9.1 s */
        aio_sse_close(self->sse);
        self->sse = NULL;
    }
    AIO_FINALLY;
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

/* The bytes of a server, and what it refuses. */
struct sending_events { aio_task task; aio_request *request; };
static AIO_CORO(sending_events)
{
    static const char *const fields[] = { "Cache-Control", "private", "x-accel-buffering", "yes", NULL };
    AIO_BEGIN(sending_events);
    AIO_AWAIT(aio_request_sse(self->request, .headers = fields));
    AIO_TRY {
        AIO_AWAIT(aio_request_sse_send(self->request, "a", .id = "x\ny"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_request_sse_send(self->request, "a", .event = "x\ny"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_request_sse_send(self->request, "a", .retry = AIO_UNLIMITED));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_AWAIT(aio_request_sse_send(self->request, "a\rb\n", .event = "e", .id = "", .retry = AIO_NOW));
    AIO_AWAIT(aio_request_sse_send(self->request, NULL, .comment = "c"));
    AIO_AWAIT(aio_request_sse_ping(self->request));
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *sending_events_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(sending_events, .request = request);
}

/* A handler whose answer could not become events is none of those that a shutdown ends at once. */
struct events_refused { aio_task task; aio_request *request; };
static int events_refused_count;
static AIO_CORO(events_refused)
{
    AIO_BEGIN(events_refused);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hi"));
    AIO_TRY {
        AIO_AWAIT(aio_request_sse(self->request));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_AWAIT(aio_sleep(0.3));
    events_refused_count++;
    AIO_END;
}
static void *events_refused_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(events_refused, .request = request);
}

struct events_not_lasting { aio_task task; aio_server *server; struct talk *talk; };
static AIO_CORO(events_not_lasting)
{
    AIO_BEGIN(events_not_lasting);
    AIO_AWAIT(self->server, aio_start_http_server(events_refused_handler, NULL, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    AIO_AWAIT(aio_sleep(0.1));
    AIO_AWAIT(aio_server_shutdown(self->server, 10));
    AIO_AWAIT(self->talk);
    AIO_END;
}

TEST(sse_refused_does_not_last)
{
    aio_loop *loop = loop_open();
    events_refused_count = 0;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(events_not_lasting), NULL), 0);
    CHECK_INT(events_refused_count, 1);
    aio_loop_free(loop);
}

/* HEAD has the head alone, and its handler ends without a report. */
struct sse_head { aio_task task; aio_server *server; struct talk *talk; };
SCENARIO(sse_head, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(sse_head);
    AIO_AWAIT(self->server, aio_start_http_server(feeding_handler, NULL, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "HEAD /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                                  "Accept: text/event-stream\r\nCache-Control: no-store\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->talk->answer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
              "Connection: close\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n\r\n");
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

struct sse_server { aio_task task; aio_server *server; struct talk *talk; };
SCENARIO(sse_server, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(sse_server);
    AIO_AWAIT(self->server, aio_start_http_server(sending_events_handler, NULL, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET / HTTP/1.0\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->talk->answer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
              "Cache-Control: private\r\nx-accel-buffering: yes\r\n\r\n"
              "retry: 0\nid: \nevent: e\ndata: a\ndata: b\ndata: \n\n: c\n\n:\n\n");
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
