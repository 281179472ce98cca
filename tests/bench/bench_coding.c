/* Coding beside zlib, JSON beside cJSON, and a response's head beside picohttpparser where h2o's library is installed,
 * which has it; in interleaved rounds of one process: CPU time, the best round of each.
 * usage: bench_coding [ROUNDS [FILE...]]    texts and binaries to code; else aio.h and this program itself */
#define AIO_STATIC
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <malloc.h>
#include <zlib.h>

enum { ROOM = 32 << 20, PIECE = 65536 };
static char input[ROOM], packed[ROOM], output[ROOM];

static double cpu(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (ok) return;
    fprintf(stderr, "bench_coding: %s\n", what);
    exit(1);
}

static size_t zlib_pack(size_t n)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    must(deflateInit2(&s, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
    s.next_in = (Bytef *)input;
    s.avail_in = (uInt)n;
    s.next_out = (Bytef *)output;
    s.avail_out = sizeof output;
    must(deflate(&s, Z_FINISH) == Z_STREAM_END, "deflate");
    size_t made = s.total_out;
    deflateEnd(&s);
    return made;
}

static size_t own_pack(size_t n, int level)
{
    aio_deflate *z = aio_deflate_open(.level = level);
    aio_text in = { input, n };
    size_t made;
    must(z && !aio_deflate_feed(z, &in, output, sizeof output, &made, AIO_DEFLATE_FINISH), "aio_deflate_feed");
    must(aio_deflate_done(z), "aio_deflate_done");
    aio_deflate_close(z);
    return made;
}

static void zlib_unpack(size_t packed_size, size_t n)
{
    z_stream s;
    memset(&s, 0, sizeof s);
    must(inflateInit2(&s, 31) == Z_OK, "inflateInit2");
    s.next_in = (Bytef *)packed;
    s.avail_in = (uInt)packed_size;
    int code = Z_OK;
    while (code == Z_OK) {
        s.next_out = (Bytef *)output;
        s.avail_out = PIECE;
        code = inflate(&s, Z_NO_FLUSH);
    }
    must(code == Z_STREAM_END && s.total_out == n, "inflate");
    inflateEnd(&s);
}

static void own_unpack(size_t packed_size, size_t n)
{
    aio_inflate *z = aio_inflate_open(.max_ratio = AIO_UNLIMITED);
    aio_text in = { packed, packed_size };
    size_t made, all = 0;
    do {
        must(z && !aio_inflate_feed(z, &in, output, PIECE, &made), "aio_inflate_feed");
        all += made;
    } while (made == PIECE);
    must(!aio_inflate_end(z) && all == n, "aio_inflate_end");
    aio_inflate_close(z);
}

static void best(double *least, double started)
{
    double took = cpu() - started;
    if (!*least || took < *least) *least = took;
}

static void coding(const char *path, int rounds)
{
    double times[6] = { 0 }, started;
    size_t sizes[4] = { 0 };
    FILE *file = fopen(path, "rb");
    must(file != NULL, path);
    size_t n = fread(input, 1, ROOM / 4, file);
    fclose(file);
    for (int round = 0; round < rounds; round++) {
        for (int level = 0; level < 3; level++) {
            started = cpu();
            sizes[level] = own_pack(n, level);
            best(&times[level], started);
        }
        started = cpu();
        sizes[3] = zlib_pack(n);
        best(&times[3], started);
        memcpy(packed, output, sizes[3]);
        started = cpu();
        zlib_unpack(sizes[3], n);
        best(&times[4], started);
        started = cpu();
        own_unpack(sizes[3], n);
        best(&times[5], started);
    }
    const char *name = strrchr(path, '/');
    double mb = 1e-6 * (double)n, zlib = (double)sizes[3];
    printf("%-16s %5.1f MB  inflate: zlib %4.0f, aio %4.0f MB/s, %.2f x\n", name ? name + 1 : path, mb, mb / times[4],
           mb / times[5], times[4] / times[5]);
    static const char *const levels[] = { "default", "fast", "best" };
    for (int i = 0; i < 3; i++)
        printf("%25s deflate, %s: zlib -6 %4.1f, aio %4.1f MB/s; %.3f of its size, %.2f of its time\n", "", levels[i],
               mb / times[3], mb / times[i], (double)sizes[i] / zlib, times[i] / times[3]);
}

static void member(aio_json_writer *w, const char *name, const char *text)
{
    aio_json_write_name(w, name);
    aio_json_write_string(w, text);
}

static void number(aio_json_writer *w, const char *name, int64_t value)
{
    aio_json_write_name(w, name);
    aio_json_write_int(w, value);
}

/* Messages of people: short strings, some of them not ASCII, nulls and flags, as twitter.json. */
static void messages(aio_json_writer *w)
{
    static const char *const nulls[] = { "in_reply_to_status_id", "in_reply_to_user_id", "geo", "coordinates", "place" };
    static const char *const flags[] = { "protected", "verified", "geo_enabled", "default_profile", "following" };
    static const char *const colours[] = { "profile_link_color", "profile_text_color", "profile_background_color" };
    aio_json_write_array(w);
    for (int i = 0; i < 400; i++) {
        aio_json_write_object(w);
        member(w, "created_at", "Sun Aug 31 00:29:15 +0000 2014");
        number(w, "id", 505874924095815700 + i);
        member(w, "text", i % 2 ? "\xe5\x89\x8d\xe7\x94\xb0\xe6\x95\xa6\xe5\xad\x90 \xe3\x81\x93\xe3\x82\x93\xe3\x81\xab"
                                  "\xe3\x81\xa1\xe3\x81\xaf http://t.test/x" : "a line, \"quoted\",\nand another one");
        for (size_t k = 0; k < 5; k++) {
            aio_json_write_name(w, nulls[k]);
            aio_json_write_null(w);
        }
        aio_json_write_name(w, "user");
        aio_json_write_object(w);
        number(w, "id", 866260188 + i);
        member(w, "screen_name", "somebody");
        member(w, "profile_image_url", "http://images.test/profile_images/497760886795153410/LDjAwR_y_normal.jpeg");
        number(w, "followers_count", 262 + i);
        for (size_t k = 0; k < 5; k++) {
            aio_json_write_name(w, flags[k]);
            aio_json_write_bool(w, (size_t)i % 3 == k);
        }
        for (size_t k = 0; k < 3; k++) member(w, colours[k], "C0DEED");
        aio_json_write_end(w);
        aio_json_write_end(w);
    }
    aio_json_write_end(w);
}

/* Deep, with integers and long indentations, as citm_catalog.json. */
static void catalogue(aio_json_writer *w)
{
    aio_json_write_array(w);
    for (int i = 0; i < 400; i++) {
        aio_json_write_object(w);
        number(w, "eventId", 138586341 + i);
        aio_json_write_name(w, "seatCategories");
        aio_json_write_array(w);
        for (int k = 0; k < 5; k++) {
            aio_json_write_object(w);
            aio_json_write_name(w, "areas");
            aio_json_write_array(w);
            for (int m = 0; m < 8; m++) {
                aio_json_write_object(w);
                number(w, "areaId", 205705999 + m);
                aio_json_write_name(w, "blockIds");
                aio_json_write_array(w);
                aio_json_write_end(w);
                aio_json_write_end(w);
            }
            aio_json_write_end(w);
            number(w, "seatCategoryId", 338937295 + k);
            aio_json_write_end(w);
        }
        aio_json_write_end(w);
        aio_json_write_end(w);
    }
    aio_json_write_end(w);
}

/* Pairs of doubles with all their digits, as canada.json. */
static void outline(aio_json_writer *w)
{
    uint64_t random = 1;
    aio_json_write_array(w);
    for (int i = 0; i < 50000; i++) {
        aio_json_write_array(w);
        for (int k = 0; k < 2; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            aio_json_write_double(w, (double)(random >> 11) / 9007199254740992.0 * 180 - 90);
        }
        aio_json_write_end(w);
    }
    aio_json_write_end(w);
}

/* glibc joins what was freed in small pieces when next a large one is asked for: here, on nobody's time. */
static void settle(void)
{
    void *volatile large = malloc(ROOM / 8);
    free(large);
}

static void json(const char *name, void (*make)(aio_json_writer *), int indent, int rounds)
{
    aio_text text, again;
    double own = 0, other = 0, write = 0, other_write = 0, started;
    aio_json_writer *w = aio_json_writer_open(.indent = indent);
    must(w != NULL, "aio_json_writer_open");
    make(w);
    must(!aio_json_writer_finish(w, &text, NULL), "aio_json_writer_finish");
    for (int round = 0; round < 4 * rounds; round++) {
        settle();
        started = cpu();
        cJSON *theirs = cJSON_ParseWithLength(text.data, text.length);
        must(theirs != NULL, "cJSON_ParseWithLength");
        cJSON_Delete(theirs);
        best(&other, started);
        settle();
        started = cpu();
        aio_json *root = aio_json_parse(text.data, text.length, NULL);
        must(root != NULL, "aio_json_parse");
        aio_json_free(root);
        best(&own, started);
        theirs = cJSON_ParseWithLength(text.data, text.length);
        root = aio_json_parse(text.data, text.length, NULL);
        started = cpu();
        char *printed = indent ? cJSON_Print(theirs) : cJSON_PrintUnformatted(theirs);
        best(&other_write, started);
        must(printed != NULL, "cJSON_Print");
        free(printed);
        started = cpu();
        must(!aio_json_dump(root, &again, .indent = indent) && again.length == text.length, "aio_json_dump");
        best(&write, started);
        aio_text_clear(&again);
        aio_json_free(root);
        cJSON_Delete(theirs);
    }
    double mb = 1e-6 * (double)text.length;
    printf("%-16s %5.1f MB  parse: cJSON %4.0f, aio %4.0f MB/s, %.2f x; write: cJSON %4.0f, aio %4.0f MB/s, %.2f x\n",
           name, mb, mb / other, mb / own, other / own, mb / other_write, mb / write, other_write / write);
    aio_text_clear(&text);
}

/* ---- heads ---- */

struct pico_header { const char *name; size_t name_length; const char *value; size_t value_length; };
typedef int pico_response(const char *data, size_t length, int *minor, int *status, const char **reason,
                          size_t *reason_length, struct pico_header *headers, size_t *count, size_t last);

/* A response's head of 300 bytes: ours is copied and kept, with its headers looked up by name; the peer only points into
 * the text. */
static void head(int rounds)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 28 Nov 2026 08:00:00 GMT\r\n"
        "Content-Type: text/html; charset=utf-8\r\nContent-Length: 0\r\nConnection: keep-alive\r\n"
        "Last-Modified: Fri, 27 Nov 2026 12:34:56 GMT\r\nETag: \"65643d90-8d4\"\r\nCache-Control: max-age=3600\r\n"
        "Vary: Accept-Encoding\r\nAccept-Ranges: bytes\r\n\r\n";
    enum { HEADS = 100000 };
    void *library = dlopen("libh2o-evloop.so.0.13", RTLD_NOW);
    void *symbol = library ? dlsym(library, "phr_parse_response") : NULL;
    pico_response *parse;
    memcpy(&parse, &symbol, sizeof parse);
    aio_http_parser *parser = aio_http_parser_open();
    must(parser != NULL, "aio_http_parser_open");
    double own = 0, other = 0, started;
    for (int round = 0; round < 4 * rounds; round++) {
        started = cpu();
        for (int i = 0; i < HEADS; i++) {
            aio_text in = { text, sizeof text - 1 }, piece;
            must(aio_http_parser_feed(parser, &in, &piece) == AIO_HTTP_HEAD, "head");
            must(aio_http_parser_feed(parser, &in, &piece) == AIO_HTTP_END, "end");
        }
        best(&own, started);
        started = cpu();
        for (int i = 0; i < HEADS && parse; i++) {
            struct pico_header headers[100];
            const char *reason;
            size_t count = 100, length;
            int minor, status;
            must(parse(text, sizeof text - 1, &minor, &status, &reason, &length, headers, &count, 0) > 0, "pico");
        }
        best(&other, started);
    }
    aio_http_parser_close(parser);
    printf("head of %zu bytes, parsed and kept: aio %.0f ns", sizeof text - 1, own / HEADS * 1e9);
    if (parse) printf("; picohttpparser %.0f ns, %.2f x\n", other / HEADS * 1e9, other / own);
    else printf("; no libh2o-evloop0.13 to be beside\n");
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    mallopt(M_MMAP_THRESHOLD, ROOM); /* memory that a round has given back serves the next: no page is new */
    mallopt(M_TRIM_THRESHOLD, 8 * ROOM);
    for (int i = 2; i < argc; i++) coding(argv[i], rounds);
    if (argc < 3) {
        coding("aio.h", rounds);
        coding(argv[0], rounds);
    }
    head(rounds);
    json("messages", messages, 2, rounds);
    json("catalogue", catalogue, 4, rounds);
    json("outline", outline, 0, rounds);
    return 0;
}
