/* A chat in the browser, over WebSocket: ws_chat PORT, then open http://127.0.0.1:PORT/. Alone it shows itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char page[] =
    "<!doctype html><meta charset=utf-8><title>chat</title><h1>chat</h1>"
    "<form><input autofocus placeholder='say something'></form><ul></ul><script>"
    "const ws = new WebSocket(location.href.replace('http', 'ws') + 'chat'), field = document.querySelector('input');"
    "const say = text => { const line = document.createElement('li'); line.textContent = text;"
    "                      document.querySelector('ul').prepend(line); };"
    "ws.onmessage = message => say(message.data);"
    "ws.onclose = event => say('closed: ' + event.code + ' ' + event.reason);"
    "document.querySelector('form').onsubmit = event => {"
    "    event.preventDefault(); ws.send(field.value); field.value = ''; };</script>";

static aio_ws *guests[100];

static void tell_all(const char *text, size_t length)
{
    for (int i = 0; i < 100; i++) {
        if (guests[i]) aio_unref(aio_ws_send_text(guests[i], text, length));    /* nobody waits for a slow one, */
        if (guests[i] && aio_stream_write_buffer_size(aio_ws_stream(guests[i])) > 1000000)
            aio_stream_abort(aio_ws_stream(guests[i]));                         /* who is put out in the end */
    }
}

struct chat { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message message; int seat; };
static AIO_CORO(chat)
{
    AIO_BEGIN(chat);
    while (self->seat < 99 && guests[self->seat]) self->seat++;
    if (strcmp(self->request->path.data, "/chat") || guests[self->seat]) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .content_type = "text/html", .text = page));
        AIO_RETURN();
    }
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .max_msg_size = 1000, .heartbeat = 30));
    guests[self->seat] = self->ws;
    AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws))
        tell_all(self->message.data.data, self->message.data.length);
    AIO_FINALLY;
        if (self->ws) guests[self->seat] = NULL;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *answer(aio_request *request, void *arg) { return (void)arg, AIO_CALL(chat, .request = request); }

struct serve { aio_task task; int port; aio_server *server; aio_session *session; aio_ws *alice, *bob;
               aio_ws_message message; char url[40]; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->server, aio_start_http_server(answer, NULL, "127.0.0.1", self->port));
    if (self->port) AIO_AWAIT(aio_server_serve_forever(self->server));          /* until Ctrl-C */
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/chat", aio_server_port(self->server));
    self->session = aio_session_open();
    AIO_AWAIT(self->alice, aio_ws_connect(self->session, self->url));
    AIO_AWAIT(self->bob, aio_ws_connect(self->session, self->url));
    AIO_AWAIT(aio_ws_send_text(self->bob, "hello from Bob", 14));
    AIO_AWAIT(self->message, aio_ws_receive(self->alice));
    printf("Alice reads: %s\n", self->message.data.data);
    AIO_AWAIT(aio_ws_close(self->alice, AIO_WS_OK, "bye"));
    printf("closed with %d\n", aio_ws_close_code(self->alice));
    AIO_FINALLY;
        aio_ws_release(self->alice), aio_ws_release(self->bob);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
int main(int argc, char **argv) { return aio_run(AIO_CALL(serve, .port = argc > 1 ? atoi(argv[1]) : 0)); }
