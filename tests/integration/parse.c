/* parse: what our parsers make of lines on stdin, for others to compare with.
 *
 *   parse json       a line: a text in hexadecimal; the answer: the text as it is written again, or "-" and what is wrong
 *   parse charset    a line: a charset and bytes in hexadecimal; the answer: UTF-8, likewise, or "-" and an offset
 *   parse coding     a line: "inflate FORMAT" or "deflate FORMAT LEVEL", the numbers of enumerators, and bytes in
 *                    hexadecimal; the answer: what is made of them, likewise, or "-" and an offset
 *   parse cookies    a line: "set URL FIELD", a Set-Cookie; or "get URL"; the answer to that: the Cookie field */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t unhex(char *line)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = 0;
    for (const char *at = line; *at && *at != '\n'; at += 2)
        line[n++] = (char)((strchr(digits, at[0]) - digits) << 4 | (strchr(digits, at[1]) - digits));
    return n;
}

static int say(aio_text *text)
{
    for (size_t i = 0; i < text->length; i++) printf("%02x", (unsigned char)text->data[i]);
    printf("\n");
    aio_text_clear(text);
    return 0;
}

static int json(char *line)
{
    aio_input_error error;
    aio_text text;
    aio_json *root = aio_json_parse(line, unhex(line), &error);
    if (!root) return printf("- %llu %s\n", (unsigned long long)error.offset, error.reason) < 0;
    if (aio_json_dump(root, &text)) return 1;
    printf("%s\n", text.data);
    aio_text_clear(&text);
    aio_json_free(root);
    return 0;
}

static int charset(char *line)
{
    aio_input_error error;
    aio_text text;
    char *bytes = strchr(line, ' ');
    *bytes++ = '\0';
    int code = aio_charset_decode(&text, bytes, unhex(bytes), &error, .charset = line, .ignore_mark = true);
    if (code) return printf("- %llu\n", (unsigned long long)error.offset) < 0 || code != EILSEQ;
    return say(&text);
}

static int coding(char *line)
{
    aio_input_error error = { "", 0, 0, 0 };
    aio_text text;
    int format = 0, level = 0, at = 0, code;
    if (sscanf(line, "inflate %d %n", &format, &at) == 1) {
        code = aio_inflate_all(&text, line + at, unhex(line + at), &error, .format = format, .leave_rest = true,
                               .max_ratio = AIO_UNLIMITED);
    } else {
        if (sscanf(line, "deflate %d %d %n", &format, &level, &at) != 2) return 1;
        code = aio_deflate_all(&text, line + at, unhex(line + at), .format = format, .level = level);
    }
    if (code) return printf("- %llu\n", (unsigned long long)error.offset) < 0 || code != AIO_ECODING;
    return say(&text);
}

static int cookies(aio_cookie_jar *jar, char *line)
{
    aio_url url;
    aio_text text;
    line[strcspn(line, "\n")] = '\0';
    char *from = strchr(line, ' ') + 1, *field = strchr(from, ' ');
    size_t n = field ? (size_t)(field - from) : strlen(from);
    if (aio_url_parse(&url, from, n, NULL)) return 1;
    if (!strncmp(line, "set ", 4)) aio_cookie_jar_update(jar, &url, field + 1, strlen(field + 1), NULL);
    else if (aio_cookie_jar_filter(jar, &url, &text)) return 1;
    else printf("%s\n", text.data ? text.data : "");
    aio_url_clear(&url);
    return 0;
}

int main(int argc, char **argv)
{
    static char line[1 << 20];
    const char *what = argc > 1 ? argv[1] : "cookies";
    aio_cookie_jar *jar = aio_cookie_jar_open();
    int code = !jar;
    while (!code && fgets(line, sizeof line, stdin))
        code = !strcmp(what, "json") ? json(line) : !strcmp(what, "charset") ? charset(line)
            : !strcmp(what, "coding") ? coding(line) : cookies(jar, line);
    aio_cookie_jar_unref(jar);
    return code;
}
