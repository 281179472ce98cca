/* echo_tls_raw PORT CERT KEY - echo server on bare epoll and OpenSSL: the limit for the TLS echo tasks.
 *
 * Level-triggered. A record is read by one recv and answered by one record and one send, as long as it comes whole.
 */
#include "common.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>

struct conn {
    SSL *ssl;
    int fd, ready;      /* ready: the handshake is done */
    uint32_t events;    /* what epoll is asked for */
    int len;
    char *pend;         /* the record that the socket would not take whole; NULL when there is none */
};

static int ep;
static SSL_CTX *tls;
static char buf[65536];

static void arm(struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (op == EPOLL_CTL_MOD && events == c->events) return;
    if (epoll_ctl(ep, op, c->fd, &ev) != 0) DIE("epoll_ctl");
    c->events = events;
}

static void accept_all(int lfd)
{
    int fd;
    while ((fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c || !(c->ssl = SSL_new(tls)) || !SSL_set_fd(c->ssl, fd)) DIE("SSL_new");
        c->fd = fd;
        SSL_set_accept_state(c->ssl);
        set_nodelay(fd);
        arm(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* After a call that did not succeed: waits for what it wants, or drops the connection and gives 0. */
static int again(struct conn *c, int n)
{
    int e = SSL_get_error(c->ssl, n);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
        arm(c, EPOLL_CTL_MOD, e == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
        return 1;
    }
    SSL_free(c->ssl);
    close(c->fd);
    free(c->pend);
    free(c);
    ERR_clear_error();
    return 0;
}

static void serve(struct conn *c)
{
    int n;
    if (!c->ready) {
        if ((n = SSL_do_handshake(c->ssl)) != 1) {
            again(c, n);
            return;
        }
        c->ready = 1;
    }
    if (c->pend) {
        if ((n = SSL_write(c->ssl, c->pend, c->len)) <= 0) {
            again(c, n);
            return;
        }
        free(c->pend);
        c->pend = NULL;
    }
    do {
        if ((c->len = n = SSL_read(c->ssl, buf, sizeof buf)) <= 0) {
            again(c, n);
            return;
        }
        if ((n = SSL_write(c->ssl, buf, c->len)) <= 0) {
            if (!again(c, n)) return;
            if (!(c->pend = malloc((size_t)c->len))) DIE("malloc");
            memcpy(c->pend, buf, (size_t)c->len); /* and nothing more is read until it is gone */
            return;
        }
    } while (SSL_has_pending(c->ssl));
    arm(c, EPOLL_CTL_MOD, EPOLLIN);
}

int main(int argc, char **argv)
{
    if (argc != 4) DIE("usage: echo_tls_raw PORT CERT KEY");
    signal(SIGPIPE, SIG_IGN);
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, argv[2]) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1)
        DIE("%s, %s", argv[2], argv[3]);
    SSL_CTX_set_mode(tls, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    /* One read() per message instead of two per record. */
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, 32768);
    int lfd = listen_on(atoi(argv[1]));
    if ((ep = epoll_create1(0)) < 0) DIE("epoll_create1");
    struct epoll_event ev[256], lev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &lev) != 0) DIE("epoll_ctl");
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) accept_all(lfd);
            else serve(c);
        }
    }
}
