// aio::task in a C++20 file, which has only the declarations. The program ends with 0 only if every check was reached
// and held.
#include "../../aio.h"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#if defined(__cpp_impl_coroutine) && defined(__cpp_exceptions)
static int passed, failed;

static void check(bool holds, const char *what, int line)
{
    if (holds) passed++;
    else failed++, std::printf("not ok tasks.cpp:%d: %s\n", line, what);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

struct point { double x, y; };

struct add { aio_task task; int result; int a, b; };
static AIO_CORO(add)
{
    AIO_BEGIN(add);
    AIO_AWAIT(aio_sleep(0.001));
    if (self->a < 0) AIO_RAISE(EDOM, "%d is negative", self->a);
    AIO_RETURN(self->a + self->b);
    AIO_END;
}

static int gone;
struct guard {
    ~guard() { gone++; }
};

static aio::task<point> scaled(point from, double by)
{
    co_await aio_sleep(0);
    co_return point { from.x * by, from.y * by };
}

static aio::task<int> sum(int a, int b)
{
    guard kept;
    int first = co_await AIO_CALL(add, .a = a, .b = b);
    int second = co_await aio_wait_for(AIO_CALL(add, .a = first, .b = 1), 30);
    co_return second;
}

static aio::task<> throws(int how)
{
    guard kept;
    co_await aio_sleep(0);
    if (how == 0) throw std::runtime_error("of C++");
    if (how == 1) throw std::bad_alloc();
    if (how == 2) throw 3;
    co_await sum(-1, 0);
}

static aio::task<> forever(bool *cancelled)
{
    guard kept;
    try {
        co_await aio_sleep(1000);
    } catch (const aio::error &) {
        CHECK(false);
    } catch (const aio::cancelled &e) {
        CHECK(e.get()->code == AIO_ECANCELLED);
        *cancelled = true;
        throw;
    }
}

/* C's side: it awaits what C++ made, and tells the result's type. */
struct from_c { aio_task task; int result; point scaled; };
static AIO_CORO(from_c)
{
    AIO_BEGIN(from_c);
    AIO_AWAIT(self->result, sum(1, 2).release());
    AIO_AWAIT(self->scaled, scaled({ 1, 2 }, 2).release());
    CHECK(self->scaled.y == 4);
    AIO_END;
}

static aio::task<> values()
{
    CHECK(co_await sum(1, 2) == 4);
    CHECK((co_await scaled({ 1, 2 }, 3)).y == 6);
    CHECK(co_await AIO_CALL(from_c) == 4);
    auto kid = aio::create_task(sum(2, 2));
    CHECK(co_await kid == 5);
    CHECK(kid->result == 5 && aio_future_done(kid.get()));
    CHECK(gone == 3);
    int many = 0;
    for (int i = 0; i < 1000; i++) many += co_await sum(i, 0);
    CHECK(many == 500500);
}

static aio::task<> errors()
{
    static const int codes[] = { AIO_ERUNTIME, ENOMEM, AIO_ERUNTIME, EDOM };
    static const char *const messages[] = { "of C++", "out of memory", "an exception of C++", "-1 is negative" };
    for (int i = 0; i < 4; i++) {
        gone = 0;
        try {
            co_await throws(i);
            CHECK(false);
        } catch (const aio::error &e) {
            CHECK(e.code() == codes[i] && !std::strcmp(e.what(), messages[i]));
            CHECK(e.get()->traceback_count == (i == 1 ? 0 : i == 3 ? 4 : 2)); /* there is no memory for one */
        }
        CHECK(gone == (i == 3 ? 2 : 1));
    }
    try {
        co_await static_cast<aio_future *>(nullptr);
        CHECK(false);
    } catch (const aio::error &e) {
        CHECK(e.code() == EINVAL);
    }
}

static aio::task<> cancels()
{
    bool cancelled = false;
    gone = 0;
    auto kid = aio::create_task(forever(&cancelled));
    co_await aio_sleep(0.001);
    aio_task_cancel(kid.get());
    try {
        co_await kid;
        CHECK(false);
    } catch (const aio::cancelled &) {
        CHECK(cancelled);
    }
    CHECK(gone == 1 && aio_future_cancelled(kid.get()));
    kid = aio::create_task(forever(&cancelled)); /* before its first step */
    aio_task_cancel(kid.get());
    co_await aio_sleep(0.001);
    CHECK(aio_future_cancelled(kid.get()) && gone == 1);
}

static aio::task<> guards()
{
    aio_lock lock = {};
    {
        co_await aio_lock_acquire(&lock);
        aio::locked held { &lock };
        CHECK(aio_lock_locked(&lock));
    }
    CHECK(!aio_lock_locked(&lock));
    aio::session session { aio_session_open() };
    CHECK(session != nullptr);
    try {
        aio::response response { co_await aio_session_get(session.get(), "http://127.0.0.1:1/") };
        CHECK(false);
    } catch (const aio::error &e) {
        CHECK(e.code() == ECONNREFUSED);
    }
}

static aio::task<> all()
{
    co_await values();
    co_await errors();
    co_await cancels();
    co_await guards();
    { auto dropped = sum(1, 1); } /* never runs */
}

int main()
{
    CHECK(aio::run(all()) == 0);
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed || passed < 30;
}
#else
int main() { return 0; }
#endif
