/* crawl [--limit N] [--self PAGES] [URL...]: fetches pages at once, N at a time, and follows the links of their host.
 * Without a URL it serves a site of PAGES pages itself, and crawls that. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- the site: page i links to 2i+1 and 2i+2; some of those without links are missing ---- */

static int pages = 1000;

static void write_page(char *html, int i)
{
    int length = snprintf(html, 100, "<title>Page %d</title>", i);
    for (int child = 2 * i + 1; child <= 2 * i + 2 && child < pages; child++)
        length += snprintf(html + length, 50, "<a href=\"/%d\">next</a>", child);
}

struct serve { aio_task task; aio_request *request; int i; char html[200]; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    self->i = atoi(self->request->path.data + 1);
    write_page(self->html, self->i);
    AIO_AWAIT(aio_request_respond(self->request, self->i > pages / 2 && self->i % 50 == 0 ? 404 : 200,
                                  .content_type = "text/html", .text = self->html));
    AIO_END;
}
static void *handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(serve, .request = request); }

/* ---- the crawler ---- */

struct page { struct page *next; char *url; };          /* every page that was seen; the list is also the queue */
static struct crawl {
    aio_session   *session;
    struct page   *first, **last, *todo;
    struct page  **seen;                                /* a hash table of `size` places */
    size_t         size, count, done, running, failed, bytes, statuses[6], reused;
    aio_response_times times;                           /* the sums */
    double         began, shown;
    aio_event      more;                                /* a page has ended, or is new */
} crawl;

static struct page **find(const char *url)
{
    size_t hash = 5381;
    for (const char *c = url; *c; c++) hash = hash * 33 + (unsigned char)*c;
    while (crawl.seen[hash % crawl.size] && strcmp(crawl.seen[hash % crawl.size]->url, url)) hash++;
    return &crawl.seen[hash % crawl.size];
}

static void add(const char *url, size_t length)
{
    char *copy = (char *)calloc(1, length + 1);
    struct page *page = (struct page *)calloc(1, sizeof *page);
    if (copy) memcpy(copy, url, length);
    if (copy && page && 2 * crawl.count < crawl.size && !*find(copy)) {
        page->url = copy;
        *find(copy) = *crawl.last = page;
        crawl.last = &page->next;
        if (!crawl.todo) crawl.todo = page;
        crawl.count++;
        return;
    }
    free(copy);
    free(page);
}

/* Adds what a page's href="..." name, as far as it is of the same host. */
static void follow(const char *base_url, aio_text html)
{
    aio_url base, link;
    const char *at = html.data, *end;
    if (aio_url_parse(&base, base_url, strlen(base_url), NULL)) return;
    while (at && (at = strstr(at, "href=\"")) && (end = strchr(at += 6, '"'))) {
        if (aio_url_join(&link, &base, at, (size_t)(end - at), NULL, .repair = true) == 0) {
            size_t fragment = link.fragment.data ? link.fragment.length + 1 : 0;
            if (aio_url_same_origin(&base, &link)) add(link.text.data, link.text.length - fragment);
            aio_url_clear(&link);
        }
    }
    aio_url_clear(&base);
}

static void count(const aio_response *response, size_t bytes)
{
    const aio_response_times *t = &response->times;
    crawl.statuses[response->status / 100 % 6]++;
    crawl.bytes += bytes;
    crawl.reused += t->reused;
    crawl.times.pool += t->pool;
    crawl.times.resolve += t->resolve;
    crawl.times.connect += t->connect;
    crawl.times.tls += t->tls;
    crawl.times.send += t->send;
    crawl.times.wait += t->wait;
    crawl.times.receive += t->receive;
}

static void progress(void)
{
    double now = aio_loop_time(aio_get_running_loop());
    if (!isatty(2) || now - crawl.shown < 0.1) return;
    crawl.shown = now;
    fprintf(stderr, "\r%zu of %zu pages, %zu at once, %zu errors ", crawl.done, crawl.count,
            aio_session_busy(crawl.session), crawl.failed);
}

struct fetch { aio_task task; const char *url; aio_response *response; aio_text text; };
static AIO_CORO(fetch)
{
    AIO_BEGIN(fetch);
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_get(crawl.session, self->url, .timeout = { .total = 60 }));
        AIO_AWAIT(self->text, aio_response_text(self->response, .declared = true, .replace = true));
        count(self->response, self->text.length);
        if (self->response->status == 200) follow(self->response->url, self->text);
    } AIO_CATCH {
        if (crawl.failed++ < 10) fprintf(stderr, "\r%s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->response);
        crawl.done++;
        crawl.running--;
        progress();
        aio_event_set(&crawl.more);
    AIO_END;
}

static void table(double seconds)
{
    const aio_response_times *t = &crawl.times;
    const struct { const char *name; double sum; } phases[] = {
        { "pool", t->pool }, { "resolve", t->resolve }, { "connect", t->connect }, { "TLS", t->tls },
        { "send", t->send }, { "wait", t->wait }, { "receive", t->receive }
    };
    double answers = crawl.done > crawl.failed ? (double)(crawl.done - crawl.failed) : 1;
    if (isatty(2)) fprintf(stderr, "\r%60s\r", "");
    printf("%-12s %10zu   %.0f a second, %.3f s\n", "pages", crawl.done, (double)crawl.done / seconds, seconds);
    for (int i = 1; i < 6; i++)
        if (crawl.statuses[i]) printf("  status %dxx %10zu\n", i, crawl.statuses[i]);
    printf("  %-10s %10zu\n%-12s %10zu\n", "errors", crawl.failed, "bytes", crawl.bytes);
    printf("%-12s %10zu   of the connections\n%-12s %10s\n", "reused", crawl.reused, "phase", "ms a page");
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        printf("  %-10s %10.3f\n", phases[i].name, 1e3 * phases[i].sum / answers);
}

struct run { aio_task task; int limit, url_count; char **urls; aio_server *server; struct fetch *page; char url[64]; };
static AIO_CORO(run)
{
    AIO_BEGIN(run);
    crawl.last = &crawl.first;
    crawl.size = self->url_count ? 1 << 20 : 4 * (size_t)pages + 64;
    crawl.seen = (struct page **)calloc(crawl.size, sizeof *crawl.seen);
    crawl.session = aio_session_open(.limit = self->limit);
    if (!crawl.seen || !crawl.session) AIO_RAISE(ENOMEM);
    if (!self->url_count) {
        AIO_AWAIT(self->server, aio_start_http_server(handler, NULL, "127.0.0.1", 0, .backlog = 4096));
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/0", aio_server_port(self->server));
        add(self->url, strlen(self->url));
    }
    for (int i = 0; i < self->url_count; i++) add(self->urls[i], strlen(self->urls[i]));
    crawl.began = aio_loop_time(aio_get_running_loop());
    while (crawl.todo || crawl.running) {
        aio_event_clear(&crawl.more);
        for (; crawl.todo; crawl.todo = crawl.todo->next, crawl.running++) {
            self->page = aio_create_task(AIO_CALL(fetch, .url = crawl.todo->url));
            if (!self->page) AIO_RAISE(ENOMEM);
            aio_unref(self->page);                       /* the loop keeps it; `more` tells of its end */
        }
        AIO_AWAIT(aio_event_wait(&crawl.more));
    }
    table(aio_loop_time(aio_get_running_loop()) - crawl.began);
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(crawl.session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        for (struct page *page = crawl.first, *next; page; page = next) {
            next = page->next;
            free(page->url);
            free(page);
        }
        free(crawl.seen);
    AIO_END;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    int limit = 100, i = 1;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {         /* a connection takes a descriptor; at both ends, here */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    for (; i < argc && argv[i][0] == '-'; i += 2) {
        int *option = !strcmp(argv[i], "--limit") ? &limit : !strcmp(argv[i], "--self") ? &pages : NULL;
        if (!option || i + 1 == argc || (*option = atoi(argv[i + 1])) < 1 || *option > 10000000) {
            fprintf(stderr, "crawl: %s %s\nusage: crawl [--limit N] [--self PAGES] [URL...]\n", argv[i],
                    option ? "needs a number from 1 to 10000000" : "is no option");
            return 2;
        }
    }
    return aio_run(AIO_CALL(run, .limit = limit, .url_count = argc - i, .urls = argv + i));
}
