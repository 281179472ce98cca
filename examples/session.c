/* session: logs in at a site, which is part of this program, and says which way each request went: cookies, a password,
 * redirects, what is sent again; and draws where the time of the last one went. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>

/* ---- the site: /login gives a cookie, and who has none is sent to /door; /api asks for name and password, and is busy
 * at first ---- */

static bool has(const aio_request *request, const char *name, const char *part)
{
    const char *value = aio_headers_get(&request->headers, name).data;
    return value && strstr(value, part);
}

struct answer { aio_task task; aio_request *request; bool known; };
static AIO_CORO(answer)
{
    static const char *const door[] = { "Location", "/door", NULL };
    static const char *const in[] = { "Location", "/account", "Set-Cookie", "session=42; HttpOnly; Path=/", NULL };
    static const char *const known[] = { "Location", "/items", NULL };
    static int busy = 2;
    AIO_BEGIN(answer);
    self->known = has(self->request, "Cookie", "session=42");
    if (!strcmp(self->request->path.data, "/login"))
        AIO_AWAIT(aio_request_respond(self->request, 303, .headers = in));
    else if (!strcmp(self->request->path.data, "/api") && !has(self->request, "Authorization", "Basic YW5uOnM="))
        AIO_AWAIT(aio_request_respond(self->request, 401));
    else if (!strcmp(self->request->path.data, "/api"))
        AIO_AWAIT(aio_request_respond(self->request, busy-- > 0 ? 503 : 302, .headers = known));
    else if (!strcmp(self->request->path.data, "/items"))
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "42 items"));
    else if (!strcmp(self->request->path.data, "/account") && !self->known)
        AIO_AWAIT(aio_request_respond(self->request, 303, .headers = door));
    else
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->known ? "welcome back" : "please log in"));
    AIO_END;
}
static void *site(aio_request *request, void *arg) { (void)arg; return AIO_CALL(answer, .request = request); }

/* ---- the client ---- */

struct visit { aio_task task; aio_response_task *request; aio_response *response; aio_text text; bool draw; };
static AIO_CORO(visit)
{
    AIO_BEGIN(visit);
    AIO_AWAIT(self->response, self->request);
    AIO_AWAIT(self->text, aio_response_text(self->response));
    for (size_t i = 0; i < self->response->history_count; i++)
        printf("%s %s: %d -> ", self->response->history[i]->method, self->response->history[i]->url,
               self->response->history[i]->status);
    printf("%s %s: %d %s\n", self->response->method, self->response->url, self->response->status, self->text.data);
    if (self->draw) aio_print_waterfall(self->response, stdout);
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

struct demo { aio_task task; aio_server *server; aio_session *session; char base[40]; };
static AIO_CORO(demo)
{
    static const char *const form[] = { "name", "ann", "password", "s", NULL };
    AIO_BEGIN(demo);
    AIO_AWAIT(self->server, aio_start_http_server(site, NULL, "localhost", 0));
    snprintf(self->base, sizeof self->base, "http://localhost:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.base_url = self->base, .auth = { .user = "ann", .password = "s" },
                                     .retry = { .attempts = 4, .backoff = 0.02 });
    AIO_AWAIT(AIO_CALL(visit, .request = aio_session_get(self->session, "account")));
    AIO_AWAIT(AIO_CALL(visit, .request = aio_session_post(self->session, "login", .form = form)));
    AIO_AWAIT(AIO_CALL(visit, .request = aio_session_get(self->session, "account")));
    AIO_AWAIT(AIO_CALL(visit, .request = aio_session_get(self->session, "api"), .draw = true));
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(demo)); }
