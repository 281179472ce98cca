/* pipeline: seq 1 20 | grep 1 | sort -r, with the loop between the programs, and what the last one says. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

/* Copies what one program writes into the next one's input, as fast as that reads. */
struct pump { aio_task task; aio_process *from, *to; aio_text text; };
static AIO_CORO(pump)
{
    AIO_BEGIN(pump);
    AIO_ASYNC_FOR(self->text, aio_stream_read(aio_process_stdout(self->from), 65536)) {
        aio_stream_write(aio_process_stdin(self->to), self->text.data, self->text.length);
        AIO_AWAIT(aio_stream_drain(aio_process_stdin(self->to)));
    }
    aio_stream_write_eof(aio_process_stdin(self->to));
    AIO_END;
}

struct pipeline { aio_task task; aio_process *seq, *grep, *sort; struct pump *pumps[2]; aio_text line; int code; };
static AIO_CORO(pipeline)
{
    static const char *const seq[] = { "seq", "1", "20", NULL };
    static const char *const grep[] = { "grep", "1", NULL };
    static const char *const sort[] = { "sort", "-r", NULL };
    static const char *const missing[] = { "no-such-program", NULL };
    AIO_BEGIN(pipeline);
    AIO_AWAIT(self->seq, aio_create_subprocess_exec(seq, .out = AIO_PIPE));
    AIO_AWAIT(self->grep, aio_create_subprocess_exec(grep, .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->sort, aio_create_subprocess_exec(sort, .in = AIO_PIPE, .out = AIO_PIPE));
    self->pumps[0] = aio_create_task(AIO_CALL(pump, .from = self->seq, .to = self->grep));
    self->pumps[1] = aio_create_task(AIO_CALL(pump, .from = self->grep, .to = self->sort));
    AIO_ASYNC_FOR(self->line, aio_stream_readline(aio_process_stdout(self->sort)))
        printf("%.*s ", (int)self->line.length - 1, self->line.data);
    AIO_AWAIT(aio_gather(self->pumps, 2));
    AIO_AWAIT(self->code, aio_process_wait(self->sort));
    printf("\nsort ended with %d\n", self->code);
    AIO_TRY {
        aio_process_release(self->seq);
        self->seq = NULL;
        AIO_AWAIT(self->seq, aio_create_subprocess_exec(missing));
    } AIO_CATCH {
        printf("%s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_task_cancel(self->pumps[0]);
        aio_task_cancel(self->pumps[1]);
        aio_unref_all(self->pumps, 2);
        aio_process_release(self->seq);
        aio_process_release(self->grep);
        aio_process_release(self->sort);
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(pipeline)); }
