/* TLS: our client against our server, with certificates made here. */
#ifndef AIO_NO_TLS
#include <openssl/pem.h>

struct identity { X509 *cert; EVP_PKEY *key; };
static char tls_folder[64];

static const char *tls_file(char *buffer, const char *name)
{
    snprintf(buffer, 128, "%s/%s.pem", tls_folder, name);
    return buffer;
}

static void tls_extend(X509 *cert, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

/* A certificate of this key for `san` (NULL: an authority's), valid from and to so many seconds from now, signed by `by`
 * or by itself; with its key, which is taken, in the file `name`. */
static struct identity tls_make_of(EVP_PKEY *key, const char *name, const char *san, long from, long to,
                                   const struct identity *by)
{
    static long serial = 1;
    char path[128];
    struct identity made = { X509_new(), key };
    if (!by) by = &made;
    X509_set_version(made.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), from);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), to);
    X509_set_pubkey(made.cert, made.key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert));
    if (san) tls_extend(made.cert, by->cert, NID_subject_alt_name, san);
    else tls_extend(made.cert, by->cert, NID_basic_constraints, "critical,CA:TRUE");
    if (!X509_sign(made.cert, by->key, EVP_sha256())) X509_sign(made.cert, by->key, NULL); /* Ed25519 has its own */
    FILE *file = fopen(tls_file(path, name), "w");
    PEM_write_X509(file, made.cert);
    PEM_write_PrivateKey(file, made.key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    return made;
}

static struct identity tls_make(const char *name, const char *san, long from, long to, const struct identity *by)
{
    return tls_make_of(EVP_EC_gen("P-256"), name, san, from, to, by);
}

static void tls_forget(struct identity identity)
{
    X509_free(identity.cert);
    EVP_PKEY_free(identity.key);
}

static const char *const tls_names[] = { "ca", "otherca", "good", "other", "expired", "early", "alone", "client",
                                         "guest", "partly", "locked", "leaf", "chain", "shuffled", "reversed",
                                         "between", "junk", "keys-ca", "keys", "large", NULL };

static void tls_remove(void)
{
    char path[128];
    for (int i = 0; tls_names[i]; i++) unlink(tls_file(path, tls_names[i]));
    snprintf(path, sizeof path, "%s/socket", tls_folder);
    unlink(path);
    rmdir(tls_folder);
}

static void tls_chain(const char *name, EVP_PKEY *key, X509 *first, X509 *second, X509 *third)
{
    char path[128];
    FILE *file = fopen(tls_file(path, name), "w");
    PEM_write_X509(file, first);
    PEM_write_X509(file, second);
    PEM_write_X509(file, third);
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

/* Once in the process of a test. */
static void tls_setup(void)
{
    enum { YEAR = 31536000 };
    char path[128];
    const char *sans = "DNS:localhost,DNS:*.wild.test,IP:127.0.0.1";
    if (tls_folder[0]) return;
    snprintf(tls_folder, sizeof tls_folder, "/tmp/aio-tls-XXXXXX");
    if (!mkdtemp(tls_folder)) abort();
    atexit(tls_remove);
    struct identity ca = tls_make("ca", NULL, -60, YEAR, NULL), other = tls_make("otherca", NULL, -60, YEAR, NULL);
    tls_forget(tls_make("good", sans, -60, YEAR, &ca));
    tls_forget(tls_make("other", sans, -60, YEAR, &other));
    tls_forget(tls_make("expired", sans, -2 * YEAR, -YEAR, &ca));
    tls_forget(tls_make("early", sans, YEAR, 2 * YEAR, &ca));
    tls_forget(tls_make("alone", sans, -60, YEAR, NULL));
    tls_forget(tls_make("partly", "DNS:par*.part.test", -60, YEAR, &ca));
    char many[12000] = "DNS:localhost"; /* a certificate of several reads */
    for (size_t i = 0, at = strlen(many); i < 500; i++)
        at += (size_t)snprintf(many + at, sizeof many - at, ",DNS:n%zu.large.test", i);
    tls_forget(tls_make("large", many, -60, YEAR, &ca));
    tls_forget(tls_make("client", "DNS:client.test", -60, YEAR, &ca));
    tls_forget(tls_make("guest", "DNS:*.guest.test", -60, YEAR, &ca));
    struct identity between = tls_make("between", NULL, -60, YEAR, &ca);
    struct identity leaf = tls_make("leaf", sans, -60, YEAR, &between);
    tls_chain("chain", leaf.key, leaf.cert, between.cert, ca.cert);
    tls_chain("shuffled", leaf.key, leaf.cert, ca.cert, between.cert);
    tls_chain("reversed", leaf.key, ca.cert, between.cert, leaf.cert);
    tls_forget(leaf);
    tls_forget(between);
    struct identity locked = tls_make("locked", "DNS:locked.test", -60, YEAR, &ca);
    tls_forget(ca);
    tls_forget(other);
    FILE *file = fopen(tls_file(path, "junk"), "w");
    fputs("no certificate\n", file);
    fclose(file);
    file = fopen(tls_file(path, "locked"), "w");
    PEM_write_X509(file, locked.cert);
    PEM_write_PrivateKey(file, locked.key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)(uintptr_t)"open sesame");
    fclose(file);
    tls_forget(locked);
}

static aio_tls_context *tls_server(const char *name, const char *alpn)
{
    char path[128];
    return aio_tls_context_create(.server = true, .cert_file = tls_file(path, name), .alpn = alpn);
}

static aio_tls_context *tls_client(const char *ca, const char *alpn)
{
    char path[128];
    return aio_tls_context_create(.ca_file = tls_file(path, ca), .alpn = alpn);
}

#define TLS_MAY .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_ETIMEOUT, ECONNABORTED, AIO_ERESOLVE, ECONNREFUSED, AIO_ETLS }
#define TLS_SETUP(server_name, alpn)                                                                   \
    do {                                                                                               \
        tls_setup();                                                                                   \
        self->server_tls = tls_server((server_name), (alpn));                                          \
        self->client_tls = tls_client("ca", (alpn));                                                   \
        REQUIRE(self->server_tls && self->client_tls);                                                 \
    } while (0)
#define TLS_END()                                                                                      \
    do {                                                                                               \
        aio_tls_context_unref(self->server_tls);                                                       \
        aio_tls_context_unref(self->client_tls);                                                       \
        aio_stream_abort(self->stream);                                                                \
        SERVER_END(self->server);                                                                      \
    } while (0)
#define TLS_SELF aio_task task; aio_tls_context *server_tls, *client_tls; aio_server *server; aio_stream *stream; aio_text text

struct tls_echo { TLS_SELF; int code; char alpn[16]; };
SCENARIO(tls_echo, TLS_MAY)
{
    AIO_BEGIN(tls_echo);
    TLS_SETUP("good", "wrong/1,echo/1");
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls, .server_hostname = "localhost"));
        CHECK_STR(aio_stream_tls_version(self->stream), "TLSv1.3");
        CHECK(aio_stream_tls_cipher(self->stream) != NULL);
        CHECK_STR(aio_stream_alpn(self->stream, self->alpn, sizeof self->alpn), "wrong/1");
        static const aio_text pieces[] = { { "he", 2 }, { NULL, 0 }, { "llo", 3 } };
        REQUIRE(aio_stream_writelines(self->stream, pieces, 3) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
        CHECK_BYTES(self->text.data, self->text.length, "hello");
        CHECK_INT(aio_stream_write_eof(self->stream), ENOTSUP);
        CHECK(!aio_stream_at_eof(self->stream));
        CHECK_BYTES(self->text.data, self->text.length, "hello");
        aio_server_close_clients(self->server);
        AIO_AWAIT(aio_sleep(0.1));
        CHECK(aio_stream_at_eof(self->stream) || seam.slice || aio_stream_at_eof(self->stream)); /* EAGAIN, perhaps */
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0)); /* close_notify */
        CHECK_INT(self->text.length, 0);
        AIO_AWAIT(aio_sleep(0.1));
        self->code = aio_stream_write(self->stream, "x", 1); /* the peer said close_notify, then closed */
        AIO_AWAIT(aio_sleep(0.1));
        if (!self->code) self->code = aio_stream_write(self->stream, "x", 1);
        if (!seam.fired) CHECK(self->code == EPIPE || self->code == ECONNRESET);
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

struct tls_names_ok { TLS_SELF; int i; };
SCENARIO(tls_names_ok, TLS_MAY)
{
    static const char *const hosts[] = { "localhost", "LOCALHOST", "localhost.", "a.wild.test", "127.0.0.1" };
    AIO_BEGIN(tls_names_ok);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    for (self->i = 0; self->i < 5; self->i++) {
        AIO_TIMEOUT(100)
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                .tls_context = self->client_tls, .server_hostname = hosts[self->i]));
        aio_stream_close(self->stream);
        self->stream = NULL;
    }
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
            .tls_context = self->client_tls, .server_hostname = ".wild.test")); /* OpenSSL would take any name below it */
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* A folder of certificates, each under the hash of its name, as c_rehash makes it. */
struct tls_ca_folder { TLS_SELF; char folder[64], link[96], file[128]; };
SCENARIO(tls_ca_folder, TLS_MAY)
{
    AIO_BEGIN(tls_ca_folder);
    tls_setup();
    snprintf(self->folder, sizeof self->folder, "/tmp/aio-cas-%d-XXXXXX", (int)getpid());
    REQUIRE(mkdtemp(self->folder));
    FILE *file;
    file = fopen(tls_file(self->file, "ca"), "r");
    REQUIRE(file);
    X509 *ca;
    ca = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    REQUIRE(ca);
    snprintf(self->link, sizeof self->link, "%s/%08lx.0", self->folder, X509_subject_name_hash(ca));
    X509_free(ca);
    REQUIRE(!symlink(self->file, self->link));
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.ca_path = self->folder);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
    }
    AIO_FINALLY;
        if (self->link[0]) unlink(self->link);
        if (self->folder[0]) rmdir(self->folder);
        TLS_END();
    AIO_END;
}

/* Connects, sends a byte there and back, and closes, in order or not. Gives whether it was resumed. */
struct tls_visit {
    aio_task task; bool result, rude; int port; aio_tls_context *tls; const char *host; aio_stream *stream, *closing;
};
static AIO_CORO(tls_visit)
{
    AIO_BEGIN(tls_visit);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port, .tls_context = self->tls,
                                                .server_hostname = self->host));
    self->result = aio_stream_tls_reused(self->stream);
    if (aio_stream_write(self->stream, "x", 1)) AIO_RAISE(EPIPE);
    AIO_AWAIT(aio_stream_readexactly(self->stream, 1));
    self->closing = self->rude ? NULL : self->stream;
    if (self->closing) self->stream = NULL;
    if (self->closing) AIO_AWAIT(aio_stream_wait_closed(self->closing));
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}
#define VISIT(expected, context, name)                                                                          \
    do {                                                                                                        \
        AIO_AWAIT(self->reused, AIO_CALL(tls_visit, .port = aio_server_port(self->server), .tls = (context),    \
                                         .host = (name), .rude = self->rude));                                  \
        CHECK_INT(self->reused, (expected));                                                                    \
    } while (0)

/* The stream of the client that came last; NULL: there is none. */
static aio_stream *tls_served(aio_server *server)
{
    aio__node *last = server->clients.ring.prev;
    return last == &server->clients.ring ? NULL : AIO__CONTAINER(last, aio_stream, link);
}

/* What must not be believed; each says which host, and why. */
struct tls_refused { TLS_SELF; int i; char wanted[200]; };
SCENARIO(tls_refused, TLS_MAY)
{
    static const struct { const char *cert, *host, *reason; } cases[] = {
        { "good", "wrong.test", "hostname mismatch" },
        { "good", "a.b.wild.test", "hostname mismatch" },
        { "good", "127.0.0.2", "IP address mismatch" },
        { "partly", "partial.part.test", "hostname mismatch" }, /* of "par*.part.test": RFC 9525 6.3 */
        { "expired", "localhost", "certificate has expired" },
        { "early", "localhost", "certificate is not yet valid" },
        { "alone", "localhost", "self-signed certificate" },
        { "other", "localhost", "unable to get local issuer certificate" },
        { "leaf", "localhost", "unable to get local issuer certificate" }, /* the one between is missing */
    };
    AIO_BEGIN(tls_refused);
    tls_setup();
    self->client_tls = tls_client("ca", NULL);
    REQUIRE(self->client_tls);
    for (self->i = 0; self->i < rows_of(9, 2); self->i++) {
        self->server_tls = tls_server(cases[self->i].cert, NULL);
        REQUIRE(self->server_tls);
        AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
        aio_tls_context_unref(self->server_tls); /* the server has its own */
        self->server_tls = NULL;
        AIO_TRY {
            AIO_TIMEOUT(100)
                AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                    .tls_context = self->client_tls, .server_hostname = cases[self->i].host));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(AIO_ECERTIFICATE);
            snprintf(self->wanted, sizeof self->wanted, "TLS handshake with %s: certificate verify failed: %s",
                     cases[self->i].host, cases[self->i].reason);
            CHECK_STR(aio_caught(self)->message, self->wanted);
            CHECK_STR(aio_caught(self)->phase, "TLS handshake");
        } AIO_END_TRY;
        aio_server_abort_clients(self->server);
        aio_server *server;
        server = self->server;
        self->server = NULL;
        AIO_AWAIT(aio_server_wait_closed(server));
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Chains that are complete, in whatever order behind the first. */
struct tls_chains { TLS_SELF; bool reused, rude; };
SCENARIO(tls_chains, TLS_MAY)
{
    AIO_BEGIN(tls_chains);
    TLS_SETUP("chain", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    aio_tls_context_unref(self->server->options.tls_context);
    self->server->options.tls_context = tls_server("shuffled", NULL);
    VISIT(false, self->client_tls, "localhost");
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* What else the two ends may not agree on. A `ca`: the server wants clients' certificates of that authority. */
static const struct tls_dispute {
    const char *ca, *server_alpn, *server_max, *server_ciphers, *client_cert, *client_alpn, *message;
} tls_disputes[] = {
    { NULL, "a/1", NULL, NULL, NULL, "b/1", "handshake with localhost: the peer says: tlsv1 alert no application protocol" },
    { "ca", NULL, NULL, NULL, NULL, NULL, "read with 127.0.0.1: the peer says: tlsv13 alert certificate required" },
    { "ca", NULL, "1.2", NULL, NULL, NULL, "handshake with localhost: the peer says: sslv3 alert handshake failure" },
    { "ca", NULL, NULL, NULL, "other", NULL, "read with 127.0.0.1: the peer says: tlsv1 alert unknown ca" },
    { "ca", NULL, "1.2", NULL, "expired", NULL,
      "handshake with localhost: the peer says: sslv3 alert certificate expired" },
    { NULL, NULL, "1.2", "ECDHE-RSA-AES128-GCM-SHA256", NULL, NULL,
      "handshake with localhost: the peer says: sslv3 alert handshake failure" },
};
struct tls_disputing { TLS_SELF; const struct tls_dispute *over; bool reused, rude; char files[4][128]; };
static AIO_CORO(tls_disputing)
{
    AIO_BEGIN(tls_disputing);
    const struct tls_dispute *over;
    over = self->over;
    tls_setup();
    if (over->ca) tls_file(self->files[0], over->ca);
    if (over->client_cert) tls_file(self->files[1], over->client_cert);
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->files[2], "good"),
        .ca_file = over->ca ? self->files[0] : NULL, .require_client_cert = over->ca != NULL,
        .alpn = over->server_alpn, .max_version = over->server_max, .ciphers = over->server_ciphers);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->files[3], "ca"), .alpn = over->client_alpn,
        .cert_file = over->client_cert ? self->files[1] : NULL);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TRY {
        AIO_TIMEOUT(100) VISIT(false, self->client_tls, "localhost");
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK(!strncmp(aio_caught(self)->message, "TLS ", 4));
        CHECK_STR(aio_caught(self)->message + 4, self->over->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

#define TLS_DISPUTED(name, number)                                      \
    struct name { aio_task task; };                                     \
    SCENARIO(name, TLS_MAY)                                             \
    {                                                                   \
        AIO_BEGIN(name);                                                \
        AIO_AWAIT(AIO_CALL(tls_disputing, .over = &tls_disputes[number])); \
        AIO_END;                                                        \
    }
TLS_DISPUTED(tls_no_alpn, 0)
TLS_DISPUTED(tls_no_client_cert, 1)
TLS_DISPUTED(tls_no_client_cert_1_2, 2)
TLS_DISPUTED(tls_client_cert_unknown, 3)
TLS_DISPUTED(tls_client_cert_expired, 4)
TLS_DISPUTED(tls_no_cipher, 5)

/* TLS 1.2 could begin anew at any time; neither of our ends does. */
struct tls_renegotiated { TLS_SELF; char file[128]; bool server_asks; };
SCENARIO(tls_renegotiated, TLS_MAY, .skip = KIND_CALL /* a warning that the socket does not take waits for a write */)
{
    AIO_BEGIN(tls_renegotiated);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->file, "ca"), .max_version = "1.2");
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    for (;; self->server_asks = true) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        REQUIRE(tls_served(self->server));
        SSL *ssl;
        ssl = aio__tls_of(self->server_asks ? tls_served(self->server) : self->stream)->ssl;
        SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
        CHECK_INT(SSL_renegotiate(ssl), 1);
        expect_report("error in the handler of a client"); /* the server's connection fails in both cases */
        AIO_TRY {
            aio_stream_write(self->stream, "z", 1);
            AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 2));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(AIO_ETLS);
            CHECK_STR(aio_caught(self)->message, self->server_asks
                ? "TLS read with 127.0.0.1: the peer says: sslv3 alert handshake failure"
                : "TLS write with 127.0.0.1: no renegotiation");
        } AIO_END_TRY;
        if (self->server_asks) break;
        AIO_AWAIT(aio_sleep(0.1)); /* the server reports it */
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Closing waits for the peer's close_notify if it is told to. */
struct tls_mute { aio_task task; aio_stream *stream; bool pours; char block[50000]; };
static AIO_CORO(tls_mute) /* never reads; says nothing, or much */
{
    AIO_BEGIN(tls_mute);
    if (self->pours) aio_stream_write(self->stream, self->block, sizeof self->block);
    AIO_AWAIT(aio_sleep(self->pours ? 1 : 1000));
    AIO_END;
}
static void *mute_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(tls_mute, .stream = stream, .pours = *(bool *)arg);
}

static bool tls_pours; /* outlives the servers that look */
struct tls_goodbyes { TLS_SELF; aio_server *answering; double began; aio_stream *closing; };
SCENARIO(tls_goodbyes, TLS_MAY, .skip = KIND_SLICE /* much by single bytes */)
{
    AIO_BEGIN(tls_goodbyes);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->answering, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->server, aio_start_server(mute_handler, &tls_pours, "127.0.0.1", 0, .tls_context = self->server_tls,
                                             .tls_shutdown_timeout = 4));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->answering),
                                                .tls_context = self->client_tls, .tls_shutdown_timeout = 5));
    self->began = aio_loop_time(aio_get_running_loop());
    self->closing = self->stream;
    self->stream = NULL;
    AIO_AWAIT(aio_stream_wait_closed(self->closing));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()), self->began, 0.5);
    for (tls_pours = true;; tls_pours = false) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls, .tls_shutdown_timeout = 5));
        AIO_AWAIT(aio_sleep(0.1));
        self->began = aio_loop_time(aio_get_running_loop());
        self->closing = self->stream;
        self->stream = NULL;
        if (!tls_pours) break;
        AIO_AWAIT(aio_stream_wait_closed(self->closing));
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0.9, 0.05);
    }
    AIO_TRY {
        AIO_AWAIT(aio_stream_wait_closed(self->closing));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->message, "close of 127.0.0.1: no close_notify within 5 s");
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 5, 0.05);
    } AIO_END_TRY;
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .tls_context = self->client_tls));
    AIO_AWAIT(aio_sleep(0.1));
    aio_server_close_clients(self->server); /* they wait for a close_notify, too */
    AIO_AWAIT(aio_sleep(3.8));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(0.4));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        TLS_END();
        SERVER_END(self->answering);
    AIO_END;
}

/* The default context does not know our authority. */
struct tls_default { TLS_SELF; };
SCENARIO(tls_default, TLS_MAY)
{
    AIO_BEGIN(tls_default);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TRY {
        AIO_TIMEOUT(100)
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server), .tls = true));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ECERTIFICATE);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", 1, .tls_context = self->server_tls));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_TRY {
        AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_start_tls(self->stream, NULL, "localhost")); /* the same one */
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ECERTIFICATE);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_tls_context_unref(aio__tls_default_context);
        aio__tls_default_context = NULL;
        TLS_END();
    AIO_END;
}

struct tls_client_cert { TLS_SELF; char ca[128], mine[128]; };
SCENARIO(tls_client_cert, TLS_MAY)
{
    AIO_BEGIN(tls_client_cert);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->mine, "good"),
                                              .require_client_cert = true, .ca_file = self->ca);
    self->client_tls = tls_client("ca", NULL);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TRY {
        AIO_TIMEOUT(100) {
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                        .tls_context = self->client_tls));
            AIO_AWAIT(aio_stream_read(self->stream, 1)); /* TLS 1.3: the server says so after the client's handshake */
        }
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK_STR(aio_caught(self)->message,
                  "TLS read with 127.0.0.1: the peer says: tlsv13 alert certificate required");
    } AIO_END_TRY;
    aio_stream_abort(self->stream);
    self->stream = NULL;
    aio_tls_context_unref(self->client_tls);
    self->client_tls = aio_tls_context_create(.ca_file = self->ca, .cert_file = tls_file(self->mine, "client"));
    REQUIRE(self->client_tls);
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "me", 2) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 2));
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Both directions full at once. */
struct tls_pour_back { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(tls_pour_back)
{
    AIO_BEGIN(tls_pour_back);
    AIO_ASYNC_FOR(self->text, aio_stream_read(self->stream, 20000)) {
        int code;
        code = aio_stream_write(self->stream, self->text.data, self->text.length);
        if (code) AIO_RAISE(code);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}
CLIENT_HANDLER(tls_pour_back)

struct tls_feed { aio_task task; aio_stream *stream; size_t size, at; char block[30000]; }; /* borrows the stream */
static AIO_CORO(tls_feed)
{
    AIO_BEGIN(tls_feed);
    while (self->stream && self->at < self->size) {
        size_t n;
        n = self->size - self->at < sizeof self->block ? self->size - self->at : sizeof self->block;
        for (size_t i = 0; i < n; i++) self->block[i] = (char)((self->at + i) % 251);
        self->at += n;
        int code;
        code = aio_stream_write(self->stream, self->block, n);
        if (code) AIO_RAISE(code);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

struct tls_both_ways { TLS_SELF; struct tls_feed *feed; size_t at; };
SCENARIO(tls_both_ways, TLS_MAY)
{
    AIO_BEGIN(tls_both_ways);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(tls_pour_back_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(1000) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        self->feed = aio_create_task(AIO_CALL(tls_feed, .stream = self->stream, .size = much(600000)));
        REQUIRE(self->feed);
        for (; self->at < much(600000); self->at += self->text.length) {
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 50000));
            REQUIRE(self->text.length > 0);
            CHECK(poured(self->text.data, self->at, self->text.length));
        }
        CHECK_INT(self->at, much(600000));
    }
    AIO_FINALLY;
        if (self->feed) self->feed->stream = NULL; /* it may have a turn before its cancel */
        if (self->feed) aio_task_cancel(self->feed);
        aio_unref(self->feed);
        TLS_END();
    AIO_END;
}

/* ---- peers that do not keep to it ---- */
enum { PEER_SILENT, PEER_PLAIN, PEER_GONE };
struct tls_bad_peer { aio_task task; aio_stream *stream; int kind; };
static AIO_CORO(tls_bad_peer)
{
    AIO_BEGIN(tls_bad_peer);
    if (self->kind == PEER_PLAIN) aio_stream_write(self->stream, "220 mail.test ESMTP at your service\r\n", 37);
    AIO_AWAIT(aio_stream_read(self->stream, 1000));
    if (self->kind == PEER_GONE) AIO_RETURN();
    AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}
static void *bad_peer_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(tls_bad_peer, .stream = stream, .kind = *(int *)arg);
}

struct tls_bad_peers { TLS_SELF; int kind; double began; };
SCENARIO(tls_bad_peers, TLS_MAY, .skip = KIND_SLICE /* who closes with bytes unread resets */)
{
    static const struct { int code; const char *message; } cases[] = {
        { AIO_ETIMEOUT, "TLS handshake with localhost: timed out" },
        { AIO_ETLS, "TLS handshake with localhost: the peer does not speak TLS: wrong version number" },
        { AIO_ETLS, "TLS handshake with localhost: the peer closed the connection" },
    };
    AIO_BEGIN(tls_bad_peers);
    tls_setup();
    self->client_tls = tls_client("ca", NULL);
    REQUIRE(self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(bad_peer_handler, &self->kind, "127.0.0.1", 0));
    for (self->kind = PEER_SILENT; self->kind <= PEER_GONE; self->kind++) {
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                .tls_context = self->client_tls, .server_hostname = "localhost", .tls_timeout = 3));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(cases[self->kind].code);
            CHECK_STR(aio_caught(self)->message, cases[self->kind].message);
            CHECK_STR(aio_caught(self)->phase, "TLS handshake");
        } AIO_END_TRY;
        if (self->kind == PEER_SILENT) CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 3, 0.2);
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

struct tls_old { TLS_SELF; };
SCENARIO(tls_old, TLS_MAY)
{
    AIO_BEGIN(tls_old);
    TLS_SETUP("good", NULL);
    SSL_CTX_set_security_level(self->server_tls->ctx, 0);
    SSL_CTX_set_min_proto_version(self->server_tls->ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(self->server_tls->ctx, TLS1_1_VERSION);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TRY {
        AIO_TIMEOUT(100)
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                .tls_context = self->client_tls, .server_hostname = "localhost"));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK(strstr(aio_caught(self)->message, "TLS handshake with localhost: ") == aio_caught(self)->message);
        CHECK(strstr(aio_caught(self)->message, "protocol") != NULL);
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* A stream that is cut, without close_notify, is no end of it. */
struct tls_cut_peer { aio_task task; aio_stream *stream; };
static AIO_CORO(tls_cut_peer)
{
    AIO_BEGIN(tls_cut_peer);
    AIO_AWAIT(aio_stream_read(self->stream, 1));
    aio_stream_write(self->stream, "half of ", 8);
    aio__tls_fail(aio__tls_of(self->stream)); /* it says no close_notify */
    AIO_END;
}
CLIENT_HANDLER(tls_cut_peer)

struct tls_truncated { TLS_SELF; };
SCENARIO(tls_truncated, TLS_MAY)
{
    AIO_BEGIN(tls_truncated);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(tls_cut_peer_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_TRY {
            AIO_AWAIT(aio_stream_read_all(self->stream, 0));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(AIO_ETLS);
            CHECK_STR(aio_caught(self)->message,
                      "TLS read with 127.0.0.1: the peer closed the connection without close_notify");
        } AIO_END_TRY;
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 100)); /* what came is there */
        CHECK_BYTES(self->text.data, self->text.length, "half of ");
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* A client that leaves so is no error of the server's. */
struct tls_client_leaves { TLS_SELF; };
SCENARIO(tls_client_leaves, TLS_MAY, .skip = KIND_DEBUG /* there it is told */)
{
    AIO_BEGIN(tls_client_leaves);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        aio__tls_fail(aio__tls_of(self->stream));
        aio_stream_close(self->stream);
        self->stream = NULL;
        AIO_AWAIT(aio_sleep(0.1));
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* A server that is closed while a client is in its handshake; a client that never begins one. */
struct tls_mid_handshake { TLS_SELF; aio_stream *plain; };
SCENARIO(tls_mid_handshake, TLS_MAY)
{
    AIO_BEGIN(tls_mid_handshake);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls,
                                             .tls_timeout = 5));
    AIO_AWAIT(self->plain, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_INT(aio_server_client_count(self->server), 2);
    aio_stream_abort(self->plain);
    self->plain = NULL;
    aio_server_close(self->server);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(5));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->plain);
        TLS_END();
    AIO_END;
}

/* The time of a handshake that nobody has limited, on either side: 60 s. */
struct tls_default_time { TLS_SELF; aio_server *silent; aio_stream *plain; int kind; double began; };
SCENARIO(tls_default_time, TLS_MAY)
{
    AIO_BEGIN(tls_default_time);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(bad_peer_handler, &self->kind, "127.0.0.1", 0)); /* PEER_SILENT */
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls, .server_hostname = "localhost"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "TLS handshake");
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 60, 0.2);
    aio_server_abort_clients(self->server);
    self->silent = self->server;
    self->server = NULL;
    AIO_AWAIT(aio_server_wait_closed(self->silent));
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->plain, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(aio_sleep(59.5));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->plain);
        TLS_END();
    AIO_END;
}

/* A client for whom no handler can be made is put out behind its handshake: that is no end of what the server says. */
static void *tls_no_handler(aio_stream *stream, void *arg)
{
    (void)stream;
    ++*(int *)arg;
    return NULL;
}

struct tls_unserved { TLS_SELF; int made; };
SCENARIO(tls_unserved, TLS_MAY)
{
    AIO_BEGIN(tls_unserved);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(tls_no_handler, &self->made, "127.0.0.1", 0,
                                             .tls_context = self->server_tls));
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls, .server_hostname = "localhost"));
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 9));
        UNREACHED();
    } AIO_CATCH {
        if (aio_caught(self)->code != ECONNRESET) CAUGHT(AIO_ETLS);
    } AIO_END_TRY;
    CHECK_INT(self->made, 1);
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* STARTTLS: what was said in the clear does not reach into TLS. */
struct tls_starter { aio_task task; aio_stream *stream; aio_tls_context *tls; aio_text text; };
static AIO_CORO(tls_starter)
{
    AIO_BEGIN(tls_starter);
    AIO_AWAIT(aio_stream_readline(self->stream));
    aio_stream_set_write_buffer_limits(self->stream, 0, 0);
    aio_stream_write(self->stream, "go ahead\n", 9);
    AIO_AWAIT(aio_stream_drain(self->stream)); /* all of it */
    AIO_AWAIT(aio_stream_start_tls(self->stream, self->tls, NULL));
    AIO_AWAIT(self->text, aio_stream_readline(self->stream));
    aio_stream_write(self->stream, self->text.data, self->text.length);
    AIO_END;
}
static void *starter_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(tls_starter, .stream = stream, .tls = (aio_tls_context *)arg);
}

struct tls_started { TLS_SELF; };
SCENARIO(tls_started, TLS_MAY)
{
    AIO_BEGIN(tls_started);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(starter_handler, self->server_tls, "127.0.0.1", 0));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        REQUIRE(aio_stream_write(self->stream, "STARTTLS\n", 9) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 3));
        AIO_TRY {
            if (self->stream->in_start == self->stream->in_end) AIO_RAISE(AIO_ERUNTIME); /* sliced: it has not come */
            AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(AIO_ERUNTIME); /* "ahead" is unread */
        } AIO_END_TRY;
        AIO_AWAIT(aio_stream_readline(self->stream));
        AIO_TRY {
            AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, NULL));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL); /* whose certificate? */
        } AIO_END_TRY;
        AIO_TRY {
            AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "localhost/x"));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
            CHECK(strstr(aio_caught(self)->message, "it is a URL, or a part of one, and not a host") != NULL);
        } AIO_END_TRY;
        AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
        CHECK_STR(aio_stream_tls_version(self->stream), "TLSv1.3");
        REQUIRE(aio_stream_write(self->stream, "secret\n", 7) == 0);
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        CHECK_BYTES(self->text.data, self->text.length, "secret\n");
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* ---- two ends of one connection here ---- */

struct tls_pairing { aio_task task; aio_stream *a, *b; aio_tls_context *client, *server; aio_task *serving; };
static AIO_CORO(tls_pairing)
{
    AIO_BEGIN(tls_pairing);
    self->serving = (aio_task *)(void *)aio_create_task(aio__tls_begin(self->b, self->server, NULL, 0, 0, 0, false));
    REQUIRE(self->serving);
    AIO_AWAIT(aio_stream_start_tls(self->a, self->client, "localhost"));
    AIO_AWAIT((aio_future *)aio_ref(self->serving));
    AIO_FINALLY;
        if (self->serving) aio_task_cancel(self->serving);
        aio_unref(self->serving);
    AIO_END;
}

#define PAIR_SELF aio_task task; aio_tls_context *server_tls, *client_tls; aio_server *server; aio_stream *stream, *other
#define PAIR_SETUP()                                                                                      \
    TLS_SETUP("good", NULL);                                                                              \
    REQUIRE(unix_pair(0, 0, &self->stream, &self->other));                                                \
    AIO_AWAIT(AIO_CALL(tls_pairing, .a = self->stream, .b = self->other, .client = self->client_tls,      \
                       .server = self->server_tls))

/* A connection that is aborted has no end: what came is not all. */
struct tls_aborted { PAIR_SELF; };
SCENARIO(tls_aborted, TLS_MAY)
{
    AIO_BEGIN(tls_aborted);
    PAIR_SETUP();
    REQUIRE(aio_stream_write(self->stream, "half of ", 8) == 0);
    aio_stream_abort(self->stream);
    self->stream = NULL;
    AIO_TRY {
        AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_read_all(self->other, 0));
        UNREACHED();
    } AIO_CATCH {
        bool lost; /* a unix socket is reset if it was closed with bytes unread, else it ends without a close_notify */
        lost = aio_caught(self)->code == AIO_ETLS || aio_caught(self)->code == ECONNRESET;
        if (!CHECK(lost)) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* A write fails before the poller has told of what came: that is read all the same. */
static int gone_fd = -1; /* of the one whose peer has gone, as a write hears it */
static ssize_t gone_send(int fd, const void *data, size_t length, int flags)
{
    return fd == gone_fd ? (errno = EPIPE, -1) : seam_send(fd, data, length, flags);
}

static void gone_begin(aio_stream *stream)
{
    gone_fd = aio_stream_fileno(stream);
    aio__os.send = gone_send;
    CHECK_INT(aio_stream_write(stream, "?", 1), EPIPE);
}

/* When all that came is read, the read says why nothing more can be written. */
struct gone_ends { aio_task task; aio_stream *stream; };
static AIO_CORO(gone_ends)
{
    AIO_BEGIN(gone_ends);
    AIO_TRY {
        AIO_AWAIT(aio_stream_readexactly(self->stream, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
    } AIO_END_TRY;
    AIO_END;
}

struct tls_gone { PAIR_SELF; aio_text text; };
SCENARIO(tls_gone, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* all has to be there when the write fails */)
{
    AIO_BEGIN(tls_gone);
    PAIR_SETUP();
    REQUIRE(aio_stream_write(self->stream, "answer", 6) == 0);
    gone_begin(self->other);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 6));
    CHECK_BYTES(self->text.data, self->text.length, "answer");
    AIO_AWAIT(AIO_CALL(gone_ends, .stream = self->other));
    AIO_FINALLY;
        aio__os.send = seam_send;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* The peer's close_notify comes behind much that nobody reads, and the peer does not hang up. */
struct tls_late_goodbye { PAIR_SELF; aio_stream *closing; double began; char block[66000]; };
SCENARIO(tls_late_goodbye, TLS_MAY, .skip = KIND_SLICE /* much by single bytes */
         | KIND_CALL /* nobody reads meanwhile: a write that had to wait would wait for ever */)
{
    AIO_BEGIN(tls_late_goodbye);
    PAIR_SETUP();
    REQUIRE(aio_stream_write(self->other, self->block, sizeof self->block) == 0);
    REQUIRE(aio__tls_close_notify(aio__tls_of(self->other)));
    aio__tls_of(self->stream)->shutdown_timeout = 5;
    self->began = aio_loop_time(aio_get_running_loop());
    self->closing = self->stream;
    self->stream = NULL;
    AIO_AWAIT(aio_stream_wait_closed(self->closing));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()), self->began, 0.5);
    AIO_FINALLY;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* Who hangs up instead of saying close_notify may have missed what was said last. */
struct tls_no_goodbye { PAIR_SELF; aio_stream *closing; };
SCENARIO(tls_no_goodbye, TLS_MAY)
{
    AIO_BEGIN(tls_no_goodbye);
    PAIR_SETUP();
    aio__tls_of(self->stream)->shutdown_timeout = 5;
    REQUIRE(shutdown(aio_stream_fileno(self->other), SHUT_WR) == 0);
    self->closing = self->stream;
    self->stream = NULL;
    AIO_TRY {
        AIO_AWAIT(aio_stream_wait_closed(self->closing));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK_STR(aio_caught(self)->message,
                  "TLS close with the peer: the peer closed the connection without close_notify");
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* A stream that is aborted between the moment when its socket takes more and the step of the handshake that waits for
 * that. */
struct tls_abort_handshake { PAIR_SELF; struct aio__tls_start *starting; aio_future *drained; char block[4096]; };
static void tls_abort_now(aio_future *future, void *arg)
{
    struct tls_abort_handshake *self = (struct tls_abort_handshake *)arg;
    (void)future;
    aio_stream_abort(self->stream);
    self->stream = NULL;
}
SCENARIO(tls_abort_handshake, TLS_MAY, .skip = KIND_SLICE /* what is sent here is not */)
{
    AIO_BEGIN(tls_abort_handshake);
    TLS_SETUP("good", NULL);
    REQUIRE(unix_pair(0, 4096, &self->stream, &self->other));
    while (send(aio_stream_fileno(self->stream), self->block, sizeof self->block, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) { }
    self->drained = aio__drain_future(self->stream); /* what the handshake will wait for, after this callback */
    REQUIRE(self->drained && aio_future_add_done_callback(self->drained, tls_abort_now, self) == 0);
    self->starting = aio_create_task((struct aio__tls_start *)(void *)
        aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
    REQUIRE(self->starting);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(self->stream && self->stream->raw_write);
    while (recv(aio_stream_fileno(self->other), self->block, sizeof self->block, MSG_DONTWAIT) > 0) { }
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_PTR(self->stream, NULL);
    CHECK(aio_future_exception(self->starting) && aio_future_exception(self->starting)->code == ECONNABORTED);
    AIO_FINALLY;
        if (self->drained) aio_future_remove_done_callback(self->drained, tls_abort_now, self);
        aio_unref(self->drained);
        if (self->starting) aio_task_cancel(self->starting);
        aio_unref(self->starting);
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* A server, which was given no host, names the address of the peer. */
struct tls_unnamed { PAIR_SELF; };
SCENARIO(tls_unnamed, TLS_MAY)
{
    AIO_BEGIN(tls_unnamed);
    TLS_SETUP("good", NULL);
    REQUIRE(unix_pair(0, 0, &self->stream, &self->other));
    aio_stream_abort(self->stream);
    self->stream = NULL;
    AIO_TRY {
        AIO_AWAIT(aio__tls_begin(self->other, self->server_tls, NULL, 0, 0, 0, false));
        UNREACHED();
    } AIO_CATCH {
        if (aio_caught(self)->code != AIO_ETLS) CAUGHT(ECONNRESET);
        CHECK(strstr(aio_caught(self)->message, "TLS handshake with the peer: ") == aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* A handshake that was given up is not taken up again by who writes or reads. */
struct tls_given_up { PAIR_SELF; struct aio__tls_start *starting; };
SCENARIO(tls_given_up, TLS_MAY)
{
    AIO_BEGIN(tls_given_up);
    TLS_SETUP("good", NULL);
    REQUIRE(unix_pair(0, 0, &self->stream, &self->other));
    self->starting = aio_create_task((struct aio__tls_start *)(void *)
        aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
    REQUIRE(self->starting);
    AIO_AWAIT(aio_sleep(0.1));
    aio_task_cancel(self->starting);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_cancelled(self->starting));
    CHECK_INT(aio_stream_write(self->stream, "x", 1), ECONNABORTED);
    AIO_TRY {
        AIO_TIMEOUT(10) AIO_AWAIT(aio_stream_read(self->stream, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNABORTED);
        CHECK_STR(aio_caught(self)->message, "TLS handshake with localhost: given up");
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_unref(self->starting);
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* ---- sessions that are resumed ---- */

struct tls_resuming { TLS_SELF; int version; bool reused, rude; aio_tls_context *next_tls; };
static AIO_CORO(tls_resuming)
{
    AIO_BEGIN(tls_resuming);
    TLS_SETUP("good", NULL);
    self->next_tls = tls_server("good", NULL);
    REQUIRE(self->next_tls);
    SSL_CTX_set_max_proto_version(self->server_tls->ctx, self->version);
    SSL_CTX_set_max_proto_version(self->next_tls->ctx, self->version);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    self->rude = true;
    VISIT(true, self->client_tls, "localhost");
    if (!seam.fired) CHECK_INT(self->client_tls->refusal_count, 0);
    self->rude = false;
    VISIT(true, self->client_tls, "localhost");
    VISIT(false, self->client_tls, "127.0.0.1"); /* another name */
    aio_tls_context_unref(self->server->options.tls_context); /* a server that does not know the session any more */
    self->server->options.tls_context = aio_tls_context_ref(self->next_tls);
    VISIT(false, self->client_tls, "localhost");
    CHECK_INT(self->client_tls->session_count, 2);
    AIO_FINALLY;
        aio_tls_context_unref(self->next_tls);
        TLS_END();
    AIO_END;
}

struct tls_resumed_1_2 { aio_task task; };
SCENARIO(tls_resumed_1_2, TLS_MAY)
{
    AIO_BEGIN(tls_resumed_1_2);
    AIO_AWAIT(AIO_CALL(tls_resuming, .version = TLS1_2_VERSION));
    AIO_END;
}

struct tls_resumed_1_3 { aio_task task; };
SCENARIO(tls_resumed_1_3, TLS_MAY)
{
    AIO_BEGIN(tls_resumed_1_3);
    AIO_AWAIT(AIO_CALL(tls_resuming, .version = TLS1_3_VERSION));
    AIO_END;
}

/* Where the server wants a certificate of the client, too. */
struct tls_resumed_with_cert { TLS_SELF; bool reused, rude; char mine[128], ca[128]; };
SCENARIO(tls_resumed_with_cert, TLS_MAY)
{
    AIO_BEGIN(tls_resumed_with_cert);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->mine, "good"),
                                              .require_client_cert = true, .ca_file = self->ca);
    self->client_tls = aio_tls_context_create(.ca_file = self->ca, .cert_file = tls_file(self->mine, "client"));
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    VISIT(true, self->client_tls, "localhost");
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Tickets that a server gives and does not take are offered ever more seldom: after the second refusal one connection
 * goes without, then three, then seven; one that is taken ends that. */
struct tls_sessions_refused { TLS_SELF; int i; bool reused, rude, offered; };
SCENARIO(tls_sessions_refused, TLS_MAY, .skip = KIND_CANCEL | KIND_SLICE /* many handshakes, all alike */)
{
    AIO_BEGIN(tls_sessions_refused);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    for (self->i = 1; self->i <= 15; self->i++) {
        self->offered = self->i < 3 || self->i == 4 || self->i == 8;
        if (!seam.fired) CHECK_INT(self->client_tls->session_count == 1, self->offered);
        SSL_CTX_set_session_id_context(self->server_tls->ctx, (const unsigned char *)&self->i, sizeof self->i);
        VISIT(false, self->client_tls, "localhost"); /* of another context than the ticket */
        if (!seam.fired) CHECK_INT(self->client_tls->refusal_count, 1);
    }
    VISIT(true, self->client_tls, "localhost");
    if (!seam.fired) CHECK_INT(self->client_tls->refusal_count, 0);
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Only so many, and of one name no more than two thirds; a handshake that fails drops what it tried. */
struct tls_sessions_few { TLS_SELF; bool reused, rude; char ca[128]; };
SCENARIO(tls_sessions_few, TLS_MAY)
{
    AIO_BEGIN(tls_sessions_few);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->ca, "ca"), .sessions = 6);
    REQUIRE(self->server_tls && self->client_tls);
    SSL_CTX_set_num_tickets(self->server_tls->ctx, 5);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    CHECK_INT(self->client_tls->session_count, 4);
    VISIT(false, self->client_tls, "a.wild.test");
    CHECK_INT(self->client_tls->session_count, 6);
    VISIT(true, self->client_tls, "localhost");
    VISIT(true, self->client_tls, "localhost");
    CHECK_INT(self->client_tls->session_count, 6);
    SSL_CTX_set_options(self->server_tls->ctx, SSL_OP_NO_TLSv1_3 | SSL_OP_NO_TLSv1_2);
    AIO_TRY {
        AIO_AWAIT(AIO_CALL(tls_visit, .port = aio_server_port(self->server), .tls = self->client_tls,
                           .host = "localhost"));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK_INT(self->client_tls->session_count, 4); /* of the other name */
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* Two servers of one name, on two ports, that would take each other's sessions. */
struct tls_sessions_of_ports { TLS_SELF; bool reused, rude; aio_server *first; char ca[128]; };
SCENARIO(tls_sessions_of_ports, TLS_MAY)
{
    AIO_BEGIN(tls_sessions_of_ports);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->ca, "ca"));
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    self->first = self->server;
    self->server = NULL;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    VISIT(true, self->client_tls, "localhost");
    AIO_FINALLY;
        AIO_TRY {
            SERVER_END(self->first);
        } AIO_CATCH_ALL {
            CHECK(touched());
        } AIO_END_TRY;
        TLS_END();
    AIO_END;
}

/* As many as there can be; and what a client of TLS 1.2 asked for is known when it resumes a session, too. */
struct tls_sessions_most { TLS_SELF; bool reused, rude; char ca[128]; };
SCENARIO(tls_sessions_most, TLS_MAY)
{
    AIO_BEGIN(tls_sessions_most);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->ca, "ca"), .sessions = INT_MAX,
                                              .max_version = "1.2");
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "localhost");
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .tls_context = self->client_tls, .server_hostname = "localhost"));
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
    REQUIRE(tls_served(self->server));
    CHECK(aio_stream_tls_reused(tls_served(self->server)));
    CHECK_STR(aio_stream_tls_server_name(tls_served(self->server)), "localhost");
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* A session that was made without verification is no way around it; a context may keep none. */
struct tls_resumed_unsafe { TLS_SELF; bool reused, rude; aio_tls_context *unsafe_tls, *none_tls; char ca[128]; };
SCENARIO(tls_resumed_unsafe, TLS_MAY)
{
    AIO_BEGIN(tls_resumed_unsafe);
    TLS_SETUP("good", NULL);
    self->unsafe_tls = aio_tls_context_create(.verify = AIO_VERIFY_NONE);
    self->none_tls = aio_tls_context_create(.ca_file = tls_file(self->ca, "ca"), .sessions = -1);
    REQUIRE(self->unsafe_tls && self->none_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->unsafe_tls, "wrong.test");
    VISIT(true, self->unsafe_tls, "wrong.test");
    VISIT(false, self->none_tls, "localhost");
    VISIT(false, self->none_tls, "localhost");
    AIO_TRY {
        VISIT(false, self->client_tls, "wrong.test");
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ECERTIFICATE);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_tls_context_unref(self->unsafe_tls);
        aio_tls_context_unref(self->none_tls);
        TLS_END();
    AIO_END;
}

/* Threads, each with a loop and a server of its own, share two contexts. */
struct tls_sharing { TLS_SELF; int i; bool reused, rude; long *resumed; };
static AIO_CORO(tls_sharing)
{
    AIO_BEGIN(tls_sharing);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    for (; self->i < 10; self->i++) {
        AIO_AWAIT(self->reused, AIO_CALL(tls_visit, .port = aio_server_port(self->server), .tls = self->client_tls,
                                         .host = "localhost"));
        if (self->reused) SEAM_ADD(*self->resumed, 1);
    }
    AIO_FINALLY;
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
static struct { aio_tls_context *server_tls, *client_tls; long resumed, failed; } shared_tls;
static void *tls_share(void *arg)
{
    aio_loop *loop = aio_new_event_loop();
    int code = aio_loop_run_until_complete(loop, AIO_CALL(tls_sharing, .resumed = &shared_tls.resumed,
        .server_tls = aio_tls_context_ref(shared_tls.server_tls),
        .client_tls = aio_tls_context_ref(shared_tls.client_tls)), NULL);
    if (code) SEAM_ADD(shared_tls.failed, 1);
    aio_loop_free(loop);
    return arg;
}

TEST(tls_threads_share)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    tls_setup();
    memset(&shared_tls, 0, sizeof shared_tls);
    shared_tls.server_tls = tls_server("good", NULL);
    shared_tls.client_tls = tls_client("ca", NULL);
    for (int i = 0; i < THREADS; i++) CHECK_INT(pthread_create(&threads[i], NULL, tls_share, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_INT(shared_tls.failed, 0);
    CHECK_INT(shared_tls.resumed, 9 * THREADS); /* each port has sessions of its own */
    aio_tls_context_unref(shared_tls.server_tls);
    aio_tls_context_unref(shared_tls.client_tls);
}

/* ---- options ---- */

static void tls_print_of(const char *name, char *text) /* 64 digits, in pairs with colons */
{
    char path[128];
    unsigned char digest[32];
    FILE *file = fopen(tls_file(path, name), "r");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    X509_digest(certificate, EVP_sha256(), digest, NULL);
    for (int i = 0; i < 32; i++) snprintf(text + 3 * i, 4, "%02X:", digest[i]);
    text[95] = 0;
    X509_free(certificate);
}

struct tls_pinned { TLS_SELF; bool reused, rude; char print[100], ca[128]; };
SCENARIO(tls_pinned, TLS_MAY)
{
    AIO_BEGIN(tls_pinned);
    tls_setup();
    tls_print_of("good", self->print);
    self->server_tls = tls_server("good", NULL);
    self->client_tls = aio_tls_context_create(.fingerprint = self->print, .verify = AIO_VERIFY_NONE);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "wrong.test");
    VISIT(true, self->client_tls, "wrong.test");
    aio_tls_context_unref(self->client_tls);
    tls_print_of("other", self->print);
    self->client_tls = aio_tls_context_create(.fingerprint = self->print, .ca_file = tls_file(self->ca, "ca"),
                                              .max_version = "1.2");
    REQUIRE(self->client_tls);
    AIO_TRY {
        VISIT(false, self->client_tls, "localhost");
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ECERTIFICATE);
        CHECK(strstr(aio_caught(self)->message, "TLS handshake with localhost: the certificate's fingerprint is ") ==
              aio_caught(self)->message);
        CHECK(strstr(aio_caught(self)->message, ", expected ") != NULL);
        CHECK_INT(self->client_tls->session_count, 0);
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

struct tls_versions { TLS_SELF; char file[128]; };
SCENARIO(tls_versions, TLS_MAY)
{
    AIO_BEGIN(tls_versions);
    tls_setup();
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->file, "good"),
                                              .max_version = "TLSv1.2");
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->file, "ca"),
                                              .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256");
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .tls_context = self->client_tls));
    CHECK_STR(aio_stream_tls_version(self->stream), "TLSv1.2");
    CHECK_STR(aio_stream_tls_cipher(self->stream), "ECDHE-ECDSA-AES128-GCM-SHA256");
    aio_stream_abort(self->stream);
    self->stream = NULL;
    aio_tls_context_unref(self->client_tls);
    self->client_tls = aio_tls_context_create(.ca_file = tls_file(self->file, "ca"), .min_version = "1.3");
    REQUIRE(self->client_tls);
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETLS);
        CHECK_STR(aio_caught(self)->message,
                  "TLS handshake with 127.0.0.1: the peer says: tlsv1 alert protocol version");
    } AIO_END_TRY;
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

static int bio_without_memory(BIO *bio, const void *data, int length)
{
    return length > 6 ? -1 : BIO_write(bio, data, length);
}

/* What both ends know of each other: names that were asked for, certificates, with and without one of the client's. */
struct tls_hosts { TLS_SELF; aio_tls_context *guest_tls, *known_tls; aio_certificate *shown;
                   char ca[128], file[128], log[128]; };
SCENARIO(tls_hosts, TLS_MAY)
{
    AIO_BEGIN(tls_hosts);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->file, "good"),
                                              .request_client_cert = true, .ca_file = self->ca);
    snprintf(self->log, sizeof self->log, "%s/socket", tls_folder);
    unlink(self->log);
    self->guest_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->file, "guest"),
                                             .keylog_file = self->log);
    self->client_tls = tls_client("ca", NULL);
    self->known_tls = aio_tls_context_create(.ca_file = self->ca, .cert_file = tls_file(self->file, "locked"),
                                             .key_password = "open sesame");
    REQUIRE(self->server_tls && self->client_tls && self->guest_tls && self->known_tls);
    REQUIRE(aio_tls_context_add_host(self->server_tls, "*.guest.test", self->guest_tls) == 0);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
        .tls_context = self->client_tls, .server_hostname = "A.Guest.test"));
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
    REQUIRE(tls_served(self->server));
    CHECK_STR(aio_stream_tls_server_name(tls_served(self->server)), "A.Guest.test");
    struct stat status;
    if (!touched()) CHECK(stat(self->log, &status) == 0 && status.st_size > 300); /* the guest's, whoever was asked */
    CHECK_PTR(aio_stream_peer_certificate(tls_served(self->server)), NULL);
    self->shown = aio_stream_peer_certificate(self->stream);
    REQUIRE(self->shown);
    CHECK_STR(self->shown->subject, "CN=guest");
    CHECK_STR(self->shown->issuer, "CN=ca");
    CHECK_INT(self->shown->name_count, 1);
    CHECK_STR(self->shown->names[0], "*.guest.test");
    aio_certificate_free(self->shown);
    self->shown = NULL;
    aio_stream_abort(self->stream);
    self->stream = NULL;
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .tls_context = self->known_tls));
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
    REQUIRE(tls_served(self->server));
    CHECK_PTR(aio_stream_tls_server_name(tls_served(self->server)), NULL);
    self->shown = aio_stream_peer_certificate(tls_served(self->server));
    REQUIRE(self->shown);
    CHECK_STR(self->shown->subject, "CN=locked");
    aio_certificate_free(self->shown);
    self->shown = aio_stream_peer_certificate(self->stream);
    REQUIRE(self->shown);
    CHECK_INT(self->shown->name_count, 3);
    CHECK_STR(self->shown->names[1], "*.wild.test");
    CHECK_STR(self->shown->names[2], "127.0.0.1");
    CHECK_PTR(self->shown->names[3], NULL);
    CHECK_NEAR(self->shown->not_before, time(NULL) - 60, 100);
    CHECK_INT(self->shown->not_after - self->shown->not_before, 31536060);
    CHECK_INT(strlen(self->shown->fingerprint), 64);
    aio__os.BIO_write = bio_without_memory;
    CHECK_PTR(aio_stream_peer_certificate(self->stream), NULL);
    aio__os.BIO_write = BIO_write;
    const unsigned char *der;
    der = self->shown->der;
    X509 *again;
    again = d2i_X509(NULL, &der, (long)self->shown->der_length);
    CHECK(again && der == self->shown->der + self->shown->der_length);
    X509_free(again);
    AIO_FINALLY;
        aio_certificate_free(self->shown);
        aio_tls_context_unref(self->guest_tls);
        aio_tls_context_unref(self->known_tls);
        TLS_END();
    AIO_END;
}

/* Where no certificate is asked for, a session may be resumed under another name of the server, too. */
struct tls_host_resumes { TLS_SELF; aio_tls_context *guest_tls; bool reused, rude; };
SCENARIO(tls_host_resumes, TLS_MAY)
{
    AIO_BEGIN(tls_host_resumes);
    TLS_SETUP("good", NULL);
    self->guest_tls = tls_server("good", NULL);
    REQUIRE(self->guest_tls && aio_tls_context_add_host(self->server_tls, "b.wild.test", self->guest_tls) == 0);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    VISIT(false, self->client_tls, "a.wild.test");
    REQUIRE(!aio__ring_empty(&self->client_tls->sessions));
    for (aio__node *node = self->client_tls->sessions.next; node != &self->client_tls->sessions; node = node->next)
        AIO__CONTAINER(node, aio__tls_session, link)->key[0] = 'b';
    VISIT(true, self->client_tls, "b.wild.test");
    AIO_FINALLY;
        aio_tls_context_unref(self->guest_tls);
        TLS_END();
    AIO_END;
}

/* Another host's context asks for certificates as it says, and no session of another name gets around it. */
struct tls_host_requires { TLS_SELF; aio_tls_context *guest_tls, *known_tls; char ca[128], file[128]; int i; };
SCENARIO(tls_host_requires, TLS_MAY)
{
    AIO_BEGIN(tls_host_requires);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = tls_server("good", NULL);
    self->guest_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(self->file, "good"),
                                             .require_client_cert = true, .ca_file = self->ca);
    self->client_tls = tls_client("ca", NULL);
    self->known_tls = aio_tls_context_create(.ca_file = self->ca, .cert_file = tls_file(self->file, "client"));
    REQUIRE(self->server_tls && self->client_tls && self->guest_tls && self->known_tls);
    REQUIRE(aio_tls_context_add_host(self->server_tls, "b.wild.test", self->guest_tls) == 0);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    for (self->i = 0; self->i < 6; self->i++) { /* 0, 1: who is known; 2, 5: at the other name; 3: with its session */
        if (self->i == 3) {
            aio__node *node = self->client_tls->sessions.next;
            REQUIRE(node != &self->client_tls->sessions);
            AIO__CONTAINER(node, aio__tls_session, link)->key[0] = 'b';
        }
        AIO_TRY {
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                .tls_context = self->i < 2 ? self->known_tls : self->client_tls,
                .server_hostname = self->i == 2 || self->i == 5 ? "a.wild.test" : "b.wild.test"));
            REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
            AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
            CHECK(self->i != 3 && self->i != 4);
            CHECK_INT(aio_stream_tls_reused(self->stream), self->i == 1);
        } AIO_CATCH {
            CAUGHT(AIO_ETLS);
            if (!seam.fired) CHECK(self->i == 3 || self->i == 4);
        } AIO_END_TRY;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_tls_context_unref(self->guest_tls);
        aio_tls_context_unref(self->known_tls);
        TLS_END();
    AIO_END;
}

/* ---- TLS within TLS ---- */
static void tls_small_buffers(aio_stream *stream)
{
    int size = 4096;
    if (!seam.slice) setsockopt(aio_stream_fileno(stream), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static bool tls_large_buffers;
struct tls_layers { aio_task task; aio_stream *stream; aio_tls_context *tls; aio_text text; };
static AIO_CORO(tls_layers)
{
    AIO_BEGIN(tls_layers);
    if (!tls_large_buffers) tls_small_buffers(self->stream);
    AIO_AWAIT(aio_stream_start_tls(self->stream, self->tls, NULL));
    AIO_AWAIT(aio_stream_start_tls(self->stream, self->tls, NULL));
    AIO_AWAIT(AIO_CALL(tls_pour_back, .stream = self->stream));
    AIO_END;
}
static void *layers_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(tls_layers, .stream = stream, .tls = (aio_tls_context *)arg);
}

/* A start that was called before its stream was closed, and begins behind that; one that never begins; two at once. */
struct tls_begins_late { TLS_SELF; aio_stream *plain; aio_future *one, *two; };
SCENARIO(tls_begins_late, TLS_MAY)
{
    AIO_BEGIN(tls_begins_late);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(layers_handler, self->server_tls, "127.0.0.1", 0));
    AIO_AWAIT(self->plain, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(self->one = aio_stream_start_tls(self->plain, self->client_tls, "localhost"));
    aio_unref(self->one);
    REQUIRE(self->one = aio_create_task(aio_stream_start_tls(self->plain, self->client_tls, "localhost")));
    REQUIRE(self->two = aio_create_task(aio_stream_start_tls(self->plain, self->client_tls, "localhost")));
    AIO_AWAIT((aio_future *)aio_ref(self->one));
    AIO_TRY {
        AIO_AWAIT((aio_future *)aio_ref(self->two));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    aio_unref(self->one);
    aio_unref(self->two);
    self->two = NULL;
    REQUIRE(self->one = aio_create_task(aio_stream_start_tls(self->plain, self->client_tls, "localhost")));
    aio_stream_abort(self->plain);
    self->plain = NULL;
    AIO_TRY {
        AIO_AWAIT((aio_future *)aio_ref(self->one));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNABORTED);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_unref(self->one);
        aio_unref(self->two);
        aio_stream_abort(self->plain);
        TLS_END();
    AIO_END;
}

/* With buffers of 4 KiB, over a unix socket: TCP waits in real time when so little fits. Of slices, each of which takes
 * as much room as hundreds of bytes, not even session tickets would fit there. */
struct tls_within { TLS_SELF; struct tls_feed *feed; size_t at, size; ssize_t rest; char alpn[16], path[80]; };
SCENARIO(tls_within, TLS_MAY)
{
    AIO_BEGIN(tls_within);
    TLS_SETUP("good", "echo/1");
    self->size = much(60000);
    snprintf(self->path, sizeof self->path, "%s/socket", tls_folder);
    unlink(self->path); /* of a run in which that failed */
    if (seam.slice) AIO_AWAIT(self->server, aio_start_server(layers_handler, self->server_tls, "127.0.0.1", 0));
    else AIO_AWAIT(self->server, aio_start_unix_server(layers_handler, self->server_tls, self->path));
    AIO_TIMEOUT(1000) {
        if (seam.slice)
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                        .tls_context = self->client_tls));
        else
            AIO_AWAIT(self->stream, aio_open_unix_connection(self->path, .tls_context = self->client_tls,
                                                             .server_hostname = "localhost"));
        tls_small_buffers(self->stream);
        AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "a.wild.test"));
        CHECK_STR(aio_stream_alpn(self->stream, self->alpn, sizeof self->alpn), "echo/1");
        CHECK_PTR(aio_stream_alpn(self->stream, self->alpn, 0), NULL);
        CHECK_PTR(aio_stream_alpn(self->stream, NULL, 9), NULL);
        CHECK(self->stream->top->lower->lower && !self->stream->top->lower->lower->lower);
        REQUIRE(aio_stream_write(self->stream, "\x00", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        self->feed = aio_create_task(AIO_CALL(tls_feed, .stream = self->stream, .size = self->size));
        REQUIRE(self->feed);
        for (; self->at < self->size; self->at += self->text.length) {
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 50000));
            REQUIRE(self->text.length > 0);
            CHECK(poured(self->text.data, self->at, self->text.length));
        }
        AIO_AWAIT((struct tls_feed *)aio_ref(self->feed));
        aio_server_close_clients(self->server);
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 1)); /* the upper close_notify, */
        CHECK_INT(self->text.length, 0);
        while ((self->rest = aio__tls_recv(self->stream->top->lower, self->alpn, 1)) == AIO__IO_AGAIN)
            AIO_AWAIT(aio__stream_wait(self->stream, AIO__READ));
        CHECK_INT(self->rest, 0); /* then the lower one */
    }
    AIO_FINALLY;
        if (self->feed) aio_task_cancel(self->feed);
        aio_unref(self->feed);
        TLS_END();
    AIO_END;
}

/* Messages of TLS itself within TLS: who has heard many of them still reads what comes. */
struct tls_within_chatter { TLS_SELF; int i; };
SCENARIO(tls_within_chatter, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(tls_within_chatter);
    TLS_SETUP("good", "echo/1");
    AIO_AWAIT(self->server, aio_start_server(layers_handler, self->server_tls, "127.0.0.1", 0));
    AIO_TIMEOUT(1000) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
        for (self->i = 0; self->i < 40; self->i++) {
            SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
            REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
        }
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        CHECK_BYTES(self->text.data, self->text.length, "x");
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* The inner handshake has many turns: what the outer layer has decrypted is taken in each, though the socket is silent. */
struct tls_within_turns { TLS_SELF; };
SCENARIO(tls_within_turns, TLS_MAY)
{
    AIO_BEGIN(tls_within_turns);
    tls_large_buffers = true;
    TLS_SETUP("large", "echo/1");
    AIO_AWAIT(self->server, aio_start_server(layers_handler, self->server_tls, "127.0.0.1", 0));
    AIO_TIMEOUT(1000) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls, .server_hostname = "localhost"));
        aio_loop_set_turn_limits(aio_get_running_loop(), .messages = 1);
        AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "localhost"));
        REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        CHECK_BYTES(self->text.data, self->text.length, "x");
    }
    AIO_FINALLY;
        tls_large_buffers = false;
        TLS_END();
    AIO_END;
}

/* The name within does not fit: the outer connection stands, the inner one does not. */
struct tls_within_refused { TLS_SELF; };
SCENARIO(tls_within_refused, TLS_MAY)
{
    AIO_BEGIN(tls_within_refused);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(layers_handler, self->server_tls, "127.0.0.1", 0));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        AIO_TRY {
            AIO_AWAIT(aio_stream_start_tls(self->stream, self->client_tls, "wrong.test"));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(AIO_ECERTIFICATE);
            CHECK_STR(aio_caught(self)->message,
                      "TLS handshake with wrong.test: certificate verify failed: hostname mismatch");
        } AIO_END_TRY;
        CHECK_INT(aio_stream_write(self->stream, "x", 1), AIO_ECERTIFICATE);
    }
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

/* ---- reads that want to write, writes that want to read ---- */
static int crossed_reads, crossed_writes, crossed;
static int crossed_read(SSL *ssl, void *data, int size)
{
    if (crossed_reads <= 0 || crossed_reads-- <= 0) return seam_SSL_read(ssl, data, size);
    crossed = SSL_ERROR_WANT_WRITE;
    return -1;
}
static int crossed_write(SSL *ssl, const void *data, int size)
{
    if (crossed_writes <= 0 || crossed_writes-- <= 0) return seam_SSL_write(ssl, data, size);
    crossed = SSL_ERROR_WANT_READ;
    return -1;
}
static int crossed_get_error(const SSL *ssl, int result)
{
    int error = crossed ? crossed : seam_SSL_get_error(ssl, result);
    crossed = 0;
    return error;
}

struct tls_crossed { TLS_SELF; };
SCENARIO(tls_crossed, TLS_MAY)
{
    AIO_BEGIN(tls_crossed);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                    .tls_context = self->client_tls));
        REQUIRE(aio_stream_write(self->stream, "1", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
        crossed_reads = 1;
        aio__os.SSL_read = crossed_read;
        aio__os.SSL_write = crossed_write;
        aio__os.SSL_get_error = crossed_get_error;
        REQUIRE(aio_stream_write(self->stream, "2", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1)); /* one of the two ends waits to write */
        CHECK_INT(crossed_reads, 0);
        REQUIRE(aio_stream_write(self->stream, "34", 2) == 0);
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 1));
        crossed_writes = 1; /* this one waits for bytes, which are on their way; a reader that is cancelled changes nothing */
        REQUIRE(aio_stream_write(self->stream, "5", 1) == 0);
        CHECK_INT(aio_stream_write_buffer_size(self->stream), 1);
        aio_unref(aio_stream_readexactly(self->stream, 1000));
        aio_stream *peer;
        peer = aio__clients_next(&self->server->clients, NULL);
        REQUIRE(peer);
        REQUIRE(aio_stream_write(peer, "x", 1) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 3));
        CHECK_INT(aio_stream_write_buffer_size(self->stream), 0);
    }
    AIO_FINALLY;
        aio__os.SSL_read = seam_SSL_read;
        aio__os.SSL_write = seam_SSL_write;
        aio__os.SSL_get_error = seam_SSL_get_error;
        crossed_reads = crossed_writes = crossed = 0;
        TLS_END();
    AIO_END;
}

/* ---- contexts ---- */
static void context_fails(aio_tls_context *context, const char *message)
{
    CHECK_PTR(context, NULL);
    CHECK_INT(ERR_peek_error(), 0); /* the program may use OpenSSL, too */
    if (!CHECK(strstr(aio_tls_context_error(), message) != NULL)) printf("# %s\n", aio_tls_context_error());
    aio_tls_context_unref(context);
}

/* Its password is "right". What "wrong" makes of it ends in a padding that is valid. */
static const char padded_key[] =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHrMFYGCSqGSIb3DQEFDTBJMCgGCSqGSIb3DQEFDDAbBAgojB8KGNI1LwIBATAM\n"
    "BggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBAgQQZrQJWR0dmQobNXGj2wl2RASBkI7C\n"
    "42/sSgquCECYinDhP4i7pbQ3w+8siI0y2Pm4X7pUERTeMZDvTqRCng4I5oowxLsQ\n"
    "GlK8Sila4sWFTlR5xHOjnXwjsBlc56JS4Whw69pRsQpdPjhsKuMl7gYro25SFL2p\n"
    "E3u+ySf17xdrLd+owX1cD2Syw6PmCD99veTBq2gb942aNNwREFkN7KKLfNTQtw==\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";

TEST(tls_wrong_password_with_right_padding)
{
    char good[128];
    tls_setup();
    tls_file(good, "good");
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .key_pem = padded_key,
                                         .key_password = "wrong"),
                  "TLS: cannot load key_pem: the key_password is wrong");
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .key_pem = padded_key,
                                         .key_password = "right"),
                  "TLS: cannot load key_pem: key values mismatch");
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .key_pem = padded_key),
                  "TLS: cannot load key_pem: a key_password is needed");
}

TEST(tls_context_errors)
{
    char junk[128], good[128], client[128], locked[128], wanted[256];
    tls_setup();
    tls_file(junk, "junk"), tls_file(good, "good"), tls_file(client, "client");
    context_fails(aio_tls_context_create(.ca_file = "/nowhere/ca.pem"), "TLS: cannot load /nowhere/ca.pem: ");
    context_fails(aio_tls_context_create(.server = true, .cert_file = "/nowhere/cert.pem"),
                  "TLS: cannot load /nowhere/cert.pem: No such file or directory");
    context_fails(aio_tls_context_create(.keylog_file = "/nowhere/keys"),
                  "TLS: cannot load /nowhere/keys: No such file or directory");
    snprintf(wanted, sizeof wanted, "TLS: cannot load %s: no start line", junk);
    context_fails(aio_tls_context_create(.server = true, .cert_file = junk), wanted);
    snprintf(wanted, sizeof wanted, "TLS: cannot load %s: key values mismatch", tls_file(locked, "reversed"));
    context_fails(aio_tls_context_create(.server = true, .cert_file = locked), wanted);
    snprintf(wanted, sizeof wanted, "TLS: cannot load %s: key values mismatch", client);
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .key_file = client), wanted);
    context_fails(aio_tls_context_create(.server = true), "a server needs a cert_file");
    context_fails(aio_tls_context_create(.key_file = good), "a key_file needs its cert_file");
    context_fails(aio_tls_context_create(.alpn = "a,,b"), "the ALPN list is not valid");
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .require_client_cert = true), "needs a ca_file");
    context_fails(aio_tls_context_create(.require_client_cert = true), "is a server's");
    tls_file(locked, "locked");
    snprintf(wanted, sizeof wanted, "TLS: cannot load %s: a key_password is needed", locked);
    context_fails(aio_tls_context_create(.server = true, .cert_file = locked), wanted);
    snprintf(wanted, sizeof wanted, "TLS: cannot load %s: the key_password is wrong", locked);
    context_fails(aio_tls_context_create(.server = true, .cert_file = locked, .key_password = "x"), wanted);
    context_fails(aio_tls_context_create(.key_password = "x"), "a key_password needs its cert_file");
    context_fails(aio_tls_context_create(.request_client_cert = true), "request_client_cert is a server's");
    context_fails(aio_tls_context_create(.server = true, .cert_file = good, .request_client_cert = true),
                  "request_client_cert needs a ca_file");
    context_fails(aio_tls_context_create(.fingerprint = ""), "fingerprint");
    context_fails(aio_tls_context_create(.fingerprint = "00:11:22"), "fingerprint");
    context_fails(aio_tls_context_create(.fingerprint = "g1"), "the fingerprint is not 64 hexadecimal digits");
    context_fails(aio_tls_context_create(.min_version = "SSLv3"), "the min_version is none of");
    context_fails(aio_tls_context_create(.max_version = "2"), "the max_version is none of");
    context_fails(aio_tls_context_create(.max_version = "1.1"), "the min_version is above the max_version");
    context_fails(aio_tls_context_create(.ciphers = "none"), "TLS: the ciphers none: no cipher match");
    aio_tls_context *context = aio_tls_context_create(.cert_file = good, .verify = AIO_VERIFY_NONE);
    aio_tls_context *server = tls_server("good", NULL), *other = tls_server("client", NULL);
    CHECK_INT(aio_tls_context_add_host(context, "a.test", other), EINVAL);
    CHECK_STR(aio_tls_context_error(), "TLS: host a.test: the context is not a server's");
    CHECK_INT(aio_tls_context_add_host(NULL, "a.test", other), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "a.test", context), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "a.test", NULL), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "a.test", server), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, NULL, other), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "", other), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "*", other), EINVAL);
    CHECK_INT(aio_tls_context_add_host(server, "a.*.test", other), EINVAL);
    CHECK_STR(aio_tls_context_error(), "TLS: host a.*.test: not a name");
    CHECK_INT(aio_tls_context_add_host(server, "a.test", other), 0);
    aio_tls_context_unref(server);
    aio_tls_context_unref(other);
    CHECK_PTR(aio_stream_peer_certificate(NULL), NULL);
    CHECK_PTR(aio_stream_tls_server_name(NULL), NULL);
    CHECK(!aio_stream_tls_reused(NULL));
    aio_certificate_free(NULL);
    CHECK(context != NULL);
    aio_tls_context_unref(aio_tls_context_ref(context));
    aio_tls_context_unref(context);
    aio_tls_context_unref(NULL);
}

/* Every kind of key that a certificate can have is known to a client, the authority's too. */
struct tls_keys { TLS_SELF; };
static AIO_CORO(tls_keys)
{
    AIO_BEGIN(tls_keys);
    self->server_tls = tls_server("keys", NULL);
    self->client_tls = tls_client("keys-ca", NULL);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .tls_context = self->client_tls, .server_hostname = "localhost"));
    aio_stream_write(self->stream, "hello", 5);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
    CHECK_BYTES(self->text.data, self->text.length, "hello");
    AIO_FINALLY;
        TLS_END();
    AIO_END;
}

static EVP_PKEY *tls_key(const char *kind, const char *group)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY_keygen_init(context);
    if (group) EVP_PKEY_CTX_set_group_name(context, group);
    EVP_PKEY_generate(context, &key);
    EVP_PKEY_CTX_free(context);
    return key;
}

TEST(tls_kinds_of_keys)
{
    static const struct { const char *kind, *group; } kinds[] = {
        { "EC", "P-256" }, { "EC", "P-384" }, { "EC", "P-521" }, { "RSA", NULL }, { "RSA-PSS", NULL }, { "ED25519", NULL },
        { "ED448", NULL },
    };
    tls_setup();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        EVP_PKEY *key = tls_key(kinds[i].kind, kinds[i].group); /* of both: to make one takes long on small machines */
        CHECK_INT(EVP_PKEY_up_ref(key), 1);
        struct identity ca = tls_make_of(key, "keys-ca", NULL, -60, 86400, NULL);
        tls_forget(tls_make_of(key, "keys", "DNS:localhost", -60, 86400, &ca));
        tls_forget(ca);
        aio_loop *loop = aio_new_event_loop();
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(tls_keys), NULL), 0);
        aio_loop_free(loop);
    }
}

#if AIO__TLS_LIBRARY
static int tls_provide_nothing(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                               void **provider)
{
    static const OSSL_DISPATCH functions[] = { { 0, NULL } };
    (void)core, (void)in, (void)provider;
    *out = functions;
    return 1;
}

/* Clients do without a library context of their own when there can be none, and when OpenSSL was set up by others. */
static int tls_fips(OSSL_LIB_CTX *library)
{
    (void)library;
    return 1;
}

TEST(tls_library)
{
    static const int calls[] = { CALL_OSSL_PROVIDER_try_load, CALL_OSSL_LIB_CTX_new, CALL_OSSL_PROVIDER_add_builtin,
                                 CALL_OSSL_PROVIDER_load };
    static void *volatile before[4][2];
    static int runs;
    aio_tls_context *context;
    tls_setup();
    before[runs % 4][0] = aio__tls_library; /* what lives as long as the process stays where a leak checker sees it */
    before[runs++ % 4][1] = aio__tls_provider;
    (void)before[0][0];
    aio__tls_library = NULL;
    aio__tls_provider = NULL;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        seam.fail_call = calls[i];
        seam.fail_at = seam.calls[calls[i]] + 1;
        seam.error = ENOMEM;
        seam.fired = false;
        context = tls_client("ca", NULL);
        seam.touched = 0;
        CHECK(seam.fired && context && !aio__tls_library);
        aio_tls_context_unref(context);
        seam.fail_at = seam.calls[calls[i]] + 1;
        seam.fired = false;
        context = aio_tls_context_create(.verify = AIO_VERIFY_NONE, .ciphers = "none"); /* what went before is not told */
        seam.touched = 0;
        CHECK(seam.fired);
        context_fails(context, "TLS: the ciphers none: no cipher match");
    }
    seam.fail_at = 0;
    context = tls_server("good", NULL);
    CHECK(context && !aio__tls_library);
    aio_tls_context_unref(context);
    context = tls_client("ca", NULL);
    CHECK(context && aio__tls_library && aio__tls_library_get() == aio__tls_library);
    aio_tls_context_unref(context);
    OSSL_PROVIDER_add_builtin(NULL, "nothing", tls_provide_nothing);
    OSSL_PROVIDER *other = OSSL_PROVIDER_load(NULL, "nothing");
    CHECK(other && aio__tls_library_get() == NULL);
    context = tls_client("ca", NULL);
    CHECK(context != NULL);
    aio_tls_context_unref(context);
    OSSL_PROVIDER_unload(other);
    CHECK(aio__tls_library_get() == aio__tls_library);
    aio__os.EVP_default_properties_is_fips_enabled = tls_fips; /* the set-up is not to be gone around */
    CHECK(aio__tls_library_get() == NULL);
    aio__os.EVP_default_properties_is_fips_enabled = EVP_default_properties_is_fips_enabled;
    CHECK(aio__tls_library_get() == aio__tls_library);
}
#endif
#endif

#ifndef AIO_NO_TLS
/* A zone is nothing to the other side: the certificate of an address is for it on any interface. */
TEST(tls_names_without_zone)
{
    static const struct { const char *host, *address, *name; } rows[] = {
        { "fe80::1%eth0", "FE80:0:0:0:0:0:0:1", NULL }, { "::1", "0:0:0:0:0:0:0:1", NULL },
        { "a.test.", NULL, "a.test" },
    };
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    for (size_t i = 0; context && i < sizeof rows / sizeof *rows; i++) {
        SSL *ssl = SSL_new(context);
        CHECK_INT(aio__tls_name(ssl, rows[i].host, true), 0);
        char *address = X509_VERIFY_PARAM_get1_ip_asc(SSL_get0_param(ssl));
        if (rows[i].address) CHECK_STR(address, rows[i].address);
        else CHECK_STR(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), rows[i].name);
        OPENSSL_free(address);
        SSL_free(ssl);
    }
    SSL_CTX_free(context);
    ERR_clear_error();
}
#endif

#ifndef AIO_NO_TLS
/* 64 digits, of either size, with colons between pairs or without. */
TEST(tls_fingerprints)
{
    static const char half[] = "0123456789abcdefABCDEF0123456789";
    static const char colons[] = "00:11:22:33:44:55:66:77:88:99:aa:BB:cc:DD:ee:FF";
    static const struct { const char *one, *two, *more; bool valid; } cases[] = {
        { half, half, "", true }, { colons, ":", colons, true }, { colons, colons, "", true }, { half, half, ":", true },
        { half, half, "0", false }, { half, half + 1, "", false }, { half, half + 1, "g", false },
        { half, half + 1, "-", false }, { ":", half, half, false }, { "0:", half, half + 1, false }, { "", "", "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[160], out[65] = "";
        snprintf(text, sizeof text, "%s%s%s", cases[i].one, cases[i].two, cases[i].more);
        bool valid = aio__tls_fingerprint(out, text);
        if (!CHECK_INT(valid, cases[i].valid)) CHECK_STR(text, "");
        CHECK(!valid || strspn(out, "0123456789abcdef") == 64);
    }
}

/* Of a certificate's names only those of hosts are given, and those only whole and printable. */
TEST(tls_certificate_names)
{
    char longest[256];
    memset(longest, 'a', sizeof longest);
    const struct { int type; const char *data; int length; const char *text; } rows[] = {
        { GEN_EMAIL, "a@b.test", 8, NULL },
        { GEN_URI, "http://b.test", 13, NULL },
        { GEN_DNS, "b.test", 6, "b.test" },
        { GEN_DNS, "!~", 2, "!~" },
        { GEN_DNS, "", 0, NULL },
        { GEN_DNS, "a b", 3, NULL },
        { GEN_DNS, "a\177", 2, NULL },
        { GEN_DNS, "a\377", 2, NULL },
        { GEN_DNS, "a\0b", 3, NULL },
        { GEN_DNS, longest, 255, longest },
        { GEN_DNS, longest, 256, NULL },
        { GEN_IPADD, "\177\0\0\1", 4, "127.0.0.1" },
        { GEN_IPADD, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, "::1" },
        { GEN_IPADD, "abcd", 3, NULL },
        { GEN_IPADD, "abcde", 5, NULL },
        { GEN_IPADD, "abcdefghijklmnop", 15, NULL },
        { GEN_IPADD, "", 0, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        GENERAL_NAME name;
        char text[256];
        name.type = rows[i].type;
        name.d.ia5 = ASN1_STRING_new();
        CHECK(name.d.ia5 && ASN1_STRING_set(name.d.ia5, rows[i].data, rows[i].length));
        bool whole = aio__certificate_name(&name, text);
        if (CHECK_INT(whole, rows[i].text != NULL) && whole)
            CHECK_BYTES(text, strlen(text), rows[i].text, rows[i].text == longest ? 255 : strlen(rows[i].text));
        ASN1_STRING_free(name.d.ia5);
    }
}

/* The names of protocols fit to the byte, or not at all. */
TEST(tls_alpn_fits)
{
    static aio_tls_context context;
    char list[140];
    const size_t room = sizeof context.alpn;
    memset(&context, 0, sizeof context);
    CHECK(aio__alpn_encode(&context, "h2,http/1.1"));
    CHECK_BYTES(context.alpn, context.alpn_length, "\2h2\10http/1.1", 12);
    context.alpn_length = 0;
    CHECK(aio__alpn_encode(&context, "a,"));
    CHECK_INT(context.alpn_length, 2);
    context.alpn_length = 0;
    CHECK(aio__alpn_encode(&context, NULL));
    CHECK(aio__alpn_encode(&context, ""));
    CHECK_INT(context.alpn_length, 0);
    CHECK(!aio__alpn_encode(&context, ",a"));
    memset(list, 'x', sizeof list);
    for (size_t more = 0; more < 3; more++) { /* one name, then two */
        list[room - 1 + more] = 0;
        context.alpn_length = 0;
        CHECK_INT(aio__alpn_encode(&context, list), more == 0);
        list[60] = ',';
        context.alpn_length = 0;
        CHECK_INT(aio__alpn_encode(&context, list), more == 0);
        list[60] = list[room - 1 + more] = 'x';
    }
}
#endif
