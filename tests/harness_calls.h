/* The entries of aio__os as the tests replace them: each counts, and fails when seam.fail_call says so. Included by
 * harness_seam.h. */
/* A call that succeeds may leave anything in errno, which nobody is to look at then. */
static void seam_stale(bool good)
{
    if (good) errno = EINTR;
}

#define SEAM_PLAIN(type, name, parameters, fd, arguments)                                   \
    static type seam_##name parameters                                                      \
    {                                                                                       \
        type result = seam_fault(CALL_##name, (fd)) ? (type)-1 : seam_real.name arguments;  \
        return seam_stale(result != (type)-1), result;                                      \
    }
/* `size` is the parameter that says how many bytes. */
#define SEAM_STREAM(name, parameters, fd, size, arguments)        \
    static ssize_t seam_##name parameters                         \
    {                                                             \
        if (seam_fault(CALL_##name, (fd))) return -1;             \
        (size) = seam_slice((fd), (size));                        \
        ssize_t result = seam_real.name arguments;                \
        return seam_stale(result >= 0), result;                   \
    }
/* For what gives 0 or a code. */
#define SEAM_CODE(name, parameters, arguments) \
    static int seam_##name parameters { return seam_fault(CALL_##name, -1) ? errno : seam_real.name arguments; }
SEAM_CODE(at_fork, (void (*child)(void)), (child))
SEAM_CODE(mutex_init, (pthread_mutex_t *mutex), (mutex))
SEAM_CODE(cond_init, (pthread_cond_t *condition), (condition))
SEAM_PLAIN(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old), -1,
           (number, action, old))
SEAM_PLAIN(int, pipe, (int *fds), -1, (fds))
SEAM_PLAIN(int, fcntl, (int fd, int command, int value), -1, (fd, command, value))
SEAM_STREAM(read, (int fd, void *data, size_t size), fd, size, (fd, data, size))
SEAM_STREAM(write, (int fd, const void *data, size_t size), fd, size, (fd, data, size))

SEAM_PLAIN(int, socket, (int family, int type, int protocol), -1, (family, type, protocol))
SEAM_PLAIN(int, socketpair, (int *fds), -1, (fds))
SEAM_PLAIN(int, chmod, (const char *path, int mode), -1, (path, mode))
SEAM_PLAIN(int, bind, (int fd, const struct sockaddr *address, socklen_t length), -1, (fd, address, length))
SEAM_PLAIN(int, listen, (int fd, int backlog), -1, (fd, backlog))
SEAM_PLAIN(int, accept, (int fd, struct sockaddr *address, socklen_t *length), fd, (fd, address, length))
SEAM_PLAIN(int, shutdown, (int fd, int how), -1, (fd, how))
SEAM_STREAM(recv, (int fd, void *data, size_t size, int flags), fd, size, (fd, data, size, flags))
SEAM_PLAIN(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), fd, (fd, message, flags))
SEAM_PLAIN(int, fstat, (int fd, struct stat *status), -1, (fd, status))
SEAM_PLAIN(ssize_t, pread, (int fd, void *data, size_t size, int64_t offset), -1, (fd, data, size, offset))
SEAM_STREAM(pipe_write, (int fd, const void *data, size_t size), fd, size, (fd, data, size))
SEAM_CODE(spawn, (pid_t *pid, const aio__spawn *what), (pid, what))
SEAM_CODE(spawn_fork, (pid_t *pid, const aio__spawn *what), (pid, what))
SEAM_CODE(getpwnam_r, (const char *name, struct passwd *user, char *room, size_t size, struct passwd **found),
          (name, user, room, size, found))
SEAM_CODE(getgrnam_r, (const char *name, struct group *group, char *room, size_t size, struct group **found),
          (name, group, room, size, found))
SEAM_PLAIN(pid_t, waitpid, (pid_t pid, int *status, int flags), -1, (pid, status, flags))
SEAM_PLAIN(int, wait_ended, (pid_t pid), -1, (pid))
SEAM_STREAM(send, (int fd, const void *data, size_t size, int flags), fd, size, (fd, data, size, flags))
SEAM_PLAIN(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size), -1,
           (fd, level, name, value, size))
SEAM_PLAIN(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size), -1,
           (fd, level, name, value, size))
SEAM_PLAIN(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), -1, (fd, address, length))
SEAM_PLAIN(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), -1, (fd, address, length))
SEAM_PLAIN(int, unlink, (const char *path), -1, (path))
SEAM_PLAIN(int, open, (const char *path, int flags), -1, (path, flags))
SEAM_PLAIN(int, openat, (int folder, const char *path, int flags), -1, (folder, path, flags))
SEAM_PLAIN(int, openat_cached, (int folder, const char *path, int flags), -1, (folder, path, flags))
SEAM_PLAIN(int, create, (const char *path), -1, (path))
SEAM_PLAIN(int, append, (const char *path), -1, (path))
static iconv_t seam_iconv_open(const char *to, const char *from)
{
    iconv_t made = seam_fault(CALL_iconv_open, -1) ? (errno = seam.error, (iconv_t)-1) : seam_real.iconv_open(to, from);
    if (made != (iconv_t)-1) SEAM_ADD(seam.live, 1);
    return made;
}

static int seam_iconv_close(iconv_t converter)
{
    SEAM_ADD(seam.live, -1);
    return seam_real.iconv_close(converter);
}

SEAM_PLAIN(int, open_mode, (const char *path, int flags, int mode), -1, (path, flags, mode))
SEAM_STREAM(pwrite, (int fd, const void *data, size_t size, int64_t offset), fd, size, (fd, data, size, offset))
SEAM_PLAIN(int, ftruncate, (int fd, int64_t length), -1, (fd, length))
SEAM_PLAIN(int, mkdir, (const char *path, int mode), -1, (path, mode))
SEAM_PLAIN(int, rmdir, (const char *path), -1, (path))
SEAM_CODE(listdir, (const char *path, int (*each)(void *, const char *), void *arg), (path, each, arg))
SEAM_PLAIN(int, fsync, (int fd), -1, (fd))
SEAM_PLAIN(int, rename, (const char *from, const char *to), -1, (from, to))
SEAM_PLAIN(int, getentropy, (void *bytes, size_t size), -1, (bytes, size))
SEAM_PLAIN(int, stat, (const char *path, struct stat *status), -1, (path, status))
SEAM_PLAIN(int, lstat, (const char *path, struct stat *status), -1, (path, status))

/* A connect that a signal interrupts goes on by itself. */
static int seam_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    if (!seam_fault(CALL_connect, -1)) return seam_real.connect(fd, address, length);
    if (seam.error == EINTR) seam_real.connect(fd, address, length);
    errno = seam.error;
    return -1;
}

/* The first piece that has bytes, cut. */
static ssize_t seam_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (seam_fault(CALL_sendmsg, fd)) return -1;
    size_t i = 0;
    while (i < (size_t)message->msg_iovlen && !message->msg_iov[i].iov_len) i++;
    if (!seam.slice || i == (size_t)message->msg_iovlen || seam_type(fd) != SOCK_STREAM)
        return seam_real.sendmsg(fd, message, flags);
    seam_rearm(fd);
    struct iovec piece = message->msg_iov[i];
    struct msghdr cut = *message;
    piece.iov_len = seam_slice(fd, piece.iov_len);
    cut.msg_iov = &piece;
    cut.msg_iovlen = 1;
    return seam_real.sendmsg(fd, &cut, flags);
}

/* Gives an EAI code. A fault of EAI_SYSTEM has an errno, too. */
static int seam_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                            struct addrinfo **found)
{
    if (!seam_fault(CALL_getaddrinfo, -1)) return seam_real.getaddrinfo(host, service, hints, found);
    errno = EIO;
    return seam.error;
}

static int seam_getnameinfo(const struct sockaddr *address, socklen_t length, aio_nameinfo *names, int flags)
{
    if (!seam_fault(CALL_getnameinfo, -1)) return seam_real.getnameinfo(address, length, names, flags);
    errno = EIO;
    return seam.error;
}

/* The descriptor is closed whatever close says. */
static int seam_close(int fd)
{
    if (fd >= 0 && fd < SEAM_FDS) SEAM_SET(seam_watched[fd].epoll, 0);
    if (fd > SEAM_GET(seam.highest)) SEAM_SET(seam.highest, fd);
    int result = seam_real.close(fd);
    if (result < 0 && errno == EBADF) seam.bad_close = true;
    return seam_fault(CALL_close, -1) ? -1 : result;
}

/* poll cannot tell in another order, but it can tell of some now and of the others next time. */
static int seam_poll_shuffle(struct pollfd *fds, nfds_t count, int ready)
{
    for (nfds_t i = 0; seam.shuffle && i < count && ready > 1; i++) {
        if (!fds[i].revents || seam_random() % 2) continue;
        fds[i].revents = 0;
        ready--;
    }
    return ready;
}

static int seam_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (seam_fault(CALL_poll, -1)) return -1;
    int ready = seam_real.poll(fds, count, 0);
    for (bool due = timeout != 0; !ready && due;) {
        due = SEAM_GET(seam.lookups) > 0; /* asked first: what is posted after it is seen by this poll or the next */
        ready = seam_real_wait(fds, count, timeout, count > 1);
    }
    if (!ready && timeout > 0) seam_now += (int64_t)timeout * 1000000;
    return seam_poll_shuffle(fds, count, ready);
}

#if AIO__KQUEUE
SEAM_PLAIN(int, kqueue, (void), -1, ())

/* Changes are made with the first look. */
static int seam_kevent(int queue, const struct kevent *changes, int count, struct kevent *events, int capacity,
                       const struct timespec *timeout)
{
    struct timespec none = { 0, 0 };
    if (capacity && seam_fault(CALL_kevent, -1)) return -1;
    int ready = seam_real.kevent(queue, changes, count, events, capacity, &none);
    bool sockets = aio__running && aio__running->descriptor_count > 1;
    bool due = capacity && (!timeout || timeout->tv_sec || timeout->tv_nsec);
    bool ends = timeout != NULL;
    while (!ready && due) {
        due = SEAM_GET(seam.lookups) > 0;
        struct timespec wait = { 0, seam_grace(sockets) * 1000 };
        if (timeout && (seam_other || (timeout->tv_sec == 0 && timeout->tv_nsec < wait.tv_nsec))) wait = *timeout;
        ready = seam_real.kevent(queue, NULL, 0, events, capacity, ends ? &wait : NULL);
    }
    if (!ready && timeout) seam_now += (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
    for (int i = ready - 1; seam.shuffle && i > 0; i--) {
        int other = (int)(seam_random() % (uint64_t)(i + 1));
        struct kevent event = events[i];
        events[i] = events[other];
        events[other] = event;
    }
    return ready;
}
#endif

#if AIO__LINUX
SEAM_PLAIN(int, epoll_create1, (int flags), -1, (flags))
SEAM_PLAIN(int, eventfd, (unsigned value, int flags), -1, (value, flags))
SEAM_PLAIN(int, pidfd_open, (pid_t pid), -1, (pid))
SEAM_PLAIN(int, madvise, (void *memory, size_t size, int advice), -1, (memory, size, advice))
SEAM_STREAM(sendfile, (int fd, int file, int64_t offset, size_t size), fd, size, (fd, file, offset, size))

static int seam_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && seam_fault(CALL_epoll_ctl, -1)) return -1;
    int result = seam_real.epoll_ctl(epoll, operation, fd, event);
    if (result < 0 || fd >= SEAM_FDS) return result;
    SEAM_SET(seam_watched[fd].epoll, operation == EPOLL_CTL_DEL ? 0 : epoll + 1);
    SEAM_SET(seam_watched[fd].events, event->events);
    SEAM_SET(seam_watched[fd].owner, event->data.ptr);
    return 0;
}

static int seam_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout)
{
    if (seam_fault(CALL_epoll_wait, -1)) return -1;
    int ready = seam_real.epoll_wait(epoll, events, capacity, 0);
    bool sockets = aio__running && aio__running->descriptor_count > 1;
    for (bool due = timeout != 0; !ready && due;) {
        due = SEAM_GET(seam.lookups) > 0;
        struct pollfd all = { epoll, POLLIN, 0 };
        if (seam_real_wait(&all, 1, timeout, sockets) < 0) return -1;
        ready = seam_real.epoll_wait(epoll, events, capacity, 0);
    }
    if (!ready && timeout > 0) seam_now += (int64_t)timeout * 1000000;
    for (int i = ready - 1; seam.shuffle && i > 0; i--) {
        int other = (int)(seam_random() % (uint64_t)(i + 1));
        struct epoll_event event = events[i];
        events[i] = events[other];
        events[other] = event;
    }
    return ready;
}
#endif

/* ---- threads ---- */
struct seam_thread { void *(*run)(void *); void *arg; };

static void *seam_thread_run(void *arg)
{
    struct seam_thread thread = *(struct seam_thread *)arg;
    free(arg);
    seam_other = true;
    void *result = thread.run(thread.arg);
    if (thread.run == aio__lookup_threads_run) SEAM_ADD(seam.lookups, -1);
    SEAM_ADD(seam.threads, -1);
    return result;
}

/* A thread that waits has nothing under way. */
static int seam_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t nanoseconds)
{
    SEAM_ADD(seam.idle, 1);
    int code = seam_real.cond_wait(condition, mutex, nanoseconds);
    SEAM_ADD(seam.idle, -1);
    return code;
}

static int seam_thread(pthread_t *id, void *(*run)(void *), void *arg)
{
    if (seam_fault(CALL_thread, -1)) return errno;
    struct seam_thread *thread = (struct seam_thread *)malloc(sizeof *thread);
    thread->run = run;
    thread->arg = arg;
    long lookups = run == aio__lookup_threads_run;
    SEAM_ADD(seam.threads, 1);
    SEAM_ADD(seam.lookups, lookups);
    int code = seam_real.thread(id, seam_thread_run, thread);
    if (!code) return 0;
    SEAM_ADD(seam.lookups, -lookups);
    SEAM_ADD(seam.threads, -1);
    free(thread);
    return code;
}

/* ---- OpenSSL: contexts, sessions and sums count as allocations; a session's fault is told by SSL_get_error ---- */
#ifndef AIO_NO_TLS
static __thread int seam_tls_error;

static __thread int seam_tls_depth; /* of sessions within each other */

/* What others leave in the thread's queue of errors must not be taken for a session's: between its steps something
 * always is there. */
static int seam_tls_litter(int result)
{
    if (!seam_tls_depth) ERR_put_error(ERR_LIB_USER, 0, 1, __FILE__, __LINE__);
    return result;
}

/* SSL_get_error takes what it finds in the queue for the step's own: before each step that must be empty
 * (SSL_get_error(3)). */
static void seam_tls_enter(const char *step)
{
    if (!seam_tls_depth++ && ERR_peek_error()) seam.mistaken = step;
}

/* The program may use OpenSSL, too: in the end nothing of ours is in its queue. 0, or what is there but litter. */
static unsigned long seam_tls_left(void)
{
    unsigned long error = ERR_get_error();
    while (error && ERR_GET_LIB(error) == ERR_LIB_USER) error = ERR_get_error();
    return error;
}

/* As OpenSSL does it, a fault leaves an error. */
static bool seam_tls_fault(int call)
{
    bool faulty = seam_fault(call, -1);
    if (faulty) ERR_put_error(ERR_LIB_EVP, 0, ERR_R_MALLOC_FAILURE, __FILE__, __LINE__);
    return faulty;
}

#define SEAM_TLS_NEW(type, name, parameters, arguments, count)                          \
    static type *seam_##name parameters                                                 \
    {                                                                                   \
        type *made = seam_tls_fault(CALL_##name) ? NULL : seam_real.name arguments;     \
        if (made) SEAM_ADD(seam.live, (count));                                         \
        return made;                                                                    \
    }
#define SEAM_TLS_LOAD(name, parameters, arguments) \
    static int seam_##name parameters { return seam_tls_fault(CALL_##name) ? 0 : seam_real.name arguments; }
#define SEAM_TLS_STEP(name, parameters, arguments)                                                  \
    static int seam_##name parameters                                                               \
    {                                                                                               \
        seam_tls_error = SSL_ERROR_NONE;                                                            \
        seam_tls_enter(#name);                                                                      \
        bool faulty = seam_fault(CALL_##name, -1);                                                  \
        int result = faulty ? -1 : seam_real.name arguments;                                        \
        seam_tls_depth--;                                                                           \
        if (!faulty) return result > 0 ? seam_tls_litter(result) : result;                          \
        seam_tls_error = seam.error == AIO_ETLS ? SSL_ERROR_SSL : SSL_ERROR_SYSCALL;                \
        return -1;                                                                                  \
    }
SEAM_TLS_NEW(SSL_CTX, SSL_CTX_new, (const SSL_METHOD *method), (method), 1)
SEAM_TLS_NEW(SSL, SSL_new, (SSL_CTX *context), (context), 1)
SEAM_TLS_NEW(BIO, BIO_new, (const BIO_METHOD *method), (method), 0) /* the session frees it */
SEAM_TLS_NEW(BIO_METHOD, BIO_meth_new, (int type, const char *name), (type, name), 0)
#if AIO__TLS_LIBRARY
SEAM_TLS_NEW(SSL_CTX, SSL_CTX_new_ex, (OSSL_LIB_CTX *library, const char *wanted, const SSL_METHOD *method),
             (library, wanted, method), 1)
SEAM_TLS_NEW(OSSL_LIB_CTX, OSSL_LIB_CTX_new, (void), (), 0)
SEAM_TLS_NEW(OSSL_PROVIDER, OSSL_PROVIDER_load, (OSSL_LIB_CTX *library, const char *name), (library, name), 0)
SEAM_TLS_NEW(OSSL_PROVIDER, OSSL_PROVIDER_try_load, (OSSL_LIB_CTX *library, const char *name, int keep),
             (library, name, keep), 0)
SEAM_TLS_LOAD(OSSL_PROVIDER_add_builtin, (OSSL_LIB_CTX *library, const char *name, OSSL_provider_init_fn *init),
              (library, name, init))
#endif
SEAM_TLS_LOAD(SSL_CTX_use_certificate_chain_file, (SSL_CTX *context, const char *file), (context, file))
SEAM_TLS_LOAD(SSL_CTX_use_PrivateKey_file, (SSL_CTX *context, const char *file, int type), (context, file, type))
SEAM_TLS_LOAD(SSL_CTX_load_verify_locations, (SSL_CTX *context, const char *file, const char *folder),
              (context, file, folder))
SEAM_TLS_LOAD(SSL_CTX_set_default_verify_paths, (SSL_CTX *context), (context))
SEAM_TLS_LOAD(SSL_CTX_set_cipher_list, (SSL_CTX *context, const char *list), (context, list))
SEAM_TLS_LOAD(EVP_Digest, (const void *data, size_t size, unsigned char *digest, unsigned *length, const EVP_MD *type,
                           ENGINE *engine), (data, size, digest, length, type, engine))
SEAM_TLS_NEW(EVP_MD_CTX, EVP_MD_CTX_new, (void), (), 1)
SEAM_TLS_LOAD(EVP_DigestInit_ex, (EVP_MD_CTX *sum, const EVP_MD *type, ENGINE *engine), (sum, type, engine))
SEAM_TLS_LOAD(EVP_DigestUpdate, (EVP_MD_CTX *sum, const void *data, size_t size), (sum, data, size))
SEAM_TLS_LOAD(EVP_DigestFinal_ex, (EVP_MD_CTX *sum, unsigned char *digest, unsigned *length), (sum, digest, length))
SEAM_TLS_LOAD(X509_digest, (const X509 *certificate, const EVP_MD *type, unsigned char *digest, unsigned *length),
              (certificate, type, digest, length))
SEAM_TLS_NEW(SSL_CTX, SSL_set_SSL_CTX, (SSL *ssl, SSL_CTX *context), (ssl, context), 0)
SEAM_TLS_NEW(BIO, BIO_new_mem_buf, (const void *data, int size), (data, size), 0)
SEAM_TLS_NEW(X509, PEM_read_bio_X509, (BIO *in, X509 **out, pem_password_cb *ask, void *arg), (in, out, ask, arg), 0)
SEAM_TLS_NEW(EVP_PKEY, PEM_read_bio_PrivateKey, (BIO *in, EVP_PKEY **out, pem_password_cb *ask, void *arg),
             (in, out, ask, arg), 0)
SEAM_TLS_LOAD(SSL_CTX_use_certificate, (SSL_CTX *context, X509 *certificate), (context, certificate))
SEAM_TLS_LOAD(SSL_CTX_use_PrivateKey, (SSL_CTX *context, EVP_PKEY *key), (context, key))
SEAM_TLS_LOAD(X509_STORE_add_cert, (X509_STORE *store, X509 *certificate), (store, certificate))
SEAM_TLS_NEW(X509_LOOKUP, X509_STORE_add_lookup, (X509_STORE *store, X509_LOOKUP_METHOD *method), (store, method), 0)
SEAM_TLS_LOAD(X509_load_crl_file, (X509_LOOKUP *lookup, const char *file, int type), (lookup, file, type))
static int seam_SSL_set_alpn_protos(SSL *ssl, const unsigned char *list, unsigned length)
{
    return seam_fault(CALL_SSL_set_alpn_protos, -1) ? 1 : seam_real.SSL_set_alpn_protos(ssl, list, length);
}
SEAM_TLS_LOAD(SSL_set1_host, (SSL *ssl, const char *host), (ssl, host))
SEAM_TLS_LOAD(X509_VERIFY_PARAM_set1_ip_asc, (X509_VERIFY_PARAM *parameters, const char *address),
              (parameters, address))
static int seam_SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char *list, unsigned length)
{
    return seam_fault(CALL_SSL_CTX_set_alpn_protos, -1) ? 1 : seam_real.SSL_CTX_set_alpn_protos(context, list, length);
}
static long seam_SSL_ctrl(SSL *ssl, int command, long number, void *arg)
{
    return seam_fault(CALL_SSL_ctrl, -1) ? 0 : seam_real.SSL_ctrl(ssl, command, number, arg);
}
SEAM_TLS_STEP(SSL_do_handshake, (SSL *ssl), (ssl))
SEAM_TLS_STEP(SSL_read, (SSL *ssl, void *data, int size), (ssl, data, size))
SEAM_TLS_STEP(SSL_peek, (SSL *ssl, void *data, int size), (ssl, data, size))
SEAM_TLS_STEP(SSL_write, (SSL *ssl, const void *data, int size), (ssl, data, size))
SEAM_TLS_STEP(SSL_shutdown, (SSL *ssl), (ssl))

static int seam_SSL_get_error(const SSL *ssl, int result)
{
    int error = seam_tls_error != SSL_ERROR_NONE ? seam_tls_error : seam_real.SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? seam_tls_litter(error) : error;
}

static void seam_SSL_free(SSL *ssl)
{
    if (ssl) SEAM_ADD(seam.live, -1);
    seam_real.SSL_free(ssl);
}

static void seam_EVP_MD_CTX_free(EVP_MD_CTX *sum)
{
    if (sum) SEAM_ADD(seam.live, -1);
    seam_real.EVP_MD_CTX_free(sum);
}

static void seam_SSL_CTX_free(SSL_CTX *context)
{
    if (context) SEAM_ADD(seam.live, -1);
    seam_real.SSL_CTX_free(context);
}
#endif
