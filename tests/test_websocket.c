/* WebSocket: frames of every kind, length, split, mask and order; both sides against raw peers and each other. */

/* ---- the codec ---- */

TEST(ws_accept)
{
    static const struct { const char *data, *digest; } rows[] = { /* RFC 3174, FIPS 180 */
        { "", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }, { "abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "hJg+RBw70m66rkqh+VEp5eVGcPE=" },
    };
    char text[40];
    uint8_t digest[20];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio__sha1(digest, rows[i].data, strlen(rows[i].data));
        aio__base64(text, digest, sizeof digest);
        CHECK_STR(text, rows[i].digest);
    }
    static const char *const letters[] = { "", "/w==", "//8=", "////" };
    for (size_t n = 0; n < 4; n++) { /* nothing of what stands behind */
        aio__base64(text, (const uint8_t *)at_the_edge("\xFF\xFF\xFF", n), n);
        CHECK_STR(text, letters[n]);
    }
    aio__ws_accept(text, "dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455 1.3 */
    CHECK_STR(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(aio__ws_key_is_valid(aio__text("dGhlIHNhbXBsZSBub25jZQ==", 24)));
    CHECK(!aio__ws_key_is_valid(aio__text("dGhlIHNhbXBsZSBub25jZQ=a", 24)));
    CHECK(!aio__ws_key_is_valid(aio__text("dGhlIHNhbXBsZSBu-25jZQ==", 24)));
    CHECK(!aio__ws_key_is_valid(aio__text("dGhlIHNhbXBsZSBub25jZQ", 22)));
}

/* A key is the text of 16 bytes and nothing else. */
TEST(ws_keys)
{
    static const char *const wrong[] = { "", "AAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAA=A", "AAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAA-==", "-AAAAAAAAAAAAAAAAAAAAA==",
        "AAAAAAAAAA AAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA===", "AAAAAAAAAAAAAAAAAAAAA_==" };
    CHECK(aio__ws_key_is_valid(aio__text("azAZ09+/AAAAAAAAAAAAAA==", 24)));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(!aio__ws_key_is_valid(aio__text(wrong[i], strlen(wrong[i]))));
}

TEST(ws_masks)
{
    static const unsigned char key[4] = { 0x12, 0xFF, 0x00, 0xA7 };
    uint32_t mask;
    memcpy(&mask, key, 4);
    for (size_t n = 0; n < 100; n++)
        for (size_t from = 0; from < 9; from++) {
            char text[120], masked[120], in_place[120];
            for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 37 + n);
            memset(masked, 'x', sizeof masked);
            memcpy(in_place, text, sizeof text);
            aio__ws_mask(masked + 8 - from % 8, text + from, n, mask);
            aio__ws_mask(in_place + from, in_place + from, n, mask);
            bool same = masked[8 - from % 8 + n] == 'x' && in_place[from + n] == text[from + n];
            for (size_t i = 0; i < n; i++)
                same = same && masked[8 - from % 8 + i] == (char)(text[from + i] ^ key[i % 4])
                    && in_place[from + i] == masked[8 - from % 8 + i];
            CHECK(same);
            /* in two pieces: the mask turns */
            size_t cut = n / 3;
            aio__ws_mask(in_place + from, in_place + from, cut, mask);
            aio__ws_mask(in_place + from + cut, in_place + from + cut, n - cut, aio__ws_mask_turn(mask, cut));
            CHECK_BYTES(in_place + from, n, text + from, n);
        }
}

/* A frame's bytes: any head, right or wrong. */
typedef struct ws_bytes { char *data; size_t length, room; } ws_bytes;
static void ws_put(ws_bytes *b, const void *data, size_t n)
{
    if (b->length + n > b->room) {
        b->room = 2 * (b->length + n) + 64;
        b->data = (char *)realloc(b->data, b->room);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->length, data, n);
    b->length += n;
}
/* `form`: bytes of the length, 0 (7 bits), 2 or 8; -1: as short as can be. `mask` NULL: none. */
static void ws_put_frame(ws_bytes *b, unsigned first, int form, const char *mask, const void *data, uint64_t n)
{
    unsigned char head[14];
    size_t size = 2;
    if (form < 0) form = n < 126 ? 0 : n < 65536 ? 2 : 8;
    head[0] = (unsigned char)first;
    head[1] = (unsigned char)((form == 0 ? n : form == 2 ? 126 : 127) | (mask ? 0x80u : 0));
    for (int i = form; i--;) head[size++] = (unsigned char)(n >> (8 * i));
    ws_put(b, head, size);
    if (mask) ws_put(b, mask, 4);
    if (!data) return;
    size_t start = b->length;
    ws_put(b, data, (size_t)n);
    for (size_t i = 0; mask && i < n; i++) b->data[start + i] = (char)(b->data[start + i] ^ mask[i % 4]);
}

/* What a reader makes of bytes in pieces of `step`: "T:text;" "b:data;" "P:ping;" ... and "!code". */
static void ws_read(ws_bytes *out, const ws_bytes *in, size_t step, bool masked, bool deflates, uint64_t max)
{
    aio__ws_reader r;
    char *buffer = (char *)malloc(in->length + 1);
    size_t start = 0, end = 0, given = 0;
    bool inside = false;
    memset(&r, 0, sizeof r);
    r.max = max;
    r.masked = masked;
    r.deflates = deflates;
    if (!buffer) abort();
    while (!r.code) {
        size_t used;
        aio_text piece;
        char *exact = (char *)malloc(end - start + 1); /* a reader beyond the end is seen */
        if (!exact) abort();
        memcpy(exact, buffer + start, end - start);
        aio__ws_step got = aio__ws_feed(&r, exact, end - start, &used, &piece);
        CHECK(used <= end - start);
        if (got == AIO__WS_PIECE) {
            if (!inside) ws_put(out, r.compressed ? "Z" : "", r.compressed);
            if (!inside) ws_put(out, r.type == AIO_WS_TEXT ? "T:" : "B:", 2);
            inside = !r.ended;
            ws_put(out, piece.data, piece.length);
            if (r.ended) ws_put(out, ";", 1);
        } else if (got == AIO__WS_CONTROL) {
            ws_put(out, r.control == AIO_WS_PING ? "(P" : r.control == AIO_WS_PONG ? "(p" : "(C", 2);
            ws_put(out, piece.data, piece.length);
            ws_put(out, ")", 1);
        } else if (got == AIO__WS_BAD) {
            char code[16];
            ws_put(out, code, (size_t)snprintf(code, sizeof code, "!%d", r.code));
            CHECK(r.why && strlen(r.why) <= AIO__WS_CONTROL_MAX - 2 && !used);
        }
        start += used;
        free(exact);
        if (got != AIO__WS_MORE || used) continue;
        if (given == in->length) break;
        size_t n = in->length - given < step ? in->length - given : step;
        memcpy(buffer + end, in->data + given, n);
        given += n;
        end += n;
    }
    free(buffer);
}

static const char ws_some_mask[] = "\x37\xFA\x21\x3D", ws_no_mask[] = "\0\0\0\0";

TEST(ws_violations)
{
    static const struct { const char *bytes; size_t n; const char *server, *client; } rows[] = {
#define WS_ROW(bytes, server, client) { bytes, sizeof bytes - 1, server, client }
        /* RFC 6455 5.7 */
        WS_ROW("\x81\x05Hello", "!1002", "T:Hello;"),
        WS_ROW("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "T:Hello;", "!1002"),
        WS_ROW("\x01\x03Hel\x80\x02lo", "!1002", "T:Hello;"), WS_ROW("\x89\x05Hello", "!1002", "(PHello)"),
        WS_ROW("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "(pHello)", "!1002"),
        /* order */
        WS_ROW("\x01\x01" "a\x89\x01" "b\x00\x01" "c\x8a\x00\x80\x01" "d", "!1002", "T:a(Pb)c(p)d;"),
        WS_ROW("\x80\x00", "!1002", "!1002"), WS_ROW("\x00\x00", "!1002", "!1002"),
        WS_ROW("\x01\x00\x81\x00", "!1002", "!1002"), WS_ROW("\x01\x01x\x02\x00", "!1002", "T:x!1002"),
        WS_ROW("\x01\x00\x00\x00\x80\x00", "!1002", "T:;"), WS_ROW("\x82\x00\x80\x00", "!1002", "B:;!1002"),
        /* reserved bits and opcodes */
        WS_ROW("\xC1\x00", "!1002", "!1002"), WS_ROW("\xA1\x00", "!1002", "!1002"),
        WS_ROW("\x91\x00", "!1002", "!1002"),
        WS_ROW("\xC9\x00", "!1002", "!1002"), WS_ROW("\x83\x00", "!1002", "!1002"),
        WS_ROW("\x87\x00", "!1002", "!1002"),
        WS_ROW("\x8B\x00", "!1002", "!1002"), WS_ROW("\x8F\x00", "!1002", "!1002"),
        WS_ROW("\x01\x00\xC0\x00", "!1002", "!1002"),
        /* control frames: whole and short */
        WS_ROW("\x09\x00", "!1002", "!1002"), WS_ROW("\x08\x00", "!1002", "!1002"),
        WS_ROW("\x89\x7E\x00\x7E", "!1002", "!1002"), WS_ROW("\x88\x7F\x00", "!1002", "!1002"),
        /* lengths */
        WS_ROW("\x81\x7E\x00\x7D", "!1002", "!1002"), WS_ROW("\x82\xFE\x00\x7D", "!1002", "!1002"),
        WS_ROW("\x82\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF", "!1002", "!1002"),
        WS_ROW("\x82\x7F\x80\x00\x00\x00\x00\x00\x00\x00", "!1002", "!1002"),
        WS_ROW("\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "!1002", "!1009"),
        WS_ROW("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "!1009", "!1002"),
        WS_ROW("\x02\x64", "!1002", ""), WS_ROW("\x82\x65", "!1002", "!1009"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step <= rows[i].n; step++)
            for (int server = 0; server < 2; server++) {
                ws_bytes in = { NULL, 0, 0 }, out = { NULL, 0, 0 };
                ws_put(&in, rows[i].bytes, rows[i].n);
                ws_read(&out, &in, step, server, false, 100);
                ws_put(&out, "", 1);
                const char *wanted = server ? rows[i].server : rows[i].client;
                /* an empty first fragment gives nothing to see */
                if (strcmp(out.data, wanted) != 0)
                    fail("row %zu in steps of %zu as %s: %s, not %s", i, step, server ? "server" : "client", out.data,
                         wanted);
                free(in.data);
                free(out.data);
            }
}

/* Messages of all lengths, in random fragments with control frames between them, masked or not, cut at random. */
TEST(ws_generated)
{
    static const uint64_t lengths[] = { 0, 1, 7, 8, 125, 126, 127, 300, 65535, 65536, 70000 };
    uint64_t seed = options.seed;
#define WS_RANDOM(n) ((size_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33) % (n))
    for (int round = 0; round < 60; round++) {
        ws_bytes in = { NULL, 0, 0 }, out = { NULL, 0, 0 }, wanted = { NULL, 0, 0 };
        bool masked = round & 1;
        for (int message = 0; message < 4; message++) {
            uint64_t n = lengths[WS_RANDOM(sizeof lengths / sizeof *lengths)];
            bool text = WS_RANDOM(2), first = true, seen = false;
            if (round > 20 && n > 300) n = WS_RANDOM(300);
            ws_put(&wanted, text ? "T:" : "B:", 2);
            for (bool last = false; !last; first = false) {
                char mask[4], data[70001];
                uint64_t piece = WS_RANDOM(2) ? n : WS_RANDOM(n + 1);
                last = piece == n;
                n -= piece;
                for (size_t i = 0; i < 4; i++) mask[i] = (char)WS_RANDOM(256);
                for (size_t i = 0; i < piece; i++) data[i] = (char)('a' + WS_RANDOM(26));
                unsigned opcode = (first ? text ? 1u : 2u : 0u) | (last ? 0x80u : 0);
                ws_put_frame(&in, opcode, -1, masked ? mask : NULL, data, piece);
                ws_put(&wanted, data, (size_t)piece);
                if (last) ws_put(&wanted, ";", 1);
                seen = seen || piece || last;
                if (WS_RANDOM(3) || !seen) continue; /* of an empty fragment there is nothing to see */
                piece = WS_RANDOM(126);
                opcode = WS_RANDOM(2) ? 0x89 : 0x8A;
                ws_put_frame(&in, opcode, -1, masked ? mask : NULL, data, piece);
                ws_put(&wanted, opcode == 0x89 ? "(P" : "(p", 2);
                ws_put(&wanted, data, (size_t)piece);
                ws_put(&wanted, ")", 1);
            }
        }
        ws_read(&out, &in, round % 3 ? 1 + WS_RANDOM(5000) : in.length, masked, false, 100000);
        CHECK_BYTES(out.data, out.length, wanted.data, wanted.length);
        free(in.data);
        free(out.data);
        free(wanted.data);
    }
}

/* A head of every form for every length, and what reads it. */
TEST(ws_heads)
{
    static const uint64_t lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, UINT64_C(1) << 40 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int masked = 0; masked < 2; masked++) {
            aio__ws_reader r;
            aio__ws_head head;
            uint8_t bytes[14] = { 0 };
            memset(&r, 0, sizeof r);
            r.max = UINT64_MAX;
            r.masked = masked;
            size_t n = aio__ws_head_write(bytes, 0x82, masked, lengths[i]) + (masked ? 4u : 0);
            CHECK_INT(n, 2 + (lengths[i] < 126 ? 0 : lengths[i] < 65536 ? 2 : 8) + (masked ? 4 : 0));
            for (size_t k = 0; k < n; k++) CHECK_INT(aio__ws_head_read(&r, bytes, k, &head), AIO__WS_MORE);
            CHECK_INT(aio__ws_head_read(&r, bytes, n, &head), AIO__WS_PIECE);
            CHECK(head.length == lengths[i] && head.size == n);
        }
}

/* So many empty fragments as one message may have; the next one has as many again. */
TEST(ws_empty_fragments)
{
    ws_bytes in = { NULL, 0, 0 }, out = { NULL, 0, 0 };
    for (int message = 0; message < 3; message++) {
        for (int i = 0; i < AIO_WS_EMPTY_MAX + (message == 2); i++) ws_put_frame(&in, i ? 0 : 1, 0, NULL, "", 0);
        ws_put_frame(&in, 0x80, 0, NULL, "a", 1);
    }
    ws_read(&out, &in, 100, false, false, 100);
    CHECK_BYTES(out.data, out.length, "T:a;T:a;!1009");
    free(in.data);
    free(out.data);
}

TEST(ws_texts)
{
    static const char *const rows[] = {
        "", "plain ASCII that is longer than a word", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80x",
        "\xED\x9F\xBF\xEE\x80\x80", "\xF4\x8F\xBF\xBF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\x80",
        "\xE0\x80\x80", "\xF0\x80\x80\x80", "\x80", "a\xFF", "\xC3", "\xE2\x82", "\xF0\x9F\x98",
        "\xF0\x9F\x98x", "\xE2\x28\xA1", "a\xC3\xC3\xA4", "\xF5\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i]);
        bool wanted = aio__utf8_valid(rows[i], n) == n;
        for (size_t a = 0; a <= n; a++)
            for (size_t b = a; b <= n; b++) {
                aio__ws_text text = { { 0 }, 0 };
                bool is = aio__ws_text_feed(&text, rows[i], a, false)
                       && aio__ws_text_feed(&text, rows[i] + a, b - a, false)
                       && aio__ws_text_feed(&text, rows[i] + b, n - b, true);
                if (is != wanted) fail("row %zu cut at %zu and %zu", i, a, b);
            }
    }
    aio__ws_text text = { { 0 }, 0 }; /* told as early as can be */
    CHECK(!aio__ws_text_feed(&text, "\xF4\x90", 2, false));
    memset(&text, 0, sizeof text);
    CHECK(aio__ws_text_feed(&text, "\xED", 1, false) && !aio__ws_text_feed(&text, "\xA0", 1, false));
}

/* ---- a server against raw clients ---- */

#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define WS_ASKS(more) "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n" more "\r\n"
#define WS_AGREES(more) "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" \
    "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n" more "\r\n"
enum { WS_LOOKS = 20000 };
#define WS_DIALS aio_task task; aio_server *server; aio_session *session; aio_ws *ws; struct ws_raw raw
#define WS_MAY { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EHANDSHAKE, ECONNABORTED, AIO_ETIMEOUT }

/* What the server's program is told, as text. */
static char ws_log[2000];
static size_t ws_logged;
AIO__PRINTF(1, 2)
static void ws_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(ws_log + ws_logged, sizeof ws_log - ws_logged, format, arguments);
    va_end(arguments);
    ws_logged += (size_t)n < sizeof ws_log - ws_logged ? (size_t)n : sizeof ws_log - ws_logged - 1;
}
static void ws_note_message(const aio_ws_message *m)
{
    static const char *const types[] = { "", "T", "B", "", "", "", "", "", "C", "P", "p" };
    if (m->type == AIO_WS_CLOSED) ws_note("closed %d;", m->extra);
    else if (m->type == AIO_WS_CLOSE) ws_note("C%d:%s;", m->extra, m->data.data);
    else if (m->data.length > 60) ws_note("%s%zu%s", types[m->type], m->data.length, m->more ? "+" : ";");
    else ws_note("%s:%.*s%s", types[m->type], (int)m->data.length, m->data.data, m->more ? "+" : ";");
    ALWAYS(m->type == AIO_WS_CLOSED || m->data.data[m->data.length] == '\0');
}

struct ws_site { aio_ws_options options; bool chunks, quiet; };
struct ws_telling { aio_task task; aio_request *request; struct ws_site *site; aio_ws *ws; aio_ws_message m; };
static AIO_CORO(ws_telling)
{
    AIO_BEGIN(ws_telling);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket_with(self->request, &self->site->options));
    CHECK(aio_ws_stream(self->ws) == self->request->stream && aio_ws_close_code(self->ws) == 0);
    AIO_TRY {
        do {
            if (self->site->chunks) {
                AIO_AWAIT(self->m, aio_ws_receive_chunk(self->ws));
            } else {
                AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            }
            ws_note_message(&self->m);
        } while (self->m.type != AIO_WS_CLOSE && self->m.type != AIO_WS_CLOSED);
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        CHECK_INT(self->m.type, AIO_WS_CLOSED);
    } AIO_CATCH {
        if (aio_caught(self)->code == ENOMEM) AIO_RERAISE();
        CHECK(aio_ws_exception(self->ws) && aio_ws_exception(self->ws)->code == aio_caught(self)->code);
        ws_note("!%s %d;", aio_code_name(aio_caught(self)->code), aio_ws_close_code(self->ws));
    } AIO_END_TRY;
    AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_site_handler(aio_request *request, void *arg)
{
    return AIO_CALL(ws_telling, .request = request, .site = (struct ws_site *)arg);
}

/* A raw client: says the handshake and bytes, ends its direction, and hears all, but for the Date. */
struct ws_talk { aio_task task; int port; const char *head; const char *said; size_t length; aio_stream *stream;
    aio_text text; char answer[1500]; size_t heard; };
static AIO_CORO(ws_talk)
{
    AIO_BEGIN(ws_talk);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    aio_stream_write(self->stream, self->head, strlen(self->head));
    aio_stream_write(self->stream, self->said, self->length);
    aio_stream_write_eof(self->stream);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    self->heard = self->text.length < sizeof self->answer ? self->text.length : sizeof self->answer - 1;
    memcpy(self->answer, self->text.data, self->heard);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

#define WS_M "\0\0\0\0" /* a mask that changes nothing */
#define WS_BYTES(text) text, sizeof text - 1
static const struct { const char *said; size_t length; const char *told, *heard; size_t heard_length; } ws_cases[] = {
    { WS_BYTES("\x81\x85" WS_M "hello\x88\x82" WS_M "\x03\xE8"), "T:hello;C1000:;", WS_BYTES("\x88\x02\x03\xE8") },
    { WS_BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x80" WS_M), "T:Hello;C1005:;", WS_BYTES("\x88\x00") },
    { WS_BYTES("\x82\x80" WS_M "\x88\x85" WS_M "\x0F\xA0" "bye"), "B:;C4000:bye;", WS_BYTES("\x88\x02\x0F\xA0") },
    { WS_BYTES("\x01\x82" WS_M "ab\x89\x81" WS_M "p\x00\x80" WS_M "\x00\x81" WS_M "c\x80\x81" WS_M "d\x88\x80" WS_M),
      "T:abcd;C1005:;", WS_BYTES("\x8A\x01p\x88\x00") },
    { WS_BYTES("\x8A\x81" WS_M "x\x89\x80" WS_M "\x88\x80" WS_M), "C1005:;", WS_BYTES("\x8A\x00\x88\x00") },
    { WS_BYTES("\x01\x81" WS_M "\xE2\x80\x82" WS_M "\x82\xAC\x88\x80" WS_M), "T:\xE2\x82\xAC;C1005:;",
      WS_BYTES("\x88\x00") },
    /* what comes after the end does not count */
    { WS_BYTES("\x88\x80" WS_M "\xFF\xFF\xFF"), "C1005:;", WS_BYTES("\x88\x00") },
    /* violations */
    { WS_BYTES("\x81\x05hello"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x20\x03\xEA" "a client's frame is not masked") },
    { WS_BYTES("\xC1\x80" WS_M), "!WebSocketError 1002;", WS_BYTES("\x88\x17\x03\xEA" "a reserved bit is set") },
    { WS_BYTES("\x81\x81" WS_M "a\x83\x80" WS_M), "T:a;!WebSocketError 1002;",
      WS_BYTES("\x88\x18\x03\xEA" "the opcode is reserved") },
    { WS_BYTES("\x81\x81" WS_M "\xFF"), "!WebSocketError 1007;", WS_BYTES("\x88\x17\x03\xEF" "the text is not UTF-8") },
    { WS_BYTES("\x81\x81" WS_M "\xC3"), "!WebSocketError 1007;", WS_BYTES("\x88\x17\x03\xEF" "the text is not UTF-8") },
    { WS_BYTES("\x01\x81" WS_M "\xC3\x80\x81" WS_M "x"), "!WebSocketError 1007;",
      WS_BYTES("\x88\x17\x03\xEF" "the text is not UTF-8") },
    /* before the message is through */
    { WS_BYTES("\x01\x82" WS_M "\xC3\x28"), "!WebSocketError 1007;",
      WS_BYTES("\x88\x17\x03\xEF" "the text is not UTF-8") },
    { WS_BYTES("\x82\xFE\x27\x11" WS_M), "!LimitOverrunError 1009;",
      WS_BYTES("\x88\x29\x03\xF1" "the message is longer than max_msg_size") },
    { WS_BYTES("\x02\x81" WS_M "a\x80\xFE\x27\x10" WS_M), "!LimitOverrunError 1009;",
      WS_BYTES("\x88\x29\x03\xF1" "the message is longer than max_msg_size") },
    { WS_BYTES("\x88\x81" WS_M "\x03"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x1F\x03\xEA" "a close frame has half a code") },
    { WS_BYTES("\x88\x82" WS_M "\x03\xED"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x30\x03\xEA" "a close frame has a code that it must not have") },
    { WS_BYTES("\x88\x82" WS_M "\x03\xEE"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x30\x03\xEA" "a close frame has a code that it must not have") },
    { WS_BYTES("\x88\x82" WS_M "\x03\xE7"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x30\x03\xEA" "a close frame has a code that it must not have") },
    { WS_BYTES("\x88\x82" WS_M "\x0B\xB7"), "!WebSocketError 1002;",
      WS_BYTES("\x88\x30\x03\xEA" "a close frame has a code that it must not have") },
    { WS_BYTES("\x88\x83" WS_M "\x03\xE8\xFF"), "!WebSocketError 1007;",
      WS_BYTES("\x88\x25\x03\xEF" "the reason for closing is not UTF-8") },
    { WS_BYTES("\x81\x81" WS_M "a"), "T:a;!ServerDisconnectedError 1006;", WS_BYTES("") },
    { WS_BYTES("\x81\x85" WS_M "a"), "!ServerDisconnectedError 1006;", WS_BYTES("") },
    { "\0\0\0\0\0\0\0", 0, "!ServerDisconnectedError 1006;", WS_BYTES("") },
};

struct ws_server_hears { aio_task task; aio_server *server; struct ws_talk *talk; struct ws_site site;
    size_t i, head; };
SCENARIO(ws_server_hears, .may = WS_MAY)
{
    AIO_BEGIN(ws_server_hears);
    self->site.options.max_msg_size = 10000;
    AIO_AWAIT(self->server, aio_start_http_server(ws_site_handler, &self->site, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof ws_cases / sizeof *ws_cases; self->i++) {
        ws_logged = 0;
        ws_log[0] = '\0';
        if (now.w->kind == KIND_SLICE && ws_cases[self->i].length == 9
            && !memcmp(ws_cases[self->i].said, "\x88\x80\0\0\0\0\xFF", 7)) continue; /* a reset */
        self->talk = aio_create_task(AIO_CALL(ws_talk, .port = aio_server_port(self->server), .head = WS_ASKS(""),
                                              .said = ws_cases[self->i].said, .length = ws_cases[self->i].length));
        AIO_AWAIT((struct ws_talk *)aio_ref(self->talk));
        self->head = strlen(WS_AGREES(""));
        if (CHECK(self->talk->heard >= self->head)) {
            CHECK_BYTES(self->talk->answer, self->head, WS_AGREES(""));
            CHECK_BYTES(self->talk->answer + self->head, self->talk->heard - self->head, ws_cases[self->i].heard,
                        ws_cases[self->i].heard_length);
        }
        CHECK_STR(ws_log, ws_cases[self->i].told);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        SERVER_END(self->server);
    AIO_END;
}

/* What is no wish that can be granted is answered; protocols and origins. */
#define WS_REFUSED(status, why) "HTTP/1.1 " status "\r\n", why
static const struct { const char *said, *line, *part; } ws_wishes[] = {
    { WS_ASKS("Sec-WebSocket-Protocol: soap, chat\r\nSec-WebSocket-Protocol: wamp\r\n"),
      WS_AGREES("Sec-WebSocket-Protocol: chat\r\nX-Site: 1\r\n"), "" },
    { WS_ASKS("Sec-WebSocket-Protocol: Chat\r\n"), WS_AGREES("X-Site: 1\r\n"), "" },
    { WS_ASKS("Origin: https://a.test\r\n"), WS_AGREES("X-Site: 1\r\n"), "" },
    { WS_ASKS("Origin: HTTPS://B.test:81\r\n"), WS_AGREES("X-Site: 1\r\n"), "" },
    { WS_ASKS("Sec-WebSocket-Extensions: permessage-deflate\r\n"), WS_AGREES("X-Site: 1\r\n"), "" },
    { WS_ASKS("Origin: https://a.test.evil\r\n"), WS_REFUSED("403 Forbidden", "this origin is not allowed") },
    { WS_ASKS("Origin: null\r\n"), WS_REFUSED("403 Forbidden", "this origin is not allowed") },
    { WS_ASKS("Sec-WebSocket-Key: " WS_KEY "\r\n"), WS_REFUSED("400 Bad Request", "Sec-WebSocket-Key is not valid") },
    { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", WS_REFUSED("426 Upgrade Required", "this is for WebSocket clients") },
    { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
      WS_REFUSED("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n") },
    { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
      WS_REFUSED("426 Upgrade Required", "the version is not 13") },
    { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
      WS_REFUSED("400 Bad Request", "Sec-WebSocket-Key is not valid") },
#define WS_VERSION_AND_KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n"
    { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n" WS_VERSION_AND_KEY,
      WS_REFUSED("426 Upgrade Required", "this is for WebSocket clients") },
    { "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" WS_VERSION_AND_KEY,
      WS_REFUSED("426 Upgrade Required", "this is for WebSocket clients") },
    { "PUT / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" WS_VERSION_AND_KEY,
      WS_REFUSED("400 Bad Request", "only GET of HTTP/1.1") },
    { "GETS / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" WS_VERSION_AND_KEY,
      WS_REFUSED("400 Bad Request", "only GET of HTTP/1.1") },
    { "GET / HTTP/1.0\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" WS_VERSION_AND_KEY,
      WS_REFUSED("400 Bad Request", "only GET of HTTP/1.1") },
    { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      WS_REFUSED("400 Bad Request", "only GET of HTTP/1.1") },
};
struct ws_handshakes { aio_task task; aio_server *server; struct ws_talk *talk; struct ws_site site; size_t i; };
SCENARIO(ws_handshakes, .may = WS_MAY)
{
    static const char *const fields[] = { "X-Site", "1", NULL };
    AIO_BEGIN(ws_handshakes);
    self->site.options.headers = fields;
    self->site.options.protocols = "wamp, chat";
    self->site.options.origins = "https://a.test, https://b.test:81";
    AIO_AWAIT(self->server, aio_start_http_server(ws_site_handler, &self->site, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof ws_wishes / sizeof *ws_wishes; self->i++) {
        self->talk = aio_create_task(AIO_CALL(ws_talk, .port = aio_server_port(self->server),
                                              .head = ws_wishes[self->i].said, .said = "\x88\x80\0\0\0\0",
                                              .length = ws_wishes[self->i].part[0] ? 0 : 6));
        AIO_AWAIT((struct ws_talk *)aio_ref(self->talk));
        self->talk->answer[self->talk->heard] = '\0';
        if (strncmp(self->talk->answer, ws_wishes[self->i].line, strlen(ws_wishes[self->i].line)) != 0)
            CHECK_STR(self->talk->answer, ws_wishes[self->i].line);
        CHECK(strstr(self->talk->answer, ws_wishes[self->i].part));
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        SERVER_END(self->server);
    AIO_END;
}

/* ---- both sides ---- */

/* Gives each message back as it came; "bye" closes with 4001, "ping" pings, "pieces" comes back in pieces. */
struct ws_echoing { aio_task task; aio_request *request; struct ws_site *site; aio_ws *ws; aio_ws_message m; int i; };
static AIO_CORO(ws_echoing)
{
    AIO_BEGIN(ws_echoing);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket_with(self->request, &self->site->options));
    CHECK_STR(aio_ws_protocol(self->ws) ? aio_ws_protocol(self->ws) : "",
              aio_headers_get(&self->request->headers, "Sec-WebSocket-Protocol").data ? "b" : "");
    AIO_ASYNC_FOR(self->m, aio_ws_receive(self->ws)) {
        if (self->m.type == AIO_WS_TEXT && !strcmp(self->m.data.data, "bye")) {
            AIO_AWAIT(aio_ws_close(self->ws, 4001, "you said it"));
        } else if (self->m.type == AIO_WS_TEXT && !strcmp(self->m.data.data, "ping")) {
            AIO_AWAIT(aio_ws_ping(self->ws, "now", 3));
        } else if (self->m.type == AIO_WS_TEXT && !strcmp(self->m.data.data, "pieces")) {
            for (self->i = 0; self->i < 6; self->i++)
                AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, &self->m.data.data[self->i], 1, self->i == 5));
        } else if (self->m.type == AIO_WS_TEXT) {
            AIO_AWAIT(aio_ws_send_text(self->ws, self->m.data.data, self->m.data.length));
        } else {
            AIO_AWAIT(aio_ws_send_bytes(self->ws, self->m.data.data, self->m.data.length));
        }
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_echo_handler(aio_request *request, void *arg)
{
    return AIO_CALL(ws_echoing, .request = request, .site = (struct ws_site *)arg);
}

static char ws_large[200001];
/* A text that compresses well, or bytes that do not. */
static void ws_large_fill(bool text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint32_t any = (uint32_t)i * 2654435761u;
        any = (any ^ any >> 15) * 2246822519u;
        ws_large[i] = text ? (char)('a' + i * i % 23) : (char)(any >> 24);
    }
}

static const struct ws_pair { aio_ws_options server, client; bool compresses; } ws_pairs[] = {
    { { .max_msg_size = 0 }, { .max_msg_size = 0 }, false },
    { { .compress = 15 }, { .compress = 0 }, false },
    { { .compress = 0 }, { .compress = 15 }, false },
    { { .compress = 15 }, { .compress = 15 }, true },
    { { .compress = 15, .no_context_takeover = true }, { .compress = 15 }, true },
    { { .compress = 9 }, { .compress = 12, .no_context_takeover = true }, true },
    { { .compress = 12, .protocols = "a,b" }, { .compress = 9, .protocols = "x, b" }, true },
};
enum { WS_PAIRS = sizeof ws_pairs / sizeof *ws_pairs };
struct ws_both { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; struct ws_site site; size_t i, k;
    aio_ws_message m; char url[60]; };
SCENARIO(ws_both, .may = WS_MAY)
{
    static const size_t lengths[] = { 0, 1, 125, 126, 1018, 1024, 1025, 65535, 65536, 200000 };
    AIO_BEGIN(ws_both);
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->server, aio_start_http_server(ws_echo_handler, &self->site, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/a?b", aio_server_port(self->server));
    for (self->i = 0; self->i < WS_PAIRS; self->i++) {
        self->site.options = ws_pairs[self->i].server;
        AIO_AWAIT(self->ws, aio_ws_connect_with(self->session, self->url, &ws_pairs[self->i].client));
        CHECK_INT(aio_ws_compresses(self->ws), ws_pairs[self->i].compresses);
        CHECK_STR(aio_ws_protocol(self->ws) ? aio_ws_protocol(self->ws) : "",
                  ws_pairs[self->i].client.protocols ? "b" : "");
        for (self->k = 0; self->k < 2 * (sizeof lengths / sizeof *lengths); self->k++) {
            if (now.w->kind == KIND_SLICE && lengths[self->k / 2] > 2000) continue; /* long */
            if (now.w->kind != KIND_PLAIN && self->k / 2 % 4) continue; /* many runs: 0, 1018 and 65536 bytes */
            ws_large_fill(self->k % 2, lengths[self->k / 2]);
            if (self->k % 2) {
                AIO_AWAIT(aio_ws_send_text(self->ws, ws_large, lengths[self->k / 2]));
            } else {
                AIO_AWAIT(aio_ws_send_bytes(self->ws, ws_large, lengths[self->k / 2]));
            }
            AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            CHECK_INT(self->m.type, self->k % 2 ? AIO_WS_TEXT : AIO_WS_BINARY);
            CHECK_BYTES(self->m.data.data, self->m.data.length, ws_large, lengths[self->k / 2]);
            CHECK(!self->m.data.data[self->m.data.length]);
        }
        AIO_AWAIT(aio_ws_send_text(self->ws, "ping", 4));
        AIO_AWAIT(aio_ws_send_text(self->ws, "pieces", 6));
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        CHECK_STR(self->m.data.data, "pieces");
        AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "hal", 3, false));
        AIO_AWAIT(aio_ws_ping(self->ws, "", 0));
        AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "ves", 3, false));
        AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "", 0, true));
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        CHECK_STR(self->m.data.data, "halves");
        if (self->i % 2) {
            AIO_AWAIT(aio_ws_send_text(self->ws, "bye", 3));
            AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            CHECK_INT(self->m.type, AIO_WS_CLOSE);
            CHECK_INT(self->m.extra, 4001);
            CHECK_STR(self->m.data.data, "you said it");
        } else {
            AIO_AWAIT(aio_ws_close(self->ws, 0, "done"));
            CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_OK);
        }
        CHECK(!aio_ws_exception(self->ws) && !aio_ws_stream(self->ws));
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        CHECK_INT(self->m.type, AIO_WS_CLOSED);
        CHECK_INT(self->m.extra, self->i % 2 ? 4001 : AIO_WS_OK);
        AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
        AIO_TRY {
            AIO_AWAIT(aio_ws_send_text(self->ws, "x", 1));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EPIPE);
        } AIO_END_TRY;
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A raw server: hears a handshake, answers with its accept and what it has to say, and keeps what it hears. */
struct ws_raw { const char *head, *says; size_t length; bool closes, curt, deaf; char heard[600]; size_t n;
    char asked[600]; };
struct ws_raw_client { aio_task task; aio_stream *stream; struct ws_raw *raw; aio_text text;
    char answer[600], key[25], accept[29]; };
static AIO_CORO(ws_raw_client)
{
    const char *key;
    AIO_BEGIN(ws_raw_client);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    snprintf(self->raw->asked, sizeof self->raw->asked, "%s", self->text.data);
    key = strstr(self->text.data, "Sec-WebSocket-Key: ");
    if (!CHECK(key && aio__ws_key_is_valid(aio__text(key + 19, 24)))) AIO_RETURN();
    memcpy(self->key, key + 19, 24);
    aio__ws_accept(self->accept, self->key);
    snprintf(self->answer, sizeof self->answer, self->raw->head ? "%s" : "HTTP/1.1 101 S\r\nUpgrade: WebSocket\r\n"
             "Connection: upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             self->raw->head ? self->raw->head : self->accept);
    for (char *at; (at = strchr(self->answer, '@')) != NULL;) {
        memmove(at + 28, at + 1, strlen(at));
        memcpy(at, self->accept, 28);
    }
    aio_stream_write(self->stream, self->answer, strlen(self->answer));
    aio_stream_write(self->stream, self->raw->says, self->raw->length);
    if (self->raw->closes) AIO_RETURN();
    if (self->raw->deaf) AIO_AWAIT(aio_sleep(50));
    for (;;) {
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 100));
        if (!self->text.length) break;
        if (self->raw->n + self->text.length > sizeof self->raw->heard) break;
        memcpy(self->raw->heard + self->raw->n, self->text.data, self->text.length);
        self->raw->n += self->text.length;
        if (self->raw->curt && self->raw->n >= 8) break; /* a close frame with a code */
    }
    AIO_END;
}
static void *ws_raw_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(ws_raw_client, .stream = stream, .raw = (struct ws_raw *)arg);
}

/* What a server answers, and whether the client takes it; in some, with how large a window it then sends. */
#define WS_101(more) "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" more "\r\n"
#define WS_OK "Sec-WebSocket-Accept: @\r\n"
static const struct { const char *head, *why; bool plain; int compress, bits; } ws_answers[] = {
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate\r\n"), "was not offered", true },
    { WS_101(WS_OK), NULL, true }, { WS_101(WS_OK), NULL }, { WS_101(WS_OK "Sec-WebSocket-Protocol: two\r\n"), NULL },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate\r\n"), NULL },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"9\"; "
                   "server_max_window_bits=8; server_no_context_takeover; client_no_context_takeover\r\n"), NULL },
    { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "does not switch" },
    { "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "403 No" },
    { WS_101("Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"), "Sec-WebSocket-Accept" },
    { WS_101(""), "Sec-WebSocket-Accept" }, { WS_101(WS_OK WS_OK), "Sec-WebSocket-Accept" },
    { "HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n" WS_OK "\r\n", "Upgrade does not" },
    { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n" WS_OK "\r\n", "Connection does not" },
    { WS_101(WS_OK "Sec-WebSocket-Protocol: three\r\n"), "protocol" },
    { WS_101(WS_OK "Sec-WebSocket-Protocol: one\r\nSec-WebSocket-Protocol: two\r\n"), "protocol" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: x-other\r\n"), "extension" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n"), "extension" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n"), "extension" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits\r\n"), "extension" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"), "no value" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                   "server_no_context_takeover\r\n"), "extension" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=13\r\n"), "larger" },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n"), NULL,
      false, 15, 10 },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n"), NULL,
      false, 12, 10 },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=13\r\n"), NULL,
      false, 12, 12 },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate\r\n"), NULL, false, 12, 12 },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=15\r\n"), NULL,
      false, 15, 15 },
    { WS_101(WS_OK "Sec-WebSocket-Extensions: permessage-deflate\r\n"), NULL, false, 15, 15 },
};
struct ws_client_judges { WS_DIALS; size_t i; char url[60]; };
SCENARIO(ws_client_judges, .may = WS_MAY)
{
    AIO_BEGIN(ws_client_judges);
    AIO_AWAIT(self->server, aio_start_server(ws_raw_handler, &self->raw, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof ws_answers / sizeof *ws_answers; self->i++) {
        self->raw.head = ws_answers[self->i].head;
        self->raw.closes = true;
        AIO_TRY {
            AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .protocols = "one, two",
                                               .compress = ws_answers[self->i].plain ? 0
                                                   : ws_answers[self->i].compress ? ws_answers[self->i].compress : 12,
                                               .no_context_takeover = !ws_answers[self->i].plain, .timeout = { .total = 5 }));
            CHECK(ws_answers[self->i].why == NULL);
            if (ws_answers[self->i].bits) CHECK_INT(self->ws->bits_out, ws_answers[self->i].bits);
            CHECK(self->ws->resets_out == self->ws->deflates); /* whether the server says so or not */
            CHECK(self->ws->resets_in == (self->raw.head && strstr(self->raw.head, "server_no_context_takeover")));
        } AIO_CATCH {
            CAUGHT(AIO_EHANDSHAKE);
            CHECK(ws_answers[self->i].why && strstr(aio_caught(self)->message, ws_answers[self->i].why));
        } AIO_END_TRY;
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* ---- compression ---- */

/* "Hello" as RFC 7692 7.2.3 has it; of several forms what is told, and what the server says. */
#define WS_DEFLATE "Sec-WebSocket-Extensions: permessage-deflate\r\n"
static const struct { const char *said; size_t length; const char *told; } ws_packed[] = {
    { WS_BYTES("\xC1\x87" WS_M "\xF2\x48\xCD\xC9\xC9\x07\x00"), "T:Hello;" },
    { WS_BYTES("\x41\x83" WS_M "\xF2\x48\xCD\x80\x84" WS_M "\xC9\xC9\x07\x00"), "T:Hello;" },
    { WS_BYTES("\xC1\x87" WS_M "\xF2\x48\xCD\xC9\xC9\x07\x00\xC1\x85" WS_M "\xF2\x00\x11\x00\x00"),
      "T:Hello;T:Hello;" },
    { WS_BYTES("\xC1\x8B" WS_M "\x00\x05\x00\xFA\xFF\x48\x65\x6C\x6C\x6F\x00"), "T:Hello;" },
    { WS_BYTES("\xC1\x88" WS_M "\xF3\x48\xCD\xC9\xC9\x07\x00\x00"), "T:Hello;" }, /* a block that says it is the last */
    { WS_BYTES("\xC1\x8F" WS_M "\xF3\x48\xCD\xC9\xC9\x07\x00\xF3\x48\xCD\xC9\xC9\x07\x00\x00"), "T:HelloHello;" },
    { WS_BYTES("\xC1\x88" WS_M "\xF3\x48\xCD\xC9\xC9\x07\x00\x00\xC1\x85" WS_M "\xF2\x00\x11\x00\x00"),
      "T:Hello;T:Hello;" },
    { WS_BYTES("\xC1\x8D" WS_M "\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00"), "T:Hello;" },
    { WS_BYTES("\xC1\x81" WS_M "\x00\x81\x81" WS_M "a"), "T:;T:a;" }, /* none of the two is compressed */
    { WS_BYTES("\xC1\x80" WS_M), "T:;" },
    { WS_BYTES("\xC2\x81" WS_M "\x07"), "!WebSocketError 1007;" },
    { WS_BYTES("\xC1\x85" WS_M "\xF2\x00\x11\x00\x00"), "!WebSocketError 1007;" }, /* back before the beginning */
    { WS_BYTES("\x41\x86" WS_M "\x00\x01\x00\xFE\xFF\xC3\x80\x87" WS_M "\x00\x01\x00\xFE\xFF\xA4\x00"),
      "T:\xC3\xA4;" }, /* a character in two frames */
    { WS_BYTES("\xC1\x87" WS_M "\x00\x01\x00\xFE\xFF\xC3\x00"), "!WebSocketError 1007;" }, /* half a character */
    { WS_BYTES("\x01\x80" WS_M "\xC0\x80" WS_M), "!WebSocketError 1002;" },
    { WS_BYTES("\xC1\x84" WS_M "\xFA\x0F\x00\x00"), "!WebSocketError 1007;" }, /* no UTF-8 once it is inflated */
};
struct ws_inflates { aio_task task; aio_server *server; struct ws_talk *talk; struct ws_site site; size_t i, n; };
SCENARIO(ws_inflates, .may = WS_MAY)
{
    AIO_BEGIN(ws_inflates);
    self->site.options.compress = 15;
    AIO_AWAIT(self->server, aio_start_http_server(ws_site_handler, &self->site, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2 * (sizeof ws_packed / sizeof *ws_packed); self->i++) {
        ws_logged = 0;
        ws_log[0] = '\0';
        self->site.chunks = self->i % 2;
        if (self->site.chunks && now.w->kind != KIND_PLAIN) continue; /* cut elsewhere then */
        self->talk = aio_create_task(AIO_CALL(ws_talk, .port = aio_server_port(self->server),
                                              .head = WS_ASKS(WS_DEFLATE), .said = ws_packed[self->i / 2].said,
                                              .length = ws_packed[self->i / 2].length));
        AIO_AWAIT((struct ws_talk *)aio_ref(self->talk));
        self->n = strlen(ws_packed[self->i / 2].told);
        CHECK(strstr(self->talk->answer, "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"));
        if (!self->site.chunks && strncmp(ws_log, ws_packed[self->i / 2].told, self->n) != 0)
            CHECK_STR(ws_log, ws_packed[self->i / 2].told);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        SERVER_END(self->server);
    AIO_END;
}

/* What is agreed on, of offers. */
TEST(ws_offers)
{
    static const struct { const char *offer, *agreed; int compress; bool resets; } rows[] = {
        { "permessage-deflate", "permessage-deflate", 15, false },
        { "x, permessage-deflate; client_max_window_bits", "permessage-deflate", 15, false },
        { "permessage-deflate; client_max_window_bits",
          "permessage-deflate; client_max_window_bits=12; server_max_window_bits=12", 12, false },
        { "permessage-deflate", "permessage-deflate; server_max_window_bits=12", 12, false },
        { "permessage-deflate; server_max_window_bits=10; client_max_window_bits=8",
          "permessage-deflate; client_max_window_bits=8; server_max_window_bits=10", 15, false },
        { "Permessage-Deflate;server_no_context_takeover ; client_no_context_takeover",
          "permessage-deflate; client_no_context_takeover; server_no_context_takeover", 15, false },
        { "permessage-deflate",
          "permessage-deflate; client_no_context_takeover; server_no_context_takeover", 15, true },
        { "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=09, "
          "permessage-deflate; server_max_window_bits, permessage-deflate; client_max_window_bits=16, "
          "permessage-deflate; server_no_context_takeover=1, permessage-deflate; client_window=1, "
          "permessage-deflate; other_x, permessage-deflate; client_max_window_bits; client_max_window_bits, "
          "permessage-deflate; server_max_window_bits=9",
          "permessage-deflate; server_max_window_bits=9", 15, false },
        { "permessage-deflate; x", "", 15, false }, { "permessage-deflate", "", 0, false },
        { "deflate-stream", "", 15, false },
        { "permessage-deflate; client_", "", 15, false }, { "permessage-deflate; server_", "", 15, false },
        { "permessage-deflate; others_no_context_takeover, permessage-deflate; xlient_max_window_bits", "", 15, false },
        { "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "", 15, false },
        { "permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", 15, false },
        { "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", "", 15, false },
        { "permessage-deflate; client_max_window_bits=0, permessage-deflate; client_max_window_bits=20, "
          "permessage-deflate; client_max_window_bits=1x, permessage-deflate; client_max_window_bits=100, "
          "permessage-deflate; client_max_window_bits=1/, permessage-deflate; client_max_window_bits=:", "", 15, false },
        { "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
          "permessage-deflate; server_max_window_bits=15", 15, false }, /* RFC 7692 7.1.2.1: to accept it is to say it */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_headers headers;
        aio_ws_options o;
        aio__ws_deflating d;
        char text[AIO__WS_EXTENSION_MAX] = "";
        memset(&headers, 0, sizeof headers);
        memset(&o, 0, sizeof o);
        o.compress = rows[i].compress;
        o.no_context_takeover = rows[i].resets;
        CHECK_INT(aio_headers_add(&headers, "Sec-WebSocket-Extensions", rows[i].offer), 0);
        aio__ws_agree(&d, &headers, &o);
        if (d.on) aio__ws_extension_text(&d, text, sizeof text);
        CHECK_STR(text, rows[i].agreed);
        aio_headers_clear(&headers);
    }
    aio__ws_deflating d = { true, { true, true }, { true, true }, { 15, 15 } };
    char text[AIO__WS_EXTENSION_MAX];
    aio__ws_extension_text(&d, text, sizeof text);
    CHECK(strlen(text) < sizeof text - 1);
}

/* Which codes a close frame may have (RFC 6455 7.4, and those of IANA's list). */
TEST(ws_codes)
{
    static const struct { unsigned from, to; } valid[] = { { 1000, 1003 }, { 1007, 1014 }, { 3000, 4999 } };
    for (unsigned code = 0; code < 70000; code++) {
        bool wanted = false;
        for (size_t i = 0; i < 3; i++) wanted = wanted || (code >= valid[i].from && code <= valid[i].to);
        if (aio__ws_code_is_valid(code) != wanted) fail("the code %u", code);
    }
}

/* Which options can be, from both sides of each bound. */
TEST(ws_options)
{
    static char longest[256], longer[257];
    memset(longest, 'p', 255);
    memset(longer, 'p', 256);
    const aio_ws_options fit[] = {
        { .heartbeat = 0 }, { .heartbeat = AIO_UNLIMITED }, { .heartbeat = 1e-9 }, { .close_timeout = 1e-12 },
        { .close_timeout = AIO_NOW }, { .receive_timeout = AIO_NOW },
        { .receive_timeout = 1e-12 }, { .send_timeout = 1e-9 }, { .send_timeout = AIO_UNLIMITED },
        { .max_msg_size = AIO_UNLIMITED }, { .max_msg_size = 1 }, { .compress = 9 },
        { .compress = 15 }, { .protocols = "a, b" }, { .protocols = longest } };
    const struct { aio_ws_options options; const char *why; } unfit[] = {
        { { .heartbeat = -3 }, "timeout" }, { { .close_timeout = -3 }, "timeout" },
        { { .receive_timeout = -3 }, "timeout" }, { { .send_timeout = -3 }, "timeout" },
        { { .send_timeout = AIO_NOW }, "timeout" }, { { .max_msg_size = -2 }, "max_msg_size" }, { { .compress = 8 }, "compress" },
        { { .compress = 16 }, "compress" }, { { .compress = -1 }, "compress" }, { { .protocols = "a b" }, "protocol" },
        { { .protocols = "" }, "protocol" },
        { { .protocols = "a, b;" }, "protocol" }, { { .protocols = longer }, "protocol" } };
    aio__ws_limits limits;
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) CHECK(!aio__ws_options_problem(&fit[i], &limits));
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        const char *why = aio__ws_options_problem(&unfit[i].options, &limits);
        CHECK(why && strstr(why, unfit[i].why));
    }
}

/* A match reaches back no further than the window. */
TEST(ws_deflate_windows)
{
    static char noise[6000], out[20000];
    uint64_t seed = 7;
    for (size_t i = 0; i < 3000; i++) noise[i] = (char)WS_RANDOM(256);
    memcpy(noise + 3000, noise, 3000);
    for (int bits = 8; bits <= 15; bits++) {
        aio_deflate *z = aio_deflate_open(.format = AIO_CODING_RAW, .window_bits = bits);
        aio_text in = { noise, sizeof noise };
        size_t made;
        if (!z) return;
        CHECK_INT(aio_deflate_feed(z, &in, out, sizeof out, &made, AIO_DEFLATE_FLUSH), 0);
        CHECK((made < 4000) == (bits >= 12)); /* 3000 bytes lie between the two */
        aio_deflate_close(z);
    }
    CHECK(!aio_deflate_open(.window_bits = 7) && errno == EINVAL);
    CHECK(!aio_deflate_open(.window_bits = 16) && errno == EINVAL);
}

/* A bomb is seen while it goes off; in chunks all of it may come, in bounded memory. */
struct ws_bomb { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; struct ws_site site;
    aio_ws_message m; char url[60]; size_t n, most; int round; };
SCENARIO(ws_bomb, .may = WS_MAY, .skip = KIND_SLICE /* the server's echo is long */)
{
    AIO_BEGIN(ws_bomb);
    self->site.options.compress = 15;
    memset(ws_large, 'z', sizeof ws_large);
    AIO_AWAIT(self->server, aio_start_http_server(ws_echo_handler, &self->site, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->round = 0; self->round < 2; self->round++) {
        AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .compress = 15,
                                           .max_msg_size = self->round ? AIO_UNLIMITED : 199999));
        AIO_AWAIT(aio_ws_send_bytes(self->ws, ws_large, 200000));
        if (!self->round) {
            AIO_TRY {
                AIO_AWAIT(self->m, aio_ws_receive(self->ws));
                UNREACHED();
            } AIO_CATCH {
                CAUGHT(AIO_ELIMIT);
            } AIO_END_TRY;
            CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_TOO_BIG);
            CHECK(self->ws->content && self->ws->content->capacity < 400000);
        } else {
            do {
                AIO_AWAIT(self->m, aio_ws_receive_chunk(self->ws));
                self->n += self->m.data.length;
                if (self->m.data.length > self->most) self->most = self->m.data.length;
            } while (self->m.more);
            CHECK_INT(self->n, 200000);
            CHECK(self->most < 3 * AIO__WS_CHUNK);
        }
        AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* ---- time, cancels, turns ---- */

/* Opens a connection to a raw server that says `says` behind its 101. */
struct ws_dial { aio_task task; aio_ws *result; struct ws_raw *raw; aio_server **server; aio_session **session;
    aio_ws_options options; };
static AIO_CORO(ws_dial)
{
    static char url[60];
    AIO_BEGIN(ws_dial);
    if (!*self->server) AIO_AWAIT(*self->server, aio_start_server(ws_raw_handler, self->raw, "127.0.0.1", 0));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", aio_server_port(*self->server));
    if (!*self->session) *self->session = aio_session_open();
    REQUIRE(*self->session);
    AIO_AWAIT(self->result, aio_ws_connect_with(*self->session, url, &self->options));
    AIO_END;
}

/* A silent peer: pings go out, nobody answers, who receives is told; one that answers lives on. */
struct ws_heartbeat { WS_DIALS; aio_server *echo; aio_ws_message m; double start; struct ws_site site; char url[60]; };
SCENARIO(ws_heartbeat, .may = WS_MAY)
{
    AIO_BEGIN(ws_heartbeat);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .heartbeat = 30 }));
    self->start = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "heartbeat");
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->start, 45, 1);
    CHECK(self->raw.n >= 6 && (unsigned char)self->raw.heard[0] == 0x89 && (unsigned char)self->raw.heard[1] == 0x80);
    CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_ABNORMAL);
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT(self->echo, aio_start_http_server(ws_echo_handler, &self->site, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->echo));
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .heartbeat = 30, .receive_timeout = 1000));
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(!aio_ws_exception(self->ws));
    } AIO_END_TRY;
    AIO_AWAIT(aio_sleep(1000)); /* nobody receives, and nobody can tell */
    AIO_AWAIT(aio_ws_send_text(self->ws, "still there", 11));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_STR(self->m.data.data, "still there");
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
        aio_server_abort_clients(self->echo);
        if (self->echo) AIO_AWAIT(aio_server_wait_closed(self->echo));
    AIO_END;
}

/* A receive, as a task. */
struct ws_receive_one { aio_task task; aio_ws_message result; aio_ws *ws; int code; };
static AIO_CORO(ws_receive_one)
{
    AIO_BEGIN(ws_receive_one);
    AIO_TRY {
        AIO_AWAIT(self->result, aio_ws_receive(self->ws));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    AIO_END;
}

/* The loop is late: the answer to a ping is there, and is read before the peer is given up. */
struct ws_late_peer { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message m; };
static AIO_CORO(ws_late_peer)
{
    AIO_BEGIN(ws_late_peer);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .no_autoping = true));
    AIO_ASYNC_FOR(self->m, aio_ws_receive(self->ws)) {
        if (self->m.type != AIO_WS_PING) break;
        AIO_AWAIT(aio_ws_pong(self->ws, self->m.data.data, self->m.data.length));
        seam_now += INT64_C(16000000000); /* whatever else the program does */
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_late_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(ws_late_peer, .request = request);
}

struct ws_heartbeat_late { WS_DIALS; struct ws_receive_one *one; char url[60]; };
SCENARIO(ws_heartbeat_late, .may = WS_MAY)
{
    AIO_BEGIN(ws_heartbeat_late);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    AIO_AWAIT(self->server, aio_start_http_server(ws_late_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .heartbeat = 30));
    self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
    REQUIRE(self->one);
    AIO_AWAIT(aio_sleep(100));
    if (!touched()) CHECK(!aio_ws_exception(self->ws));
    CHECK(touched() || !aio_future_done(self->one));
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* The loop is late: a message that has come in time is received, though receive_timeout is over by then. */
struct ws_late_sender { aio_task task; aio_request *request; aio_ws *ws; };
static AIO_CORO(ws_late_sender)
{
    AIO_BEGIN(ws_late_sender);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request));
    AIO_AWAIT(aio_sleep(1));
    AIO_AWAIT(aio_ws_send_text(self->ws, "in time", 7));
    seam_now += INT64_C(16000000000); /* whatever else the program does */
    AIO_AWAIT(aio_sleep(100));
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_late_sender_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(ws_late_sender, .request = request);
}

struct ws_receive_late { WS_DIALS; aio_ws_message m; char url[60]; };
SCENARIO(ws_receive_late, .skip = KIND_SLICE | KIND_CALL /* not all of it is read by then */, .may = WS_MAY)
{
    AIO_BEGIN(ws_receive_late);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    AIO_AWAIT(self->server, aio_start_http_server(ws_late_sender_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .receive_timeout = 10));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_BYTES(self->m.data.data, self->m.data.length, "in time");
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A heartbeat that falls into a close that waits has no timer any more, whose place may be another's by then. */
struct ws_heartbeat_closing { WS_DIALS; aio_future *closing; double start; };
SCENARIO(ws_heartbeat_closing, .may = WS_MAY)
{
    AIO_BEGIN(ws_heartbeat_closing);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .heartbeat = 4, .close_timeout = 10 }));
    REQUIRE(self->closing = (aio_future *)aio_create_task((aio_task *)(void *)aio_ws_close(self->ws, 0, NULL)));
    AIO_AWAIT(aio_sleep(5));
    CHECK_PTR(self->ws->heart, NULL);
    self->start = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_TIMEOUT(20) AIO_AWAIT(aio_sleep(100));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->start, 20, 1);
    CHECK(aio_future_done(self->closing));
    CHECK_INT(self->raw.n, 8); /* nothing follows a close frame */
    CHECK(aio_ws_exception(self->ws) && aio_ws_exception(self->ws)->code == AIO_ETIMEOUT);
    AIO_FINALLY;
        aio_unref(self->closing);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A close after a failure waits until the peer has seen why, and is no failure itself, whatever that was. */
struct ws_close_failed { WS_DIALS; aio_ws_message m; };
SCENARIO(ws_close_failed, .may = WS_MAY)
{
    AIO_BEGIN(ws_close_failed);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    aio__ws_fail(self->ws, AIO_WS_INTERNAL_ERROR, &aio__no_memory, ""); /* as for a message without room */
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ENOMEM);
    } AIO_END_TRY;
    AIO_AWAIT(aio_ws_close(self->ws, 0, NULL)); /* also where the connection breaks meanwhile */
    CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_INTERNAL_ERROR);
    CHECK_INT(self->raw.n, 8);
    CHECK((unsigned char)self->raw.heard[0] == 0x88 && (unsigned char)self->raw.heard[1] == 0x82);
    CHECK(!aio_ws_stream(self->ws));
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What a client asks with: the extension as its options have it, and behind our fields its own. */
struct ws_client_asks { WS_DIALS; size_t i; };
SCENARIO(ws_client_asks, .may = WS_MAY)
{
    static const char *const fields[] = { "X-Own", "1", "X-Other", "2", NULL };
    static const struct { aio_ws_options options; const char *asked; } rows[] = {
        { { .compress = 15 }, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" },
        { { .compress = 12 }, "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12; "
                              "server_max_window_bits=12\r\n" },
        { { .compress = 15, .no_context_takeover = true },
          "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; client_max_window_bits; "
          "server_no_context_takeover\r\n" },
        { { .protocols = "a, b", .headers = fields },
          "\r\nSec-WebSocket-Protocol: a, b\r\nX-Own: 1\r\nX-Other: 2\r\n" },
    };
    AIO_BEGIN(ws_client_asks);
    self->raw.closes = true;
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                     .options = rows[self->i].options));
        if (!strstr(self->raw.asked, rows[self->i].asked)) CHECK_STR(self->raw.asked, rows[self->i].asked);
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A peer that closes the connection instead of answering a close frame: that is its end, without an error, also where
 * nobody waits for the close, and a receive sees it. */
struct ws_close_unanswered { WS_DIALS; double start; aio_ws_message m; aio_future *close; int round; };
SCENARIO(ws_close_unanswered, .may = WS_MAY)
{
    AIO_BEGIN(ws_close_unanswered);
    self->raw.curt = true;
    for (self->round = 0; self->round < 2; self->round++) {
        self->raw.n = 0;
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
        self->start = aio_loop_time(aio_get_running_loop());
        REQUIRE(self->close = aio_ws_close(self->ws, 3000, NULL));
        if (!self->round) AIO_AWAIT((aio_future *)aio_ref(self->close));
        aio_unref(self->close);
        self->close = NULL;
        AIO_AWAIT(self->m, aio_wait_for(aio_ws_receive(self->ws), 5));
        CHECK_INT(self->m.type, AIO_WS_CLOSED);
        CHECK_INT(self->m.extra, AIO_WS_ABNORMAL);
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->start, 0, 1);
        CHECK(!aio_ws_exception(self->ws) && !aio_ws_stream(self->ws));
        CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_ABNORMAL);
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->close);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A close that nobody answers ends with its timeout; while somebody receives, too, who takes what still comes. */
struct ws_close_waits { WS_DIALS; aio_ws_message m; double start; struct ws_receive_one *one; int round; };
SCENARIO(ws_close_waits, .may = WS_MAY)
{
    AIO_BEGIN(ws_close_waits);
    for (self->round = 0; self->round < 2; self->round++) {
        self->raw.says = "\x81\x01" "a";
        self->raw.length = 3;
        self->raw.n = 0;
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                     .options = { .close_timeout = self->round ? 7 : 0 }));
        if (self->round) {
            self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
            REQUIRE(self->one);
            AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
            CHECK(self->one->result.data.data && !strcmp(self->one->result.data.data, "a"));
            aio_unref(self->one);
            self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
            REQUIRE(self->one);
            AIO_AWAIT(aio_sleep(0));
            AIO_TRY {
                AIO_AWAIT(self->m, aio_wait_for(aio_ws_receive(self->ws), 1));
                UNREACHED();
            } AIO_CATCH {
                CAUGHT(AIO_ERUNTIME);
            } AIO_END_TRY;
        }
        self->start = aio_loop_time(aio_get_running_loop());
        AIO_AWAIT(aio_ws_close(self->ws, 3000, "why"));
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->start, self->round ? 7 : 10, 1);
        CHECK(aio_ws_exception(self->ws) && aio_ws_exception(self->ws)->code == AIO_ETIMEOUT);
        CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_ABNORMAL);
        CHECK_INT(self->raw.n, 6 + 5);
        if (self->round) {
            AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
            CHECK_INT(self->one->code, AIO_ETIMEOUT);
        }
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one); /* it may not have begun, and must not any more */
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A receive that is cancelled, or late, between any two bytes of a message loses nothing. */
struct ws_dripping { aio_task task; aio_stream *stream; aio_text text; size_t i; char accept[29]; };
static const char ws_drip[] = "\x01\x03" "abc\x89\x00\x00\x02" "de\x80\x01" "f\x82\x02gh\x88\x00";
static AIO_CORO(ws_dripping)
{
    const char *key;
    static char answer[200];
    AIO_BEGIN(ws_dripping);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    key = strstr(self->text.data, "Sec-WebSocket-Key: ");
    if (!key) AIO_RETURN();
    aio__ws_accept(self->accept, key + 19);
    snprintf(answer, sizeof answer, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n", self->accept);
    aio_stream_write(self->stream, answer, strlen(answer));
    for (self->i = 0; self->i < sizeof ws_drip - 1; self->i++) {
        AIO_AWAIT(aio_sleep(1));
        aio_stream_write(self->stream, ws_drip + self->i, 1);
    }
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    AIO_END;
}
static void *ws_dripping_handler(aio_stream *stream, void *arg)
{
    return (void)arg, AIO_CALL(ws_dripping, .stream = stream);
}
struct ws_cancelled { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; aio_ws_message m;
    char url[60], got[40]; struct ws_receive_one *one; int late; };
SCENARIO(ws_cancelled, .may = WS_MAY)
{
    AIO_BEGIN(ws_cancelled);
    AIO_AWAIT(self->server, aio_start_server(ws_dripping_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .receive_timeout = 0.5));
    do {
        self->m.type = 0;
        self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
        REQUIRE(self->one);
        AIO_AWAIT(aio_sleep(0.2));
        if (!aio_future_done(self->one)) aio_task_cancel(self->one);
        AIO_TRY {
            AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
            self->m = self->one->result;
        } AIO_CATCH_CODE(AIO_ECANCELLED) {
            if (aio_task_cancelling(aio_current_task())) AIO_RERAISE();
        } AIO_END_TRY;
        aio_unref(self->one);
        self->one = NULL;
        if (!self->m.type) {
            AIO_TRY {
                AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            } AIO_CATCH {
                CAUGHT(AIO_ETIMEOUT);
                self->late++;
            } AIO_END_TRY;
        }
        if (self->m.type && self->m.data.length < 10) strcat(strcat(self->got, self->m.data.data), ";");
    } while (self->m.type != AIO_WS_CLOSE && self->late < 50);
    CHECK_STR(self->got, "abcdef;gh;;");
    CHECK(self->late > 10);
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one); /* it may not have begun, and must not any more */
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* One task closes while another is busy with a message: that one's next receive tells the end. What a close has taken
 * is gone, and of its message the rest, though the close was cancelled. */
struct ws_closing_one { aio_task task; aio_ws *ws; };
static AIO_CORO(ws_closing_one)
{
    AIO_BEGIN(ws_closing_one);
    AIO_AWAIT(aio_ws_close(self->ws, AIO_WS_POLICY, "enough"));
    AIO_END;
}
struct ws_close_meets { WS_DIALS; aio_server *drips; aio_ws_message m; struct ws_closing_one *one; char url[60]; };
SCENARIO(ws_close_meets, .may = WS_MAY)
{
    AIO_BEGIN(ws_close_meets);
    self->raw.says = "\x81\x01" "a";
    self->raw.length = 3;
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .receive_timeout = 100 }));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_STR(self->m.data.data, "a");
    self->one = aio_create_task(AIO_CALL(ws_closing_one, .ws = self->ws));
    REQUIRE(self->one);
    AIO_AWAIT(aio_sleep(1));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.type, AIO_WS_CLOSED);
    CHECK_INT(self->m.extra, AIO_WS_POLICY);
    AIO_AWAIT((struct ws_closing_one *)aio_ref(self->one));
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT(self->drips, aio_start_server(ws_dripping_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->drips));
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .receive_timeout = 100));
    AIO_AWAIT(aio_sleep(2.5));
    AIO_TRY {
        AIO_AWAIT(aio_wait_for(aio_ws_close(self->ws, 0, NULL), 2));
        UNREACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) { } AIO_END_TRY;
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.type, AIO_WS_CLOSE);
    CHECK_INT(self->m.extra, AIO_WS_NO_CODE);
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one); /* it may not have begun, and must not any more */
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
        aio_server_abort_clients(self->drips);
        if (self->drips) AIO_AWAIT(aio_server_wait_closed(self->drips));
    AIO_END;
}

/* Messages of others wait for the end of one in pieces, in order; what is written after the connection's end fails. */
struct ws_send_one { aio_task task; aio_ws *ws; const char *text; int code; };
static AIO_CORO(ws_send_one)
{
    AIO_BEGIN(ws_send_one);
    AIO_TRY {
        AIO_AWAIT(aio_ws_send_text(self->ws, self->text, strlen(self->text)));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    AIO_END;
}
static int ws_waiting(const aio_ws *ws)
{
    int count = 0;
    for (const aio__node *node = ws->sends.next; node != &ws->sends; node = node->next) count++;
    return count;
}
/* Masks that change nothing: what is sent is plain to read. */
static bool ws_unmask(aio_ws *ws)
{
    if (!ws->masks) ws->masks = (uint32_t *)aio__malloc(AIO__WS_MASKS * sizeof *ws->masks);
    if (ws->masks) memset(ws->masks, 0, AIO__WS_MASKS * sizeof *ws->masks);
    ws->mask_count = AIO__WS_MASKS;
    return ws->masks != NULL;
}
struct ws_order { WS_DIALS; struct ws_send_one *one[4]; int i; };
SCENARIO(ws_order, .may = WS_MAY)
{
    static const char *const texts[] = { "b", "c", "d", "e" };
    AIO_BEGIN(ws_order);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    self->ws->masks = (uint32_t *)aio__calloc(AIO__WS_MASKS * sizeof *self->ws->masks); /* plain to read */
    REQUIRE(self->ws->masks);
    self->ws->mask_count = AIO__WS_MASKS;
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "a", 1, false));
    for (self->i = 0; self->i < 4; self->i++) {
        self->one[self->i] = aio_create_task(AIO_CALL(ws_send_one, .ws = self->ws, .text = texts[self->i]));
        REQUIRE(self->one[self->i]);
    }
    aio_unref(aio_ws_send_text(self->ws, "h", 1)); /* nobody awaits it; the others have not begun */
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(ws_waiting(self->ws), 5);
    AIO_AWAIT(aio_ws_ping(self->ws, NULL, 0)); /* may stand between */
    aio_task_cancel(self->one[1]); /* which has not gone out when the message ends, though its task has not run yet */
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_BINARY, "A", 1, true));
    CHECK_INT(ws_waiting(self->ws), 0);
    AIO_AWAIT(aio_ws_send_text(self->ws, "i", 1)); /* the last call of all */
    AIO_AWAIT(aio_sleep(1));
    CHECK_BYTES(self->raw.heard, self->raw.n, "\x01\x81\0\0\0\0a\x89\x80\0\0\0\0\x80\x81\0\0\0\0A\x81\x81\0\0\0\0h"
                "\x81\x81\0\0\0\0b\x81\x81\0\0\0\0d\x81\x81\0\0\0\0e\x81\x81\0\0\0\0i", 55);
    aio_unref(self->one[1]);
    self->one[1] = NULL;
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_BINARY, "f", 1, false));
    self->one[1] = aio_create_task(AIO_CALL(ws_send_one, .ws = self->ws, .text = "g"));
    REQUIRE(self->one[1]);
    AIO_AWAIT(aio_sleep(1));
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT((struct ws_send_one *)aio_ref(self->one[1]));
    CHECK_INT(self->one[1]->code, EPIPE);
    AIO_FINALLY;
        for (int i = 0; i < 4; i++) {
            if (self->one[i]) aio_task_cancel(self->one[i]);
            aio_unref(self->one[i]);
        }
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* From an aio_ws_close on nothing more is sent: who waits for his turn hears it at once, though the peer is silent. */
struct ws_close_refuses { WS_DIALS; struct ws_send_one *one; aio_future *closing; double began; };
SCENARIO(ws_close_refuses, .may = WS_MAY)
{
    AIO_BEGIN(ws_close_refuses);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    REQUIRE(ws_unmask(self->ws));
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "a", 1, false));
    REQUIRE(self->one = aio_create_task(AIO_CALL(ws_send_one, .ws = self->ws, .text = "b")));
    AIO_AWAIT(aio_sleep(1));
    self->began = aio_loop_time(aio_get_running_loop());
    REQUIRE(self->closing = aio_ws_close(self->ws, 0, NULL));
    if (aio_future_done(self->closing)) AIO_AWAIT((aio_future *)aio_ref(self->closing)); /* it has failed */
    AIO_TIMEOUT(8) AIO_AWAIT((struct ws_send_one *)aio_ref(self->one));
    CHECK_INT(self->one->code, EPIPE);
    AIO_TRY {
        AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "c", 1, true));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0, 0.5);
    AIO_AWAIT(aio_sleep(1));
    CHECK_BYTES(self->raw.heard, self->raw.n, "\x01\x81\0\0\0\0a\x88\x82\0\0\0\0\x03\xE8", 15);
    AIO_FINALLY;
        aio_unref(self->closing);
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A message has a send_timeout of its own once all before it was taken. */
static int ws_tardy_code;
struct ws_tardy { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message m; int i; };
static AIO_CORO(ws_tardy)
{
    AIO_BEGIN(ws_tardy);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .send_timeout = 10));
    tardy_stream = aio_ws_stream(self->ws);
    for (; self->i < 5000 && !aio_stream_write_buffer_size(tardy_stream); self->i++)
        aio_unref(aio_ws_send_bytes(self->ws, plenty, 1000));
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        aio_unref(aio_ws_send_bytes(self->ws, plenty, PLENTY));
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    } AIO_CATCH {
        ws_tardy_code = aio_caught(self)->code;
    } AIO_END_TRY;
    AIO_FINALLY;
        tardy_stream = NULL;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_tardy_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(ws_tardy, .request = request);
}

struct ws_taken_late { aio_task task; aio_server *server; aio_stream *stream; aio_text text; char path[60]; int i; };
SCENARIO(ws_taken_late, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED, AIO_EINCOMPLETE, ENOENT },
         .skip = KIND_SLICE | KIND_CALL /* what the system takes late, after EAGAIN, is progress */)
{
    AIO_BEGIN(ws_taken_late);
    tardy_stream = NULL;
    ws_tardy_code = 0;
    snprintf(self->path, sizeof self->path, "/tmp/aio-tardy-%ld", (long)getpid());
    unlink(self->path);
    AIO_AWAIT(self->server, aio_start_unix_http_server(ws_tardy_handler, NULL, self->path));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path, .limit = 2048));
    aio_stream_write(self->stream, WS_ASKS(""), sizeof WS_ASKS("") - 1);
    AIO_AWAIT(aio_sleep(9));
    for (; self->i < 500 && tardy_stream && !touched(); self->i++) { /* until the little is taken that was unsent */
        aio__stream_flush(tardy_stream);
        if (!aio_stream_write_buffer_size(tardy_stream)) break;
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 1000));
    }
    aio_stream_write(self->stream, "\x81\x81\0\0\0\0x", 7);
    AIO_AWAIT(aio_sleep(9)); /* the time of the first ones ends meanwhile */
    CHECK_INT(ws_tardy_code, 0);
    AIO_AWAIT(aio_sleep(2));
    CHECK_INT(ws_tardy_code, ETIMEDOUT);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
        unlink(self->path);
    AIO_END;
}

/* The bytes of a compressed message are those of RFC 7692 7.2.3.1, without what the receiver knows. */
struct ws_deflated_bytes { WS_DIALS; };
SCENARIO(ws_deflated_bytes, .may = WS_MAY)
{
    AIO_BEGIN(ws_deflated_bytes);
    self->raw.head = WS_101(WS_OK WS_DEFLATE);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .compress = 15 }));
    REQUIRE(ws_unmask(self->ws));
    AIO_AWAIT(aio_ws_send_text(self->ws, "Hello", 5));
    AIO_AWAIT(aio_sleep(1));
    CHECK_BYTES(self->raw.heard, self->raw.n, "\xC1\x87\0\0\0\0\xF2\x48\xCD\xC9\xC9\x07\0", 13);
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* The server's side of an aio_ws_close that no frame answers: who receives meanwhile is told. The client's close may be
 * asked for, and the WebSocket released before that has begun. And a compressed message in many pieces is as long as
 * what it stands for. */
static int ws_alone_code, ws_alone_got;
struct ws_alone { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message m; struct ws_closing_one *one; };
static AIO_CORO(ws_alone)
{
    AIO_BEGIN(ws_alone);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .close_timeout = 0.05, .compress = 15,
                                                      .max_msg_size = 100));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    if (self->m.type != AIO_WS_TEXT) AIO_RETURN();
    ws_alone_got = (int)self->m.data.length;
    REQUIRE(self->one = aio_create_task(AIO_CALL(ws_closing_one, .ws = self->ws)));
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        UNREACHED();
    } AIO_CATCH {
        ws_alone_code = aio_caught(self)->code;
    } AIO_END_TRY;
    AIO_AWAIT((struct ws_closing_one *)aio_ref(self->one));
    AIO_FINALLY;
        aio_unref(self->one);
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_alone_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(ws_alone, .request = request);
}

struct ws_silent { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; aio_future *closing;
    char url[60]; int i; };
static AIO_CORO(ws_silent)
{
    AIO_BEGIN(ws_silent);
    AIO_AWAIT(self->server, aio_start_http_server(ws_alone_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .compress = 15, .close_timeout = 0.05));
    for (self->i = 0; self->i < 60; self->i++)
        AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "x", 1, self->i == 59));
    AIO_AWAIT(aio_sleep(0.15));
    aio_ws_release(self->ws);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .close_timeout = 0.05));
    self->closing = (aio_future *)aio_ensure_future(aio_ws_close(self->ws, 0, NULL));
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT((aio_future *)aio_ref(self->closing));
    AIO_FINALLY;
        aio_unref(self->closing);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}
TEST(ws_close_is_heard)
{
    aio_loop *loop = loop_open();
    ws_alone_code = ws_alone_got = 0;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(ws_silent), NULL), 0);
    CHECK_INT(ws_alone_got, 60);
    CHECK_INT(ws_alone_code, AIO_ETIMEOUT);
    aio_loop_free(loop);
}

/* Messages go out in the order of the calls: nothing overtakes those that wait for the end of one in pieces, neither a
 * message nor the pieces of the next one nor a close frame, also where their tasks begin late. */
struct ws_overtakes { WS_DIALS; aio_future *sent[7]; int i, depth; };
SCENARIO(ws_overtakes, .may = WS_MAY)
{
    AIO_BEGIN(ws_overtakes);
    for (self->i = 0; self->i < 2; self->i++) {
        self->raw.n = 0;
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
        REQUIRE(ws_unmask(self->ws));
        self->depth = aio_get_running_loop()->eager_depth;
        if (self->i) aio_get_running_loop()->eager_depth = AIO__EAGER_MAX;
        self->sent[0] = aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "a", 1, false);
        self->sent[1] = aio_ws_send_text(self->ws, "b", 1);
        self->sent[2] = aio_ws_send_bytes(self->ws, "c", 1);
        self->sent[3] = aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "A", 1, true);
        self->sent[4] = aio_ws_send_text(self->ws, "d", 1);
        self->sent[5] = aio_ws_send_chunk(self->ws, AIO_WS_BINARY, "e", 1, false);
        self->sent[6] = aio_ws_send_chunk(self->ws, AIO_WS_BINARY, "E", 1, true);
        aio_get_running_loop()->eager_depth = self->depth;
        for (int i = 0; i < 7; i++) REQUIRE(self->sent[i]);
        AIO_AWAIT(aio_gather(self->sent, 7));
        aio_unref_all(self->sent, 7);
        aio_unref(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "f", 1, false));
        aio_unref(aio_ws_send_text(self->ws, "g", 1));
        aio_unref(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "F", 1, true));
        self->sent[0] = aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "h", 1, false);
        self->sent[1] = aio_ws_send_text(self->ws, "never", 5);
        aio_ws_release(self->ws); /* says 1001 */
        self->ws = NULL;
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->sent[1]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EPIPE);
        } AIO_END_TRY;
        aio_unref_all(self->sent, 2);
        AIO_AWAIT(aio_sleep(1));
        CHECK_BYTES(self->raw.heard, self->raw.n, "\x01\x81\0\0\0\0a\x80\x81\0\0\0\0A\x81\x81\0\0\0\0b"
                    "\x82\x81\0\0\0\0c\x81\x81\0\0\0\0d\x02\x81\0\0\0\0e\x80\x81\0\0\0\0E"
                    "\x01\x81\0\0\0\0f\x80\x81\0\0\0\0F\x81\x81\0\0\0\0g\x01\x81\0\0\0\0h"
                    "\x88\x82\0\0\0\0\x03\xE9", 85);
    }
    AIO_FINALLY;
        aio_unref_all(self->sent, 7);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A close that was called has its WebSocket, also if it begins after the release, or never does. */
struct ws_closes_late { WS_DIALS; aio_future *closing; };
SCENARIO(ws_closes_late, .may = WS_MAY)
{
    AIO_BEGIN(ws_closes_late);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    REQUIRE(ws_unmask(self->ws));
    self->closing = aio_ws_close(self->ws, 4001, NULL);
    REQUIRE(self->closing);
    if (aio_future_done(self->closing)) AIO_AWAIT(aio_ref(self->closing)); /* the frame could not be written */
    CHECK_INT(self->ws->refs, 2);
    aio_future_cancel(self->closing); /* it never begins */
    aio_unref(self->closing);
    self->closing = NULL;
    CHECK_INT(self->ws->refs, 1);
    self->closing = aio_ensure_future(aio_ws_close(self->ws, 0, NULL));
    REQUIRE(self->closing);
    if (aio_future_done(self->closing)) AIO_AWAIT(aio_ref(self->closing));
    CHECK_INT(self->ws->refs, 2);
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT(aio_ref(self->closing));
    AIO_AWAIT(aio_sleep(1));
    CHECK_BYTES(self->raw.heard, self->raw.n, "\x88\x82\0\0\0\0\x0F\xA1", 8);
    AIO_FINALLY;
        if (self->closing) aio_future_cancel(self->closing);
        aio_unref(self->closing);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A release while another task receives: that one is told. */
struct ws_released { WS_DIALS; struct ws_receive_one *one; };
SCENARIO(ws_released, .may = WS_MAY)
{
    AIO_BEGIN(ws_released);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
    REQUIRE(self->one);
    AIO_AWAIT(aio_sleep(1));
    aio_ws_release(self->ws);
    self->ws = NULL;
    AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
    CHECK_INT(self->one->code, ECONNABORTED);
    AIO_AWAIT(aio_sleep(1));
    CHECK(self->raw.n == 8 && (unsigned char)self->raw.heard[0] == 0x88);
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Pings and pongs as messages, and a close frame that the program answers itself. */
struct ws_by_hand { WS_DIALS; aio_ws_message m; };
SCENARIO(ws_by_hand, .may = WS_MAY)
{
    AIO_BEGIN(ws_by_hand);
    self->raw.says = "\x01\x01x\x89\x02hi\x8A\x00\x80\x01y\x88\x04\x03\xE9" "no";
    self->raw.length = 18;
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .no_autoping = true, .no_autoclose = true }));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.type, AIO_WS_PING);
    CHECK_STR(self->m.data.data, "hi");
    AIO_AWAIT(aio_ws_pong(self->ws, self->m.data.data, self->m.data.length));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.type, AIO_WS_PONG);
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_STR(self->m.data.data, "xy");
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.type, AIO_WS_CLOSE);
    CHECK_INT(self->m.extra, AIO_WS_GOING_AWAY);
    CHECK_STR(self->m.data.data, "no");
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(self->raw.n, 8);
    AIO_AWAIT(aio_ws_close(self->ws, 4999, "ok"));
    AIO_AWAIT(aio_sleep(1));
    CHECK(self->raw.n == 18 && (unsigned char)self->raw.heard[8] == 0x88);
    CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_GOING_AWAY);
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

static unsigned char ws_drawn; /* bytes that count on: those of each mask begin with 4k + 1 */
static int ws_entropy(void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) ((unsigned char *)bytes)[i] = ++ws_drawn;
    return 0;
}

/* Each frame of a client has a mask of its own, from the system's randomness. */
enum { WS_MASKED = 20 };
struct ws_masks_differ { WS_DIALS; int i; };
SCENARIO(ws_masks_differ, .may = WS_MAY)
{
    bool seen[256];
    AIO_BEGIN(ws_masks_differ);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    ws_drawn = 0;
    aio__os.getentropy = ws_entropy;
    for (self->i = 0; self->i < WS_MASKED; self->i++) AIO_AWAIT(aio_ws_send_text(self->ws, "hello", 5));
    AIO_AWAIT(aio_sleep(1));
    REQUIRE(self->raw.n == WS_MASKED * 11);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < WS_MASKED; i++) {
        const unsigned char *frame = (const unsigned char *)self->raw.heard + 11 * i, *mask = frame + 2;
        CHECK(frame[0] == 0x81 && frame[1] == 0x85 && mask[0] % 4 == 1 && !seen[mask[0]]);
        seen[mask[0]] = true;
        for (int k = 1; k < 4; k++) CHECK_INT(mask[k], mask[0] + k);
        for (int k = 0; k < 5; k++) CHECK_INT(frame[6 + k] ^ mask[k % 4], "hello"[k]);
    }
    AIO_FINALLY;
        aio__os.getentropy = seam_getentropy;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What cannot be said. */
struct ws_wrong { WS_DIALS; int i; aio_ws *other; };
static aio_future *ws_wrong_call(aio_ws *ws, int i)
{
    static char long_reason[126];
    memset(long_reason, 'r', 124);
    switch (i) {
    case 0: return aio_ws_close(ws, 999, NULL);
    case 1: return aio_ws_close(ws, AIO_WS_NO_CODE, NULL);
    case 2: return aio_ws_close(ws, AIO_WS_ABNORMAL, NULL);
    case 3: return aio_ws_close(ws, 5000, NULL);
    case 4: return aio_ws_close(ws, 0, long_reason);
    case 5: return aio_ws_close(ws, 0, "\xFF");
    case 6: return aio_ws_close(NULL, 0, NULL);
    case 7: return aio_ws_ping(ws, ws_large, 126);
    case 8: return aio_ws_send_chunk(ws, AIO_WS_PING, "", 0, true);
    case 9: return aio_ws_send_bytes(ws, NULL, 1);
    case 10: return aio_ws_send_text(NULL, "", 0);
    case 11: return aio_ws_send_json(ws, NULL);
    case 12: return (aio_future *)aio_ws_receive(NULL);
    case 13: return (aio_future *)aio_request_upgrade_websocket(NULL);
    case 14: return (aio_future *)aio_ws_connect(NULL, "ws://h/");
    default: return aio_ws_send_text(ws, "\xC3", 1);
    }
}
SCENARIO(ws_wrong, .may = WS_MAY)
{
    AIO_BEGIN(ws_wrong);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    for (self->i = 0; self->i < 16; self->i++) {
        AIO_TRY {
            AIO_AWAIT(ws_wrong_call(self->ws, self->i));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 15 ? EILSEQ : EINVAL);
        } AIO_END_TRY;
    }
    AIO_TRY {
        AIO_AWAIT(self->other, aio_ws_connect(self->session, NULL));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    CHECK_INT(self->raw.n, 0);
    CHECK(!aio_ws_close_code(NULL) && !aio_ws_exception(NULL) && !aio_ws_protocol(NULL) && !aio_ws_stream(NULL));
    aio_ws_release(NULL);
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* One peer floods with frames that give nothing to the program: others have their turns meanwhile. */
enum { WS_FLOOD = 4000 };
struct ws_flooding { WS_DIALS; struct ws_receive_one *one; int i; size_t before, most; };
SCENARIO(ws_flooding, .may = WS_MAY, .skip = KIND_SLICE /* long */)
{
    static char frames[2 * WS_FLOOD];
    AIO_BEGIN(ws_flooding);
    memset(frames, 0, sizeof frames);
    frames[0] = AIO_WS_BINARY;
    frames[2 * WS_FLOOD - 2] = (char)AIO__WS_FIN;
    self->raw.says = frames;
    self->raw.length = sizeof frames;
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
    REQUIRE(self->one);
    for (self->i = 0; self->i < WS_LOOKS && !aio_future_done(self->one); self->i++) {
        AIO_AWAIT(aio_sleep(0));
        size_t left;
        left = aio_stream_unread(aio_ws_stream(self->ws)).length;
        if (self->before > left && self->before - left > self->most) self->most = self->before - left;
        self->before = left;
    }
    CHECK(aio_future_done(self->one) && self->one->result.type == AIO_WS_BINARY);
    CHECK(self->most > 0 && self->most <= 2 * 150);
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A few bytes of a peer that stand for very many, and messages of ours that are short when they are compressed: both
 * count for a turn as what they are without that. */
enum { WS_SWOLLEN = 200000 };
struct ws_swells { WS_DIALS; aio_task *ticker; int ticks, i; aio_ws_message m; aio_text packed; char frame[2000]; };
SCENARIO(ws_swells, .may = WS_MAY)
{
    AIO_BEGIN(ws_swells);
    memset(ws_large, 'x', WS_SWOLLEN);
    REQUIRE(!aio_deflate_all(&self->packed, ws_large, WS_SWOLLEN, .format = AIO_CODING_RAW));
    self->raw.length = self->packed.length;
    REQUIRE(self->raw.length > 125 && self->raw.length < sizeof self->frame - 4);
    memcpy(self->frame, "\xC2\x7E", 2);
    self->frame[2] = (char)(self->raw.length >> 8);
    self->frame[3] = (char)self->raw.length;
    memcpy(self->frame + 4, self->packed.data, self->raw.length);
    self->raw.length += 4;
    self->raw.says = self->frame;
    self->raw.head = WS_101(WS_OK WS_DEFLATE);
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .compress = 15 }));
    FLOOD_BEGIN(.bytes = 10000);
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_INT(self->m.data.length, WS_SWOLLEN);
    CHECK(self->ticks >= 15);
    FLOOD_END();
    FLOOD_BEGIN(.bytes = 1000);
    for (self->i = 0; self->i < 20; self->i++) AIO_AWAIT(aio_ws_send_text(self->ws, ws_large, 500));
    CHECK(self->ticks >= 9);
    AIO_FINALLY;
        FLOOD_END();
        aio_text_clear(&self->packed);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Who closes after a violation reads on until the peer ends, which sends as fast as it is read: 400 times 4096
 * bytes. */
static struct { int fd, left; } ws_babble;
static ssize_t ws_babble_recv(int fd, void *data, size_t size, int flags)
{
    if (fd != ws_babble.fd) return seam_recv(fd, data, size, flags);
    if (ws_babble.left-- <= 0) return 0;
    memset(data, 'x', size = size < 4096 ? size : 4096);
    return (ssize_t)size;
}

struct ws_babbling { WS_DIALS; aio_task *ticker; int ticks; aio_ws_message m; };
SCENARIO(ws_babbling, .may = WS_MAY)
{
    AIO_BEGIN(ws_babbling);
    self->raw.says = "\xF2\0";
    self->raw.length = 2;
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session));
    AIO_TRY {
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EWEBSOCKET);
    } AIO_END_TRY;
    ws_babble.fd = aio_stream_fileno(aio_ws_stream(self->ws));
    ws_babble.left = 400;
    aio__os.recv = ws_babble_recv;
    FLOOD_BEGIN(.bytes = 20000);
    seam_rearm(ws_babble.fd);
    AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
    CHECK(ws_babble.left <= 0 && self->ticks >= 60);
    AIO_FINALLY;
        aio__os.recv = seam_recv;
        FLOOD_END();
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Who takes no pongs gets no more of them than the stream's limit. */
struct ws_no_pongs { aio_task task; aio_server *server; aio_stream *stream; struct ws_site site; aio_text text; int i;
    char frames[13100]; size_t unsent, before; };
SCENARIO(ws_no_pongs, .may = WS_MAY, .skip = KIND_SLICE | KIND_CANCEL | KIND_ALLOC | KIND_CALL /* much, and the same */)
{
    AIO_BEGIN(ws_no_pongs);
    AIO_AWAIT(self->server, aio_start_http_server(ws_site_handler, &self->site, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    for (self->i = 0; self->i < 100; self->i++) {
        memcpy(self->frames + 131 * self->i, "\x89\xFD\0\0\0\0", 6);
        memset(self->frames + 131 * self->i + 6, 'x', 125);
    }
    aio_stream_write(self->stream, WS_ASKS(""), strlen(WS_ASKS("")));
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    for (self->i = 0; self->i < 2000; self->i++) { /* until the server reads no more */
        aio_stream_write(self->stream, self->frames, sizeof self->frames);
        AIO_AWAIT(aio_sleep(0));
        if (aio_stream_write_buffer_size(self->stream) > 400000) break;
    }
    CHECK(self->i < 2000);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* Redirects of the handshake, to ws and to http, which do not say what a plain GET may follow. */
struct ws_turns { aio_task task; aio_request *request; char to[80]; };
static AIO_CORO(ws_turns)
{
    AIO_BEGIN(ws_turns);
    snprintf(self->to, sizeof self->to, "%s%.*s/new", !strcmp(self->request->path.data, "/ws") ? "ws://" : "http://",
             (int)self->request->authority.length, self->request->authority.data);
    AIO_AWAIT(aio_request_redirect(self->request, 307, self->to));
    AIO_END;
}
static void *ws_turns_handler(aio_request *request, void *arg)
{
    return strcmp(request->path.data, "/new") ? (void *)AIO_CALL(ws_turns, .request = request)
                                              : ws_site_handler(request, arg);
}
struct ws_redirected { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; aio_response *r;
    struct ws_site site; int i; char url[60]; };
SCENARIO(ws_redirected, .may = WS_MAY)
{
    AIO_BEGIN(ws_redirected);
    AIO_AWAIT(self->server, aio_start_http_server(ws_turns_handler, &self->site, "127.0.0.1", 0));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/%s", aio_server_port(self->server),
                 self->i ? "http" : "ws");
        AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url));
        CHECK(aio_ws_stream(self->ws));
        AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
        CHECK_INT(aio_ws_close_code(self->ws), AIO_WS_OK);
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_TRY {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/ws", aio_server_port(self->server));
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EURL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* ws:// goes through a tunnel: what a proxy makes of Upgrade in absolute form is its own business. */
struct ws_tunnel { aio_task task; aio_stream *stream; struct ws_raw *raw; aio_text text; };
static AIO_CORO(ws_tunnel)
{
    AIO_BEGIN(ws_tunnel);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    CHECK(!strncmp(self->text.data, "CONNECT a.test:81 HTTP/1.1\r\n", 28));
    aio_stream_write(self->stream, "HTTP/1.1 200 OK\r\n\r\n", 19);
    AIO_AWAIT(AIO_CALL(ws_raw_client, .stream = self->stream, .raw = self->raw));
    AIO_END;
}
static void *ws_tunnel_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(ws_tunnel, .stream = stream, .raw = (struct ws_raw *)arg);
}
struct ws_proxy { WS_DIALS; aio_ws_message m; char proxy[60]; };
SCENARIO(ws_proxy, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EHANDSHAKE, ECONNABORTED,
                          AIO_EPROXY })
{
    AIO_BEGIN(ws_proxy);
    self->raw.says = "\x81\x02hi";
    self->raw.length = 4;
    AIO_AWAIT(self->server, aio_start_server(ws_tunnel_handler, &self->raw, "127.0.0.1", 0));
    snprintf(self->proxy, sizeof self->proxy, "http://127.0.0.1:%d", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, "ws://a.test:81/", .proxy = self->proxy));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    CHECK_STR(self->m.data.data, "hi");
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A client that leaves without a word, breaks the protocol, or says too much is no error of the handler: nothing is
 * reported. */
struct ws_left { aio_task task; aio_server *server; struct ws_talk *talk; struct ws_site site; int i; };
SCENARIO(ws_left, .may = WS_MAY)
{
    static const struct { const char *said; size_t length, heard; } rows[] = {
        { "", 0, 0 }, { "\x83", 1, 26 }, { "\x82\xFE\x27\x11", 4, 43 } };
    AIO_BEGIN(ws_left);
    self->site.options.max_msg_size = 10000;
    AIO_AWAIT(self->server, aio_start_http_server(ws_echo_handler, &self->site, "127.0.0.1", 0));
    for (self->i = 0; self->i < 3; self->i++) {
        self->talk = aio_create_task(AIO_CALL(ws_talk, .port = aio_server_port(self->server), .head = WS_ASKS(""),
                                              .said = rows[self->i].said, .length = rows[self->i].length));
        AIO_AWAIT((struct ws_talk *)aio_ref(self->talk));
        CHECK_INT(self->talk->heard, strlen(WS_AGREES("")) + rows[self->i].heard);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        SERVER_END(self->server);
    AIO_END;
}
