/* html.h: the tags of a page, one after the other, as far as a crawler looks at them. Comments and what is in scripts
 * and styles are passed over; whatever the page, nothing outside of it is read. */
#ifndef CRAWLER_HTML_H
#define CRAWLER_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct tag { const char *at, *end; char name[12]; }; /* its attributes, and where the next one may begin */

static inline bool html_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
static inline bool html_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* Up to the first `word`, in any case, or the end. */
static inline const char *html_find(const char *at, const char *end, const char *word)
{
    size_t length = strlen(word);
    while ((size_t)(end - at) >= length && strncasecmp(at, word, length)) at++;
    return (size_t)(end - at) >= length ? at : end;
}

/* The next tag that opens, from tag->end on (before the first: where the page begins). False: there is none. */
static inline bool html_next(struct tag *tag, const char *end)
{
    const char *at = tag->end;
    if (!strcmp(tag->name, "script")) at = html_find(at, end, "</script");
    if (!strcmp(tag->name, "style")) at = html_find(at, end, "</style");
    for (;;) {
        size_t n = 0;
        if (at < end) at = (const char *)memchr(at, '<', (size_t)(end - at));
        if (!at || end - at < 2) return false;
        if (end - at >= 4 && !memcmp(at, "<!--", 4)) {
            at = html_find(at + 4, end, "-->");
            continue;
        }
        if (!html_letter(*++at)) continue;
        for (; at < end && !html_space(*at) && *at != '>' && *at != '/'; at++)
            if (n < sizeof tag->name - 1) tag->name[n++] = (char)(html_letter(*at) ? *at | 0x20 : *at);
        tag->name[n] = 0;
        tag->at = at;
        for (char quote = 0; at < end && (quote || *at != '>'); at++)
            if (quote ? *at == quote : (*at == '"' || *at == '\'') && at[-1] != '<') quote = (char)(quote ? 0 : *at);
        tag->end = at;
        return true;
    }
}

/* Writes what "&amp;", "&#38;" and the like stand for; others stay as they are. */
static inline size_t html_decode(char *out, size_t size, const char *at, const char *end)
{
    static const struct { const char *name; char is; } entities[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }
    };
    size_t n = 0;
    while (at < end && n + 1 < size) {
        char c = *at++;
        if (c == '&' && end - at >= 2 && *at == '#') {
            unsigned value = 0, base = (at[1] | 0x20) == 'x' ? 16 : 10;
            const char *digit = at + (base == 16 ? 2 : 1);
            for (; digit < end && value < 128; digit++) {
                int is = *digit >= '0' && *digit <= '9' ? *digit - '0' : 99;
                if (html_letter(*digit)) is = (*digit | 0x20) - 'a' + 10;
                if (is >= (int)base) break;
                value = value * base + (unsigned)is;
            }
            if (digit < end && *digit == ';' && value && value < 128) c = (char)value, at = digit + 1;
        } else if (c == '&') {
            for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
                size_t length = strlen(entities[i].name) - 1;
                if ((size_t)(end - at) < length || memcmp(at, entities[i].name + 1, length)) continue;
                c = entities[i].is;
                at += length;
                break;
            }
        }
        out[n++] = c;
    }
    if (at < end) n = 0; /* it does not fit */
    out[n] = 0;
    return n;
}

/* Writes an attribute's value, with a NUL. False: there is none, or it is longer. */
static inline bool html_attribute(const struct tag *tag, const char *name, char *out, size_t size)
{
    const char *at = tag->at, *end = tag->end;
    size_t wanted = strlen(name);
    while (at < end) {
        while (at < end && (html_space(*at) || *at == '/')) at++;
        const char *begin = at;
        while (at < end && !html_space(*at) && *at != '=' && *at != '/') at++;
        bool is = (size_t)(at - begin) == wanted && !strncasecmp(begin, name, wanted);
        while (at < end && html_space(*at)) at++;
        if (at == begin && at < end && *at != '=') at++;
        if (at >= end || *at != '=') continue;
        for (at++; at < end && html_space(*at); at++) { }
        char quote = (char)(at < end && (*at == '"' || *at == '\'') ? *at++ : 0);
        const char *value = at;
        while (at < end && (quote ? *at != quote : !html_space(*at))) at++;
        if (is) return html_decode(out, size, value, at) != 0;
        if (quote && at < end) at++;
    }
    return false;
}

#endif
