/* Bodies as text: the first byte chooses a charset, or what the page declares, which lies within its first bytes. What
 * is given is UTF-8 with a NUL behind it; an error is within the input, and none is left where bad bytes are replaced.
 */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

static void fuzz_charset_decode(const char *name, const char *data, size_t size, bool replace)
{
    aio_text text = { NULL, 0 };
    aio_input_error error = { "", 0, 0, 0 };
    int code = aio_charset_decode(&text, data, size, &error, .charset = name, .replace = replace);
    if (code && (text.data || text.length)) abort();
    if (code == EILSEQ && (replace || error.offset > size || !*error.reason)) abort();
    if (code && code != EILSEQ && code != EINVAL) abort();
    if (!code && (text.data[text.length] || aio__utf8_valid(text.data, text.length) != text.length)) abort();
    aio_text_clear(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "utf-8", "iso-8859-1", "utf-16", "utf-16le", "utf-32", "gb18030", "shift_jis",
                                         "euc-jp", "windows-1252", "nonsense", "utf-7", "big5", NULL };
    char declared[64];
    if (!size) return 0;
    const char *text = (const char *)data + 1, *name = names[data[0] / 2 % (sizeof names / sizeof *names)];
    aio_text page = aio__text(text, size - 1), said = aio__content_declared(page);
    if (said.data && !AIO__SAME_WORD(said.data, said.length, "utf-8")
        && (said.data < text || said.data + said.length > text + page.length || !said.length)) abort();
    if (!name && said.length && said.length < sizeof declared) {
        memcpy(declared, said.data, said.length);
        declared[said.length] = '\0';
        name = declared;
    }
    fuzz_charset_decode(name, text, page.length, data[0] & 1);
    aio_text type = aio__content_parameter(page, "charset");
    if (type.length && (type.data < text || type.data + type.length > text + page.length)) abort();
    return 0;
}
