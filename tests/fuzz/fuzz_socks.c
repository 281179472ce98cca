/* Replies of proxies. The first byte says of which kind, the rest is what it says, whole and in pieces: the outcome is
 * the same, as are the bytes that were taken, and those that were sent. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

typedef struct fuzz_hop_run {
    aio__hop    hop;
    aio__buffer sent;
    size_t      used;
    int         code;
} fuzz_hop_run;

static void fuzz_hop_talk(fuzz_hop_run *run, const aio__proxy_url *proxy, const uint8_t *data, size_t size, size_t step)
{
    memset(run, 0, sizeof *run);
    run->hop.proxy = proxy;
    run->hop.host = "a.test";
    run->hop.port = 443;
    if (aio__hop_looks_up(&run->hop)) run->hop.ip_length = 4;
    run->code = aio__hop_begin(&run->hop, NULL) == AIO__MORE ? AIO__MORE : AIO_ERUNTIME;
    for (size_t given = step < size ? step : size; run->code == AIO__MORE;) {
        size_t used = 0, n = given - run->used;
        if (!aio__buffer_append(&run->sent, run->hop.out.data, run->hop.out.end)) abort();
        run->hop.out.end = 0;
        char *copy = (char *)malloc(n ? n : 1);
        if (!copy) abort();
        memcpy(copy, data + run->used, n);
        run->code = aio__hop_feed(&run->hop, copy, n, &used);
        free(copy);
        if (used > n || (run->code > 0 && !run->hop.problem[0])) abort();
        run->used += used;
        if (used) continue; /* once more with what is there */
        if (given == size) break;
        given = size - given < step ? size : given + step;
    }
    aio__free(run->hop.out.data);
    aio_headers_clear(&run->hop.headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = { "http://p", "socks4://p", "socks4a://u@p", "socks5://p", "socks5h://u:p@p" };
    static const size_t steps[] = { 1, 2, 7, 64 };
    fuzz_hop_run whole, pieces;
    aio__proxies *proxies;
    const char *reason;
    if (!size || aio__proxies_parse(&proxies, kinds[*data % 5], &reason)) return 0;
    fuzz_hop_talk(&whole, &proxies->at[0], data + 1, size - 1, size);
    if (whole.code == AIO_ERUNTIME || whole.sent.end > 200) abort();
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fuzz_hop_talk(&pieces, &proxies->at[0], data + 1, size - 1, steps[i]);
        if (pieces.code != whole.code || strcmp(pieces.hop.problem, whole.hop.problem) != 0) abort();
        if (pieces.sent.end != whole.sent.end || memcmp(pieces.sent.data, whole.sent.data, whole.sent.end) != 0) abort();
        if (!whole.code && pieces.used != whole.used) abort();
        aio__free(pieces.sent.data);
    }
    aio__free(whole.sent.data);
    aio__proxies_free(proxies);
    return 0;
}
