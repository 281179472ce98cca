// cpp20: coroutines of C++20 that await the library, and a coroutine of C that awaits one of them.
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <cctype>
#include <cstdio>
#include <string>

// A server that says in upper case what it is told.
struct shout { aio_task task; aio_stream *client; aio_text line; };
static AIO_CORO(shout)
{
    AIO_BEGIN(shout);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->client)) {
        std::string upper;
        for (size_t i = 0; i < self->line.length; i++) upper += static_cast<char>(std::toupper(self->line.data[i]));
        aio_stream_write(self->client, upper.data(), upper.size());
    }
    AIO_END;
}
static void *on_client(aio_stream *client, void *) { return AIO_CALL(shout, .client = client); }

// What co_await gives has the type of the awaitable's result; what goes wrong is thrown.
static aio::task<int> ask(int port, const char *question)
{
    aio::stream server { co_await aio_open_connection("127.0.0.1", port) };
    aio_stream_write(server.get(), question, std::char_traits<char>::length(question));
    aio_text answer = co_await aio_stream_readline(server.get());
    std::printf("%.*s", static_cast<int>(answer.length), answer.data);
    co_return static_cast<int>(answer.length);
}

// C awaits what C++ made.
struct counts { aio_task task; int result; int port; };
static AIO_CORO(counts)
{
    AIO_BEGIN(counts);
    AIO_AWAIT(self->result, ask(self->port, "from C\n").release());
    AIO_END;
}

static aio::task<> everything()
{
    aio_server *server = co_await aio_start_server(on_client, NULL, "127.0.0.1", 0);
    int port = aio_server_port(server);
    auto one = aio::create_task(ask(port, "one\n")), two = aio::create_task(ask(port, "two\n")); // at the same time
    int length = co_await one + co_await two;
    length += co_await AIO_CALL(counts, .port = port);
    std::printf("%d bytes\n", length);
    co_await aio_server_wait_closed(server);
    try {
        co_await ask(port, "is anybody there?\n");
    } catch (const aio::error &e) {
        std::printf("%s: %s\n", aio_code_name(e.code()), e.what());
    }
}

int main() { return aio::run(everything()); }
