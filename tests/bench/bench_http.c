/* bench_http URL CONNS N keep|close - HTTP client: CONNS coroutines do N GETs over one session, as a user writes it. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"

static aio_session *session;
static const char *url;
static long started, finished, total;
static long long body_bytes;

struct get { aio_task task; aio_response *response; aio_text chunk; };
static AIO_CORO(get)
{
    AIO_BEGIN(get);
    while (started < total) {
        started++;
        AIO_AWAIT(self->response, aio_session_get(session, url));
        if (self->response->status != 200) DIE("status is %d", self->response->status);
        AIO_ASYNC_FOR(self->chunk, aio_response_read_chunk(self->response)) body_bytes += (long long)self->chunk.length;
        aio_response_release(self->response);
        self->response = NULL;
        finished++;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

struct bench { aio_task task; int conns, i; bool keep; struct get **gets; aio_tls_context *tls; };
static AIO_CORO(bench)
{
    AIO_BEGIN(bench);
    if (!strncmp(url, "https:", 6)) self->tls = aio_tls_context_create(.ca_file = getenv("BENCH_CA"));
    session = aio_session_open(.limit = AIO_UNLIMITED, .force_close = !self->keep, .tls_context = self->tls);
    self->gets = (struct get **)calloc((size_t)self->conns, sizeof *self->gets);
    if (!session || !self->gets) AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i < self->conns; self->i++) self->gets[self->i] = AIO_CALL(get);
    AIO_AWAIT(aio_gather(self->gets, (size_t)self->conns));
    AIO_FINALLY;
        if (self->gets) aio_unref_all(self->gets, (size_t)self->conns);
        free(self->gets);
        aio_tls_context_unref(self->tls);
        AIO_AWAIT(aio_session_close(session));
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 5) DIE("usage: bench_http URL CONNS N keep|close");
    url = argv[1];
    total = atol(argv[3]);
    struct cost c0 = cost_now();
    uint64_t t0 = now_ns();
    if (aio_run(AIO_CALL(bench, .conns = atoi(argv[2]), .keep = !strcmp(argv[4], "keep")))) return 1;
    double secs = (double)(now_ns() - t0) / 1e9;
    struct cost c1 = cost_now();
    printf("RESULT n=%ld bytes=%lld secs=%.6f user=%.6f sys=%.6f\n", finished, body_bytes, secs, c1.user - c0.user,
           c1.sys - c0.sys);
    return 0;
}
