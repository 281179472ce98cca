/* Bodies of requests: a form, JSON, a form with files, and one that is made while it is sent. Each is read back from a
 * server that says what it got. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>

/* The server: takes the parts of a multipart apart, and gives any other body back. */
struct answer { aio_task task; aio_request *request; aio_multipart *parts; aio_part *part; aio_text text;
                char said[400]; };
static AIO_CORO(answer)
{
    AIO_BEGIN(answer);
    self->parts = aio_request_multipart(self->request);
    if (!self->parts) {
        AIO_AWAIT(self->text, aio_request_read(self->request));
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text.data));
        AIO_RETURN();
    }
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->parts)) {
        AIO_AWAIT(self->text, aio_part_read(self->part));
        snprintf(self->said + strlen(self->said), sizeof self->said - strlen(self->said), "%s (%s): %zu bytes; ",
                 self->part->name ? self->part->name : "", self->part->type, self->text.length);
    }
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->said));
    AIO_FINALLY;
        aio_multipart_close(self->parts);
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(answer, .request = request);
}

/* A producer: each call gives one piece, which stays until the next; an empty one ends the body. */
struct count { aio_task task; aio_text result; int *n; };
static AIO_CORO(count)
{
    static char line[20];
    AIO_BEGIN(count);
    AIO_AWAIT(aio_sleep(0.01));
    self->result.data = line;
    if (*self->n < 3) self->result.length = (size_t)snprintf(line, sizeof line, "line %d\n", ++*self->n);
    AIO_END;
}
static aio_text_task *next(void *n) { return (aio_text_task *)(void *)AIO_CALL(count, .n = (int *)n); }

struct show { aio_task task; aio_response_task *post; aio_response *response; aio_text text; };
static AIO_CORO(show)
{
    AIO_BEGIN(show);
    AIO_AWAIT(self->response, self->post);
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%s\n", self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}
#define POST(...) AIO_CALL(show, .post = aio_session_post(self->session, self->url, __VA_ARGS__))

struct demo { aio_task task; aio_server *server; aio_session *session; aio_json *tree; aio_form *form; int n;
              char url[60]; };
static AIO_CORO(demo)
{
    static const char *const pairs[] = { "name", "Ada Lovelace", "field", "1 + 1", NULL };
    AIO_BEGIN(demo);
    AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    AIO_AWAIT(POST(.form = pairs));

    self->tree = aio_json_parse("{\"pi\": [3, 1, 4]}", 17, NULL);
    AIO_AWAIT(POST(.json = self->tree));

    self->form = aio_form_open();
    aio_form_add(self->form, "title", .text = "Notes");
    aio_form_add(self->form, "scan", .data = "\x89PNG", .length = 4, .filename = "scan.png", .type = "image/png");
    aio_form_add(self->form, "source", .file = __FILE__);
    AIO_AWAIT(POST(.form_data = self->form));

    AIO_AWAIT(POST(.producer = { .next = next, .arg = &self->n }));
    AIO_FINALLY;
        aio_json_free(self->tree);
        aio_form_unref(self->form);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
