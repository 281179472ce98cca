/* large: a body of any size sent and one received, in constant memory. Prints what the server says of the one, how many
 * bytes of the other came, and the most memory that the program ever had.
 *
 *   large BYTES TO FROM */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct more { aio_task task; aio_text result; long long *left; };
static AIO_CORO(more)
{
    static char piece[262144];
    AIO_BEGIN(more);
    self->result.data = piece;
    self->result.length = *self->left < (long long)sizeof piece ? (size_t)*self->left : sizeof piece;
    *self->left -= (long long)self->result.length;
    AIO_END;
}
static aio_text_task *next(void *left) { return (aio_text_task *)(void *)AIO_CALL(more, .left = (long long *)left); }

struct both { aio_task task; char **urls; long long bytes, left, came; aio_session *session; aio_response *response;
              aio_text text; };
static AIO_CORO(both)
{
    AIO_BEGIN(both);
    self->session = aio_session_open(.timeout = { .total = 150 });
    if (!self->session) AIO_RAISE(errno);
    self->left = self->bytes;
    AIO_AWAIT(self->response, aio_session_post(self->session, self->urls[0],
                                               .producer = { .next = next, .arg = &self->left,
                                                             .length = self->bytes }));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%d %s\n", self->response->status, self->text.data);
    aio_response_release(self->response);
    self->response = NULL;
    AIO_AWAIT(self->response, aio_session_get(self->session, self->urls[1]));
    AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->response)) self->came += (long long)self->text.length;
    printf("%d %lld\n", self->response->status, self->came);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

int main(int argc, char **argv)
{
    char line[200];
    if (argc != 4) return 2;
    int code = aio_run(AIO_CALL(both, .bytes = atoll(argv[1]), .urls = argv + 2));
    FILE *status = fopen("/proc/self/status", "r"); /* getrusage counts what was before exec, too */
    while (status && fgets(line, sizeof line, status)) if (!strncmp(line, "VmHWM:", 6)) fputs(line, stdout);
    if (status) fclose(status);
    return code;
}
