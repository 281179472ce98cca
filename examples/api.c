/* A JSON service: api PORT, then curl http://127.0.0.1:PORT/items. Alone it asks itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *items[100]; /* by number; NULL: there is none */

static void *answer_item(aio_request *request, int status, int id)
{
    aio_json_writer *out = aio_json_writer_open();
    if (!out) return NULL;
    aio_json_write_object(out);
    aio_json_write_name(out, "id"), aio_json_write_int(out, id);
    aio_json_write_name(out, "name"), aio_json_write_string(out, items[id]);
    aio_json_write_end(out);
    return aio_request_respond_json(request, status, out);
}

static void *list_items(aio_request *request, void *arg)
{
    aio_json_writer *out = aio_json_writer_open();
    if (!out) return NULL;
    aio_json_write_array(out);
    for (int id = 0; id < 100; id++)
        if (items[id]) aio_json_write_string(out, items[id]);
    aio_json_write_end(out);
    return (void)arg, aio_request_respond_json(request, 200, out);
}

struct create { aio_task task; aio_request *request; const aio_json *json; aio_text name; int id; };
static AIO_CORO(create)
{
    AIO_BEGIN(create);
    AIO_AWAIT(self->json, aio_request_json(self->request, .max_depth = 8)); /* what is no JSON gets 400, or 415 */
    self->name = aio_json_string(self->json, "name", NULL);
    if (!self->name.data) AIO_AWAIT(aio_request_fail(self->request, 422, "an item needs a name"));
    while (self->id < 100 && items[self->id]) self->id++;
    if (self->id == 100) AIO_AWAIT(aio_request_fail(self->request, 507, "there is no room for more"));
    items[self->id] = (char *)calloc(1, self->name.length + 1);
    if (!items[self->id]) AIO_RAISE(ENOMEM);
    memcpy(items[self->id], self->name.data, self->name.length);
    AIO_AWAIT((aio_future *)answer_item(self->request, 201, self->id));
    AIO_END;
}
static void *create_item(aio_request *request, void *arg) { return (void)arg, AIO_CALL(create, .request = request); }

static void *get_item(aio_request *request, void *deletes)
{
    int64_t id = aio_request_param_int(request, "id");
    if (id >= 100 || !items[id]) return aio_request_fail(request, 404, "no item %lld", (long long)id);
    if (!deletes) return answer_item(request, 200, (int)id);
    free(items[id]), items[id] = NULL;
    return aio_request_respond(request, 204);
}

/* Asks itself. */
struct ask { aio_task task; aio_app *app; aio_server *server; aio_session *session; aio_response *response;
             aio_text text; int i; char url[60]; };
static AIO_CORO(ask)
{
    static const char *const asked[][3] = { { "POST", "/items", "{\"name\": \"tea\"}" }, { "GET", "/items/0", NULL },
        { "DELETE", "/items/0", NULL }, { "GET", "/items/0", NULL }, { "POST", "/items", "{\"name\" \"tea\"}" } };
    AIO_BEGIN(ask);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0)); /* says if a route was refused */
    self->session = aio_session_open();
    for (self->i = 0; self->i < 5; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s", aio_server_port(self->server), asked[self->i][1]);
        AIO_AWAIT(self->response,
                  aio_session_request(self->session, asked[self->i][0], self->url, .json_text = asked[self->i][2]));
        AIO_AWAIT(self->text, aio_response_text(self->response));
        printf("%s %s: %d %s\n", asked[self->i][0], asked[self->i][1], self->response->status, self->text.data);
        aio_response_release(self->response), self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_app_close(self->app); /* the server keeps it as long */
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    aio_app *app = aio_app_open(.json_errors = true, .access_log = aio_access_log_write, .access_arg = stderr);
    aio_app_route(app, "GET", "/items", list_items, NULL);
    aio_app_route(app, "POST", "/items", create_item, NULL);
    aio_app_route(app, "GET", "/items/{id:int}", get_item, NULL);
    aio_app_route(app, "DELETE", "/items/{id:int}", get_item, items);
    if (argc > 1) return aio_run_app(app, "127.0.0.1", atoi(argv[1])); /* until Ctrl-C, or SIGTERM */
    return aio_run(AIO_CALL(ask, .app = app));
}
