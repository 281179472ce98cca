/* robots.h: what a site's robots.txt lets us do (RFC 9309), and Crawl-delay, which many sites have beside it. */
#ifndef CRAWLER_ROBOTS_H
#define CRAWLER_ROBOTS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ROBOTS_MAX = 512 * 1024, ROBOTS_RULES = 10000 }; /* bytes that are looked at; rules that are kept */

struct robots_rule { bool allow; size_t length; char *pattern; };
struct robots {
    struct robots_rule *rules;
    size_t              count;
    double              delay;     /* seconds between requests; 0: it does not say */
    bool                forbidden; /* nothing is allowed: nobody could tell what is */
};

static inline void robots_clear(struct robots *robots)
{
    for (size_t i = 0; i < robots->count; i++) free(robots->rules[i].pattern);
    free(robots->rules);
    memset(robots, 0, sizeof *robots);
}

static inline int robots_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* As URLs have it in normal form: what is no ASCII as %XX, and %XX only where it has to be. */
static inline char *robots_pattern(const char *text, size_t length, size_t *written)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = (char *)malloc(3 * length + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        bool coded = c == '%' && i + 2 < length && robots_hex(text[i + 1]) >= 0 && robots_hex(text[i + 2]) >= 0;
        if (coded) {
            c = (unsigned char)(robots_hex(text[i + 1]) * 16 + robots_hex(text[i + 2]));
            i += 2;
        }
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c && strchr("-._~", c));
        if (plain || (!coded && c < 0x80)) out[n++] = (char)c;
        else out[n++] = '%', out[n++] = hex[c >> 4], out[n++] = hex[c & 15];
    }
    *written = n;
    return out;
}

/* "*" stands for any bytes, "$" at the end for the end. */
static inline bool robots_match(const char *pattern, size_t length, const char *target)
{
    const char *end = pattern + length, *star = NULL, *again = NULL;
    for (;;) {
        if (pattern == end) return true;
        if (*pattern == '$' && pattern + 1 == end && !*target) return true;
        if (*pattern == '*') {
            star = ++pattern;
            again = target;
        } else if (*target && *pattern == *target && !(*pattern == '$' && pattern + 1 == end)) {
            pattern++;
            target++;
        } else {
            if (!star || !*again) return false;
            pattern = star;
            target = ++again;
        }
    }
}

/* Whether a path with its query may be asked for: the longest rule says it; of two, the one that allows. */
static inline bool robots_allow(const struct robots *robots, const char *target)
{
    const struct robots_rule *best = NULL;
    if (robots->forbidden) return false;
    for (size_t i = 0; i < robots->count; i++) {
        const struct robots_rule *rule = &robots->rules[i];
        if (best && (rule->length < best->length || (rule->length == best->length && !rule->allow))) continue;
        if (robots_match(rule->pattern, rule->length, target)) best = rule;
    }
    return !best || best->allow;
}

static inline void robots_add(struct robots *robots, bool allow, const char *text, size_t length)
{
    if (!length || robots->count == ROBOTS_RULES) return;
    if (!(robots->count & (robots->count - 1))) {
        size_t room = robots->count ? 2 * robots->count : 1;
        struct robots_rule *rules = (struct robots_rule *)realloc(robots->rules, room * sizeof *rules);
        if (!rules) {
            robots->forbidden = true; /* rather than to break a rule that was forgotten */
            return;
        }
        robots->rules = rules;
    }
    struct robots_rule rule = { allow, 0, NULL };
    rule.pattern = robots_pattern(text, length, &rule.length);
    if (rule.pattern) robots->rules[robots->count++] = rule;
    else robots->forbidden = true;
}

/* Reads the groups that name `agent`, whose version does not count, or, if it is "*", those of everybody. Gives how
 * many there were. */
static inline int robots_groups(struct robots *robots, const char *text, size_t length, const char *agent)
{
    const char *at = text, *end = text + length;
    size_t agent_length = strcspn(agent, "/ ");
    bool ours = false, in_names = false;
    int groups = 0;
    while (at < end) {
        const char *line = at, *stop = line;
        while (at < end && *at != '\n' && *at != '\r') at++;
        for (stop = line; stop < at && *stop != '#'; stop++) { }
        if (at < end) at++;
        const char *colon = (const char *)memchr(line, ':', (size_t)(stop - line));
        if (!colon) continue;
        while (line < colon && (*line == ' ' || *line == '\t')) line++;
        size_t name = (size_t)(colon - line);
        while (name && (line[name - 1] == ' ' || line[name - 1] == '\t')) name--;
        const char *value = colon + 1;
        while (value < stop && (*value == ' ' || *value == '\t')) value++;
        while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        size_t size = (size_t)(stop - value);
        if (name == 10 && !strncasecmp(line, "user-agent", name)) {
            if (!in_names) ours = false;
            in_names = true;
            size_t token = 0;
            while (token < size && value[token] != '/' && value[token] != ' ') token++;
            if (token == agent_length && !strncasecmp(value, agent, token)) {
                groups += !ours;
                ours = true;
            }
            continue;
        }
        bool allow = name == 5 && !strncasecmp(line, "allow", name);
        bool rule = allow || (name == 8 && !strncasecmp(line, "disallow", name));
        bool delay = name == 11 && !strncasecmp(line, "crawl-delay", name);
        if (rule || delay) in_names = false;
        if (rule && ours) robots_add(robots, allow, value, size);
        if (delay && ours && size && size < 16) {
            char number[16];
            memcpy(number, value, size);
            number[size] = 0;
            double seconds = strtod(number, NULL);
            if (seconds > robots->delay && seconds < 86400) robots->delay = seconds;
        }
    }
    return groups;
}

static inline void robots_parse(struct robots *robots, const char *text, size_t length, const char *agent)
{
    if (length > ROBOTS_MAX) length = ROBOTS_MAX;
    if (length >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) text += 3, length -= 3;
    if (!robots_groups(robots, text, length, agent)) robots_groups(robots, text, length, "*");
}

#endif
