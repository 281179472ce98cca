/* Coding: inflate and deflate. The vectors were made by zlib 1.2.13; what deflate makes is decoded by inflate. Both are
 * held against zlib by their fuzzers, and by tests/integration. */

#define CODING(text) (text), sizeof(text) - 1

static const char coding_gzip[] =
    "\x1f\x8b\x08\x1f\x01\x02\x03\x04\x02\x03\x05\x00""extraname.txt\x00""a comment\x00\xc1T\xcbH\xcd\xc9\xc9"
    "W\xc8@\x90:\x10\x8a\x0b\x00^!\xd5\xb9\x19\x00\x00\x00";
static const char coding_hello[] = "hello hello hello, hello\n";
static const char coding_dynamic[] =
    "x\xda\x0d\xcd""A\x0a@A\x08\x02\xd0\xfd\x9c""b\xae&|\xa1 \x0a\x1a\xbb\xffo\xe7\xe2\xa9\x90\xe5\x08\x86>"
    "\xb8\xef\x9b\x01]\x9d""f\xe4i]\xf2\x91M{\x17\x80\xf9\x18\x82\xea""E\x04\x86\x83z`\"\xfa\xf2JUY\x87tr(S"
    "\xaa\x90\xda\x9d\x1a\xcf\xf8J\x9b""e\x0d,\x15\xf6S\xfc\xa0\xc3\xf0m2\xc6\xb1\xc4k\xfd\xf9\x01""7':Y";
static const char coding_runs[] =
    "KLD\x80$8H\xc4\x80\xc9\xe8\x00(\x84\x0b\xa5\xe0\x00 )B8\x15\x3f\x00+!\x96H#\x0a@\x94\x92J\xa6\x93\x02"
    "\xa0Z\xc8\xa5""2\xc8\x00""0\xad\x94\xd2\x99\xe4\x03\xb8\x11\xd4""bdQ\x0c\x10""FQ\x9b\x95M-\x80""d$\xad"
    "\x98""9T\x06\xc8""F\xd3\x9a\x0d\x00";
static const char coding_stored[] = "\x01\x0c\x00\xf3\xffstored bytes";

/* The texts of coding_dynamic and coding_runs. */
static size_t coding_text(char *out, size_t n)
{
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1103515245 + 12345;
        out[i] = "eeeetttaaaooinshrdlu \n"[(x >> 16) % 22];
    }
    return n;
}

static size_t coding_run_text(char *out)
{
    size_t n = 0;
    for (int k = 0; k < 12; k++) {
        for (int i = 0; i < k * 7 + 3; i++) out[n++] = (char)('a' + k);
        for (int i = 0; i < 9 * (k + 1); i++) out[n++] = (char)('a' + i % (k + 1));
    }
    return n;
}

/* Text, records, noise and runs in turn, with repetitions from near and far. */
static char *coding_mixture(size_t n, uint64_t seed)
{
    char *data = (char *)malloc(n + 1);
    uint64_t x = seed;
    for (size_t i = 0; i < n;) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t run = 1 + (size_t)((x >> 40) % 300), back = i ? 1 + (size_t)((x >> 20) % (i < 70000 ? i : 70000)) : 0;
        int kind = (int)(x >> 60);
        for (; run && i < n; run--, i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            data[i] = kind < 6 && back ? data[i - back] : kind < 10 ? "etaoin shrdlu"[(x >> 33) % 13]
                : kind < 13 ? (char)(x >> 40) : (char)(i / 700);
        }
    }
    return data;
}

typedef struct coding_result {
    char  *data;
    size_t length;
    int    code;
    aio_input_error error;
} coding_result;

/* Decodes from pieces of `step` bytes into pieces of `room`, each in a block of its exact size. 0: all. */
static coding_result coding_decode(const void *data, size_t length, size_t step, size_t room,
                                   aio_inflate_options wanted)
{
    coding_result result = { (char *)malloc(1 << 22), 0, 0, { NULL, 0, 0, 0 } };
    aio_inflate *z = aio_inflate_open_with(&wanted);
    if (!CHECK(z != NULL)) return result;
    if (!step) step = length;
    if (!room) room = 1 << 20;
    char *out = (char *)malloc(room);
    for (size_t at = 0; at < length && !result.code;) {
        size_t n = length - at < step ? length - at : step, made;
        char *piece = (char *)malloc(n);
        memcpy(piece, (const char *)data + at, n);
        aio_text in = { piece, n };
        do {
            result.code = aio_inflate_feed(z, &in, out, room, &made);
            if (!CHECK(result.length + made <= 1 << 22)) break;
            memcpy(result.data + result.length, out, made);
            result.length += made;
        } while (made == room && !result.code);
        at += n - in.length;
        free(piece);
        if (in.length && aio_inflate_done(z)) break;
    }
    if (!result.code) result.code = aio_inflate_end(z);
    result.error = *aio_inflate_error(z);
    aio_inflate_close(z);
    free(out);
    return result;
}

static void coding_check(const void *data, size_t length, size_t step, size_t room, int format, const void *expected,
                         size_t expected_length)
{
    aio_inflate_options wanted = { .format = format, .max_ratio = AIO_UNLIMITED };
    coding_result result = coding_decode(data, length, step, room, wanted);
    CHECK_INT(result.code, 0);
    CHECK_STR(result.error.reason, "");
    CHECK_INT(result.length, expected_length);
    CHECK(result.length == expected_length && !memcmp(result.data, expected, expected_length));
    free(result.data);
}

static void coding_check_error(const void *data, size_t length, size_t step, int format, int code, const char *reason,
                               uint64_t offset)
{
    aio_inflate_options wanted = { .format = format };
    coding_result result = coding_decode(data, length, step, 0, wanted);
    CHECK_INT(result.code, code);
    CHECK_STR(result.error.reason, reason);
    CHECK_INT(result.error.offset, offset);
    free(result.data);
}

TEST(coding_check_values_are_the_standards, .skip = KIND_AGAIN)
{
    pthread_once(&aio__crc_once, aio__crc_make);
    CHECK_INT(aio__crc32(0, (const uint8_t *)"123456789", 9), 0xCBF43926);
    CHECK_INT(aio__crc32(aio__crc32(0, (const uint8_t *)"1", 1), (const uint8_t *)"23456789", 8), 0xCBF43926);
    CHECK_INT(aio__adler32(1, (const uint8_t *)"123456789", 9), 0x091E01DE);
    uint8_t most[12000];
    memset(most, 0xFF, sizeof most);
    uint64_t a = 1, b = 0;
    for (size_t i = 0; i < sizeof most; i++) b += a += 0xFF;
    CHECK_INT(aio__adler32(1, most, sizeof most), b % 65521 << 16 | a % 65521);
}

TEST(coding_decodes_what_zlib_made, .skip = KIND_AGAIN)
{
    char text[1200];
    static const size_t steps[] = { 0, 1, 2, 3, 7, 17, 40 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            size_t step = steps[i], room = steps[k];
            for (int format = AIO_CODING_AUTO; format <= AIO_CODING_GZIP; format++)
                coding_check(CODING(coding_gzip), step, room, format, CODING(coding_hello));
            for (int format = AIO_CODING_AUTO; format <= AIO_CODING_ZLIB; format += AIO_CODING_ZLIB)
                coding_check(CODING(coding_dynamic), step, room, format, text, coding_text(text, 150));
            coding_check(CODING(coding_runs), step, room, AIO_CODING_RAW, text, coding_run_text(text));
            coding_check(CODING(coding_runs), step, room, AIO_CODING_AUTO, text, coding_run_text(text));
            coding_check(CODING(coding_stored), step, room, AIO_CODING_RAW, "stored bytes", 12);
            coding_check(CODING("\x03\x00"), step, room, AIO_CODING_AUTO, "", 0);
        }
}

TEST(coding_names_what_is_wrong_and_where, .skip = KIND_AGAIN)
{
    static const struct { const char *data; size_t length; int format; const char *reason; uint64_t offset; } rows[] = {
        { CODING("\x1f\x8c\x08\0\0"), AIO_CODING_GZIP, "no gzip header", 0 },
        { CODING("\x1f\x8b\x07\0\0"), AIO_CODING_AUTO, "the method is not deflate", 0 },
        { CODING("\x1f\x8b\x08\x20\0"), AIO_CODING_GZIP, "reserved flags in the gzip header", 0 },
        { CODING("\x1f\x8b\x08\x02\0\0\0\0\0\0\0\0"), AIO_CODING_GZIP, "the CRC of the gzip header is wrong", 10 },
        { CODING("\x78\x9d"), AIO_CODING_ZLIB, "no zlib header", 0 },
        { CODING("\x77\x85"), AIO_CODING_ZLIB, "the method is not deflate", 0 },
        { CODING("\x88\x1c"), AIO_CODING_ZLIB, "the window is larger than 32 KiB", 0 },
        { CODING("\x78\xbb\0\0\0\1"), AIO_CODING_ZLIB, "it needs a preset dictionary", 0 },
        { CODING("\x07"), AIO_CODING_RAW, "a block of no known type", 0 },
        { CODING("\x00\0\0\xff\xff\x07"), AIO_CODING_RAW, "a block of no known type", 5 },
        { CODING("\x01\x05\0\xfa\xff"), AIO_CODING_RAW, "the input ends too early", 5 },
        { CODING("\x01\x05\0\xfb\xff""abcde"), AIO_CODING_RAW,
          "a stored block's length and its complement do not fit", 0 },
        { CODING("\xfd\0\0"), AIO_CODING_RAW, "more codes than there are lengths or distances", 0 },
        { CODING("\x05\xff\0"), AIO_CODING_RAW, "more codes than there are lengths or distances", 0 },
        { CODING("\x05\xe0\x01\x04\x00\x00\x00\x40\x10\x00"), AIO_CODING_RAW,
          "the code of the code lengths is not complete", 9 },
        { CODING("\x05\xe0\x01\x08\x00\x00\x00\x80\x20\x00"), AIO_CODING_RAW,
          "the code of the code lengths is not complete", 9 },
        { CODING("\x05\xe0\x05\x09\x00\x00\x00\x00\x20\x04"), AIO_CODING_RAW,
          "the first code length repeats none", 9 },
        { CODING("\x05\xe0\x05\x09\x00\x00\x00\x00\x20\xfc\xff\x0f"), AIO_CODING_RAW,
          "more code lengths than codes", 10 },
        { CODING("\x05\xe0\x05\x09\x00\x00\x00\x00\x20\xe8\xff\xd5\x00"), AIO_CODING_RAW,
          "there is no code for the end of the block", 12 },
        { CODING("\x05\xe0\x05\x09\x00\x00\x00\x00\x20\xe8\xff\xd3\x02"), AIO_CODING_RAW,
          "the code of literals and lengths is not complete", 12 },
        { CODING("\x05\xe0\x05\x09\x00\x00\x00\x80\x00\xf8\x7f\xb5\x00"), AIO_CODING_RAW,
          "the code of literals and lengths is not complete", 12 },
        { CODING("\x05\xe2\x05\x09\x00\x00\x00\x00\x20\xf8\x7f\xb5\x2a"), AIO_CODING_RAW,
          "the code of distances is not complete", 12 },
        { CODING("\x05\xe0\x01\x09\x00\x00\x00\x80\x20\xf8\x7f\xb5\x01"), AIO_CODING_RAW,
          "the code of distances is not complete", 12 },
        { CODING("\x4b\x04\x42"), AIO_CODING_RAW, "a distance reaches back before the beginning", 1 },
        { CODING("\x63\xf8\xff"), AIO_CODING_RAW, "the input ends too early", 3 },
        { CODING("\x1b\xff\xff\xff"), AIO_CODING_RAW, "no code of a length begins so", 0 },
        { CODING("\x1b\xfb\xff\xff"), AIO_CODING_RAW, "no code of a length begins so", 0 }, /* 286 */
        { CODING("\x4b\x04\x3e"), AIO_CODING_RAW, "no code of a distance begins so", 1 },
        { CODING("\x78\x9c\x4b\x04\x00\x00\x62\x00\x63"), AIO_CODING_ZLIB, "the Adler-32 is wrong", 5 },
        { CODING("\x1f\x8b\x08\0\0\0\0\0\0\3\x4b\4\0\x43\xbe\xb7\xe9\1\0\0\0"), AIO_CODING_GZIP,
          "the CRC-32 is wrong", 13 },
        { CODING("\x1f\x8b\x08\0\0\0\0\0\0\3\x4b\4\0\x43\xbe\xb7\xe8\2\0\0\0"), AIO_CODING_GZIP,
          "the length at the end of the gzip member is wrong", 17 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 0; step < 4; step++)
            coding_check_error(rows[i].data, rows[i].length, step, rows[i].format, AIO_ECODING, rows[i].reason,
                               rows[i].offset);
}

TEST(coding_tells_every_truncation, .skip = KIND_AGAIN)
{
    for (size_t n = 0; n < sizeof coding_gzip - 1; n++)
        coding_check_error(coding_gzip, n, n % 3, AIO_CODING_GZIP, AIO_ECODING, "the input ends too early", n);
    for (size_t n = 0; n < sizeof coding_dynamic - 1; n++)
        coding_check_error(coding_dynamic, n, n % 3, AIO_CODING_ZLIB, AIO_ECODING, "the input ends too early", n);
    for (size_t n = 0; n < sizeof coding_runs - 1; n++)
        coding_check_error(coding_runs, n, n % 3, AIO_CODING_RAW, AIO_ECODING, "the input ends too early", n);
}

/* Of one bit flipped: the same answer for every cut, and where there is a check value an error, or (bits that fill the
 * last byte) the right text. */
static void coding_flip(const char *data, size_t length, int format)
{
    char copy[256];
    aio_inflate_options plain = { .format = format };
    coding_result right = coding_decode(data, length, 0, 0, plain);
    memcpy(copy, data, length);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        aio_inflate_options wanted = { .format = format };
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        coding_result whole = coding_decode(copy, length, 0, 0, wanted);
        coding_result cut = coding_decode(copy, length, 1 + bit % 5, 1 + bit % 7, wanted);
        CHECK_INT(whole.code, cut.code);
        CHECK_BYTES(cut.data, cut.length, whole.data, whole.length);
        CHECK_STR(cut.error.reason, whole.error.reason);
        CHECK_INT(cut.error.offset, whole.error.offset);
        if (format != AIO_CODING_RAW && !whole.code) CHECK_BYTES(whole.data, whole.length, right.data, right.length);
        copy[bit / 8] = data[bit / 8];
        free(whole.data);
        free(cut.data);
    }
    free(right.data);
}

TEST(coding_survives_every_flipped_bit, .skip = KIND_AGAIN)
{
    coding_flip(CODING(coding_gzip), AIO_CODING_GZIP);
    coding_flip(CODING(coding_dynamic), AIO_CODING_ZLIB);
    coding_flip(CODING(coding_runs), AIO_CODING_RAW);
    coding_flip(CODING(coding_stored), AIO_CODING_RAW);
}

TEST(coding_joins_members_and_ignores_what_follows, .skip = KIND_AGAIN)
{
    char data[512], expected[128];
    size_t one = sizeof coding_gzip - 1, text = sizeof coding_hello - 1;
    for (size_t k = 0; k < 3; k++) {
        memcpy(data + k * one, coding_gzip, one);
        memcpy(expected + k * text, coding_hello, text);
    }
    static const struct { const char *data; size_t length; } tails[] = {
        { CODING("") }, { CODING("\0\0\0\0") }, { CODING("x") }, { CODING("\x1f") }, { CODING("\x1fx\x8b") },
    };
    for (size_t step = 0; step < 4; step++)
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
            memcpy(data + 3 * one, tails[i].data, tails[i].length);
            coding_check(data, 3 * one + tails[i].length, step, step, AIO_CODING_AUTO, expected, 3 * text);
        }
    memcpy(data + 3 * one, "\x1f\x8b\x09\0", 4); /* a member, and a bad one */
    coding_check_error(data, 3 * one + 4, 1, AIO_CODING_AUTO, AIO_ECODING, "the method is not deflate", 3 * one);
    coding_check_error(data, 3 * one + 2, 1, AIO_CODING_AUTO, AIO_ECODING, "the input ends too early", 3 * one + 2);
    aio_inflate_options two = { .max_members = 2 };
    coding_result result = coding_decode(data, 3 * one, 0, 0, two);
    CHECK_INT(result.code, AIO_ELIMIT);
    CHECK_STR(result.error.reason, "more gzip members than max_members");
    CHECK_BYTES(result.data, result.length, expected, 2 * text);
    free(result.data);
    aio_inflate_options usual = AIO__ZERO;
    char *many = (char *)malloc(1025 * one);
    if (!CHECK(many != NULL)) return;
    for (size_t k = 0; k < 1025; k++) memcpy(many + k * one, coding_gzip, one);
    for (size_t k = 1024; k <= 1025; k++) {
        result = coding_decode(many, k * one, 0, 0, usual);
        CHECK_INT(result.code, k > 1024 ? AIO_ELIMIT : 0);
        CHECK_INT(result.length, 1024 * text);
        free(result.data);
    }
    free(many);
}

TEST(coding_members_reach_not_into_one_another, .skip = KIND_AGAIN)
{
    static const char first[] = "\x1f\x8b\x08\0\0\0\0\0\0\3\x4b\4\0\x43\xbe\xb7\xe8\1\0\0\0"
                                "\x1f\x8b\x08\0\0\0\0\0\0\3\3\2\0\0\0\0\0\0\0\0\0";
    coding_check_error(CODING(first), 0, AIO_CODING_GZIP, AIO_ECODING, "a distance reaches back before the beginning",
                       31);
}

TEST(coding_leaves_the_rest, .skip = KIND_AGAIN)
{
    char data[160], out[64];
    size_t one = sizeof coding_gzip - 1, made = 0, all = 0;
    memcpy(data, coding_gzip, one);
    memcpy(data + one, "behind", 6);
    for (size_t step = 1; step < one + 6; step++) {
        aio_inflate *z = aio_inflate_open(.leave_rest = true);
        aio_text in = { data, step };
        all = 0;
        CHECK(!aio_inflate_done(z));
        CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), 0);
        all += made;
        in.length += one + 6 - step;
        CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), 0);
        all += made;
        CHECK(aio_inflate_done(z));
        CHECK_INT(all, sizeof coding_hello - 1);
        CHECK_BYTES(in.data, in.length, "behind");
        CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), 0);
        CHECK_INT(made, 0);
        CHECK_INT(aio_inflate_end(z), 0);
        aio_inflate_close(z);
    }
    aio_inflate_close(NULL);
}

TEST(coding_bounds_size_and_ratio, .skip = KIND_AGAIN)
{
    size_t n = 20 << 20;
    char *zeros = (char *)calloc(n, 1);
    aio_text packed, text;
    aio_input_error error;
    CHECK_INT(aio_deflate_all(&packed, zeros, n, .format = AIO_CODING_ZLIB), 0);
    CHECK(packed.length < n / 900);
    CHECK_INT(aio_inflate_all(&text, packed.data, packed.length, &error), AIO_ELIMIT);
    CHECK_STR(error.reason, "more output for its input than max_ratio");
    CHECK(text.data == NULL && text.length == 0);
    CHECK_INT(aio_inflate_all(&text, packed.data, packed.length, &error, .max_ratio = AIO_UNLIMITED,
                              .max_output = (int64_t)n - 1), AIO_ELIMIT);
    CHECK_STR(error.reason, "more output than max_output");
    CHECK_INT(aio_inflate_all(&text, packed.data, packed.length, NULL, .max_ratio = 1033, .max_output = (int64_t)n), 0);
    CHECK_INT(text.length, n);
    CHECK_INT(text.data[n], 0);
    aio_text_clear(&text);
    CHECK(text.data == NULL && text.length == 0);
    CHECK_INT(aio_inflate_all(&text, packed.data, packed.length, NULL, .max_output = 12345), AIO_ELIMIT);
    aio_text_clear(&packed);
    free(zeros);
    aio_inflate *z = aio_inflate_open(.max_output = 10, .format = AIO_CODING_RAW); /* what fits comes all the same */
    aio_text in = { coding_stored, sizeof coding_stored - 1 };
    char out[32];
    size_t made;
    CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), 0);
    CHECK_BYTES(out, made, "stored byt");
    CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), AIO_ELIMIT);
    CHECK_INT(made, 0);
    CHECK_INT(aio_inflate_end(z), AIO_ELIMIT);
    aio_inflate_close(z);
}

/* Encodes from pieces of `step` bytes into pieces of `room`. Yours, malloc'ed. */
static char *coding_encode(const char *data, size_t length, size_t step, size_t room, int format, int level,
                           size_t *size)
{
    char *out = (char *)malloc(length + length / 8 + 1024), *piece = (char *)malloc(room);
    aio_deflate *z = aio_deflate_open(.format = format, .level = level);
    *size = 0;
    for (size_t at = 0, made;;) {
        aio_text in = { data + at, length - at < step ? length - at : step };
        at += in.length;
        do {
            enum aio_deflate_flush flush = at == length ? AIO_DEFLATE_FINISH : AIO_DEFLATE_MORE;
            CHECK_INT(aio_deflate_feed(z, &in, piece, room, &made, flush), 0);
            memcpy(out + *size, piece, made);
            *size += made;
        } while (made == room);
        CHECK_INT(in.length, 0);
        if (at == length) break;
    }
    CHECK(aio_deflate_done(z));
    aio_deflate_close(z);
    free(piece);
    return out;
}

TEST(coding_goes_there_and_back, .skip = KIND_AGAIN)
{
    static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 100, 4096, 32768, 65535, 65536, 65537, 300000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int format = AIO_CODING_GZIP; format <= AIO_CODING_RAW; format++)
            for (int level = AIO_DEFLATE_DEFAULT; level <= AIO_DEFLATE_BEST; level++) {
                size_t n = sizes[i], once, again;
                char *data = coding_mixture(n, i + 7);
                char *a = coding_encode(data, n, n + 1, 2 * n + 100, format, level, &once);
                char *b = coding_encode(data, n, 1 + n / 17, 1 + n / 31, format, level, &again);
                CHECK(once == again && !memcmp(a, b, once)); /* no cut shows */
                coding_check(a, once, 0, 0, format, data, n);
                coding_check(b, again, 1 + n / 77, 1 + n / 3, AIO_CODING_AUTO, data, n);
                free(data);
                free(a);
                free(b);
            }
}

/* A held byte and the match behind it, as the last two symbols that a block has room for, or one too many. */
TEST(coding_fills_a_block, .skip = KIND_AGAIN)
{
    static const char tail[] = "bcdefgh\0\0\0\0\0\0\0\0\0\0ijklmnopqrstuvwxyz0123456789ABCDEFGHIJ";
    static char data[20000];
    for (size_t between = 16320; between < 16360; between++) {
        uint64_t x = 7;
        size_t n = 5 + sizeof tail - 1, once;
        memcpy(data, "abcdZ", 5);
        memcpy(data + 5, tail, sizeof tail - 1);
        for (size_t i = 0; i < between; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            data[n++] = (char)(x >> 33);
        }
        data[n++] = 'a';
        memcpy(data + n, tail, sizeof tail - 1);
        n += sizeof tail - 1;
        for (size_t i = 0; i < 500; i++) data[n++] = "abcdefgh0123"[(i * i + 5 * i) % 12];
        for (int level = AIO_DEFLATE_DEFAULT; level <= AIO_DEFLATE_BEST; level++) {
            char *packed = coding_encode(data, n, n + 1, 2 * n + 100, AIO_CODING_GZIP, level, &once);
            coding_check(packed, once, 0, 0, AIO_CODING_GZIP, data, n);
            free(packed);
        }
    }
}

/* What is made does not grow unseen: bytes for text, records, runs and a mixture, at each level. */
TEST(coding_makes_it_as_small_as_before, .skip = KIND_AGAIN)
{
    static const size_t rows[][3] = { { 64731, 65363, 64459 }, { 77956, 79419, 77956 }, { 1646, 8211, 882 },
                                      { 31294, 34584, 31072 }, { 3561, 3581, 3552 } };
    enum { SMALL_SIZE = 150000 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *data = coding_mixture(SMALL_SIZE, 5);
        size_t n = SMALL_SIZE, size;
        if (i == 1) coding_text(data, n);
        if (i == 2)
            for (n = 0; n < SMALL_SIZE - 2000;) n += coding_run_text(data + n);
        if (i == 3)
            for (n = 0; n < SMALL_SIZE - 40;) n += (size_t)sprintf(data + n, "{\"id\":%zu,\"k\":%zu},", n, n % 97);
        if (i == 4) n = 9000;
        for (int level = AIO_DEFLATE_DEFAULT; level <= AIO_DEFLATE_BEST; level++) {
            char *packed = coding_encode(data, n, 5000, n, AIO_CODING_RAW, level, &size);
            if (size > rows[i][level]) CHECK_INT(size, rows[i][level]);
            coding_check(packed, size, 0, 0, AIO_CODING_RAW, data, n);
            free(packed);
        }
        free(data);
    }
}

/* No match reaches back beyond a window that was asked for: what comes so far behind a flush that the window has left
 * it can be decoded without what was before it, though that had the same letters. */
TEST(coding_keeps_to_its_window, .skip = KIND_AGAIN)
{
    static const char *const letters[] = { "zabcy", "zabcdefghiy" };
    char data[5000], packed[6000], out[5000];
    for (int bits = 8; bits <= 12; bits++)
        for (int level = AIO_DEFLATE_FAST; level <= AIO_DEFLATE_BEST; level++)
            for (size_t i = 0; i < 2; i++) {
                size_t n = (size_t)1 << bits, matched = strlen(letters[i]) - 2, made;
                uint64_t x = 7;
                for (size_t at = 0; at < n; at++) {
                    x = x * 6364136223846793005u + 1442695040888963407u;
                    data[at] = "0123456789"[(x >> 40) % 10];
                }
                memcpy(data + n, letters[i] + 1, matched);
                memcpy(data + n + matched, data, 100);
                aio_deflate *z = aio_deflate_open(.format = AIO_CODING_RAW, .level = level, .window_bits = bits);
                aio_text in = { letters[i], matched + 2 };
                CHECK_INT(aio_deflate_feed(z, &in, packed, sizeof packed, &made, AIO_DEFLATE_FLUSH), 0);
                in = aio__text(data, n + matched + 100);
                CHECK_INT(aio_deflate_feed(z, &in, packed, sizeof packed, &made, AIO_DEFLATE_FINISH), 0);
                aio_deflate_close(z);
                aio_inflate *back = aio_inflate_open(.format = AIO_CODING_RAW);
                in = aio__text(packed, made);
                CHECK_INT(aio_inflate_feed(back, &in, out, sizeof out, &made), 0);
                CHECK(aio_inflate_done(back));
                CHECK(made == n + matched + 100 && !memcmp(out, data, made));
                aio_inflate_close(back);
            }
}

TEST(coding_chooses_the_form_of_a_block, .skip = KIND_AGAIN)
{
    size_t size, n = 100000;
    char *noise = (char *)malloc(n), *packed;
    for (size_t i = 0; i < n; i++) noise[i] = (char)seam_random();
    packed = coding_encode(noise, n, n, 2 * n, AIO_CODING_RAW, AIO_DEFLATE_DEFAULT, &size);
    CHECK(size > n && size <= n + 64); /* stored */
    CHECK_INT(packed[0] & 6, 0);
    coding_check(packed, size, 0, 0, AIO_CODING_RAW, noise, n);
    free(packed);
    packed = coding_encode("aaa", 3, 3, 50, AIO_CODING_RAW, AIO_DEFLATE_DEFAULT, &size);
    CHECK_INT(packed[0] & 7, 3); /* fixed, and the last */
    free(packed);
    coding_text(noise, n);
    packed = coding_encode(noise, n, n, 2 * n, AIO_CODING_RAW, AIO_DEFLATE_DEFAULT, &size);
    CHECK_INT(packed[0] & 6, 4); /* its own codes */
    CHECK(size < n);
    free(packed);
    free(noise);
}

/* Weights of Fibonacci make the deepest tree: the codes must stay within 15 bits. */
TEST(coding_keeps_codes_short, .skip = KIND_AGAIN)
{
    size_t n = 0, size, a = 1, b = 1;
    char *data = (char *)malloc(100000), *packed;
    for (int symbol = 0; symbol < 22; symbol++) {
        for (size_t i = 0; i < a && n < 100000; i++) data[n++] = (char)symbol;
        size_t next = a + b;
        a = b;
        b = next;
    }
    for (size_t i = n - 1; i; i--) { /* no matches */
        size_t k = (size_t)seam_random() % (i + 1);
        char one = data[i];
        data[i] = data[k];
        data[k] = one;
    }
    packed = coding_encode(data, n, n, 2 * n, AIO_CODING_RAW, AIO_DEFLATE_DEFAULT, &size);
    coding_check(packed, size, 0, 0, AIO_CODING_RAW, data, n);
    free(packed);
    aio__huffman h;
    memset(&h, 0, sizeof h);
    for (unsigned i = 0; i < 22; i++) h.used[i] = i < 2 ? 1 : h.used[i - 1] + h.used[i - 2];
    for (unsigned most = 5; most <= 15; most++) {
        uint32_t sum = 0;
        aio__huffman_make(&h, 30, most);
        for (unsigned i = 0; i < 30; i++) {
            CHECK(h.bits[i] <= most);
            if (h.bits[i]) sum += 1u << (15 - h.bits[i]);
        }
        CHECK_INT(sum, 1u << 15); /* complete */
    }
    free(data);
}

/* Bytes with each number of unused ones between them: how often a code length repeats is told in pieces. */
TEST(coding_tells_every_gap_of_a_code, .skip = KIND_AGAIN)
{
    enum { GAP_SIZE = 3000 };
    static char data[GAP_SIZE];
    for (unsigned gap = 0; gap < 240; gap++) {
        uint64_t x = gap + 1;
        size_t size;
        for (size_t i = 0; i < GAP_SIZE; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            unsigned symbol = (unsigned)(x >> 33) % 16;
            data[i] = (char)(unsigned char)(symbol < 8 ? symbol : symbol + gap);
        }
        char *packed = coding_encode(data, GAP_SIZE, GAP_SIZE, 2 * GAP_SIZE, AIO_CODING_RAW, AIO_DEFLATE_FAST, &size);
        CHECK_INT(packed[0] & 6, 4); /* its own codes */
        coding_check(packed, size, 0, 0, AIO_CODING_RAW, data, GAP_SIZE);
        free(packed);
    }
}

TEST(coding_flushes, .skip = KIND_AGAIN)
{
    char packed[4096], out[256];
    size_t made;
    aio_deflate *z = aio_deflate_open(.format = AIO_CODING_RAW);
    aio_inflate *back = aio_inflate_open(.format = AIO_CODING_RAW);
    for (int i = 0; i < 20; i++) {
        aio_text in = { coding_hello, sizeof coding_hello - 1 }, packet = { packed, 0 };
        CHECK_INT(aio_deflate_feed(z, &in, packed, sizeof packed, &packet.length, AIO_DEFLATE_FLUSH), 0);
        CHECK_BYTES(packed + packet.length - 4, 4, "\0\0\xff\xff", 4);
        CHECK_INT(aio_inflate_feed(back, &packet, out, sizeof out, &made), 0);
        CHECK_BYTES(out, made, coding_hello);
        CHECK_INT(aio_deflate_feed(z, &in, packed, sizeof packed, &made, AIO_DEFLATE_FLUSH), 0);
        CHECK_INT(made, 0); /* once is enough */
    }
    aio_text none = { NULL, 0 }, more = { "x", 1 }, packet = { packed, 0 };
    CHECK(!aio_deflate_done(z));
    CHECK_INT(aio_deflate_feed(z, &none, packed, sizeof packed, &packet.length, AIO_DEFLATE_FINISH), 0);
    CHECK(aio_deflate_done(z));
    CHECK_INT(aio_deflate_feed(z, &more, packed, sizeof packed, &made, AIO_DEFLATE_FINISH), EINVAL);
    CHECK_INT(aio_inflate_feed(back, &packet, out, sizeof out, &made), 0);
    CHECK(aio_inflate_done(back));
    aio_deflate_close(z);
    aio_deflate_close(NULL);
    aio_inflate_close(back);
}

TEST(coding_needs_memory_and_sense, .skip = KIND_AGAIN)
{
    aio_text text = { "x", 1 };
    aio_input_error error;
    for (long n = 1; n <= 3; n++) {
        seam.fail_alloc = n;
        seam.allocations = 0;
        int code = aio_inflate_all(&text, coding_gzip, sizeof coding_gzip - 1, &error);
        seam.fail_alloc = 0;
        ALWAYS(code == ENOMEM || (code == 0 && text.length == sizeof coding_hello - 1));
        aio_text_clear(&text);
        seam.fail_alloc = n;
        seam.allocations = 0;
        code = aio_deflate_all(&text, coding_hello, sizeof coding_hello - 1);
        seam.fail_alloc = 0;
        ALWAYS(code == ENOMEM || (code == 0 && text.length > 10));
        aio_text_clear(&text);
        ALWAYS(seam.live == 0);
    }
    errno = 0;
    ALWAYS(aio_inflate_open(.format = 4) == NULL && errno == EINVAL);
    ALWAYS(aio_inflate_open(.max_ratio = -2) == NULL);
    ALWAYS(aio_deflate_open(.level = 3) == NULL);
    ALWAYS(aio_deflate_open(.format = -1) == NULL);
    ALWAYS(aio_inflate_all(&text, "", 0, NULL, .max_output = -2) == EINVAL);
    ALWAYS(aio_inflate_all(&text, "", 0, NULL) == AIO_ECODING);
    ALWAYS(aio_deflate_all(&text, "", 0, .level = 9) == EINVAL);
    ALWAYS(aio_deflate_all_with(&text, NULL, 0, NULL) == 0 && text.length == 20); /* the defaults, of nothing */
    aio_text back;
    ALWAYS(aio_inflate_all_with(&back, text.data, text.length, NULL, NULL) == 0 && back.length == 0);
    aio_text_clear(&text);
    aio_text_clear(&back);
}

TEST(coding_takes_nothing_for_an_input, .skip = KIND_AGAIN)
{
    aio_inflate *z = aio_inflate_open_with(NULL);
    aio_text none = { NULL, 0 }, in = { coding_gzip, sizeof coding_gzip - 1 };
    char out[64];
    size_t made;
    CHECK_INT(aio_inflate_feed(z, &none, NULL, 0, &made), 0);
    CHECK_INT(aio_inflate_feed(z, &in, out, 5, &made), 0);
    CHECK_INT(made, 5);
    CHECK_INT(aio_inflate_feed(z, &in, out + 5, sizeof out - 5, &made), 0);
    CHECK_BYTES(out, made + 5, coding_hello);
    CHECK_INT(aio_inflate_feed(z, &none, out, sizeof out, &made), 0);
    in.data = "tail";
    in.length = 4;
    CHECK_INT(aio_inflate_feed(z, &in, out, sizeof out, &made), 0);
    CHECK_INT(aio_inflate_feed(z, &none, out, sizeof out, &made), 0);
    CHECK_INT(made, 0);
    CHECK_INT(in.length, 0);
    CHECK_INT(aio_inflate_end(z), 0);
    aio_inflate_close(z);
}
