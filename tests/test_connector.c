/* The connector: connections that sessions share, and how they are made. Servers and gets are those of the client's
 * tests. */

/* Two sessions of one connector: one limit, one pool; one that closes leaves the idle connections to the other. */
struct connector_shared { aio_task task; aio_server *server; aio_connector *connector; aio_session *a, *b;
    bool unowned; struct get_url *gets[3]; aio_future *closed; };
SCENARIO(connector_shared, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_shared);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->connector = aio_connector_open(.limit = 1);
    REQUIRE(self->connector);
    self->a = aio_session_open(.connector = self->connector);
    self->b = aio_session_open(.connector = self->connector);
    REQUIRE(self->a && self->b);
    self->gets[0] = get_task(self->a, aio_server_port(self->server), "/slow", no_timeouts);
    self->gets[1] = get_task(self->b, aio_server_port(self->server), "/a", no_timeouts);
    REQUIRE(self->gets[0] && self->gets[1]);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_connector_busy(self->connector), 1);
    AIO_AWAIT(aio_gather(self->gets, 2));
    CHECK_INT(self->gets[0]->code, 0);
    CHECK_INT(self->gets[1]->code, 0);
    CHECK(!self->gets[0]->reused);
    CHECK(self->gets[1]->reused);
    CHECK_INT(aio_connector_idle(self->connector), 1);
    self->closed = aio_session_close(self->a);
    self->a = NULL;
    AIO_AWAIT(self->closed);
    CHECK_INT(aio_connector_idle(self->connector), 1);
    aio_connector_unref(self->connector);
    self->unowned = true;
    self->gets[2] = get_task(self->b, aio_server_port(self->server), "/b", no_timeouts);
    REQUIRE(self->gets[2]);
    AIO_AWAIT((struct get_url *)aio_ref(self->gets[2]));
    CHECK_INT(self->gets[2]->code, 0);
    CHECK(self->gets[2]->reused);
    CHECK_INT(aio_session_idle(self->b), 1);
    aio_connector_ref(self->connector);        /* b still has it */
    self->unowned = false;
    self->closed = aio_session_close(self->b);
    self->b = NULL;
    AIO_AWAIT(self->closed);
    CHECK_INT(aio_connector_idle(self->connector), 1);
    AIO_FINALLY;
        aio_unref_all(self->gets, 3);
        AIO_AWAIT(aio_session_close(self->a));
        AIO_AWAIT(aio_session_close(self->b));
        if (!self->unowned) aio_connector_unref(self->connector);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* There is no descriptor to look a name up with: as without one for a connection, a request waits for another's end. */
struct connector_starved_names { DNS_FRAME aio_server *server; aio_session *session; struct get_url *gets[2]; };
SCENARIO(connector_starved_names, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_starved_names);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open(.resolver = self->resolver);
    REQUIRE(self->session);
    self->gets[0] = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
    REQUIRE(self->gets[0]);
    AIO_AWAIT(aio_sleep(1));
    aio__os.socket = dns_lacking;
    dns_lack.next = "xx";
    dns_lack.code = EMFILE;
    self->gets[1] = get_task(self->session, 0, "", no_timeouts);
    REQUIRE(self->gets[1]);
    snprintf(self->gets[1]->url, sizeof self->gets[1]->url, "http://here.test:%d/a", aio_server_port(self->server));
    AIO_AWAIT(aio_gather(self->gets, 2));
    CHECK_STR(self->gets[0]->message, "");
    CHECK_STR(self->gets[1]->message, "");
    CHECK_NEAR(self->gets[1]->seconds, 4, 0.5);
    CHECK_STR(dns_lack.next, "");
    AIO_FINALLY;
        dns_lack.next = NULL;
        aio__os.socket = seam_socket;
        aio_unref_all(self->gets, 2);
        dns_end(&self->fake[0]);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        aio_resolver_close(self->resolver);
    AIO_END;
}

/* A request without a descriptor stands in the line: one that is given up there has no place, one whose connect fails
 * for another reason does not wait. */
struct connector_starved_leaves { DNS_FRAME aio_server *server; aio_session *session; struct get_url *gets[2];
    aio_future *closed; };
SCENARIO(connector_starved_leaves, .may = CLIENT_MAY)
{
    static const int codes[] = { EMFILE, ENFILE, EACCES };
    AIO_BEGIN(connector_starved_leaves);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 3; self->i++) {
        REQUIRE(self->session = aio_session_open(.resolver = self->resolver));
        self->gets[0] = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
        REQUIRE(self->gets[0]);
        AIO_AWAIT(aio_sleep(1));
        aio__os.socket = dns_lacking;
        dns_lack.next = "xx";
        dns_lack.code = codes[self->i];
        REQUIRE(self->gets[1] = get_task(self->session, 0, "", no_timeouts));
        snprintf(self->gets[1]->url, sizeof self->gets[1]->url, "http://here%d.test:%d/a", self->i,
                 aio_server_port(self->server));
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(aio_future_done(self->gets[1]), self->i == 2);
        CHECK_INT(aio_session_busy(self->session), 1);
        aio_task_cancel(self->gets[1]);
        AIO_AWAIT(aio_wait(self->gets, 2));
        CHECK_INT(aio_future_cancelled(self->gets[1]), self->i < 2);
        CHECK_STR(self->gets[0]->message, "");
        CHECK_INT(aio_session_busy(self->session), 0);
        CHECK_INT(aio_session_idle(self->session), 1);
        aio_unref_all(self->gets, 2);
        memset(self->gets, 0, sizeof self->gets);
        self->closed = aio_session_close(self->session);
        self->session = NULL;
        AIO_AWAIT(self->closed);
    }
    AIO_FINALLY;
        dns_lack.next = NULL;
        aio__os.socket = seam_socket;
        aio_unref_all(self->gets, 2);
        dns_end(&self->fake[0]);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        aio_resolver_close(self->resolver);
    AIO_END;
}

/* A connect that is refused is no want of descriptors: it fails at once, though another connection is in use. */
struct connector_refused_at_once { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[2]; };
SCENARIO(connector_refused_at_once, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_refused_at_once);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    self->gets[0] = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
    REQUIRE(self->gets[0]);
    AIO_AWAIT(aio_sleep(1));
    REQUIRE(self->gets[1] = get_task(self->session, dead_port, "/", no_timeouts));
    AIO_AWAIT(aio_gather(self->gets, 2));
    CHECK_INT(self->gets[0]->code, 0);
    CHECK_INT(self->gets[1]->code, ECONNREFUSED);
    CHECK_NEAR(self->gets[1]->seconds, 0, 0.5);
    AIO_FINALLY;
        aio_unref_all(self->gets, 2);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A session that closes ends the connections of its own requests, and only these. */
struct connector_close_one { aio_task task; aio_server *server; aio_connector *connector; aio_session *a, *b;
    struct get_url *gets[3]; aio_future *closed; };
SCENARIO(connector_close_one, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_close_one);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->connector = aio_connector_open(.limit = 2);
    REQUIRE(self->connector);
    self->a = aio_session_open(.connector = self->connector);
    self->b = aio_session_open(.connector = self->connector);
    REQUIRE(self->a && self->b);
    self->gets[0] = get_task(self->a, aio_server_port(self->server), "/slow", no_timeouts);
    self->gets[1] = get_task(self->b, aio_server_port(self->server), "/slow", no_timeouts);
    self->gets[2] = get_task(self->a, aio_server_port(self->server), "/slow", no_timeouts); /* stands in the line */
    REQUIRE(self->gets[0] && self->gets[1] && self->gets[2]);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_connector_busy(self->connector), 2);
    self->closed = aio_session_close(self->a);
    self->a = NULL;
    AIO_AWAIT(self->closed);
    AIO_AWAIT(aio_wait(self->gets, 3));
    CHECK_INT(self->gets[0]->code, AIO_ERUNTIME);
    CHECK_INT(self->gets[1]->code, 0);
    CHECK_STR(self->gets[1]->body, "late");
    CHECK_INT(self->gets[2]->code, AIO_ERUNTIME);
    CHECK_INT(aio_connector_busy(self->connector), 0);
    CHECK_INT(aio_connector_idle(self->connector), 1);
    aio_connector_unref(self->connector);
    self->connector = NULL;                    /* b is the only owner now */
    AIO_FINALLY;
        aio_unref_all(self->gets, 3);
        AIO_AWAIT(aio_session_close(self->a));
        AIO_AWAIT(aio_session_close(self->b));
        aio_connector_unref(self->connector);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What two connections must have in common to be used for each other. */
TEST(connector_origins)
{
    const aio__origin_key like = { .authority = { "a.test:80", 9 }, .name = { "b.test", 6 },
                                   .tls = (aio_tls_context *)(void *)&the_script, .session = 1, .is_tls = true };
    aio__origin_key keys[8];
    CHECK(aio__origin_same(&like, &like));
    for (int i = 0; i < 8; i++) keys[i] = like;
    keys[0].authority.data = "a.test:81";
    keys[1].authority.length = 8;
    keys[2].name.data = "c.test";
    keys[3].name.length = 5;
    keys[4].tls = NULL;
    keys[5].session = 2;
    keys[6].is_tls = false;
    keys[7].guarded = true;
    for (int i = 0; i < 8; i++) CHECK(!aio__origin_same(&like, &keys[i]) && !aio__origin_same(&keys[i], &like));
}

TEST(connector_options)
{
    aio_loop *loop = aio_new_event_loop(), *other = aio_new_event_loop();
    if (!CHECK(loop && other)) return;
    aio_set_event_loop(loop);
    aio_connector *c = aio_connector_open();
    if (!CHECK(c != NULL)) return;
    CHECK(!aio_session_open(.connector = c, .limit = 3));
    CHECK_INT(errno, EINVAL);
    CHECK(!aio_session_open(.connector = c, .local_host = "127.0.0.1"));
    CHECK_INT(errno, EINVAL);
    CHECK(!aio_session_open(.connector = c, .base_url = "nonsense"));
    CHECK_INT(errno, AIO_EURL);
    aio_set_event_loop(other);
    CHECK(!aio_session_open(.connector = c));
    CHECK_INT(errno, AIO_EWRONGLOOP);
    aio_set_event_loop(loop);
    CHECK_INT(c->owners, 1);
    CHECK_INT(c->refs, 1);
    static const char *const half[] = { "a.test:80", NULL };
    const aio_connector_options wrong[] = {
        { .limit = -2 }, { .limit_per_host = -2 }, { .keepalive_timeout = -3 }, { .ttl_dns_cache = -3 },
        { .happy_eyeballs_delay = -3 }, { .local_port = -1 }, { .local_port = 65536 }, { .connect_to = half } };
    const aio_connector_options fit[] = { { .limit = AIO_UNLIMITED }, { .limit_per_host = AIO_UNLIMITED },
        { .keepalive_timeout = AIO_NOW }, { .ttl_dns_cache = AIO_NOW }, { .local_port = 65535 }, { .local_port = 1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK(!aio_connector_open_with(&wrong[i]));
        CHECK_INT(errno, EINVAL);
    }
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) {
        aio_connector *open = aio_connector_open_with(&fit[i]);
        if (!CHECK(open != NULL)) continue;
        CHECK_INT(open->limit, fit[i].limit ? 0 : 100); /* 0 is none */
        CHECK_INT(open->limit_per_host, 0);
        aio_connector_unref(open);
    }
    for (int i = 0; i < 2; i++) { /* there is no loop; it is closed */
        aio_set_event_loop(i ? other : NULL);
        CHECK(!aio_connector_open() && errno == AIO_ENOLOOP);
        CHECK(!aio_session_open() && errno == AIO_ENOLOOP);
        CHECK_INT(aio_loop_close(other), 0);
    }
    aio_set_event_loop(loop);
    CHECK_PTR(aio_connector_ref(NULL), NULL);
    aio_connector_unref(NULL);
    CHECK_INT(aio_connector_busy(NULL) + aio_connector_idle(NULL), 0);
    aio_session *forgotten = aio_session_open(.connector = c); /* both go with the loop */
    CHECK(forgotten != NULL);
    aio_loop_free(loop);
    aio_loop_free(other);
}

/* ---- where connections go ---- */

static const struct { const char *ip, *what; } guard_rows[] = {
    { "0.0.0.0", "of this host" }, { "0.255.255.255", "of this host" }, { "1.0.0.0", NULL },
    { "9.255.255.255", NULL }, { "10.0.0.0", "private" }, { "10.255.255.255", "private" }, { "11.0.0.0", NULL },
    { "100.63.255.255", NULL }, { "100.64.0.0", "shared" }, { "100.127.255.255", "shared" }, { "100.128.0.0", NULL },
    { "126.255.255.255", NULL }, { "127.0.0.0", "loopback" }, { "127.255.255.255", "loopback" }, { "128.0.0.0", NULL },
    { "169.253.255.255", NULL }, { "169.254.0.0", "link-local" }, { "169.254.169.254", "link-local" },
    { "169.254.255.255", "link-local" }, { "169.255.0.0", NULL },
    { "172.15.255.255", NULL }, { "172.16.0.0", "private" }, { "172.31.255.255", "private" }, { "172.32.0.0", NULL },
    { "191.255.255.255", NULL }, { "192.0.0.0", "reserved" }, { "192.0.0.255", "reserved" }, { "192.0.1.0", NULL },
    { "192.0.1.255", NULL }, { "192.0.2.0", "for documentation" }, { "192.0.2.255", "for documentation" },
    { "192.0.3.0", NULL }, { "192.88.98.255", NULL }, { "192.88.99.0", "reserved" }, { "192.88.99.255", "reserved" },
    { "192.88.100.0", NULL }, { "192.167.255.255", NULL }, { "192.168.0.0", "private" },
    { "192.168.255.255", "private" }, { "192.169.0.0", NULL }, { "198.17.255.255", NULL },
    { "198.18.0.0", "for benchmarks" }, { "198.19.255.255", "for benchmarks" }, { "198.20.0.0", NULL },
    { "198.51.99.255", NULL }, { "198.51.100.0", "for documentation" }, { "198.51.100.255", "for documentation" },
    { "198.51.101.0", NULL }, { "203.0.112.255", NULL }, { "203.0.113.0", "for documentation" },
    { "203.0.113.255", "for documentation" }, { "203.0.114.0", NULL }, { "223.255.255.255", NULL },
    { "224.0.0.0", "multicast" }, { "239.255.255.255", "multicast" }, { "240.0.0.0", "reserved" },
    { "255.255.255.255", "reserved" }, { "8.8.8.8", NULL },
    { "::", "of this host" }, { "::1", "loopback" }, { "::2", "of this host" }, { "::1:0", "of this host" },
    { "::8.8.8.8", NULL }, { "::10.0.0.1", "private" }, { "::1:0:0", "reserved" },
    { "::fffe:ffff:ffff", "reserved" }, { "::ffff:8.8.8.8", NULL }, { "::ffff:127.0.0.1", "loopback" },
    { "::ffff:169.254.169.254", "link-local" }, { "::1:0:0:0", "reserved" },
    { "::ffff:0:8.8.8.8", NULL }, { "::ffff:0:192.168.0.1", "private" },
    { "64:ff9b::8.8.8.8", NULL }, { "64:ff9b::10.1.2.3", "private" }, { "64:ff9b::1:808:808", "reserved" },
    { "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "reserved" }, { "64:ff9b:0:ffff::1", "reserved" },
    { "64:ff9b:1::", "private" }, { "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "private" }, { "64:ff9b:2::", "reserved" },
    { "100::", "reserved" }, { "100::ffff:ffff:ffff:ffff", "reserved" }, { "100:0:0:1::", "reserved" },
    { "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved" }, { "2000::", NULL }, { "2000:ffff::1", NULL },
    { "2001:0:808:808:0:ffff:f7f7:f7f7", NULL }, { "2001:0:a00:1:0:ffff:f7f7:f7f7", "private" },
    { "2001:0:808:808:0:ffff:f5ff:fffe", "private" }, { "2001:0:808:808:0:ffff:80ff:fffe", "loopback" },
    { "2001:1::", "reserved" }, { "2001:1::1", "reserved" }, { "2001:1:ffff::", "reserved" },
    { "2001:2::", "for benchmarks" }, { "2001:2:0:ffff::", "for benchmarks" }, { "2001:2:1::", "reserved" },
    { "2001:3::", "reserved" }, { "2001:4:112::", "reserved" }, { "2001:f:ffff::", "reserved" },
    { "2001:10::", "reserved" }, { "2001:1f:ffff::", "reserved" }, { "2001:20::", "reserved" },
    { "2001:2f:ffff::", "reserved" }, { "2001:30::", "reserved" }, { "2001:1ff:ffff::", "reserved" },
    { "2001:200::", NULL }, { "2000:ffff:ffff::", NULL }, { "2001:db7:ffff::", NULL },
    { "2001:db8::", "for documentation" }, { "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "for documentation" },
    { "2001:db9::", NULL }, { "2001:4860:4860::8888", NULL }, { "2001:ffff::", NULL },
    { "2600::5efe:8.8.8.8", NULL }, { "2600::5efe:127.0.0.1", "loopback" }, { "2600::200:5efe:10.0.0.1", "private" },
    { "2600::200:5efe:8.8.8.8", NULL }, { "2600::400:5efe:10.0.0.1", NULL }, { "2600::1:5efe:10.0.0.1", NULL },
    { "2600::5eff:10.0.0.1", NULL }, { "2600::5ffe:10.0.0.1", NULL }, { "2600:0:0:1:0:5efe:a9fe:a9fe", "link-local" },
    { "2002:808:808::5efe:192.168.0.1", "private" }, { "fe80::5efe:8.8.8.8", "link-local" },
    { "2002:808:808::1", NULL }, { "2002:7f00:1::1", "loopback" }, { "2002:c0a8:101::", "private" }, { "2003::", NULL },
    { "3ffe:ffff::", NULL }, { "3fff::", "for documentation" }, { "3fff:fff:ffff::", "for documentation" },
    { "3fff:1000::", NULL }, { "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL }, { "4000::", "reserved" },
    { "5f00::1", "reserved" }, { "fbff:ffff::", "reserved" }, { "fc00::", "private" }, { "fdff:ffff::", "private" },
    { "fe00::", "reserved" }, { "fe7f:ffff::", "reserved" }, { "fe80::", "link-local" }, { "febf::1", "link-local" },
    { "fec0::", "private" }, { "feff::1", "private" }, { "ff00::", "multicast" },
    { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "multicast" },
};

TEST(connector_guard_knows_every_range)
{
    for (size_t i = 0; i < sizeof guard_rows / sizeof *guard_rows; i++) {
        struct sockaddr_storage at;
        memset(&at, 0, sizeof at);
        bool six = strchr(guard_rows[i].ip, ':') != NULL;
        at.ss_family = six ? AF_INET6 : AF_INET;
        void *ip = six ? (void *)&((struct sockaddr_in6 *)(void *)&at)->sin6_addr
                       : (void *)&((struct sockaddr_in *)(void *)&at)->sin_addr;
        ALWAYS(inet_pton(at.ss_family, guard_rows[i].ip, ip) == 1);
        const char *what = aio__guard_address(&at);
        bool same = what && guard_rows[i].what ? !strcmp(what, guard_rows[i].what) : what == guard_rows[i].what;
        if (!CHECK(same)) printf("# %s is %s\n", guard_rows[i].ip, what ? what : "public");
        CHECK_PTR(aio__guard_judge((const unsigned char *)ip, six ? 16 : 4), what);
    }
    struct sockaddr_storage other;
    memset(&other, 0, sizeof other);
    other.ss_family = AF_UNIX;
    CHECK_STR(aio__guard_address(&other), "a unix socket");
}

/* 9.9.9.9 is where the test's server is, so that there is a public address to begin with. */
static int public_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    struct sockaddr_in in;
    if (to->sa_family == AF_INET && ((const struct sockaddr_in *)(const void *)to)->sin_addr.s_addr == 0x09090909) {
        memcpy(&in, to, sizeof in);
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return seam_connect(fd, (const struct sockaddr *)&in, length);
    }
    return seam_connect(fd, to, length);
}

/* By connector, by session, by request; by address, name, redirect, proxy; and with a connection that others left. */
struct connector_guard { aio_task task; aio_server *server, *leads; aio_connector *connector; aio_session *session;
    struct get_url *get; char location[160]; int i; };
SCENARIO(connector_guard, .may = CLIENT_MAY)
{
    static const char *const says[] = { "127.0.0.1", "[::1]", "169.254.1.1", "[::ffff:10.0.0.1]" };
    static const aio_timeouts soon = { 20, 0, 0, 0 };
    AIO_BEGIN(connector_guard);
    aio__os.connect = public_connect;
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->location, sizeof self->location,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/a\r\nContent-Length: 0\r\n\r\n",
             aio_server_port(self->server));
    script_says(&the_script, self->location, END_CLOSE);
    AIO_AWAIT(self->leads, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->connector = aio_connector_open(.deny_private = true, .happy_eyeballs_delay = AIO_UNLIMITED);
    REQUIRE(self->connector);
    self->session = aio_session_open(.connector = self->connector);
    REQUIRE(self->session);
    for (self->i = 0; self->i < 6; self->i++) {
        self->get = AIO_CALL(get_url, .session = self->session, .timeout = soon);
        REQUIRE(self->get);
        snprintf(self->get->url, sizeof self->get->url, "http://%s:%d/a", self->i < 4 ? says[self->i] : "9.9.9.9",
                 aio_server_port(self->i < 5 ? self->server : self->leads));
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, self->i == 4 ? 0 : AIO_EPRIVATE);
        if (self->i == 5) CHECK_INT(the_script.served, 1);
        if (self->i == 0 || self->i == 5) CHECK(strstr(self->get->message, "connect to 127.0.0.1:") != NULL);
        if (self->i == 0 || self->i == 5)
            CHECK(strstr(self->get->message, "it is loopback, which deny_private refuses") != NULL);
        aio_unref(self->get);
        self->get = NULL;
    }
    AIO_FINALLY;
        aio__os.connect = seam_connect;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        aio_connector_unref(self->connector);
        if (self->leads) AIO_AWAIT(aio_server_wait_closed(self->leads));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* One request that is to fail with a code, and what its message must have. */
struct refusal { aio_task task; aio_session *session; const char *url, *proxy, *has; bool deny; int code;
    aio_response *r; };
static AIO_CORO(refusal)
{
    AIO_BEGIN(refusal);
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .proxy = self->proxy, .deny_private = self->deny));
        CHECK(self->code == 0);
        AIO_AWAIT(aio_response_read(self->r));
    } AIO_CATCH {
        CAUGHT(self->code);
        if (self->has && aio_caught(self)->code == self->code)
            if (!CHECK(strstr(aio_caught(self)->message, self->has) != NULL))
                printf("# %s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
    AIO_END;
}
#define refusal(...) AIO_CALL(refusal, __VA_ARGS__)

struct connector_guard_request { aio_task task; aio_server *server; aio_session *session; char url[64], by[64]; };
SCENARIO(connector_guard_request, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_guard_request);
    aio__os.connect = public_connect;
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/a", aio_server_port(self->server));
    snprintf(self->by, sizeof self->by, "http://9.9.9.9:%d", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(refusal(.session = self->session, .url = self->url));
    CHECK_INT(aio_session_idle(self->session), 1); /* of no use to who is guarded */
    AIO_AWAIT(refusal(.session = self->session, .url = self->url, .deny = true, .code = AIO_EPRIVATE,
                      .has = "is loopback"));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .proxy = self->url, .deny = true,
                      .code = AIO_EPRIVATE, .has = "is loopback"));
    AIO_AWAIT(refusal(.session = self->session, .url = self->url, .proxy = self->by, .deny = true,
                      .code = AIO_EPRIVATE, .has = "refuses it by a proxy, too"));
    AIO_AWAIT(refusal(.session = self->session, .url = "https://[::ffff:10.0.0.1]/", .proxy = self->by, .deny = true,
                      .code = AIO_EPRIVATE, .has = "refuses it by a proxy, too"));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://[fe80::1%25eth0]/a", .proxy = self->by, .deny = true,
                      .code = AIO_EPRIVATE, .has = "refuses it by a proxy, too")); /* the proxy is told no zone */
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/a", .proxy = self->by, .deny = true));
#ifndef AIO_NO_TLS
    snprintf(self->by, sizeof self->by, "https://9.9.9.9:%d", aio_server_port(self->server));
    AIO_AWAIT(refusal(.session = self->session, .url = "https://[::ffff:10.0.0.1]/", .proxy = self->by, .deny = true,
                      .code = AIO_EPRIVATE, .has = "refuses it by a proxy, too"));
#endif
    AIO_FINALLY;
        aio__os.connect = seam_connect;
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What a SOCKS proxy would be told: an address that was looked up here, and one in a chain. */
TEST(connector_guard_hops)
{
    aio__hop hop;
    aio__addresses two;
    aio__proxies *proxies = NULL;
    const char *reason;
    memset(&hop, 0, sizeof hop);
    if (!CHECK_INT(aio__proxies_parse(&proxies, "socks5://9.9.9.9", &reason), 0)) return;
    hop.proxy = &proxies->at[0];
    hop.host = "10.1.1.1";
    CHECK_INT(aio__hop_guard(&hop), AIO_EPRIVATE);
    CHECK_STR(hop.problem, "its address is private, which deny_private refuses");
    hop.host = "fe80::1%2";
    CHECK_INT(aio__hop_guard(&hop), AIO_EPRIVATE);
    hop.host = "8.8.8.8";
    CHECK_INT(aio__hop_guard(&hop), 0);
    hop.host = "a.test";
    CHECK_INT(aio__hop_guard(&hop), 0);
    memset(&two, 0, sizeof two);
    two.count = 1;
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&two.at[0].storage;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(0x0a000001);
    CHECK_INT(aio__hop_found(&hop, &two, true), AIO_EPRIVATE);
    CHECK_INT(hop.ip_length, 0);
    CHECK_INT(aio__hop_found(&hop, &two, false), 0);
    hop.ip_length = 0;
    in->sin_addr.s_addr = htonl(0x08080808);
    CHECK_INT(aio__hop_found(&hop, &two, true), 0);
    CHECK_INT(hop.ip_length, 4);
    aio__proxies_free(proxies);
}

/* connect_to, a callback of the user's, options of the socket. */
static struct { int calls, port, code; } before;
static int before_connect(int fd, const void *address, size_t length, void *arg)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    before.calls++;
    before.port = ntohs(in->sin_port);
    return CHECK(fd >= 0 && length && arg == &before) ? before.code : EINVAL;
}

struct connector_ways { aio_task task; aio_server *server; aio_connector *connector; aio_session *session;
    aio_response *r; aio_text text; char to[64]; int fd; };
SCENARIO(connector_ways, .may = CLIENT_MAY)
{
    const char *pairs[] = { "other.test:80", "127.0.0.1:1", "a.test:", NULL, NULL };
    AIO_BEGIN(connector_ways);
    memset(&before, 0, sizeof before);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->to, sizeof self->to, "127.0.0.1:%d", aio_server_port(self->server));
    pairs[3] = self->to;
    self->connector = aio_connector_open(.connect_to = pairs, .socket = { .keepalive_idle = 33, .keepalive_interval = 4,
        .keepalive_count = 5, .user_timeout = 1.5, .before_connect = before_connect, .arg = &before });
    REQUIRE(self->connector);
    self->session = aio_session_open(.connector = self->connector);
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, "http://a.test:77/authority"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "a.test:77 /authority -");
    CHECK_INT(before.calls, 1);
    CHECK_INT(before.port, aio_server_port(self->server));
#ifdef TCP_USER_TIMEOUT
    if (!touched()) {
        int value;
        socklen_t size;
        size = sizeof value;
        aio__connection *idle;
        idle = AIO__CONTAINER(self->connector->idle.next, aio__connection, link);
        self->fd = aio_stream_fileno(idle->stream);
        CHECK(getsockopt(self->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size) == 0 && value == 1500);
        CHECK(getsockopt(self->fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size) == 0 && value == 33);
        CHECK(getsockopt(self->fd, IPPROTO_TCP, TCP_KEEPINTVL, &value, &size) == 0 && value == 4);
        CHECK(getsockopt(self->fd, IPPROTO_TCP, TCP_KEEPCNT, &value, &size) == 0 && value == 5);
        CHECK(getsockopt(self->fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size) == 0 && value != 0);
    }
#endif
    aio_response_release(self->r);
    self->r = NULL;
    before.code = EHOSTDOWN;
    AIO_AWAIT(refusal(.session = self->session, .url = "http://127.0.0.1:1/", .code = EHOSTDOWN));
    before.code = EINPROGRESS; /* nothing is: no socket is waited for */
    AIO_AWAIT(refusal(.session = self->session, .url = "http://127.0.0.1:1/", .code = EINPROGRESS));
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        aio_connector_unref(self->connector);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Whatever host is meant, the unix socket has it; not by proxies, and not where only public addresses are allowed. */
struct connector_unix { aio_task task; aio_server *server; aio_connector *connector; aio_session *session;
    char path[64]; aio_response *r; aio_text text; };
SCENARIO(connector_unix, .may = CLIENT_MAY)
{
    AIO_BEGIN(connector_unix);
    snprintf(self->path, sizeof self->path, "/tmp/aio-test-connector-%d", (int)getpid());
    unlink(self->path);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->server, aio_start_unix_server(scripted_handler, &the_script, self->path));
    self->connector = aio_connector_open(.unix_path = self->path);
    REQUIRE(self->connector);
    self->session = aio_session_open(.connector = self->connector);
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, "http://a.test/"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "hello");
    CHECK_INT(aio_connector_idle(self->connector), 1);
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .proxy = "http://p:1", .code = EINVAL,
                      .has = "no proxies for unix sockets"));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .deny = true, .code = AIO_EPRIVATE,
                      .has = "it is a unix socket"));
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        aio_connector_unref(self->connector);
        SERVER_END(self->server);
    AIO_END;
}

TEST(connector_override)
{
    static const char *const pairs[] = { "a.test:80", "b.test:81", "[::1]:", ":9", ":443", "[::2]:", "c.test:", "d:",
                                         "d.test:1", ":", NULL };
    static const struct { const char *host; int port; const char *to; int to_port; } rows[] = {
        { "a.test", 80, "b.test", 81 }, { "A.TEST", 80, "b.test", 81 }, { "a.test", 81, "a.test", 81 },
        { "::1", 5, "::1", 9 }, { "::1", 443, "::1", 9 }, { "x", 443, "::2", 443 }, { "c.test", 7, "d", 7 },
        { "d.test", 1, "d.test", 1 },
    };
    static const char *const bad[] = { "a.test", "a:b", "a:0", "a:65536", "::1:80", "[]:80", "a:80:80", "a:-1" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *host = rows[i].host;
        int port = rows[i].port;
        char room[256];
        aio__override(pairs, &host, &port, room);
        CHECK_STR(host, rows[i].to);
        CHECK_INT(port, rows[i].to_port);
    }
    CHECK(aio__overrides_valid(pairs) && aio__overrides_valid(NULL));
    CHECK(!aio__overrides_valid(pairs + 9));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const one[] = { ":1", bad[i], NULL };
        if (!CHECK(!aio__overrides_valid(one))) printf("# %s\n", bad[i]);
    }
    char longest[300];
    for (int n = 255; n <= 256; n++) { /* as long as a name is at most */
        const char *const one[] = { longest, ":1", NULL }, *host = longest;
        int port = 2;
        char room[256];
        snprintf(longest, sizeof longest, "%0*d:", n, 0);
        CHECK_INT(aio__overrides_valid(one), n == 255);
        const char *const turned[] = { ":2", longest, NULL };
        if (n == 255) aio__override(turned, &host, &port, room);
        if (n == 255) CHECK(strlen(host) == 255 && port == 2);
    }
    size_t count;
    CHECK_INT(aio__pairs_size(pairs + 2, &count), 7 + 3 + 5 + 7 + 8 + 3 + 9 + 2);
    CHECK_INT(count, 4);
    CHECK_INT(aio__list_size(NULL, &count), 0);
    CHECK_INT(count, 0);
}

/* An address of one's own alone: the port is any. */
struct local_site { aio_task task; aio_request *request; char name[64]; };
static AIO_CORO(local_site)
{
    AIO_BEGIN(local_site);
    aio_stream_peername(self->request->stream, self->name, sizeof self->name);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->name));
    AIO_END;
}
static void *local_site_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(local_site, .request = request);
}

struct connector_local_host { aio_task task; aio_server *server; aio_session *session; aio_response *response;
                              aio_text text; char url[64]; int i; };
SCENARIO(connector_local_host, .may = { EADDRINUSE, EADDRNOTAVAIL, ECONNRESET, AIO_EDISCONNECTED, AIO_ETIMEOUT,
                                        AIO_EINCOMPLETE })
{
    AIO_BEGIN(connector_local_host);
    AIO_AWAIT(self->server, aio_start_http_server(local_site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.local_host = "127.0.0.3"));
    for (self->i = 0; self->i < 2; self->i++) { /* each on a connection of its own */
        AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
        AIO_AWAIT(self->text, aio_response_text(self->response));
        CHECK_BYTES(self->text.data, self->text.length < 10 ? self->text.length : 10, "127.0.0.3:");
        CHECK(self->text.length > 10 && atoi(self->text.data + 10) > 0);
        aio_response_release(self->response);
        self->response = NULL;
        AIO_AWAIT(aio_sleep(20));
        CHECK_INT(aio_session_idle(self->session), 0);
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A port of one's own, also for the connection after the first. */
struct connector_port { aio_task task; aio_server *server; aio_stream *stream; int port, i; char name[64]; };
SCENARIO(connector_port, .may = { EADDRINUSE, EADDRNOTAVAIL, ECONNRESET })
{
    AIO_BEGIN(connector_port);
    script_says(&the_script, "", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    struct sockaddr_in any;
    memset(&any, 0, sizeof any);
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size;
    size = sizeof any;
    int fd;
    fd = socket(AF_INET, SOCK_STREAM, 0); /* has a port that is free in a moment */
    ALWAYS(bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && getsockname(fd, (struct sockaddr *)&any, &size) == 0);
    self->port = ntohs(any.sin_port);
    close(fd);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                                .local_port = self->port, .local_host = "127.0.0.1"));
    aio_stream_sockname(self->stream, self->name, sizeof self->name);
    CHECK_INT(atoi(self->name + sizeof "127.0.0.1"), self->port);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_open_connection("127.0.0.1", 1, .local_port = self->i ? -1 : 0,
                                          .socket = { .keepalive_idle = self->i ? 0 : -1 }));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* ---- sent again ---- */

/* Answers 503 so many times, then what it got. */
static struct { int refusals, served; const char *after; } flaky;
struct flaky_site { aio_task task; aio_request *request; aio_text body; const char *headers[3]; };
static AIO_CORO(flaky_site)
{
    AIO_BEGIN(flaky_site);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    self->headers[0] = "Retry-After";
    self->headers[1] = flaky.after;
    if (flaky.served++ < flaky.refusals) {
        AIO_AWAIT(aio_request_respond(self->request, 503, .text = "later",
                                      .headers = flaky.after ? self->headers : NULL));
    } else {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->body.length ? self->body.data : "none"));
    }
    AIO_END;
}
static void *flaky_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(flaky_site, .request = request);
}

static const char *const retry_posts[] = { "POST", NULL };
static const int retry_teapot[] = { 418, 0 };
static const struct retry_row {
    const char *method, *after; int refusals; aio_retry retry; int status, attempts; double least, most;
} retry_rows[] = {
    { "GET", NULL, 2, { .attempts = 3 }, 200, 3, 0.7, 1.6 },
    { "GET", NULL, 2, { .attempts = 2, .backoff = 4, .jitter = AIO_NOW }, 503, 2, 3.9, 4.2 },
    { "GET", NULL, 3, { .attempts = 4, .backoff = 2, .max_backoff = 3, .jitter = AIO_NOW }, 200, 4, 7.9, 8.3 },
    { "GET", "7", 1, { .attempts = 2 }, 200, 2, 6.9, 7.2 },
    { "GET", "7", 1, { .attempts = 2, .no_retry_after = true }, 200, 2, 0.2, 0.6 },
    { "GET", "7", 1, { .attempts = 2, .total = 6 }, 503, 1, 0, 0.5 },
    { "GET", "1000", 1, { .attempts = 2 }, 503, 1, 0, 0.5 }, /* beyond the request's own time */
    { "GET", "soon", 1, { .attempts = 2 }, 200, 2, 0.2, 0.6 },
    { "GET", "Thu, 01 Jan 1970 00:00:09 GMT", 1, { .attempts = 2 }, 200, 2, 0, 0.2 },
    { "GET", "Thu, 31 Dec 2099 23:59:59 GMT", 1, { .attempts = 2 }, 503, 1, 0, 0.5 }, /* and so is this */
    { "GET", NULL, 1, { .attempts = 1 }, 503, 1, 0, 0.5 },
    { "GET", NULL, 1, { .attempts = 0 }, 503, 1, 0, 0.5 },
    { "POST", NULL, 1, { .attempts = 3 }, 503, 1, 0, 0.5 },
    { "POST", NULL, 1, { .attempts = 3, .methods = retry_posts }, 200, 2, 0.2, 0.6 },
    { "GET", NULL, 1, { .attempts = 3, .methods = retry_posts }, 503, 1, 0, 0.5 },
    { "GET", NULL, 1, { .attempts = 3, .statuses = retry_teapot }, 503, 1, 0, 0.5 },
};

struct retry_statuses { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[64]; size_t i; double began; };
SCENARIO(retry_statuses, .may = CLIENT_MAY, .skip = KIND_CALL) /* what fails by calls is in retry_errors */
{
    const struct retry_row *row = retry_rows;
    AIO_BEGIN(retry_statuses);
    AIO_AWAIT(self->server, aio_start_http_server(flaky_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (; self->i < sizeof retry_rows / sizeof *retry_rows; self->i++) {
        row = &retry_rows[self->i];
        flaky.refusals = row->refusals;
        flaky.after = row->after;
        flaky.served = 0;
        self->began = aio_time();
        AIO_AWAIT(self->r, aio_session_request(self->session, row->method, self->url, .retry = row->retry,
                                               .data = row->method[0] == 'P' ? "body" : NULL,
                                               .data_length = row->method[0] == 'P' ? 4 : 0));
        row = &retry_rows[self->i];
        if (!CHECK(aio_time() - self->began >= row->least && aio_time() - self->began <= row->most))
            printf("# row %zu: %g s\n", self->i, aio_time() - self->began);
        CHECK_INT(self->r->status, row->status);
        CHECK_INT(self->r->attempts, row->attempts);
        CHECK_INT(self->r->history_count, row->attempts - 1);
        CHECK_INT(flaky.served, row->attempts);
        AIO_AWAIT(self->text, aio_response_text(self->r));
        row = &retry_rows[self->i];
        if (row->status == 200)
            CHECK_BYTES(self->text.data, self->text.length, row->method[0] == 'P' ? "body" : "none");
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Nobody there, nobody who answers; and a body that there is only once. */
struct retry_errors { aio_task task; aio_server *server; aio_connector *connector; aio_session *session;
    aio_response *r; char url[64]; struct pieces from; double began; int i; };
SCENARIO(retry_errors, .may = CLIENT_MAY)
{
    AIO_BEGIN(retry_errors);
    memset(&before, 0, sizeof before);
    script_says(&the_script, "", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->connector = aio_connector_open(.socket = { .before_connect = before_connect, .arg = &before });
    REQUIRE(self->connector);
    self->session = aio_session_open(.connector = self->connector, .retry = { .attempts = 3 },
                                     .timeout = { .sock_read = 2 });
    REQUIRE(self->session);
    self->began = aio_time();
    for (self->i = 0; self->i < 4; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/",
                 self->i % 3 ? aio_server_port(self->server) : dead_port);
        before.calls = 0;
        self->from.text = "x";
        self->from.step = 1;
        self->from.at = 0;
        AIO_TRY { /* the last one's producer begins again once, and not twice */
            if (self->i < 2) AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            else AIO_AWAIT(self->r, aio_session_put(self->session, self->url,
                                                    .producer = { .next = pieces_next, .arg = &self->from,
                                                                  .rewind = self->i == 3 ? pieces_rewind : NULL }));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 0 ? ECONNREFUSED : self->i == 1 ? AIO_ETIMEOUT : AIO_EPAYLOAD);
        } AIO_END_TRY;
        if (!touched()) CHECK_INT(before.calls, self->i < 2 ? 3 : self->i - 1);
    }
    CHECK(aio_time() - self->began > 8);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        aio_connector_unref(self->connector);
        SERVER_END(self->server);
    AIO_END;
}

/* Answers one request, hears another one, and hangs up, so many seconds late. */
struct once_site { aio_task task; aio_stream *stream; double late; };
static AIO_CORO(once_site)
{
    AIO_BEGIN(once_site);
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    aio_stream_write(self->stream, HEAD_5 "hello", strlen(HEAD_5 "hello"));
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(aio_sleep(self->late));
    AIO_END;
}
static void *once_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(once_site, .stream = stream, .late = 3);
}

/* What is sent once more has all of its time to connect again. */

struct retry_resend { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[64]; int i; };
SCENARIO(retry_resend,
         .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EINCOMPLETE })
{
    AIO_BEGIN(retry_resend);
    AIO_AWAIT(self->server, aio_start_server(once_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.timeout = { .connect = 2 });
    REQUIRE(self->session);
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .retry = { .no_resend = self->i == 2 }));
            CHECK(self->i < 2);
            CHECK_INT(self->r->attempts, 1);
            CHECK_INT(self->r->resent, self->i == 1);
            CHECK(!self->r->times.reused); /* what is sent once more is so on a new connection */
            AIO_AWAIT(aio_response_read(self->r));
        } AIO_CATCH {
            if (aio_caught(self)->code != AIO_EDISCONNECTED || self->i < 2) AIO_RERAISE();
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Answers one request, and of the next answer gives no more than a part. */
static int parting_heads;
struct parting_site { aio_task task; aio_stream *stream; };
static AIO_CORO(parting_site)
{
    AIO_BEGIN(parting_site);
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    parting_heads++;
    aio_stream_write(self->stream, HEAD_5 "hello", strlen(HEAD_5 "hello"));
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    parting_heads++;
    aio_stream_write(self->stream, "HTTP/1.1 200 O", 14);
    AIO_END;
}
static void *parting_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(parting_site, .stream = stream);
}

/* A server that has begun to answer has had the request: it is not sent once more. */
struct retry_heard { aio_task task; aio_server *server; aio_session *session; struct get_url *get; int i; };
SCENARIO(retry_heard, .may = CLIENT_MAY)
{
    AIO_BEGIN(retry_heard);
    parting_heads = 0;
    AIO_AWAIT(self->server, aio_start_server(parting_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < 2; self->i++) {
        self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
        REQUIRE(self->get);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, self->i ? AIO_EDISCONNECTED : 0);
        if (self->i) CHECK(strstr(self->get->message, "the server closed the connection within the response's head"));
        aio_unref(self->get);
        self->get = NULL;
    }
    CHECK_INT(parting_heads, 2);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* The first one to connect is once_site's, which hangs up half a second late; for others it is told when the head came,
 * and when the body. */
static struct { int connections; double head, body; } waited;
struct waited_site { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(waited_site)
{
    AIO_BEGIN(waited_site);
    if (!waited.connections++) {
        AIO_AWAIT(AIO_CALL(once_site, .stream = self->stream));
        AIO_AWAIT(aio_sleep(0.5));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    waited.head = aio_time();
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 4));
    waited.body = aio_time();
    aio_stream_write(self->stream, HEAD_5 "hello", strlen(HEAD_5 "hello"));
    AIO_END;
}
static void *waited_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(waited_site, .stream = stream);
}

/* A body that waits for a 100, and a connection that dies meanwhile: on the next one it waits as long. */
struct retry_resend_waits { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[64]; };
SCENARIO(retry_resend_waits, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD,
                                      AIO_EINCOMPLETE })
{
    AIO_BEGIN(retry_resend_waits);
    memset(&waited, 0, sizeof waited);
    AIO_AWAIT(self->server, aio_start_server(waited_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(aio_response_read(self->r));
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .data = "body", .data_length = 4, .expect100 = true));
    CHECK(self->r->resent);
    CHECK_NEAR(waited.body - waited.head, 1, 0.1);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

TEST(retry_options)
{
    static const aio_retry bad[] = {
        { .attempts = -1 }, { .backoff = -3 }, { .max_backoff = -3 }, { .jitter = 2 }, { .jitter = -0.5 },
        { .total = -3 },
    };
    static const int passing[] = {
        AIO_EDISCONNECTED, ECONNRESET, EPIPE, ECONNREFUSED, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH,
        EHOSTDOWN, ENETDOWN, AIO_ETIMEOUT, AIO_ERESOLVE
    }, lasting[] = { 0, AIO_EHTTP, AIO_EPAYLOAD, AIO_ECERTIFICATE, AIO_EPRIVATE, ENOMEM, EINVAL, EMFILE, AIO_ELIMIT };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(!aio__retry_valid(&bad[i]));
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) CHECK(aio__retry_code(passing[i]));
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) CHECK(!aio__retry_code(lasting[i]));
    CHECK(aio__retry_valid(&(aio_retry){ .jitter = 1 }) && aio__retry_valid(&(aio_retry){ .jitter = AIO_NOW }));
    CHECK(aio__retry_after(aio__text("9999999999999", 13)) == INT64_C(1000000000) * 1000000000);
    CHECK_INT(aio__retry_after(aio__text("", 0)), -1);
    CHECK_INT(aio__retry_after(aio__text("0", 1)), 0);
    char date[40];
    aio__http_date(date, aio__os.wall() + 5);
    CHECK_INT(aio__retry_after(aio__text(date, strlen(date))), INT64_C(5000000000));
    aio_retry steep = { .attempts = 200, .backoff = 1, .max_backoff = AIO_UNLIMITED, .jitter = AIO_NOW };
    CHECK_INT(aio__retry_backoff(&steep, 4), INT64_C(8000000000));
    CHECK(aio__retry_backoff(&steep, 200) > INT64_MAX / 2);
}

/* A server that speaks HTTP/2 begins with a frame of settings: whole ones, no flags, of no stream. */
TEST(connector_speaks_http2)
{
    static const struct { const char *said; size_t length; bool is; } rows[] = {
        { "\0\0\0\4\0\0\0\0\0", 9, true }, { "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\144", 15, true },
        { "\0\0\14\4\0\0\0\0\0\0", 10, true }, { "\0\0\204\4\0\0\0\0\0", 9, true },
        { "\0\1\2\4\0\0\0\0\0", 9, true }, { "\0\1\0\4\0\0\0\0\0", 9, false },
        { "\0\0\0\4\0\0\0\0\0", 8, false }, { "\1\0\0\4\0\0\0\0\0", 9, false },
        { "\0\0\5\4\0\0\0\0\0", 9, false }, { "\0\0\0\6\0\0\0\0\0", 9, false },
        { "\0\0\0\4\1\0\0\0\0", 9, false }, { "\0\0\0\4\0\1\0\0\0", 9, false },
        { "\0\0\0\4\0\0\1\0\0", 9, false }, { "\0\0\0\4\0\0\0\1\0", 9, false },
        { "\0\0\0\4\0\0\0\0\1", 9, false }, { "HTTP/1.1 200 OK\r\n", 17, false }, { "", 0, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!CHECK_INT(aio__speaks_http2(aio__text(rows[i].said, rows[i].length)), rows[i].is))
            printf("# row %zu\n", i);
}

/* ---- TLS of a request ---- */

#ifndef AIO_NO_TLS
/* The text of a file of test_tls.c's. */
static char *tls_text(const char *name, char text[4096])
{
    char path[128];
    FILE *file = fopen(tls_file(path, name), "r");
    size_t n = file ? fread(text, 1, 4095, file) : 0;
    if (file) fclose(file);
    text[n] = 0;
    return text;
}

/* A list of `ca` that revokes the certificate of that name, or nothing; with an earlier end if it is to be over. */
static const char *tls_crl(char path[128], const char *revoked)
{
    X509_CRL *crl = X509_CRL_new();
    FILE *file = fopen(tls_file(path, "ca"), "r");
    X509 *ca = PEM_read_X509(file, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    ASN1_TIME *from = X509_gmtime_adj(NULL, -60), *to = X509_gmtime_adj(NULL, 86400);
    X509_CRL_set_version(crl, 1);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
    X509_CRL_set1_lastUpdate(crl, from);
    X509_CRL_set1_nextUpdate(crl, to);
    if (revoked) {
        file = fopen(tls_file(path, revoked), "r");
        X509 *other = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
        X509_REVOKED *entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(other));
        X509_REVOKED_set_revocationDate(entry, from);
        X509_CRL_add0_revoked(crl, entry);
        X509_free(other);
    }
    X509_CRL_sign(crl, key, EVP_sha256());
    snprintf(path, 128, "%s/socket", tls_folder); /* the name of it that is removed in the end */
    unlink(path);
    file = fopen(path, "w");
    PEM_write_X509_CRL(file, crl);
    fclose(file);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    X509_CRL_free(crl);
    X509_free(ca);
    EVP_PKEY_free(key);
    return path;
}

/* One GET over TLS: code 0 or an error; whether its connection was used before. */
struct tls_get { aio_task task; aio_session *session; const char *url, *name, *has; aio_tls_options tls;
    aio_tls_context *context; int code; bool reused; aio_response *r; };
static AIO_CORO(tls_get)
{
    AIO_BEGIN(tls_get);
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .tls = self->tls, .tls_context = self->context,
                                           .server_hostname = self->name, .retry = { .no_resend = true }));
        CHECK_INT(self->code, 0);
        CHECK_INT(self->r->times.reused, self->reused);
        AIO_AWAIT(aio_response_read(self->r));
    } AIO_CATCH {
        CAUGHT(self->code);
        if (self->has && aio_caught(self)->code == self->code
            && !CHECK(strstr(aio_caught(self)->message, self->has) != NULL))
            printf("# %s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
    AIO_END;
}
#define tls_get(...) AIO_CALL(tls_get, .session = self->session, .url = self->url, __VA_ARGS__)

struct connector_tls { aio_task task; aio_tls_context *server_tls; aio_server *server; aio_session *session;
    char url[64], ca[128], other[128], pem[4096]; };
SCENARIO(connector_tls, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD }, .skip = KIND_SLICE)
{
    AIO_BEGIN(connector_tls);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    REQUIRE(self->server_tls);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    self->session = aio_session_open();
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/a", aio_server_port(self->server));
    tls_file(self->ca, "ca");
    tls_file(self->other, "otherca");
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .reused = true));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->other }, .code = AIO_ECERTIFICATE));
    AIO_AWAIT(tls_get(.tls = { .verify = AIO_VERIFY_NONE }));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .name = "x.wild.test"));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .name = "x.wild.test", .reused = true));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .name = "tame.test", .code = AIO_ECERTIFICATE));
    AIO_AWAIT(tls_get(.tls = { .ca_file = "/none" }, .code = AIO_ETLS, .has = "/none"));
    AIO_AWAIT(tls_get(.tls = { .ca_pem = tls_text("ca", self->pem) }));
    AIO_AWAIT(tls_get(.tls = { .ca_pem = tls_text("ca", self->pem) }, .reused = true));
    AIO_AWAIT(tls_get(.tls = { .ca_pem = "nothing" }, .code = AIO_ETLS, .has = "ca_pem"));
    AIO_AWAIT(tls_get(.context = self->server_tls, .tls = { .ca_file = "x" }, .code = EINVAL, .has = "exclude"));
    if (!touched()) CHECK_INT(self->session->connector->setting_count, 4);
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(self->session));
        aio_tls_context_unref(self->server_tls);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A connector keeps the contexts of the settings that were asked for last. */
static aio_tls_context *setting_of(aio_connector *connector, int sessions)
{
    aio_tls_options settings;
    memset(&settings, 0, sizeof settings);
    settings.sessions = sessions;
    return aio__setting_of(connector, &settings);
}

TEST(connector_settings)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_connector *connector = aio_connector_open();
    aio_tls_context *first = aio_tls_context_ref(setting_of(connector, 1));
    aio_tls_context *second = aio_tls_context_ref(setting_of(connector, 2));
    for (int i = 3; i <= AIO__SETTINGS; i++) CHECK(setting_of(connector, i) != NULL);
    CHECK_INT(connector->setting_count, AIO__SETTINGS);
    CHECK_PTR(setting_of(connector, 1), first);
    CHECK(setting_of(connector, AIO__SETTINGS + 1) != NULL); /* in the place of the second */
    CHECK_INT(connector->setting_count, AIO__SETTINGS);
    CHECK_PTR(setting_of(connector, 1), first);
    CHECK(setting_of(connector, 2) != second);
    CHECK_INT(connector->setting_count, AIO__SETTINGS);
    aio_tls_context_unref(first);
    aio_tls_context_unref(second);
    aio_connector_unref(connector);
    aio_loop_free(loop);
}

/* A session's settings are its requests', unless one has its own; sessions with the same ones share connections. */
struct session_tls { aio_task task; aio_tls_context *server_tls; aio_server *server; aio_connector *connector;
    aio_session *session, *second; char url[64], ca[128]; };
SCENARIO(session_tls, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD }, .skip = KIND_SLICE)
{
    AIO_BEGIN(session_tls);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    REQUIRE(self->server_tls);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    REQUIRE(self->connector = aio_connector_open());
    tls_file(self->ca, "ca");
    REQUIRE(self->session = aio_session_open(.connector = self->connector, .tls = { .ca_file = self->ca }));
    REQUIRE(self->second = aio_session_open(.connector = self->connector, .tls = { .ca_file = self->ca }));
    memset(self->ca, 0, sizeof self->ca); /* it has a copy */
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/a", aio_server_port(self->server));
    AIO_AWAIT(tls_get(.reused = false));
    AIO_AWAIT(tls_get(.reused = true));
    AIO_AWAIT(AIO_CALL(tls_get, .session = self->second, .url = self->url, .reused = true));
    AIO_AWAIT(tls_get(.tls = { .fingerprint = "00" }, .code = AIO_ETLS));
    AIO_AWAIT(tls_get(.tls = { .verify = AIO_VERIFY_NONE }, .reused = false));
    AIO_AWAIT(tls_get(.reused = true));
    if (!touched()) {
        aio_tls_options other = { .ca_file = "/none" };
        CHECK(!aio_session_open(.tls = other) && errno == AIO_ETLS && strstr(aio_tls_context_error(), "/none"));
        CHECK(!aio_session_open(.tls = other, .tls_context = self->server_tls) && errno == EINVAL);
        other.server = true;
        CHECK(!aio_session_open(.tls = other) && errno == EINVAL);
    }
    AIO_FINALLY;
        aio_connector_unref(self->connector);
        aio_tls_context_unref(self->server_tls);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_session_close(self->second));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What a request has of TLS is for its own origin: where a redirect leads elsewhere, the session's holds. */
static char tls_leads[64];
static void *tls_leads_handler(aio_request *request, void *arg)
{
    const char *const headers[] = { "Location", tls_leads, NULL };
    (void)arg;
    if (strcmp(request->path.data, "/go") != 0) return aio_request_respond(request, 200, .text = "there");
    return aio_request_respond(request, 302, .headers = headers);
}
struct connector_tls_elsewhere { aio_task task; aio_tls_context *server_tls; aio_server *servers[2];
    aio_session *session; char url[64], ca[128]; int i; };
SCENARIO(connector_tls_elsewhere, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD },
         .skip = KIND_SLICE)
{
    AIO_BEGIN(connector_tls_elsewhere);
    tls_setup();
    REQUIRE(self->server_tls = tls_server("good", NULL));
    for (; self->i < 2; self->i++)
        AIO_AWAIT(self->servers[self->i], aio_start_http_server(tls_leads_handler, NULL, "127.0.0.1", 0,
                                                                .tls_context = self->server_tls));
    tls_file(self->ca, "otherca");
    REQUIRE(self->session = aio_session_open(.tls = { .ca_file = self->ca }));
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/go", aio_server_port(self->servers[0]));
    tls_file(self->ca, "ca");
    strcpy(tls_leads, "/there");
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .reused = true));
    snprintf(tls_leads, sizeof tls_leads, "https://127.0.0.1:%d/there", aio_server_port(self->servers[1]));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .code = AIO_ECERTIFICATE, .has = "/there (after 1 redirect)"));
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(self->session));
        aio_tls_context_unref(self->server_tls);
        if (self->servers[0]) AIO_AWAIT(aio_server_wait_closed(self->servers[0]));
        if (self->servers[1]) AIO_AWAIT(aio_server_wait_closed(self->servers[1]));
    AIO_END;
}

/* A response that outlives its session: the context of its request has one owner less with it, not two. */
struct connector_tls_outlives { aio_task task; aio_tls_context *server_tls, *tls; aio_server *server;
    aio_session *session; aio_response *r; aio_future *closed; int i; char url[64], ca[128]; };
SCENARIO(connector_tls_outlives, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD },
         .skip = KIND_SLICE)
{
    AIO_BEGIN(connector_tls_outlives);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->tls = aio_tls_context_create(.ca_file = tls_file(self->ca, "ca"));
    REQUIRE(self->server_tls && self->tls);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    REQUIRE(self->session = aio_session_open());
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/big", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .tls_context = self->tls));
    self->closed = aio_session_close(self->session);
    self->session = NULL;
    AIO_AWAIT(self->closed);
    aio_response_release(self->r);
    self->r = NULL;
    for (self->i = 0; self->i < 20 && self->tls->refs > 1; self->i++) AIO_AWAIT(aio_sleep(0.1)); /* it closes still */
    CHECK_INT(self->tls->refs, 1);
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_tls_context_unref(self->tls);
        aio_tls_context_unref(self->server_tls);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A client's certificate in memory; lists of what is revoked; secrets for who looks into packets. */
/* What marks the end of a text of certificates is no error of what comes after, nor left to the program. */
TEST(connector_pem_ends)
{
    char good[4096], client[4096], ca[4096];
    aio_tls_context *context;
    tls_setup();
    tls_text("good", good), tls_text("client", client);
    context_fails(aio_tls_context_create(.cert_pem = good, .key_pem = client), "TLS: cannot load key_pem: key values mismatch");
    context = aio_tls_context_create(.cert_pem = good, .ca_pem = tls_text("ca", ca));
    CHECK(context != NULL);
    CHECK_INT(ERR_peek_error(), 0);
    aio_tls_context_unref(context);
}

/* Who fails for want of a hash or memory leaves no error in the program's queue: a digest, a key of settings, a
 * certificate that is shown. */
TEST(connector_hash_fails)
{
    static const int calls[] = { CALL_EVP_Digest, CALL_EVP_Digest, CALL_X509_digest, CALL_EVP_DigestInit_ex,
                                 CALL_EVP_DigestUpdate, CALL_EVP_DigestFinal_ex };
    char pem[4096], hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned char digest[32];
    aio_tls_options settings;
    memset(&settings, 0, sizeof settings);
    tls_setup();
    BIO *in = BIO_new_mem_buf(tls_text("good", pem), -1);
    X509 *shown = PEM_read_bio_X509(in, NULL, NULL, NULL);
    BIO_free(in);
    ERR_clear_error();
    void *sum = aio__digest_sum(0);
    for (int i = 0; i < (sum ? 6 : 3); i++) {
        seam.fail_call = calls[i];
        seam.fail_at = seam.calls[calls[i]] + 1;
        seam.error = ENOMEM;
        seam.fired = false;
        bool failed = i == 0 ? !aio__digest_hash(0, "a", 1, hex)
                    : i == 1 ? !aio__setting_digest(&settings, digest)
                    : i == 2 ? !aio__tls_certificate_of(shown)
                    : i == 3 ? !aio__digest_sum(0)
                    : i == 4 ? !aio__digest_sum_add(sum, aio__text("a", 1)) : !aio__digest_sum_end(sum, hex);
        seam.touched = 0;
        CHECK(failed && seam.fired);
        CHECK_INT(ERR_peek_error(), 0);
    }
    seam.fail_at = 0;
    X509_free(shown);
}

struct connector_tls_pem { aio_task task; aio_tls_context *server_tls; aio_server *server; aio_session *session;
    char url[64], ca[128], crl[128], pem[4096], log[128], line[64]; };
SCENARIO(connector_tls_pem, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD }, .skip = KIND_SLICE)
{
    char path[128];
    AIO_BEGIN(connector_tls_pem);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = aio_tls_context_create(.server = true, .cert_file = tls_file(path, "good"), .ca_file = self->ca,
                                              .require_client_cert = true);
    REQUIRE(self->server_tls);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    self->session = aio_session_open();
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/a", aio_server_port(self->server));
    tls_text("client", self->pem);
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .crl_file = tls_crl(self->crl, NULL) }));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .key_pem = self->pem,
                               .crl_file = tls_crl(self->crl, "good") }, .code = AIO_ECERTIFICATE, .has = "revoked"));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .sessions = 5, /* all of the chain count */
                               .crl_file = tls_crl(self->crl, "ca") }, .code = AIO_ECERTIFICATE, .has = "revoked"));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .key_pem = "no" }, .code = AIO_ETLS,
                      .has = "key_pem"));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .crl_file = self->ca }, .code = AIO_ETLS));
    snprintf(self->log, sizeof self->log, "%s/socket", tls_folder);
    unlink(self->log);
    setenv("SSLKEYLOGFILE", self->log, 1); /* nobody has asked for it here */
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .sessions = 7 }));
    CHECK(access(self->log, F_OK) != 0);
    unsetenv("SSLKEYLOGFILE");
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca, .cert_pem = self->pem, .keylog_file = self->log }));
    if (!touched()) {
        struct stat status;
        FILE *file;
        file = fopen(self->log, "r");
        CHECK(file && fgets(self->line, sizeof self->line, file) && strchr(self->line, ' '));
        CHECK(file && fstat(fileno(file), &status) == 0 && (status.st_mode & 0777) == 0600);
        if (file) fclose(file);
    }
    AIO_FINALLY;
        unsetenv("SSLKEYLOGFILE");
        AIO_AWAIT(aio_session_close(self->session));
        aio_tls_context_unref(self->server_tls);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* HTTP/1.1 is offered; a server that wants another one, or speaks it, is told apart. */
struct connector_alpn { aio_task task; aio_tls_context *server_tls, *http_tls, *both; aio_server *server, *http, *plain;
    aio_session *session; char url[64], other[64], plainly[64], ca[128], alpn[16]; };
SCENARIO(connector_alpn, .may = { EPIPE, ECONNRESET, AIO_ETLS, AIO_EDISCONNECTED, AIO_EPAYLOAD }, .skip = KIND_SLICE)
{
    static const char settings[] = "\0\0\6\4\0\0\0\0\0\0\3\0\0\0\144";
    AIO_BEGIN(connector_alpn);
    tls_setup();
    tls_file(self->ca, "ca");
    self->server_tls = tls_server("good", "h2");
    self->http_tls = tls_server("good", "h2,http/1.1");
    self->both = tls_client("ca", "h2,http/1.1");
    REQUIRE(self->server_tls && self->http_tls && self->both);
    script_says(&the_script, settings, END_CLOSE);
    the_script.length = sizeof settings - 1;
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_AWAIT(self->http, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->http_tls));
    AIO_AWAIT(self->plain, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open();
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/a", aio_server_port(self->server));
    snprintf(self->other, sizeof self->other, "https://127.0.0.1:%d/a", aio_server_port(self->http));
    snprintf(self->plainly, sizeof self->plainly, "http://127.0.0.1:%d/a", aio_server_port(self->plain));
    AIO_AWAIT(tls_get(.tls = { .ca_file = self->ca }, .code = AIO_ETLS, .has = "maybe HTTP/2"));
    AIO_AWAIT(tls_get(.context = self->both, .code = AIO_EHTTP, .has = "speaks HTTP/2"));
    AIO_AWAIT(AIO_CALL(tls_get, .session = self->session, .url = self->other, .tls = { .ca_file = self->ca }));
    if (!touched()) {
        aio__connection *idle;
        idle = AIO__CONTAINER(self->session->connector->idle.next, aio__connection, link);
        CHECK_STR(aio_stream_alpn(idle->stream, self->alpn, sizeof self->alpn), "http/1.1");
    }
    AIO_AWAIT(refusal(.session = self->session, .url = self->plainly, .code = AIO_EHTTP, .has = "speaks HTTP/2"));
    AIO_FINALLY;
        AIO_AWAIT(aio_session_close(self->session));
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->http_tls);
        aio_tls_context_unref(self->both);
        if (self->plain) AIO_AWAIT(aio_server_wait_closed(self->plain));
        if (self->http) AIO_AWAIT(aio_server_wait_closed(self->http));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
#endif
