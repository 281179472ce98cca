/* parse: what our parsers make of lines on stdin, for others to compare with.
 *
 *   parse json       a line: a text in hexadecimal; the answer: the text as it is written again, or "-" and what is wrong
 *   parse charset    a line: a charset and bytes in hexadecimal; the answer: UTF-8, likewise, or "-" and an offset
 *   parse cookies    a line: "set URL FIELD", a Set-Cookie; or "get URL"; the answer to that: the Cookie field */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t unhex(char *line)
{
    size_t n = 0;
    unsigned byte;
    for (char *at = line; sscanf(at, "%2x", &byte) == 1 && *at != '\n'; at += 2) line[n++] = (char)byte;
    return n;
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
    for (size_t i = 0; i < text.length; i++) printf("%02x", (unsigned char)text.data[i]);
    printf("\n");
    aio_text_clear(&text);
    return 0;
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
    bool is_json = argc > 1 && !strcmp(argv[1], "json"), is_charset = argc > 1 && !strcmp(argv[1], "charset");
    aio_cookie_jar *jar = aio_cookie_jar_open();
    int code = !jar;
    while (!code && fgets(line, sizeof line, stdin))
        code = is_json ? json(line) : is_charset ? charset(line) : cookies(jar, line);
    aio_cookie_jar_unref(jar);
    return code;
}
