/* crawler: visits the pages of sites, politely, and reports on them; crawler --help lists its options. With --self it
 * needs no network. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_REDIS_IMPLEMENTATION
#include "../redis/aio_redis.h"
#include "frontier.h"
#include "frontier_redis.h"
#include "html.h"
#include "report.h"
#include "robots.h"
#include <sys/resource.h>

static struct options {
    const char *agent, *journal, *report, *redis, *name;
    char      **urls;
    int         url_count, depth, pages, limit, per_host, self, patience;
    double      delay, claim;
    bool        span;
} options = { "aio-crawler", NULL, NULL, NULL, "crawl", NULL, 0, -1, -1, 100, 2, 0, 60, 1, 10, false };

struct host {
    struct host  *next;        /* in its place of the table */
    struct page  *first, **last;
    struct robots robots;
    aio_semaphore places;
    double        not_before;  /* time of the loop */
    bool          known, busy; /* its robots.txt was read; a coroutine looks after it */
    char          origin[1];   /* "https://example.org", as long as it is */
};

enum { HOSTS = 4096, SEEDS = 1000 };
static struct crawler {
    struct frontier *frontier;
    aio_session    *session;
    aio_task_group *group;
    aio_semaphore   places, window;
    struct host    *hosts[HOSTS];
    char           *wanted[SEEDS]; /* "example.org": links to others are followed with --span alone */
    int             wanted_count;
    size_t          handed, running, failed, finished, statuses[6];
    double          bytes;
} crawler;

/* ---- the site of --self: page i links to 2i+1 and 2i+2; some of those without links are missing ---- */

static void write_page(char *html, int i)
{
    int length = snprintf(html, 100, "<title>Page %d</title>", i);
    for (int child = 2 * i + 1; child <= 2 * i + 2 && child < options.self; child++)
        length += snprintf(html + length, 50, "<a href=\"/%d\">next</a>", child);
}

struct serve { aio_task task; aio_request *request; int i; bool missing; char html[200]; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    self->i = atoi(self->request->path.data + 1);
    write_page(self->html, self->i);
    self->missing = !strcmp(self->request->path.data, "/robots.txt") ||
                    (self->i > options.self / 2 && self->i % 50 == 0);
    AIO_AWAIT(aio_request_respond(self->request, self->missing ? 404 : 200, .content_type = "text/html",
                                  .text = self->html));
    AIO_END;
}
static void *handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(serve, .request = request); }

/* ---- links ---- */

/* Adds where a link leads, in normal form and without its fragment, if that is to be visited. */
static int add_link(struct links *links, const aio_url *base, const char *text)
{
    aio_url link;
    int code = aio_url_join(&link, base, text, strlen(text), NULL, .repair = true);
    if (code) return code == ENOMEM ? code : 0; /* what is no URL leads nowhere */
    size_t fragment = link.fragment.data ? link.fragment.length + 1 : 0;
    bool wanted = options.span;
    for (int i = 0; i < crawler.wanted_count && !wanted; i++)
        wanted = link.authority.data && strlen(crawler.wanted[i]) == link.authority.length &&
                 !memcmp(crawler.wanted[i], link.authority.data, link.authority.length);
    if (link.is_http && !strncmp(link.scheme.data, "http", 4) && wanted)
        code = links_add(links, link.text.data, link.text.length - fragment);
    aio_url_clear(&link);
    return code;
}

static bool says_nofollow(const char *text) { return *html_find(text, text + strlen(text), "nofollow"); }

/* Adds the links of a page, but those that are not to be followed. */
static int add_links_from(struct links *links, const aio_url *page, aio_url *base, aio_text html)
{
    char value[URL_MAX + 1], kind[64];
    struct tag tag = { NULL, html.data, "" };
    while (html_next(&tag, html.data + html.length)) {
        if (!strcmp(tag.name, "meta") && html_attribute(&tag, "name", kind, sizeof kind) &&
            !strcasecmp(kind, "robots") && html_attribute(&tag, "content", value, sizeof value) &&
            says_nofollow(value)) return 0;
        if (!strcmp(tag.name, "base") && html_attribute(&tag, "href", value, sizeof value)) {
            aio_url other;
            int code = aio_url_join(&other, page, value, strlen(value), NULL, .repair = true);
            if (code == ENOMEM) return code;
            if (!code) {
                aio_url_clear(base);
                *base = other;
            }
        }
        if (strcmp(tag.name, "a") != 0 || !html_attribute(&tag, "href", value, sizeof value)) continue;
        if (html_attribute(&tag, "rel", kind, sizeof kind) && says_nofollow(kind)) continue;
        if (add_link(links, base, value)) return ENOMEM;
    }
    return 0;
}

static int add_links(struct links *links, const char *url, aio_text html)
{
    aio_url page, base;
    int code = aio_url_parse(&page, url, strlen(url), NULL);
    if (!code) {
        code = aio_url_parse(&base, url, strlen(url), NULL);
        if (!code) code = add_links_from(links, &page, &base, html);
        aio_url_clear(&base);
    }
    aio_url_clear(&page);
    return code;
}

/* Links to this host are followed. */
static int want(const aio_url *url)
{
    if (crawler.wanted_count == SEEDS || !url->authority.data) return EINVAL;
    crawler.wanted[crawler.wanted_count] = strndup(url->authority.data, url->authority.length);
    return crawler.wanted[crawler.wanted_count++] ? 0 : ENOMEM;
}

/* A redirect. Where a URL that was given has moved to, counts as given. */
static int add_location(struct links *links, const struct page *page, const char *location)
{
    aio_url url, to;
    int code = aio_url_parse(&url, page->url, strlen(page->url), NULL);
    bool given = page->depth % REDIRECT == 0;
    if (!code && given && !aio_url_join(&to, &url, location, strlen(location), NULL, .repair = true)) {
        if (!aio_url_same_origin(&url, &to) && want(&to) == ENOMEM) code = ENOMEM;
        aio_url_clear(&to);
    }
    if (!code) code = add_link(links, &url, location);
    aio_url_clear(&url);
    return code;
}

/* ---- pages ---- */

static bool is_html(aio_response *response)
{
    aio_text type = aio_response_content_type(response);
    return type.data && (!strcmp(type.data, "text/html") || !strcmp(type.data, "application/xhtml+xml"));
}

static void finished(const struct record *record)
{
    crawler.finished++;
    crawler.bytes += (double)record->bytes;
    crawler.statuses[record->status / 100 % 6]++;
    crawler.failed += record->status == STATUS_ERROR;
}

static void failed(const struct page *page, const aio_exception *why)
{
    if (crawler.failed < 10) fprintf(stderr, "\r%s: %s\n", page->url, why->message);
    else if (crawler.failed == 10) fprintf(stderr, "\rmore errors are only counted\n");
}

struct visit {
    aio_task task; struct host *host; struct page *page; bool forbidden, handed_back; double began;
    aio_response *response; aio_text text; struct links links; struct record record;
};
static AIO_CORO(visit)
{
    AIO_BEGIN(visit);
    crawler.running++;
    self->began = aio_time();
    self->record.depth = self->page->depth % REDIRECT;
    self->links.depth = self->record.depth + 1;
    AIO_TRY {
        self->record.status = STATUS_ROBOTS;
        if (!self->forbidden) {
            AIO_AWAIT(self->response, aio_session_get(crawler.session, self->page->url, .no_redirects = true));
            self->record.status = self->response->status;
            if (self->record.status / 100 == 3 && aio_headers_get(&self->response->headers, "Location").data) {
                if (self->page->depth / REDIRECT >= REDIRECTS_MAX)
                    AIO_RAISE(AIO_EREDIRECTS, "more than %d redirects in a row", REDIRECTS_MAX);
                /* A redirect is no step; where it leads is a page of its own, with robots.txt. */
                self->links.depth = self->page->depth + REDIRECT;
                if (add_location(&self->links, self->page,
                                 aio_headers_get(&self->response->headers, "Location").data)) AIO_RAISE(ENOMEM);
            } else if (self->record.status == 200 && is_html(self->response)) {
                AIO_AWAIT(self->text, aio_response_text(self->response, .declared = true, .replace = true));
                aio_text tag = aio_headers_get(&self->response->headers, "X-Robots-Tag");
                bool leads_on = options.depth < 0 || self->record.depth < options.depth;
                if (leads_on && !(tag.data && says_nofollow(tag.data)) &&
                    add_links(&self->links, self->page->url, self->text)) AIO_RAISE(ENOMEM);
            } else if (self->response->content_length >= 0 && self->response->content_length < 65536) {
                AIO_AWAIT(aio_response_read(self->response)); /* so that the connection serves the next one */
            }
            self->record.bytes = (size_t)aio_response_bytes_received(self->response);
        }
    } AIO_CATCH {
        failed(self->page, aio_caught(self));
        self->record.status = STATUS_ERROR;
    } AIO_END_TRY;
    self->record.seconds = aio_time() - self->began;
    self->record.when = aio_time() - crawler.frontier->began;
    self->handed_back = true;
    AIO_AWAIT(crawler.frontier->finish(crawler.frontier, self->page, &self->record, &self->links));
    finished(&self->record);
    AIO_FINALLY;
        if (!self->handed_back) crawler.frontier->drop(self->page);
        aio_response_release(self->response);
        free(self->links.text.data);
        crawler.running--;
        aio_semaphore_release(&self->host->places);
        aio_semaphore_release(&crawler.places);
        if (crawler.frontier->window) aio_semaphore_release(&crawler.window);
    AIO_END;
}

/* ---- hosts ---- */

/* The host of a URL, made when it is new. NULL: no memory. */
static struct host *host_of(const char *text)
{
    aio_url url;
    if (aio_url_parse(&url, text, strlen(text), NULL)) return NULL;
    size_t length = url.scheme.length + 3 + url.authority.length, hash = 5381;
    struct host *made = (struct host *)calloc(1, sizeof *made + length), *host;
    if (made) snprintf(made->origin, length + 1, "%.*s://%.*s", (int)url.scheme.length, url.scheme.data,
                       (int)url.authority.length, url.authority.data);
    aio_url_clear(&url);
    if (!made) return NULL;
    for (size_t i = 0; i < length; i++) hash = hash * 33 + (unsigned char)made->origin[i];
    struct host **place = &crawler.hosts[hash % HOSTS];
    for (host = *place; host && strcmp(host->origin, made->origin); host = host->next) { }
    if (host) {
        free(made);
        return host;
    }
    made->last = &made->first;
    aio_semaphore_init(&made->places, options.per_host);
    made->next = *place;
    return *place = made;
}

/* RFC 9309 2.3.1: without a robots.txt all is allowed; while it cannot be had, nothing is. */
struct read_robots { aio_task task; struct host *host; aio_response *response; aio_text text; char url[URL_MAX + 16]; };
static AIO_CORO(read_robots)
{
    AIO_BEGIN(read_robots);
    snprintf(self->url, sizeof self->url, "%s/robots.txt", self->host->origin);
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_get(crawler.session, self->url, .max_redirects = 5));
        if (self->response->status / 100 == 2) {
            AIO_AWAIT(self->text, aio_response_text(self->response, .replace = true));
            robots_parse(&self->host->robots, self->text.data, self->text.length, options.agent);
        } else if (self->response->status / 100 != 4) {
            AIO_RAISE(AIO_ESTATUS, "status %d", self->response->status);
        }
    } AIO_CATCH {
        self->host->robots.forbidden = true;
        fprintf(stderr, "\r%s: nothing is visited there: %s\n", self->url, aio_caught(self)->message);
    } AIO_END_TRY;
    self->host->known = true;
    self->host->not_before = aio_time() + options.delay;
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

/* Begins a page of the host whenever one may begin, as long as there are some. */
struct look_after { aio_task task; struct host *host; struct page *page; bool forbidden; double delay; };
static AIO_CORO(look_after)
{
    AIO_BEGIN(look_after);
    if (!self->host->known) AIO_AWAIT(AIO_CALL(read_robots, .host = self->host));
    while (self->host->first) {
        AIO_AWAIT(aio_semaphore_acquire(&self->host->places));
        self->page = self->host->first;
        self->host->first = self->page->next;
        if (!self->host->first) self->host->last = &self->host->first;
        self->forbidden = !robots_allow(&self->host->robots, self->page->url + strlen(self->host->origin));
        self->delay = self->host->robots.delay > options.delay ? self->host->robots.delay : options.delay;
        if (!self->forbidden && self->delay > 0) {
            while (self->host->not_before > aio_time()) AIO_AWAIT(aio_sleep(self->host->not_before - aio_time()));
            if (crawler.frontier->turn)
                AIO_AWAIT((aio_future *)crawler.frontier->turn(crawler.frontier, self->host->origin, self->delay));
            self->host->not_before = aio_time() + self->delay;
        }
        AIO_AWAIT(aio_semaphore_acquire(&crawler.places));
        if (!aio_task_group_create_task(crawler.group, AIO_CALL(visit, .host = self->host, .page = self->page,
                                                                .forbidden = self->forbidden))) AIO_RAISE(ENOMEM);
        self->page = NULL;
    }
    self->host->busy = false;
    AIO_FINALLY;
        if (self->page) crawler.frontier->drop(self->page);
    AIO_END;
}

static int hand_to_host(struct page *page)
{
    struct host *host = host_of(page->url);
    if (!host) return ENOMEM;
    page->next = NULL;
    *host->last = page;
    host->last = &page->next;
    crawler.handed++;
    if (host->busy) return 0;
    host->busy = aio_task_group_create_task(crawler.group, AIO_CALL(look_after, .host = host)) != NULL;
    return host->busy ? 0 : ENOMEM;
}

/* ---- what is shown ---- */

struct show { aio_task task; };
static AIO_CORO(show)
{
    AIO_BEGIN(show);
    for (;;) {
        AIO_AWAIT(aio_sleep(isatty(2) ? 0.2 : 10));
        fprintf(stderr, isatty(2) ? "\r%zu of %zu pages, %zu at once, %zu errors, %.1f a second "
                                  : "%zu of %zu pages, %zu at once, %zu errors, %.1f a second\n",
                crawler.frontier->finished, crawler.frontier->known, crawler.running, crawler.failed,
                (double)crawler.frontier->finished / (aio_time() - crawler.frontier->began));
    }
    AIO_END;
}

static void summary(double seconds)
{
    static const char *const names[] = { "errors", "robots.txt", "2xx", "3xx", "4xx", "5xx" };
    size_t forbidden = crawler.statuses[0] - crawler.failed;
    if (isatty(2)) fprintf(stderr, "\r%79s\r", "");
    printf("%-12s %10zu   %.0f a second, %.3f s\n", "pages", crawler.finished,
           seconds > 0 ? (double)crawler.finished / seconds : 0, seconds);
    for (int i = 0; i < 6; i++) {
        size_t count = i == 0 ? crawler.failed : i == 1 ? forbidden : crawler.statuses[i];
        if (count) printf("  %-10s %10zu\n", names[i], count);
    }
    printf("%-12s %10.3f\n", "MB", crawler.bytes / 1e6);
    if (crawler.frontier->record_count != crawler.finished)
        printf("%-12s %10zu   with those of other runs\n", "in all", crawler.frontier->record_count);
}

/* ---- the crawl ---- */

/* What the URLs given lead to. */
static int add_urls(struct links *links)
{
    for (int i = 0; i < options.url_count; i++) {
        aio_url url;
        const char *reason = "";
        int code = aio_url_parse(&url, options.urls[i], strlen(options.urls[i]), &reason);
        if (code == ENOMEM) return code;
        bool http = !code && url.is_http && !strncmp(url.scheme.data, "http", 4);
        code = http ? want(&url) : EINVAL;
        if (!code) code = add_link(links, &url, "");
        if (code == EINVAL)
            fprintf(stderr, "crawler: %s: %s\n", options.urls[i],
                    !reason || *reason ? reason : http ? "one too many" : "not a URL of http");
        aio_url_clear(&url);
        if (code) return code;
    }
    return 0;
}

static void clear(void)
{
    for (size_t i = 0; i < HOSTS; i++)
        for (struct host *host = crawler.hosts[i], *next; host; host = next) {
            next = host->next;
            while (host->first) {
                struct page *page = host->first;
                host->first = page->next;
                crawler.frontier->drop(page);
            }
            robots_clear(&host->robots);
            free(host);
        }
    for (int i = 0; i < crawler.wanted_count; i++) free(crawler.wanted[i]);
}

struct crawl {
    aio_task task; aio_server *server; struct show *show; struct page *page; struct links links; double began;
    const char *headers[3]; char own[64], *own_url; int code;
};
static AIO_CORO(crawl)
{
    AIO_BEGIN(crawl);
    self->headers[0] = "User-Agent";
    self->headers[1] = options.agent;
    crawler.session = aio_session_open(.limit = options.limit, .headers = self->headers, .timeout = { .total = 60 },
                                       .max_body = 8 << 20, .retry = { .attempts = 3, .total = 120 });
    crawler.frontier = options.redis ? shared_create(options.redis, options.name, options.claim, options.patience,
                                                     4 * options.limit)
                                     : local_create(options.journal);
    if (!crawler.session || !crawler.frontier) AIO_RAISE(errno, "no session, or not the URL of a Redis server");
    aio_semaphore_init(&crawler.places, options.limit);
    aio_semaphore_init(&crawler.window, (int)crawler.frontier->window);
    if (options.self) {
        AIO_AWAIT(self->server, aio_start_http_server(handler, NULL, "127.0.0.1", 0, .backlog = 4096));
        snprintf(self->own, sizeof self->own, "http://127.0.0.1:%d/0", aio_server_port(self->server));
        self->own_url = self->own;
        options.urls = &self->own_url;
        options.url_count = 1;
    }
    if (add_urls(&self->links)) AIO_RAISE(EINVAL);
    AIO_AWAIT(crawler.frontier->open(crawler.frontier));
    AIO_AWAIT(crawler.frontier->add(crawler.frontier, &self->links));
    self->began = aio_time();
    self->show = aio_create_task(AIO_CALL(show));
    AIO_TASK_GROUP(crawler.group) {
        AIO_ASYNC_FOR(self->page, crawler.frontier->next(crawler.frontier)) {
            if (crawler.frontier->window) AIO_AWAIT(aio_semaphore_acquire(&crawler.window));
            if (hand_to_host(self->page)) AIO_RAISE(ENOMEM);
            self->page = NULL;
            if (options.pages >= 0 && crawler.handed >= (size_t)options.pages) break;
        }
    }
    AIO_FINALLY;
        if (self->show) aio_task_cancel(self->show);
        aio_unref(self->show);
        if (self->began > 0 && crawler.frontier->collect)
            AIO_AWAIT((aio_future *)crawler.frontier->collect(crawler.frontier));
        if (self->began > 0) {
            summary(aio_time() - self->began);
            self->code = !options.report ? 0 : report_write(options.report, crawler.frontier->records,
                                             crawler.frontier->record_count, crawler.frontier->known);
            if (self->code) fprintf(stderr, "crawler: %s: %s\n", options.report, aio_code_text(self->code));
        }
        if (self->page) crawler.frontier->drop(self->page);
        clear();
        if (crawler.frontier) AIO_AWAIT(crawler.frontier->close(crawler.frontier));
        AIO_AWAIT(aio_session_close(crawler.session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        free(self->links.text.data);
    AIO_END;
}

/* A number of at least `least`, or -1. */
static double number(const char *text, double least)
{
    char *end;
    double value = strtod(text, &end);
    return *text && !*end && value >= least && value <= 1e9 ? value : -1;
}

static const char usage[] =
    "usage: crawler [OPTION...] URL... | --self PAGES\n"
    "  --depth N      links to follow from the URLs given (any number)\n"
    "  --pages N      pages to visit at most (any number)\n"
    "  --limit N      pages at once (100)\n"
    "  --per-host N   of them of one host (2; with --self: all)\n"
    "  --delay S      seconds between two requests to a host (1), or more if its robots.txt says so\n"
    "  --span         links to other hosts are followed, too\n"
    "  --agent NAME   whose rules of robots.txt count, and the User-Agent (aio-crawler)\n"
    "  --journal FILE what is found and finished: with the same file a crawl that was stopped, or killed, goes on\n"
    "  --report FILE  an HTML page with plots, at the end\n"
    "  --self PAGES   visits a site of its own, instead of URLs\n"
    "  --redis URL    crawlers with the same Redis and name share one crawl, on any number of machines\n"
    "  --name NAME    of that crawl (crawl)\n"
    "  --claim S      what one was at is taken over when it was not heard of for so many seconds (10)\n"
    "  --patience S   for so many seconds Redis may be away (60)\n";
static const char hint[] = "crawler --help lists the options\n";

static int read_options(int argc, char **argv)
{
    static const struct { const char *name; int *number; const char **text; int least; } known[] = {
        { "--depth", &options.depth, NULL, 0 }, { "--pages", &options.pages, NULL, 1 },
        { "--limit", &options.limit, NULL, 1 }, { "--per-host", &options.per_host, NULL, 1 },
        { "--self", &options.self, NULL, 1 }, { "--agent", NULL, &options.agent, 0 },
        { "--journal", NULL, &options.journal, 0 }, { "--report", NULL, &options.report, 0 },
        { "--redis", NULL, &options.redis, 0 }, { "--name", NULL, &options.name, 0 },
        { "--patience", &options.patience, NULL, 0 }
    };
    bool delay = false, per_host = false;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        size_t k = 0, count = sizeof known / sizeof *known;
        if (!strcmp(argv[i], "--span")) {
            options.span = true;
            continue;
        }
        while (k < count && strcmp(argv[i], known[k].name)) k++;
        double *real = !strcmp(argv[i], "--delay") ? &options.delay : NULL;
        if (!strcmp(argv[i], "--claim")) real = &options.claim;
        delay = delay || real == &options.delay;
        per_host = per_host || !strcmp(argv[i], "--per-host");
        if ((k == count && !real) || i + 1 == argc) {
            fprintf(stderr, "crawler: %s %s\n%s", argv[i], i + 1 == argc ? "needs a value" : "is no option", hint);
            return 2;
        }
        if (k < count && known[k].text) {
            *known[k].text = argv[++i];
            continue;
        }
        double value = number(argv[++i], real == &options.claim ? 0.1 : real ? 0 : known[k].least);
        if (value < 0) {
            fprintf(stderr, "crawler: %s: \"%s\" is not such a number\n%s", argv[i - 1], argv[i], hint);
            return 2;
        }
        if (real) *real = value;
        else *known[k].number = (int)value;
    }
    options.urls = argv + i;
    options.url_count = argc - i;
    if (options.self && !delay) options.delay = 0;
    if (options.self && !per_host) options.per_host = options.limit;
    const char *wrong = !options.self == !options.url_count ? "give it URLs, or --self"
        : options.redis && options.journal ? "--redis keeps what --journal would"
        : strlen(options.name) > 40 ? "--name is longer than 40 bytes" : NULL;
    if (wrong) fprintf(stderr, "crawler: %s\n%s", wrong, hint);
    if (wrong) return 2;
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) return fputs(usage, stdout) < 0;
    int wrong = read_options(argc, argv);
    if (wrong) return wrong;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a connection takes a descriptor; at both ends, with --self */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return aio_run(AIO_CALL(crawl));
}
