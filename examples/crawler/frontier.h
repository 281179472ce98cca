/* frontier.h: which pages are to be visited, which have been, and what came of them. Two frontiers have the same shape:
 * this one, for one crawler, whose journal is a file; and that of frontier_redis.h, which several crawlers share.
 *
 * A page is finished together with the links that it has, in one write: however a crawler ends, no page that it called
 * finished is visited again, and no link is lost. */
#ifndef CRAWLER_FRONTIER_H
#define CRAWLER_FRONTIER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { URL_MAX = 2048 }; /* longer ones are not visited */
/* What a redirect on the way adds to a page's depth, so that it is kept with the page; and how many may follow each
 * other. */
enum { REDIRECT = 1 << 24, REDIRECTS_MAX = 10 };

struct page {
    struct page *next;
    int          depth; /* links from where the crawl began, and REDIRECT for each redirect since the latest */
    bool         done;
    char         id[40]; /* the frontier's own */
    char         url[1]; /* as long as it is */
};

enum { STATUS_ERROR = 0, STATUS_ROBOTS = 1 }; /* what a record has for a status when there was no response */
struct record {
    double when, seconds; /* since the crawl began; how long it took */
    int    status, depth;
    size_t bytes;         /* that came, compressed if they were */
};

struct bytes { char *data; size_t length, capacity; };
struct links { struct bytes text; int depth; }; /* URLs in normal form, each with a NUL; and how deep they lie */

struct next_task { aio_task task; struct page *result; };
struct frontier { /* each gives an awaitable; finish takes the page */
    void             *(*open)(struct frontier *);
    void             *(*add)(struct frontier *, const struct links *);
    struct next_task *(*next)(struct frontier *);  /* AIO_ASYNC_FOR ends when all were visited */
    void             *(*finish)(struct frontier *, struct page *, const struct record *, const struct links *);
    void             *(*turn)(struct frontier *, const char *host, double delay); /* NULL: nobody else asks it */
    void             *(*collect)(struct frontier *); /* reads the records of all; NULL: they are there */
    void              (*drop)(struct page *);        /* one that is not finished: it is for another run, or crawler */
    void             *(*close)(struct frontier *);
    /* of the whole crawl, as far as this crawler knows */
    struct record    *records;
    size_t            record_count, record_capacity;
    size_t            known, finished;      /* pages */
    double            began;                /* time of the loop */
    size_t            window;               /* pages to have at hand at once; 0: any number */
};

static inline int frontier_record(struct frontier *f, const struct record *record)
{
    if (f->record_count == f->record_capacity) {
        size_t room = f->record_capacity ? 2 * f->record_capacity : 256;
        struct record *more = (struct record *)realloc(f->records, room * sizeof *more);
        if (!more) return ENOMEM;
        f->records = more;
        f->record_capacity = room;
    }
    f->records[f->record_count++] = *record;
    f->finished = f->record_count;
    return 0;
}

static inline int bytes_add(struct bytes *bytes, const char *data, size_t length)
{
    if (bytes->length + length > bytes->capacity) {
        size_t room = 2 * (bytes->length + length);
        char *more = (char *)realloc(bytes->data, room);
        if (!more) return ENOMEM;
        bytes->data = more;
        bytes->capacity = room;
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    return 0;
}

static inline int links_add(struct links *links, const char *url, size_t length)
{
    if (length > URL_MAX) return 0;
    int code = bytes_add(&links->text, url, length);
    return code ? code : bytes_add(&links->text, "", 1);
}

static inline struct page *page_create(const char *url, size_t length, int depth)
{
    struct page *page = (struct page *)calloc(1, sizeof *page + length);
    if (!page) return NULL;
    memcpy(page->url, url, length);
    page->depth = depth;
    return page;
}

/* ---- the frontier in memory, with its journal in a file ---- */

/* Lines of the journal: "+ DEPTH URL" a page that was found, "= STATUS BYTES SECONDS WHEN DEPTH URL" one that is
 * finished. A line that a crash has cut short is left out. */
struct local {
    struct frontier base;
    const char   *path;          /* NULL: no journal */
    int           file;
    struct page **seen;          /* a hash table: the pages are its own */
    size_t        size;
    struct page  *first, **last; /* to be visited */
    size_t        pending;       /* found, and not finished */
    aio_event     changed;
    struct bytes  out, writing;  /* for the journal; what a thread is writing */
    size_t        appended, written; /* bytes so far */
    aio_event     more, flushed;
    struct flush *flusher;
    bool          closing;
    int           code;          /* errno of the journal */
};

static size_t local_hash(const char *url, size_t length)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)url[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 29);
}

static struct page **local_find(struct local *l, const char *url, size_t length)
{
    for (size_t at = local_hash(url, length);; at++) {
        struct page **place = &l->seen[at & (l->size - 1)];
        if (!*place || (!strncmp((*place)->url, url, length) && !(*place)->url[length])) return place;
    }
}

static int local_grow(struct local *l)
{
    struct page **old = l->seen, **larger = (struct page **)calloc(l->size ? 2 * l->size : 1024, sizeof *larger);
    size_t size = l->size;
    if (!larger) return ENOMEM;
    l->seen = larger;
    l->size = size ? 2 * size : 1024;
    for (size_t i = 0; i < size; i++)
        if (old[i]) *local_find(l, old[i]->url, strlen(old[i]->url)) = old[i];
    free(old);
    return 0;
}

/* The page of that URL, which may be new. NULL: no memory. */
static struct page *local_page(struct local *l, const char *url, size_t length, int depth, bool *is_new)
{
    if (2 * l->base.known >= l->size && local_grow(l)) return NULL;
    struct page **place = local_find(l, url, length);
    *is_new = !*place;
    if (*place) return *place;
    *place = page_create(url, length, depth);
    if (!*place) return NULL;
    *l->last = *place;
    l->last = &(*place)->next;
    l->base.known++;
    l->pending++;
    return *place;
}

static int local_line(struct local *l, const char *line)
{
    size_t length = strlen(line);
    if (!l->path) return 0;
    l->appended += length;
    return bytes_add(&l->out, line, length);
}

/* Pages to visit, as far as they are new, with a line for each. */
static int local_add_links(struct local *l, const struct links *links)
{
    char line[URL_MAX + 32];
    const char *end = links->text.data + links->text.length;
    for (const char *url = links->text.data; url < end; url += strlen(url) + 1) {
        bool is_new;
        struct page *page = local_page(l, url, strlen(url), links->depth, &is_new);
        if (!page) return ENOMEM;
        snprintf(line, sizeof line, "+ %d %s\n", page->depth, page->url);
        if (is_new && local_line(l, line)) return ENOMEM;
    }
    return 0;
}

static int local_finished(struct local *l, const struct page *page, const struct record *r, const struct links *links)
{
    char line[URL_MAX + 128];
    if (local_add_links(l, links)) return ENOMEM;
    snprintf(line, sizeof line, "= %d %zu %.6f %.6f %d %s\n", r->status, r->bytes, r->seconds, r->when, r->depth,
             page->url);
    return local_line(l, line);
}

static void local_swap(struct local *l)
{
    struct bytes taken = l->out;
    l->out = l->writing;
    l->out.length = 0;
    l->writing = taken;
}

static void *local_write(void *arg)
{
    struct local *l = (struct local *)arg;
    for (size_t done = 0; done < l->writing.length;) {
        ssize_t n = write(l->file, l->writing.data + done, l->writing.length - done);
        if (n < 0 && errno != EINTR) return aio_job_raise(errno, "%s", l->path);
        if (n > 0) done += (size_t)n;
    }
    return NULL;
}

/* Writes the journal, in a thread: all who finish a page while it writes are served by the next write together. */
struct flush { aio_task task; struct local *l; };
static AIO_CORO(flush)
{
    AIO_BEGIN(flush);
    AIO_TRY {
        while (self->l->out.length || !self->l->closing) {
            aio_event_clear(&self->l->more);
            if (!self->l->out.length) {
                AIO_AWAIT(aio_event_wait(&self->l->more));
                continue;
            }
            local_swap(self->l);
            AIO_AWAIT(aio_to_thread(local_write, self->l));
            self->l->written += self->l->writing.length;
            aio_event_set(&self->l->flushed);
            aio_event_clear(&self->l->flushed);
        }
    } AIO_CATCH {
        self->l->code = aio_caught(self)->code;
        aio_event_set(&self->l->flushed);
    } AIO_END_TRY;
    AIO_END;
}

struct local_finishing {
    aio_task task; struct local *l; struct page *page; const struct record *record; const struct links *links;
    size_t end;
};
static AIO_CORO(local_finishing)
{
    AIO_BEGIN(local_finishing);
    if (local_finished(self->l, self->page, self->record, self->links)) AIO_RAISE(ENOMEM);
    self->end = self->l->appended;
    aio_event_set(&self->l->more);
    while (self->l->written < self->end && !self->l->code) AIO_AWAIT(aio_event_wait(&self->l->flushed));
    if (self->l->code) AIO_RAISE(self->l->code, "%s cannot be written", self->l->path);
    if (frontier_record(&self->l->base, self->record)) AIO_RAISE(ENOMEM);
    self->page->done = true;
    self->l->pending--;
    aio_event_set(&self->l->changed);
    AIO_END;
}
static void *local_finish(struct frontier *f, struct page *page, const struct record *record, const struct links *links)
{
    return AIO_CALL(local_finishing, .l = (struct local *)(void *)f, .page = page, .record = record, .links = links);
}

struct local_adding { aio_task task; struct local *l; const struct links *links; };
static AIO_CORO(local_adding)
{
    AIO_BEGIN(local_adding);
    if (local_add_links(self->l, self->links)) AIO_RAISE(ENOMEM);
    AIO_END;
}
static void *local_add(struct frontier *f, const struct links *links)
{
    return AIO_CALL(local_adding, .l = (struct local *)(void *)f, .links = links);
}

struct local_taking { aio_task task; struct page *result; struct local *l; };
static AIO_CORO(local_taking)
{
    AIO_BEGIN(local_taking);
    while (!self->l->first) {
        if (!self->l->pending) AIO_RAISE(AIO_ESTOPITERATION);
        aio_event_clear(&self->l->changed);
        AIO_AWAIT(aio_event_wait(&self->l->changed));
    }
    self->result = self->l->first;
    self->l->first = self->result->next;
    if (!self->l->first) self->l->last = &self->l->first;
    AIO_END;
}
static struct next_task *local_next(struct frontier *f)
{
    return (struct next_task *)(void *)AIO_CALL(local_taking, .l = (struct local *)(void *)f);
}

/* A line of the journal. Gives EINVAL for one that is none. */
static int local_replay(struct local *l, const char *line, size_t length)
{
    struct record r;
    int depth, at = 0;
    bool is_new;
    if (sscanf(line, "+ %d %n", &depth, &at) == 1 && at) {
        if (!local_page(l, line + at, length - (size_t)at, depth, &is_new)) return ENOMEM;
        return 0;
    }
    memset(&r, 0, sizeof r);
    if (sscanf(line, "= %d %zu %lf %lf %d %n", &r.status, &r.bytes, &r.seconds, &r.when, &r.depth, &at) != 5 || !at)
        return EINVAL;
    struct page *page = local_page(l, line + at, length - (size_t)at, r.depth, &is_new);
    if (!page || frontier_record(&l->base, &r)) return ENOMEM;
    l->pending -= !page->done;
    page->done = true;
    return 0;
}

/* Opens the journal, which nobody else may have open, and takes up what it says. */
static void *local_load(void *arg)
{
    struct local *l = (struct local *)arg;
    l->file = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->file < 0) return aio_job_raise(errno, "%s", l->path);
    if (flock(l->file, LOCK_EX | LOCK_NB)) return aio_job_raise(errno, "%s: another crawler has it", l->path);
    int copy = dup(l->file);
    FILE *in = copy < 0 ? NULL : fdopen(copy, "r");
    if (!in) return aio_job_raise(errno, "%s", l->path);
    char *line = NULL;
    size_t room = 0;
    off_t whole = 0;
    int code = 0;
    for (ssize_t n; !code && (n = getline(&line, &room, in)) > 0 && line[n - 1] == '\n'; whole += n) {
        line[n - 1] = 0;
        code = local_replay(l, line, (size_t)n - 1);
    }
    free(line);
    fclose(in);
    if (code) return aio_job_raise(code, "%s, after %lld bytes: not a crawler's journal", l->path, (long long)whole);
    if (ftruncate(l->file, whole) || lseek(l->file, whole, SEEK_SET) < 0) return aio_job_raise(errno, "%s", l->path);
    return NULL;
}

/* What is to be visited, in the order in which it was found. */
static void local_forget_done(struct local *l)
{
    struct page **place = &l->first;
    while (*place)
        if ((*place)->done) *place = (*place)->next;
        else place = &(*place)->next;
    l->last = place;
}

struct local_opening { aio_task task; struct local *l; };
static AIO_CORO(local_opening)
{
    AIO_BEGIN(local_opening);
    if (self->l->path) {
        AIO_AWAIT(aio_to_thread(local_load, self->l));
        self->l->flusher = aio_create_task(AIO_CALL(flush, .l = self->l));
        if (!self->l->flusher) AIO_RAISE(ENOMEM);
    }
    local_forget_done(self->l);
    self->l->base.began = aio_time();
    for (size_t i = 0; i < self->l->base.record_count; i++)
        if (aio_time() - self->l->base.records[i].when < self->l->base.began)
            self->l->base.began = aio_time() - self->l->base.records[i].when;
    AIO_END;
}
static void *local_open(struct frontier *f) { return AIO_CALL(local_opening, .l = (struct local *)(void *)f); }

struct local_closing { aio_task task; struct local *l; };
static AIO_CORO(local_closing)
{
    AIO_BEGIN(local_closing);
    self->l->closing = true;
    aio_event_set(&self->l->more);
    if (self->l->flusher) AIO_AWAIT(self->l->flusher);
    AIO_FINALLY;
        if (self->l->file >= 0) close(self->l->file);
        for (size_t i = 0; i < self->l->size; i++) free(self->l->seen[i]);
        free(self->l->seen);
        free(self->l->out.data);
        free(self->l->writing.data);
        free(self->l->base.records);
        free(self->l);
    AIO_END;
}
static void *local_close(struct frontier *f) { return AIO_CALL(local_closing, .l = (struct local *)(void *)f); }

static void local_drop(struct page *page) { (void)page; }

static struct frontier *local_create(const char *path)
{
    struct local *l = (struct local *)calloc(1, sizeof *l);
    if (!l) return NULL;
    l->path = path;
    l->last = &l->first;
    l->file = -1;
    l->base.open = local_open;
    l->base.add = local_add;
    l->base.next = local_next;
    l->base.finish = local_finish;
    l->base.drop = local_drop;
    l->base.close = local_close;
    return &l->base;
}

#endif
