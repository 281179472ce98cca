/* generator: a coroutine that gives one value after the other, and cleans up behind itself when nobody wants more. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

/* 1, 2, 3, ... every `interval` seconds */
struct ticks { aio_task task; int result; double interval; };
static AIO_CORO(ticks)
{
    AIO_BEGIN_GENERATOR(ticks);
    for (;;) {
        AIO_AWAIT(aio_sleep(self->interval));
        AIO_YIELD(self->result + 1);
    }
    AIO_FINALLY;
        printf("no more ticks\n");
    AIO_END;
}

/* One page of a list that is long: three names, and the number of the next page, or 0. */
struct page { const char *names[3]; int next; };
struct get_page { aio_task task; struct page result; int number; };
static AIO_CORO(get_page)
{
    static const struct page pages[] = {
        { { "Ada", "Alan", "Barbara" }, 1 }, { { "Dennis", "Edsger", "Grace" }, 2 }, { { "Ken", "Margaret" }, 0 },
    };
    AIO_BEGIN(get_page);
    AIO_AWAIT(aio_sleep(0.01)); /* a request to a server */
    AIO_RETURN(pages[self->number]);
    AIO_END;
}

/* All names, page after page: who reads them does not see that there are pages. */
struct names { aio_task task; const char *result; struct page page; int i; };
static AIO_CORO(names)
{
    AIO_BEGIN_GENERATOR(names);
    do {
        AIO_AWAIT(self->page, AIO_CALL(get_page, .number = self->page.next));
        for (self->i = 0; self->i < 3 && self->page.names[self->i]; self->i++) AIO_YIELD(self->page.names[self->i]);
    } while (self->page.next);
    AIO_END;
}

/* Generators may go through others: those of a letter. */
struct beginning { aio_task task; const char *result, *name; char letter; };
static AIO_CORO(beginning)
{
    AIO_BEGIN_GENERATOR(beginning);
    AIO_ASYNC_FOR(self->name, AIO_CALL(names)) {
        if (self->name[0] == self->letter) AIO_YIELD(self->name);
    }
    AIO_END;
}

struct all { aio_task task; int tick; const char *name; struct names *names; };
static AIO_CORO(all)
{
    AIO_BEGIN(all);
    AIO_ASYNC_FOR(self->tick, AIO_CALL(ticks, .interval = 0.01)) {
        printf("tick %d\n", self->tick);
        if (self->tick == 3) break; /* closes it: its AIO_FINALLY runs here */
    }
    AIO_ASYNC_FOR(self->name, AIO_CALL(beginning, .letter = 'A')) printf("%s ", self->name);
    printf("\n");

    self->names = AIO_CALL(names); /* by hand: it is ours until it is closed */
    AIO_AWAIT(self->name, aio_anext(self->names));
    printf("the first is %s\n", self->name);
    AIO_FINALLY;
        AIO_AWAIT(aio_generator_close(self->names));
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(all)); }
