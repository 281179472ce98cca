/* The fuzzers' corpora: each file of tests/fuzz/corpus/NAME goes through tests/fuzz/fuzz_NAME.c. A target aborts when
 * something does not hold; which file it was is then on stderr. */
#include <dirent.h>

#define FUZZ_REPLAY
#define LLVMFuzzerTestOneInput fuzz_bson
#include "fuzz/fuzz_bson.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_challenges
#include "fuzz/fuzz_challenges.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_charset
#include "fuzz/fuzz_charset.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_chunked
#include "fuzz/fuzz_chunked.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_cookies
#include "fuzz/fuzz_cookies.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_deflate
#include "fuzz/fuzz_deflate.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_dns
#include "fuzz/fuzz_dns.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_fields
#include "fuzz/fuzz_fields.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_http_parser
#include "fuzz/fuzz_http_parser.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_http_request
#include "fuzz/fuzz_http_request.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_http_response
#include "fuzz/fuzz_http_response.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_inflate
#include "fuzz/fuzz_inflate.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_multipart
#include "fuzz/fuzz_multipart.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_mysql
#include "fuzz/fuzz_mysql.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_json
#include "fuzz/fuzz_json.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_netrc
#include "fuzz/fuzz_netrc.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_resp
#include "fuzz/fuzz_resp.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_routes
#include "fuzz/fuzz_routes.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_socks
#include "fuzz/fuzz_socks.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_sse
#include "fuzz/fuzz_sse.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_target
#include "fuzz/fuzz_target.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_url
#include "fuzz/fuzz_url.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_websocket
#include "fuzz/fuzz_websocket.c"
#undef LLVMFuzzerTestOneInput

static const struct corpus { const char *name; int (*target)(const uint8_t *, size_t); } corpora[] = {
    { "bson", fuzz_bson }, { "challenges", fuzz_challenges }, { "charset", fuzz_charset },
    { "chunked", fuzz_chunked }, { "cookies", fuzz_cookies }, { "deflate", fuzz_deflate },
    { "dns", fuzz_dns }, { "fields", fuzz_fields },
    { "http_parser", fuzz_http_parser }, { "http_request", fuzz_http_request },
    { "http_response", fuzz_http_response }, { "inflate", fuzz_inflate },
    { "json", fuzz_json }, { "multipart", fuzz_multipart }, { "mysql", fuzz_mysql },
    { "netrc", fuzz_netrc }, { "resp", fuzz_resp }, { "routes", fuzz_routes }, { "socks", fuzz_socks },
    { "sse", fuzz_sse }, { "target", fuzz_target }, { "url", fuzz_url }, { "websocket", fuzz_websocket },
};
enum { CORPORA = sizeof corpora / sizeof *corpora };
static char corpus_path[512]; /* what is being replayed */

static void corpus_name_it(int signum)
{
    (void)signum;
    fail("%s: the fuzz target aborted", corpus_path);
    fflush(stdout);
    _exit(1);
}

/* The folder tests/fuzz/NAME, wherever the tests were compiled from. */
static const char *corpus_folder(const char *name)
{
    const char *slash = strrchr(__FILE__, '/');
    snprintf(corpus_path, sizeof corpus_path, "%.*sfuzz/%s", slash ? (int)(slash + 1 - __FILE__) : 0, __FILE__, name);
    return corpus_path;
}

/* From a block of its exact size, so that the address sanitizer sees a byte read beyond. */
static void corpus_file(const struct corpus *corpus)
{
    enum { MOST_BYTES = 1 << 20 };
    static uint8_t *buffer;
    if (!buffer) buffer = (uint8_t *)kept(MOST_BYTES);
    FILE *file = fopen(corpus_path, "rb");
    if (!CHECK(file != NULL)) return;
    size_t size = fread(buffer, 1, MOST_BYTES, file);
    CHECK(!ferror(file) && size < MOST_BYTES);
    fclose(file);
    uint8_t *data = (uint8_t *)malloc(size ? size : 1);
    if (!CHECK(data != NULL)) return;
    memcpy(data, buffer, size);
    CHECK_INT(corpus->target(data, size), 0);
    free(data);
}

TEST(fuzz_corpora_hold)
{
    signal(SIGABRT, corpus_name_it);
    for (int i = 0; i < CORPORA; i++) {
        char folder[64];
        int files = 0;
        struct dirent *entry;
        snprintf(folder, sizeof folder, "corpus/%s", corpora[i].name);
        DIR *directory = opendir(corpus_folder(folder));
        if (!CHECK(directory != NULL)) continue;
        size_t length = strlen(corpus_path);
        while ((entry = readdir(directory)) != NULL) {
            if (*entry->d_name == '.') continue;
            snprintf(corpus_path + length, sizeof corpus_path - length, "/%s", entry->d_name);
            corpus_file(&corpora[i]);
            files++;
        }
        closedir(directory);
        CHECK(files > 0);
    }
}

/* `name`, up to its `length`, stands in the table. */
static bool corpus_known(const char *name, size_t length)
{
    for (int i = 0; i < CORPORA; i++)
        if (strlen(corpora[i].name) == length && !strncmp(corpora[i].name, name, length)) return true;
    printf("# no corpus is replayed for %s\n", name);
    return false;
}

TEST(fuzz_corpora_are_all_replayed)
{
    int targets = 0, folders = 0;
    struct dirent *entry;
    DIR *directory = opendir(corpus_folder(""));
    if (!CHECK(directory != NULL)) return;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, "fuzz_", 5) || strcmp(entry->d_name + length - 2, ".c")) continue;
        CHECK(corpus_known(entry->d_name + 5, length - 7));
        targets++;
    }
    closedir(directory);
    directory = opendir(corpus_folder("corpus"));
    if (!CHECK(directory != NULL)) return;
    while ((entry = readdir(directory)) != NULL) {
        if (*entry->d_name == '.') continue;
        CHECK(corpus_known(entry->d_name, strlen(entry->d_name)));
        folders++;
    }
    closedir(directory);
    CHECK_INT(targets, CORPORA);
    CHECK_INT(folders, CORPORA);
}
