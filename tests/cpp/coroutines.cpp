// Coroutines in a C++20 file, which has only the declarations: the implementation is C99, in another object. Each
// coroutine below checks what it gets; the program ends with 0 only if every check was reached and held.
#include "../../aio.h"
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

static int passed, failed;

static void check(bool holds, const char *what, int line)
{
    if (holds) passed++;
    else failed++, std::printf("not ok coroutines.cpp:%d: %s\n", line, what);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

struct point { double x, y; };

struct add { aio_task task; int result; int a, b; };
static AIO_CORO(add)
{
    AIO_BEGIN(add);
    AIO_AWAIT(aio_sleep(0.001 * self->a));
    AIO_RETURN(self->a + self->b);
    AIO_END;
}

struct scale { aio_task task; point result; point from; double by; };
static AIO_CORO(scale)
{
    AIO_BEGIN(scale);
    AIO_AWAIT(aio_sleep(0));
    AIO_RETURN(point { self->from.x * self->by, self->from.y * self->by });
    AIO_END;
}

struct fail { aio_task task; int result; int code; bool *cleaned; };
static AIO_CORO(fail)
{
    AIO_BEGIN(fail);
    AIO_AWAIT(aio_sleep(0));
    AIO_RAISE(self->code, "the %s of %d", "1st", 2);
    AIO_FINALLY;
        AIO_AWAIT(aio_sleep(0.001));
        if (self->cleaned) *self->cleaned = true;
    AIO_END;
}

struct results { aio_task task; int sum; point scaled; add *eager; };
static AIO_CORO(results)
{
    AIO_BEGIN(results);
    AIO_AWAIT(self->sum, AIO_CALL(add, .a = 2, .b = 3));
    CHECK(self->sum == 5);
    AIO_AWAIT(self->scaled, AIO_CALL(scale, .from = { 1, 2 }, .by = 3));
    CHECK(self->scaled.x == 3 && self->scaled.y == 6);
    AIO_AWAIT(self->sum, aio_wait_for(AIO_CALL(add, .a = 4, .b = 5), 30));
    CHECK(self->sum == 9);
    AIO_AWAIT(self->sum, aio_shield(AIO_CALL(add, .a = 6, .b = 7)));
    CHECK(self->sum == 13);
    self->eager = aio_create_task(AIO_CALL(add, .b = 8), .name = "eager", .eager_start = true);
    static_assert(std::is_same_v<decltype(aio_create_task(self->eager)), add *>);
    CHECK(!std::strcmp(aio_task_name(self->eager), "eager"));
    AIO_AWAIT(self->sum, self->eager);
    CHECK(self->sum == 8);
    AIO_END;
}

struct errors { aio_task task; int sum, rounds; bool cleaned; };
static AIO_CORO(errors)
{
    AIO_BEGIN(errors);
    AIO_TRY {
        AIO_AWAIT(self->sum, AIO_CALL(fail, .code = EDOM, .cleaned = &self->cleaned));
        CHECK(false);
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == EDOM);
        CHECK(!std::strcmp(aio_caught(self)->message, "the 1st of 2"));
        CHECK(aio_caught(self)->traceback_count == 2);
        CHECK(!std::strcmp(aio_caught(self)->traceback[0].name, "fail"));
        AIO_AWAIT(self->sum, AIO_CALL(add, .a = 1, .b = 1)); // a handler may await
        CHECK(self->sum == 2);
    } AIO_END_TRY;
    CHECK(self->cleaned);
    for (self->rounds = 0; self->rounds < 3; self->rounds++) {
        AIO_TRY {
            if (self->rounds == 1) break;
            AIO_AWAIT(AIO_CALL(fail, .code = ERANGE));
        } AIO_CATCH {
            continue;
        } AIO_END_TRY;
    }
    CHECK(self->rounds == 1);
    AIO_TRY {
        AIO_TRY {
            AIO_AWAIT(AIO_CALL(fail, .code = EPERM));
        } AIO_CATCH {
            AIO_RERAISE();
        } AIO_END_TRY;
        CHECK(false);
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == EPERM);
    } AIO_END_TRY;
    AIO_END;
}

struct timeouts { aio_task task; double began; bool expired; };
static AIO_CORO(timeouts)
{
    AIO_BEGIN(timeouts);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_TIMEOUT(0.01) {
            AIO_AWAIT(aio_sleep(3600));
            CHECK(false);
        }
        CHECK(false);
    } AIO_CATCH {
        self->expired = true;
        CHECK(aio_caught(self)->code == AIO_ETIMEOUT);
    } AIO_END_TRY;
    CHECK(self->expired);
    CHECK(aio_loop_time(aio_get_running_loop()) - self->began >= 0.0099);
    AIO_TIMEOUT(3600) {
        AIO_AWAIT(aio_sleep(0));
        CHECK(aio_timeout_reschedule(self, 1800) == 0);
    }
    AIO_TRY {
        AIO_TIMEOUT(std::nan("")) CHECK(false);
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == EINVAL);
    } AIO_END_TRY;
    AIO_END;
}

static aio_semaphore two = AIO_SEMAPHORE(2);
static int inside, most;
struct visit { aio_task task; };
static AIO_CORO(visit)
{
    AIO_BEGIN(visit);
    AIO_ASYNC_WITH(aio_semaphore_acquire(&two), aio_semaphore_release(&two)) {
        if (++inside > most) most = inside;
        AIO_AWAIT(aio_sleep(0));
        inside--;
        break; // leaves the block, through its exit
    }
    AIO_END;
}

struct locks { aio_task task; visit *visits[5]; aio_lock lock; };
static AIO_CORO(locks)
{
    AIO_BEGIN(locks);
    for (visit *&v : self->visits) v = aio_create_task(AIO_CALL(visit));
    AIO_AWAIT(aio_gather(self->visits, 5));
    aio_unref_all(self->visits, 5);
    CHECK(most == 2 && inside == 0 && !aio_semaphore_locked(&two));
    AIO_TRY {
        AIO_ASYNC_WITH(aio_lock_acquire(&self->lock), aio_lock_release(&self->lock)) {
            CHECK(aio_lock_locked(&self->lock));
            AIO_AWAIT(AIO_CALL(fail, .code = EDOM));
        }
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == EDOM && !aio_lock_locked(&self->lock));
    } AIO_END_TRY;
    AIO_END;
}

struct groups { aio_task task; aio_task_group *group; add *one, *two; bool cleaned; };
static AIO_CORO(groups)
{
    AIO_BEGIN(groups);
    AIO_TASK_GROUP(self->group) {
        self->one = (add *)aio_ref(aio_task_group_create_task(self->group, AIO_CALL(add, .a = 1, .b = 2)));
        self->two = aio_task_group_create_task(self->group, AIO_CALL(add, .a = 3, .b = 4), .name = "two");
        aio_ref(self->two);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK(!self->group);
    CHECK(self->one->result == 3 && self->two->result == 7);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, AIO_CALL(fail, .code = EDOM));
            aio_task_group_create_task(self->group, AIO_CALL(fail, .code = ERANGE, .cleaned = &self->cleaned));
            AIO_AWAIT(aio_sleep(3600));
            CHECK(false);
        }
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == AIO_EGROUP && aio_caught(self)->member_count == 2);
        CHECK(aio_caught(self)->members[0]->code == EDOM && aio_caught(self)->members[1]->code == ERANGE);
    } AIO_END_TRY;
    CHECK(self->cleaned);
    AIO_FINALLY;
        aio_unref(self->one);
        aio_unref(self->two);
    AIO_END;
}

static int by_x(const void *a, const void *b)
{
    double difference = static_cast<const point *>(a)->x - static_cast<const point *>(b)->x;
    return difference < 0 ? -1 : difference > 0;
}

struct produce { aio_task task; aio_queue *queue; point item; };
static AIO_CORO(produce)
{
    AIO_BEGIN(produce);
    for (self->item.x = 3; self->item.x > 0; self->item.x--) AIO_AWAIT(aio_queue_put(self->queue, &self->item));
    aio_queue_shutdown(self->queue, false);
    AIO_END;
}

struct queues { aio_task task; aio_queue *queue, *sorted; produce *producer; point item; double sum; };
static AIO_CORO(queues)
{
    AIO_BEGIN(queues);
    self->queue = aio_queue_create(point, .maxsize = 1);
    self->producer = aio_create_task(AIO_CALL(produce, .queue = self->queue));
    AIO_TRY {
        for (;;) {
            AIO_AWAIT(self->item, aio_queue_get(self->queue, point));
            self->sum = 10 * self->sum + self->item.x;
        }
    } AIO_CATCH {
        CHECK(aio_caught(self)->code == AIO_EQUEUESHUTDOWN);
    } AIO_END_TRY;
    CHECK(self->sum == 321);
    self->sorted = aio_queue_create(point, .compare = by_x);
    for (self->item.x = 3; self->item.x > 0; self->item.x--) CHECK(!aio_queue_put_nowait(self->sorted, &self->item));
    AIO_AWAIT(self->item, aio_queue_get(self->sorted, point));
    CHECK(self->item.x == 1 && aio_queue_size(self->sorted) == 2);
    AIO_FINALLY;
        aio_unref(self->producer);
        aio_queue_free(self->queue);
        aio_queue_free(self->sorted);
    AIO_END;
}

static void *half(void *arg) { return static_cast<char *>(arg) + 5; }

struct answer { aio_future future; point result; };
struct combinators { aio_task task; add *adds[3], *done; aio_completions *all; size_t count; int order; void *end;
                     answer *reply; point got; };
static AIO_CORO(combinators)
{
    AIO_BEGIN(combinators);
    for (int i = 0; i < 3; i++) self->adds[i] = aio_create_task(AIO_CALL(add, .a = 20 * (2 - i), .b = i));
    AIO_AWAIT(self->count, aio_wait(self->adds, 3, .timeout = 30, .return_when = AIO_FIRST_COMPLETED));
    CHECK(self->count == 1 && aio_future_done(self->adds[2]));
    self->all = aio_as_completed(self->adds, 3, .timeout = 30);
    AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) self->order = 100 * self->order + self->done->result;
    CHECK(self->order == 22140); // 2, 21, 40
    AIO_AWAIT(aio_gather(self->adds, 3, .return_exceptions = true));
    CHECK(self->adds[0]->result == 40);
    self->reply = AIO_FUTURE(answer);
    CHECK(aio_future_set_result(self->reply, (point { 7, 8 })) == 0);
    AIO_AWAIT(self->got, self->reply);
    CHECK(self->got.x == 7 && self->got.y == 8);
    static char text[] = "0123456789";
    AIO_AWAIT(self->end, aio_to_thread(half, text));
    CHECK(self->end == text + 5);
    AIO_FINALLY;
        aio_unref(self->all);
        aio_unref_all(self->adds, 3);
    AIO_END;
}

struct serve { aio_task task; aio_request *request; aio_text body; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    AIO_AWAIT(aio_request_respond(self->request, 201, .content_type = "text/x", .body = self->body.data,
                                  .length = self->body.length));
    AIO_END;
}
static void *handler(aio_request *request, void *) { return AIO_CALL(serve, .request = request); }

struct network { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text;
                 char url[64]; };
static AIO_CORO(network)
{
    AIO_BEGIN(network);
    AIO_AWAIT(self->server, aio_start_http_server(handler, nullptr, "127.0.0.1", 0,
                                                  .header_timeout = 30, .backlog = 5));
    std::snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.limit = 2, .timeout = { .total = 30 });
    AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .data = "hello", .data_length = 5,
                                               .timeout = { .total = 20, .sock_read = 10 }));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    CHECK(self->response->status == 201 && self->text.length == 5 && !std::memcmp(self->text.data, "hello", 5));
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

static int ended;
struct all { aio_task task; };
static AIO_CORO(all)
{
    AIO_BEGIN(all);
    AIO_AWAIT(AIO_CALL(results));
    ended++;
    AIO_AWAIT(AIO_CALL(errors));
    ended++;
    AIO_AWAIT(AIO_CALL(timeouts));
    ended++;
    AIO_AWAIT(AIO_CALL(locks));
    ended++;
    AIO_AWAIT(AIO_CALL(groups));
    ended++;
    AIO_AWAIT(AIO_CALL(queues));
    ended++;
    AIO_AWAIT(AIO_CALL(combinators));
    ended++;
    AIO_AWAIT(AIO_CALL(network));
    ended++;
    AIO_END;
}

int main()
{
    int code = aio_run(AIO_CALL(all), .debug = true);
    CHECK(code == 0);
    CHECK(ended == 8);
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
