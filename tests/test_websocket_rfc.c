/* RFC 6455 and RFC 7692 by a generator: heads of every kind, orders of frames, codes, reasons and texts, compressed or
 * not, as a server and as a client, against a plain decoder of the rules that has the bytes before it as a whole. */

/* ---- the rules ---- */

typedef struct rfc { /* what must become of the bytes that one side says to the other */
    bool     server, deflates, resets; /* the side that hears; `resets`: no context outlives a message */
    uint64_t max;
    char     told[1500], said[600]; /* what its program is told, and what it answers */
    size_t   told_n, said_n;
    int      code;        /* of the end; 0: there was none, and the connection's makes one */
    uint8_t  message[1200], window[6000]; /* as it came; what was inflated, with all before it */
    size_t   message_n, window_n, begins;
    int      type;        /* of the message; 0: none */
    bool     packed;
} rfc;

AIO__PRINTF(2, 3)
static void rfc_told(rfc *o, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(o->told + o->told_n, sizeof o->told - o->told_n, format, arguments);
    va_end(arguments);
    o->told_n += (size_t)n < sizeof o->told - o->told_n ? (size_t)n : sizeof o->told - o->told_n - 1;
}

static void rfc_says(rfc *o, unsigned first, const void *data, size_t n)
{
    char *at = o->said + o->said_n;
    size_t head = o->server ? 2 : 6;
    memset(at, 0, head);
    at[0] = (char)first;
    at[1] = (char)(o->server ? n : n | 0x80);
    if (n) memcpy(at + head, data, n);
    o->said_n += head + n;
}

static void rfc_bad(rfc *o, int code, const char *why)
{
    char payload[125];
    size_t n = strlen(why);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 255);
    memcpy(payload + 2, why, n);
    rfc_says(o, 0x88, payload, n + 2);
    rfc_told(o, "!%s %d WebSocket: %s (%d)", code == 1009 ? "LimitOverrunError" : "WebSocketError", code, why, code);
    o->code = code;
}

/* 1: a text; 0: the beginning of one; -1: none. A table of what may follow each first byte (Unicode, table 3-7). */
static int rfc_utf8(const uint8_t *at, size_t n)
{
    static const struct { uint8_t from, to, more, low, high; } rows[] = {
        { 0x00, 0x7F, 0, 0, 0 }, { 0xC2, 0xDF, 1, 0x80, 0xBF }, { 0xE0, 0xE0, 2, 0xA0, 0xBF },
        { 0xE1, 0xEC, 2, 0x80, 0xBF }, { 0xED, 0xED, 2, 0x80, 0x9F }, { 0xEE, 0xEF, 2, 0x80, 0xBF },
        { 0xF0, 0xF0, 3, 0x90, 0xBF }, { 0xF1, 0xF3, 3, 0x80, 0xBF }, { 0xF4, 0xF4, 3, 0x80, 0x8F },
    };
    for (size_t i = 0; i < n;) {
        size_t row = 0;
        while (row < sizeof rows / sizeof *rows && (at[i] < rows[row].from || at[i] > rows[row].to)) row++;
        if (row == sizeof rows / sizeof *rows) return -1;
        for (size_t k = 1; k <= rows[row].more; k++) {
            if (i + k == n) return 0;
            if (at[i + k] < (k == 1 ? rows[row].low : 0x80) || at[i + k] > (k == 1 ? rows[row].high : 0xBF)) return -1;
        }
        i += (size_t)rows[row].more + 1;
    }
    return 1;
}

/* Stored blocks and those with the fixed codes (RFC 1951 3.2). 1: they end with a byte; 0: more is to come; -1: bad. */
typedef struct rfc_bits { const uint8_t *at; size_t n, bit; bool short_; } rfc_bits;
static unsigned rfc_take(rfc_bits *b, unsigned count, bool code)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++, b->bit++) {
        unsigned bit = b->bit / 8 < b->n ? (unsigned)b->at[b->bit / 8] >> (b->bit % 8) & 1u : 0;
        b->short_ = b->short_ || b->bit / 8 >= b->n;
        value = code ? value << 1 | bit : value | bit << i;
    }
    return value;
}

static int rfc_fixed_symbol(rfc_bits *b)
{
    unsigned code = rfc_take(b, 7, true);
    if (code < 24) return (int)code + 256;
    code = code << 1 | rfc_take(b, 1, true);
    if (code < 0xC0) return (int)code - 0x30;
    if (code < 0xC8) return (int)code - 0xC0 + 280;
    return (int)(code << 1 | rfc_take(b, 1, true)) - 0x190 + 144;
}

static int rfc_fixed(rfc *o, rfc_bits *b)
{
    for (;;) {
        int symbol = rfc_fixed_symbol(b);
        if (b->short_ || symbol == 256) return b->short_ ? 0 : 1;
        if (symbol < 256) {
            o->window[o->window_n++] = (uint8_t)symbol;
            continue;
        }
        unsigned i = (unsigned)symbol - 257, extra = i < 8 || i == 28 ? 0 : (i - 4) / 4;
        size_t length = i < 8 ? i + 3 : i == 28 ? 258 : ((4 + i % 4) << extra) + 3 + rfc_take(b, extra, false);
        if (i > 28) return -1;
        unsigned d = rfc_take(b, 5, true);
        extra = d < 4 ? 0 : d / 2 - 1;
        size_t distance = (d < 4 ? d : (2 + d % 2) << extra) + 1u + rfc_take(b, extra, false);
        if (b->short_) return 0;
        if (d > 29 || distance > o->window_n) return -1;
        for (; length--; o->window_n++) o->window[o->window_n] = o->window[o->window_n - distance];
    }
}

static int rfc_stored(rfc *o, rfc_bits *b)
{
    b->bit = (b->bit + 7) / 8 * 8;
    unsigned n = rfc_take(b, 16, false), not_n = rfc_take(b, 16, false);
    if (b->short_) return 0;
    if ((n ^ not_n) != 0xFFFF) return -1;
    for (; n--; o->window_n++) {
        o->window[o->window_n] = (uint8_t)rfc_take(b, 8, false);
        if (b->short_) return 0;
    }
    return 1;
}

static int rfc_inflate(rfc *o, const uint8_t *at, size_t n)
{
    rfc_bits b = { at, n, 0, false };
    o->window_n = o->begins;
    for (;;) {
        if (b.bit == 8 * n) return 1;
        unsigned last = rfc_take(&b, 1, false), kind = rfc_take(&b, 2, false);
        if (b.short_) return 0;
        int done = kind == 0 ? rfc_stored(o, &b) : kind == 1 ? rfc_fixed(o, &b) : -1;
        if (done != 1) return done;
        if (last) b.bit = (b.bit + 7) / 8 * 8;
    }
}

/* Bytes of the message have come, `end` with its last ones. */
static void rfc_data(rfc *o, const uint8_t *data, size_t n, bool end)
{
    const uint8_t *text = o->message;
    if (n) memcpy(o->message + o->message_n, data, n);
    size_t length = o->message_n += n;
    int good = 1;
    if (o->packed) {
        good = rfc_inflate(o, o->message, length);
        if (end && good == 0) {
            memcpy(o->message + length, "\0\0\xFF\xFF", 4); /* RFC 7692 7.2.2 */
            good = rfc_inflate(o, o->message, length + 4) == 1 ? 1 : -1;
        }
        text = o->window + o->begins;
        length = o->window_n - o->begins;
        if (length > o->max) {
            rfc_bad(o, 1009, "the message is longer than max_msg_size");
            return;
        }
    }
    int utf8 = o->type == 1 ? rfc_utf8(text, length) : 1;
    if (utf8 < 0) rfc_bad(o, 1007, "the text is not UTF-8");
    else if (good < 0) rfc_bad(o, 1007, "the compressed data is not valid");
    else if (end && !utf8) rfc_bad(o, 1007, "the text is not UTF-8");
    if (o->code || !end) return;
    if (length > 60) rfc_told(o, "%s%u;", o->type == 1 ? "T" : "B", (unsigned)length);
    else rfc_told(o, "%s:%.*s;", o->type == 1 ? "T" : "B", (int)length, (const char *)text);
    if (o->packed) o->begins = o->resets ? 0 : o->window_n;
    o->type = 0;
    o->message_n = 0;
}

static void rfc_close(rfc *o, const uint8_t *payload, size_t n)
{
    int code = n < 2 ? 1005 : payload[0] * 256 + payload[1];
    if (n == 1) rfc_bad(o, 1002, "a close frame has half a code");
    else if (n && !(code >= 1000 && code < 1015 && (code < 1004 || code > 1006)) && !(code >= 3000 && code < 5000))
        rfc_bad(o, 1002, "a close frame has a code that it must not have");
    else if (n > 2 && rfc_utf8(payload + 2, n - 2) != 1) rfc_bad(o, 1007, "the reason for closing is not UTF-8");
    if (o->code) return;
    o->code = code;
    rfc_says(o, 0x88, payload, n ? 2 : 0);
    if (n > 62) rfc_told(o, "C%d %u;", code, (unsigned)n - 2);
    else rfc_told(o, "C%d:%.*s;", code, n ? (int)n - 2 : 0, n ? (const char *)payload + 2 : "");
}

/* What is wrong with a frame's head of which n bytes are there, in the order of the bytes; NULL: nothing. */
static const char *rfc_head(const rfc *o, const uint8_t *d, size_t n, int *code)
{
    unsigned opcode = d[0] & 15, reserved = d[0] >> 4 & 7;
    bool control = opcode >= 8, begins = opcode == 1 || opcode == 2;
    *code = 1002;
    if (reserved > (o->deflates && begins ? 4u : 0u) || (reserved & 3)) return "a reserved bit is set";
    if (opcode > 10 || (opcode > 2 && opcode < 8)) return "the opcode is reserved";
    if (control && d[0] < 128) return "a control frame is fragmented";
    if (opcode == 0 && !o->type) return "a continuation continues nothing";
    if (begins && o->type) return "a message begins within another one";
    if (n < 2) return NULL;
    if (o->server && d[1] < 128) return "a client's frame is not masked";
    if (!o->server && d[1] >= 128) return "a server's frame is masked";
    unsigned seven = d[1] & 127;
    if (control && seven > 125) return "a control frame is longer than 125 bytes";
    size_t size = seven < 126 ? 0 : seven == 126 ? 2 : 8;
    if (n < 2 + size) return NULL;
    uint64_t length = size ? 0 : seven;
    for (size_t i = 0; i < size; i++) length = length * 256 + d[2 + i];
    if (size == 8 && d[2] >= 128) return "the length has its highest bit set";
    if ((size == 2 && length < 126) || (size == 8 && length < 65536)) return "the length is not in its shortest form";
    *code = 1009;
    bool packed = begins ? reserved == 4 : o->packed;
    uint64_t most = packed ? o->max + 64 + o->max / 64 : o->max;
    if (!control && length > most - (begins ? 0 : o->message_n)) return "the message is longer than max_msg_size";
    return NULL;
}

/* Bytes of a head that is whole; 0: it is not. */
static size_t rfc_head_size(const rfc *o, const uint8_t *d, size_t n)
{
    size_t size = n < 2 ? 2 : (d[1] & 127) < 126 ? 2 : (d[1] & 127) == 126 ? 4 : 10;
    size += o->server ? 4 : 0;
    return n < size ? 0 : size;
}

static void rfc_read(rfc *o, const uint8_t *d, size_t n)
{
    while (n && !o->code) {
        int code;
        uint8_t payload[1000];
        const char *why = rfc_head(o, d, n, &code);
        size_t size = rfc_head_size(o, d, n);
        if (why) rfc_bad(o, code, why);
        if (why || !size) break;
        uint64_t length = d[1] & 127;
        if (length == 126) length = d[2] * 256u + d[3];
        else if (length == 127) length = UINT64_MAX; /* more than any that is generated */
        size_t there = n - size < length ? n - size : (size_t)length;
        for (size_t i = 0; i < there; i++) payload[i] = d[size + i] ^ (o->server ? d[size - 4 + i % 4] : 0);
        unsigned opcode = d[0] & 15;
        if (opcode >= 8 && there < length) break;
        if (opcode == 8) rfc_close(o, payload, there);
        else if (opcode == 9) rfc_says(o, 0x8A, payload, there);
        if (opcode == 1 || opcode == 2) {
            o->type = (int)opcode;
            o->packed = (d[0] & 0x40) != 0;
        }
        if (opcode < 8) rfc_data(o, payload, there, there == length && d[0] >= 128);
        d += size + there;
        n -= size + there;
    }
    if (o->code) return;
    rfc_told(o, "!ServerDisconnectedError 1006 the connection ended without a close frame");
}

/* ---- heads ---- */

/* Every first byte with every form of the length, masked or not, in every state, whole and byte by byte. */
TEST(ws_rfc_heads)
{
    static const struct { unsigned seven; uint64_t length; } lengths[] = {
        { 0, 0 }, { 1, 0 }, { 125, 0 }, { 126, 0 }, { 126, 125 }, { 126, 126 }, { 126, 500 }, { 126, 501 },
        { 126, 65535 }, { 127, 0 }, { 127, 126 }, { 127, 65535 }, { 127, 65536 }, { 127, UINT64_MAX / 2 },
        { 127, UINT64_MAX / 2 + 1 }, { 127, UINT64_MAX },
    };
    static const char *const starts[] = { "", "\x01\x80", "\x42\x80" };
    for (unsigned i = 0; i < 256 * 2 * 16 * 2 * 2 * 3; i++) {
        unsigned row = i / 512 % 16, size = lengths[row].seven < 126 ? 0 : lengths[row].seven == 126 ? 2 : 8;
        rfc o;
        uint8_t head[20];
        size_t n = 2;
        int code;
        memset(&o, 0, offsetof(rfc, told));
        o.server = i / 8192 % 2;
        o.deflates = i / 16384 % 2;
        o.max = 500;
        o.message_n = 0;
        unsigned state = i / 32768;
        o.packed = state == 2;
        o.type = (int)state;
        if (o.packed && !o.deflates) continue;
        head[0] = (uint8_t)i;
        head[1] = (uint8_t)(lengths[row].seven | (i / 256 % 2 ? 128 : 0));
        for (unsigned k = 0; k < size; k++) head[n++] = (uint8_t)(lengths[row].length >> (8 * (size - 1 - k)));
        const char *why = NULL;
        for (size_t bytes = 1; bytes <= n && !why; bytes++) why = rfc_head(&o, head, bytes, &code);
        for (size_t first = 1; first <= n; first += n - 1) {
            aio__ws_reader r;
            aio__ws_head got;
            char start[6] = { 0 };
            size_t used;
            aio_text piece;
            memset(&r, 0, sizeof r);
            r.max = o.max;
            r.masked = o.server;
            r.deflates = o.deflates;
            if (state) memcpy(start, starts[state], 2);
            if (!o.server) start[1] = 0;
            if (state) CHECK_INT(aio__ws_feed(&r, start, o.server ? 6 : 2, &used, &piece), AIO__WS_MORE);
            aio__ws_step step = AIO__WS_MORE;
            for (size_t bytes = first; bytes <= n && step != AIO__WS_BAD; bytes++)
                step = aio__ws_head_read(&r, head, bytes, &got);
            if ((why != NULL) != (step == AIO__WS_BAD) || (why && (strcmp(why, r.why) != 0 || code != r.code)))
                fail("head %02X %02X, length %llu, server %d, deflates %d, state %u: %d %s, not %d %s", head[0],
                     head[1], (unsigned long long)lengths[row].length, o.server, o.deflates, state, r.code,
                     r.why ? r.why : "-", why ? code : 0, why ? why : "-");
        }
    }
}

/* Every text of three bytes out of those at the borders of the rules, and those of four that may begin a character,
 * cut at every place. */
TEST(ws_rfc_texts)
{
    static const uint8_t bytes[] = { 0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                     0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF };
    enum { BYTES = sizeof bytes };
    for (unsigned i = 0; i < BYTES * BYTES * BYTES * BYTES; i++) {
        uint8_t text[4] = { bytes[i % BYTES], bytes[i / BYTES % BYTES], bytes[i / BYTES / BYTES % BYTES],
                            bytes[i / BYTES / BYTES / BYTES] };
        if (text[0] < 0xF0 && i >= BYTES * BYTES * BYTES) continue;
        size_t n = i < BYTES * BYTES * BYTES ? 3 : 4;
        for (size_t cut = 0; cut <= n; cut++) {
            aio__ws_text state = { { 0 }, 0 };
            int first = rfc_utf8(text, cut), all = rfc_utf8(text, n);
            bool is = aio__ws_text_feed(&state, (const char *)text, cut, false);
            bool ok = is == (first >= 0);
            if (is) ok = ok && aio__ws_text_feed(&state, (const char *)text + cut, n - cut, true) == (all == 1);
            if (!ok) fail("text %02X %02X %02X %02X of %zu cut at %zu", text[0], text[1], text[2], text[3], n, cut);
        }
    }
    for (unsigned code = 0; code < 65536; code++) /* RFC 6455 7.4, and IANA's registry */
        if (aio__ws_code_is_valid(code) != ((code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
                                            || (code >= 3000 && code <= 4999))) fail("code %u", code);
}

/* ---- connections ---- */

typedef struct rfc_frame { unsigned first; const char *data; size_t n; } rfc_frame;
#define RFC_FRAME(first, data) { first, data, sizeof data - 1 }

/* A WebSocket over a socket pair, behind the handshake; what it is to hear is there, with the end after it. */
struct rfc_hears { aio_task task; rfc *wanted; const ws_bytes *bytes; aio_stream *stream; aio_ws *ws; aio_ws_message m;
    char told[1500]; size_t told_n; int fds[2]; };

static void rfc_note(struct rfc_hears *self, const aio_ws_message *m)
{
    const char *type = m->type == AIO_WS_TEXT ? "T" : m->type == AIO_WS_BINARY ? "B" : "C";
    char *at = self->told + self->told_n;
    size_t room = sizeof self->told - self->told_n;
    int n = m->type == AIO_WS_CLOSE && m->data.length > 60 ? snprintf(at, room, "C%d %zu;", m->extra, m->data.length)
          : m->type == AIO_WS_CLOSE ? snprintf(at, room, "C%d:%s;", m->extra, m->data.data)
          : m->data.length > 60 ? snprintf(at, room, "%s%zu;", type, m->data.length)
          : snprintf(at, room, "%s:%s;", type, m->data.data);
    self->told_n += (size_t)n;
}

static aio_ws *rfc_open(aio_stream *stream, const rfc *wanted)
{
    aio_ws_options none = AIO__ZERO;
    aio__ws_limits limits;
    aio__ws_deflating d;
    memset(&d, 0, sizeof d);
    d.on = wanted->deflates;
    d.resets[0] = d.resets[1] = wanted->resets;
    CHECK(!aio__ws_options_problem(&none, &limits));
    aio_ws *ws = aio__ws_open(stream, !wanted->server, wanted->max, &limits, aio__text("", 0), &d);
    if (ws && !wanted->server && !(ws->masks = (uint32_t *)aio__calloc(AIO__WS_MASKS * sizeof *ws->masks))) abort();
    if (ws && !wanted->server) ws->mask_count = AIO__WS_MASKS; /* plain to read */
    return ws;
}

static AIO_CORO(rfc_hears)
{
    AIO_BEGIN(rfc_hears);
    ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds) == 0);
    ALWAYS(write(self->fds[1], self->bytes->data, self->bytes->length) == (ssize_t)self->bytes->length);
    shutdown(self->fds[1], SHUT_WR);
    AIO_AWAIT(self->stream, aio_stream_from_fd(self->fds[0]));
    self->fds[0] = 0;
    self->ws = rfc_open(self->stream, self->wanted);
    REQUIRE(self->ws);
    AIO_TRY {
        do {
            AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            rfc_note(self, &self->m);
        } while (self->m.type != AIO_WS_CLOSE);
        AIO_AWAIT(self->m, aio_ws_receive(self->ws));
        CHECK_INT(self->m.type, AIO_WS_CLOSED);
    } AIO_CATCH {
        CHECK(aio_ws_exception(self->ws) && aio_ws_exception(self->ws)->code == aio_caught(self)->code);
        snprintf(self->told + self->told_n, sizeof self->told - self->told_n, "!%s %d %s",
                 aio_code_name(aio_caught(self)->code), aio_ws_close_code(self->ws), aio_caught(self)->message);
    } AIO_END_TRY;
    CHECK_INT(aio_ws_close_code(self->ws), self->wanted->code ? self->wanted->code : 1006);
    char said[600];
    ssize_t n;
    n = recv(self->fds[1], said, sizeof said, MSG_DONTWAIT);
    if (strcmp(self->told, self->wanted->told) != 0 || (n < 0 ? 0 : (size_t)n) != self->wanted->said_n
        || (n > 0 && memcmp(said, self->wanted->said, (size_t)n) != 0)) {
        char hex[400];
        for (size_t i = 0; i < self->bytes->length && i < 120; i++)
            snprintf(hex + 3 * i, sizeof hex - 3 * i, "%02X ", self->bytes->data[i] & 255);
        fail("%s%s %s: %s, not %s; says %zd bytes, not %zu", self->wanted->server ? "server" : "client",
             self->wanted->deflates ? " that inflates" : "", hex, self->told, self->wanted->told, n,
             self->wanted->said_n);
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
        if (!self->ws || self->wanted->server) aio_stream_abort(self->stream);
        if (self->fds[0]) close(self->fds[0]);
        if (self->fds[1]) close(self->fds[1]);
    AIO_END;
}

/* The next order of frames, depth first: one that has come to its end is not gone on with. False: that was the last. */
typedef struct rfc_order { const rfc_frame *frames; size_t count, depth, n, at[6]; } rfc_order;
static bool rfc_order_next(rfc_order *o, bool open)
{
    if (open && o->n < o->depth) {
        o->at[o->n++] = 0;
        return true;
    }
    while (o->n && ++o->at[o->n - 1] == o->count) o->n--;
    return o->n > 0;
}

static void rfc_order_bytes(const rfc_order *o, bool server, ws_bytes *bytes)
{
    static const char masks[4][5] = { "\x37\xFA\x21\x3D", "\0\0\0\0", "\xFF\x00\xA5\x01", "\x80\x01\x02\x03" };
    bytes->length = 0;
    for (size_t i = 0; i < o->n; i++) {
        const rfc_frame *frame = &o->frames[o->at[i]];
        ws_put_frame(bytes, frame->first, -1, server ? masks[(o->at[i] + i) % 4] : NULL, frame->data, frame->n);
    }
}

static const rfc_frame rfc_plain[] = { /* the last ones only end an order */
    RFC_FRAME(0x81, "a"), RFC_FRAME(0x01, "b"), RFC_FRAME(0x80, "c"), RFC_FRAME(0x00, "d"), RFC_FRAME(0x82, "e"),
    RFC_FRAME(0x02, ""), RFC_FRAME(0x00, ""), RFC_FRAME(0x80, ""), RFC_FRAME(0x01, "\xE2\x82"),
    RFC_FRAME(0x80, "\xAC"), RFC_FRAME(0x89, "p"), RFC_FRAME(0x8A, ""), RFC_FRAME(0x80, "12345678"),
    RFC_FRAME(0x82, "123456789"), RFC_FRAME(0x09, "x"), RFC_FRAME(0x88, "\x03\xE8" "r"), RFC_FRAME(0x88, "")
};
static const rfc_frame rfc_packed[] = {
    RFC_FRAME(0xC1, "\xF2\x48\xCD\xC9\xC9\x07\x00"), RFC_FRAME(0x41, "\xF2\x48\xCD"),
    RFC_FRAME(0x80, "\xC9\xC9\x07\x00"), RFC_FRAME(0x00, "\xC9"), RFC_FRAME(0xC1, "\xF2\x00\x11\x00\x00"),
    RFC_FRAME(0xC2, "\x00"), RFC_FRAME(0xC2, ""),
    RFC_FRAME(0x42, ""), RFC_FRAME(0x80, ""), RFC_FRAME(0x80, "\x00"), RFC_FRAME(0x01, "b"), RFC_FRAME(0x81, "a"),
    RFC_FRAME(0xC1, "\xF3\x48\xCD\xC9\xC9\x07\x00"), RFC_FRAME(0xC1, "\xF3\x48\xCD\xC9\xC9\x07\x00\x00"),
    RFC_FRAME(0x89, "p"), RFC_FRAME(0xC1, "\xFA\x0F\x00"), RFC_FRAME(0xC2, "\x07"), RFC_FRAME(0xC0, "x"),
    RFC_FRAME(0xC9, ""), RFC_FRAME(0xA1, ""), RFC_FRAME(0x88, "")
};

/* Whether this way is to have the ith case of a part: the first one has all, the others some. */
static bool rfc_wants(size_t i)
{
    return !strcmp(now.w->name, "epoll") || i % 13 == (size_t)(now.w - ways) % 13;
}

static void rfc_begin(rfc *o, bool server, bool deflates, bool resets, uint64_t max)
{
    memset(o, 0, sizeof *o);
    o->server = server;
    o->deflates = deflates;
    o->resets = resets;
    o->max = max;
}

enum { RFC_SAME = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SHUFFLE | KIND_EMBED | KIND_DEBUG };
#define RFC_CASES aio_task task; rfc wanted; ws_bytes bytes; size_t i, count

/* All orders of three frames, messages in pieces among them and control frames between those, and what is against the
 * rules; with permessage-deflate, with and without context between messages, too. */
struct ws_rfc_orders { RFC_CASES; rfc_order order; unsigned part; };
SCENARIO(ws_rfc_orders, .skip = RFC_SAME)
{
    AIO_BEGIN(ws_rfc_orders);
    for (self->part = 0; self->part < 6; self->part++) {
        memset(&self->order, 0, sizeof self->order);
        self->order.frames = self->part < 2 ? rfc_plain : rfc_packed;
        self->order.count = self->part < 2 ? sizeof rfc_plain / sizeof *rfc_plain
                                           : sizeof rfc_packed / sizeof *rfc_packed;
        self->order.depth = 3;
        self->wanted.code = 0;
        while (rfc_order_next(&self->order, !self->wanted.code)) {
            rfc_begin(&self->wanted, self->part % 2, self->part >= 2, self->part >= 4, self->part < 2 ? 8 : 100);
            rfc_order_bytes(&self->order, self->wanted.server, &self->bytes);
            rfc_read(&self->wanted, (const uint8_t *)self->bytes.data, self->bytes.length);
            if (!rfc_wants(self->i++)) continue;
            self->count++;
            AIO_AWAIT(AIO_CALL(rfc_hears, .wanted = &self->wanted, .bytes = &self->bytes));
        }
    }
    CHECK(self->i > 5000 && self->count * 14 > self->i);
    AIO_FINALLY;
        free(self->bytes.data);
    AIO_END;
}

/* Every close code, and reasons of all lengths and of no text. */
static const rfc_frame rfc_closes[] = {
    RFC_FRAME(0x88, ""), RFC_FRAME(0x88, "\x03"), RFC_FRAME(0x88, "\x03\xE8"), RFC_FRAME(0x88, "\x0F\xA0so"),
    RFC_FRAME(0x88, "\x03\xE8\xC3\xA4"), RFC_FRAME(0x88, "\x03\xE8\xC3"), RFC_FRAME(0x88, "\x03\xE8\xED\xA0\x80"),
    RFC_FRAME(0x88, "\x03\xE8\xF4\x8F\xBF\xBF"), RFC_FRAME(0x88, "\x03\xE8\xF4\x90\x80\x80"),
    RFC_FRAME(0x88, "\x03\xE8" "a\xFF"), RFC_FRAME(0x88, "\xFF\xFF"), RFC_FRAME(0x88, "\x0B\xB7\xFF"),
    { 0x88, "\x03\xE8" "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 "
            "123456789 123456789 123456789 123", 125 },
};
enum { RFC_CLOSES = sizeof rfc_closes / sizeof *rfc_closes };
struct ws_rfc_closes { RFC_CASES; char code[2]; };
SCENARIO(ws_rfc_closes, .skip = RFC_SAME)
{
    AIO_BEGIN(ws_rfc_closes);
    for (self->i = 0; self->i < 2 * (5001 + RFC_CLOSES); self->i++) {
        size_t i;
        const char *mask;
        i = self->i / 2;
        mask = self->i % 2 ? ws_some_mask : NULL;
        if (i >= RFC_CLOSES && !rfc_wants(self->i)) continue;
        rfc_begin(&self->wanted, self->i % 2, false, false, 8);
        self->bytes.length = 0;
        self->code[0] = (char)((i - RFC_CLOSES) >> 8);
        self->code[1] = (char)(i - RFC_CLOSES);
        if (i < RFC_CLOSES)
            ws_put_frame(&self->bytes, 0x88, -1, mask, rfc_closes[i].data, rfc_closes[i].n);
        else ws_put_frame(&self->bytes, 0x88, -1, mask, self->code, 2);
        ws_put(&self->bytes, "\x81\x80\0\0\0\0", 6); /* what comes after it does not count */
        rfc_read(&self->wanted, (const uint8_t *)self->bytes.data, self->bytes.length);
        CHECK(self->wanted.code);
        AIO_AWAIT(AIO_CALL(rfc_hears, .wanted = &self->wanted, .bytes = &self->bytes));
    }
    AIO_FINALLY;
        free(self->bytes.data);
    AIO_END;
}

enum { RFC_BOMB = 125 };
/* A literal and n - 1 times the same by matches, in one block of the fixed codes; how many bytes that has. */
static size_t rfc_bomb(uint8_t *out, size_t n)
{
    size_t bit = 0;
#define RFC_PUT(value, count) \
    for (unsigned k_ = 0; k_ < (count); k_++, bit++) out[bit / 8] |= (uint8_t)(((value) >> k_ & 1u) << (bit % 8))
    memset(out, 0, RFC_BOMB);
    RFC_PUT(2u, 3);                    /* not the last one, fixed codes */
    RFC_PUT(0x55u, 8);                 /* 'z': 0x30 + 0x7A, its highest bit first */
    for (n--; n >= 258; n -= 258) {
        RFC_PUT(0xA3u, 8);             /* 285, 11000101: 258 bytes */
        RFC_PUT(0u, 5);                /* from one byte before */
    }
    for (; n >= 3; n -= 3) {
        RFC_PUT(0x40u, 7);             /* 257, 0000001: three */
        RFC_PUT(0u, 5);
    }
    for (; n; n--) RFC_PUT(0x55u, 8);
    bit += 7 + 3;                      /* the end of the block, and an empty stored one */
    return (bit + 7) / 8;
}

/* Messages that inflate to just what may be, to a byte more, and to much more, whole and in pieces, twice. */
struct ws_rfc_bombs { RFC_CASES; uint8_t bomb[RFC_BOMB]; };
SCENARIO(ws_rfc_bombs, .skip = RFC_SAME)
{
    static const size_t sizes[] = { 1, 2, 4, 99, 100, 101, 102, 300, 1000, 2000 };
    enum { SIZES = sizeof sizes / sizeof *sizes };
    AIO_BEGIN(ws_rfc_bombs);
    for (self->i = 0; self->i < SIZES * 2 * 2 * 2 * 3 * 2; self->i++) {
        size_t i, n, cuts;
        i = self->i;
        const char *mask;
        rfc_begin(&self->wanted, i % 2, true, i / 2 % 2, 100);
        mask = i % 2 ? ws_some_mask : NULL;
        cuts = i / 8 % 3;
        n = rfc_bomb(self->bomb, sizes[i / 24 % SIZES]);
        self->bytes.length = 0;
        for (size_t k = 0; k < 2; k++) {
            unsigned first = (i / 4 % 2 ? 0xC1u : 0xC2u);
            const uint8_t *bomb = self->bomb;
            for (size_t cut = 0; cut < cuts; cut++, bomb += n / 3) {
                ws_put_frame(&self->bytes, first & 0x7F, -1, mask, bomb, n / 3);
                ws_put_frame(&self->bytes, 0x8A, -1, mask, "", 0);
                first = 0x80;
            }
            ws_put_frame(&self->bytes, first, i / 240 ? 2 : -1, mask, bomb, n - cuts * (n / 3));
        }
        rfc_read(&self->wanted, (const uint8_t *)self->bytes.data, self->bytes.length);
        if (i < 240) CHECK_INT(self->wanted.code, sizes[i / 24 % SIZES] > 100 ? 1009 : 0);
        else CHECK(self->wanted.code); /* the length is not in its shortest form, unless it was too much before */
        AIO_AWAIT(AIO_CALL(rfc_hears, .wanted = &self->wanted, .bytes = &self->bytes));
    }
    AIO_FINALLY;
        free(self->bytes.data);
    AIO_END;
}
