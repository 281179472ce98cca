/* How a session finds hosts: the system's answers are kept for a while and shared; a resolver of the user's own. */

#define SESSION_NAMES_FRAME \
    aio_task task; aio_server *server; aio_session *session; struct get_url *gets[3]; int port, i;
#define SESSION_NAMES_SERVE AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0))

/* The end of a scenario, but for what it awaits. */
static void session_names_end(struct get_url **gets)
{
    for (int i = 0; i < 3; i++) {
        if (gets[i]) aio_task_cancel(gets[i]);
        aio_unref(gets[i]);
        gets[i] = NULL;
    }
    names_end();
}

static struct get_url *session_names_get(aio_session *session, const char *host, int port)
{
    struct get_url *get = AIO_CALL(get_url, .session = session);
    if (get) snprintf(get->url, sizeof get->url, "http://%s:%d/x", host, port);
    return get;
}

/* A name is looked up again when its time is over; an error is not kept. */
struct session_keeps_names_thread { aio_task task; aio_session *session; aio_resolver *names;
    aio_addresses *addresses; int i; };
SCENARIO(session_keeps_names_thread, .may = { AIO_ERESOLVE })
{
    static const struct { double ttl; int calls[3]; } cases[] = {
        { 0, { 1, 1, 2 } }, { 1, { 1, 2, 3 } }, { AIO_UNLIMITED, { 1, 1, 1 } },
    };
    AIO_BEGIN(session_keeps_names_thread);
    names_begin(false);
    for (self->i = 0; self->i < 9; self->i++) {
        if (self->i % 3 == 0) {
            AIO_AWAIT(aio_session_close(self->session));
            self->session = aio_session_open(.ttl_dns_cache = cases[self->i / 3].ttl);
            REQUIRE(self->session);
            self->names = self->session->connector->names;
            names.calls = 0;
        }
        AIO_AWAIT(self->addresses, self->names->resolve(self->names, "slow.test", 80, 0));
        CHECK_INT(names.calls, cases[self->i / 3].calls[self->i % 3]);
        CHECK(dns_has(self->addresses, "127.0.0.1:80"));
        aio_addresses_free(self->addresses);
        self->addresses = NULL;
        AIO_AWAIT(aio_sleep(6));
    }
    names.status = EAI_NONAME;
    names.calls = 0;
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->names->resolve(self->names, "bad.test", 1, 0));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ERESOLVE);
        } AIO_END_TRY;
        CHECK_INT(names.calls, self->i + 1);
    }
    AIO_FINALLY;
        aio_addresses_free(self->addresses);
        names_end();
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* Three requests for one host at once: one lookup; the one that is cancelled leaves it to the others. */
struct session_shares_lookups_thread { SESSION_NAMES_FRAME };
SCENARIO(session_shares_lookups_thread, .may = CLIENT_MAY)
{
    AIO_BEGIN(session_shares_lookups_thread);
    names_begin(true);
    SESSION_NAMES_SERVE;
    self->port = aio_server_port(self->server);
    self->session = aio_session_open(.timeout = { .total = AIO_UNLIMITED, .sock_connect = AIO_UNLIMITED });
    REQUIRE(self->session);
    for (self->i = 0; self->i < 3; self->i++) {
        self->gets[self->i] = (struct get_url *)aio_create_task(
            session_names_get(self->session, self->i ? "slow.test" : "SLOW.test", self->port));
        REQUIRE(self->gets[self->i]);
    }
    for (self->i = 0; self->i < 5; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(aio_task_cancel(self->gets[0]));
    for (self->i = 0; self->i < 5; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->gets[0]));
    names_release();
    for (self->i = 1; self->i < 3; self->i++) {
        AIO_AWAIT((struct get_url *)aio_ref(self->gets[self->i]));
        CHECK_INT(self->gets[self->i]->status, 200);
    }
    CHECK_INT(names.calls, 1);
    AIO_AWAIT(aio_session_close(self->session));
    self->session = aio_session_open(.no_dns_cache = true);
    REQUIRE(self->session);
    CHECK_PTR(self->session->connector->names, NULL);
    AIO_FINALLY;
        session_names_end(self->gets);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A session that is closed, and a loop that ends, while the answer is still to come. */
struct session_names_are_left_thread { SESSION_NAMES_FRAME };
SCENARIO(session_names_are_left_thread, .may = CLIENT_MAY)
{
    AIO_BEGIN(session_names_are_left_thread);
    names_begin(true);
    self->session = aio_session_open(.force_close = true);
    REQUIRE(self->session);
    self->gets[0] = (struct get_url *)aio_create_task(session_names_get(self->session, "slow.test", 1));
    REQUIRE(self->gets[0]);
    for (self->i = 0; self->i < 5; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(!aio_future_done(self->gets[0]));
    AIO_FINALLY;
        session_names_end(self->gets);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

struct session_uses_a_resolver { SESSION_NAMES_FRAME aio_resolver *resolver; };
SCENARIO(session_uses_a_resolver, .may = CLIENT_MAY)
{
    AIO_BEGIN(session_uses_a_resolver);
    names_begin(false);
    SESSION_NAMES_SERVE;
    self->port = aio_server_port(self->server);
    self->resolver = aio_resolver_open(.nameservers = "127.0.0.1", .resolv_conf = "/dev/null", .hosts = "/dev/null");
    REQUIRE(self->resolver);
    self->session = aio_session_open(.resolver = self->resolver, .family = AF_INET);
    REQUIRE(self->session);
    CHECK_PTR(self->session->connector->names, NULL);
    self->gets[0] = (struct get_url *)aio_create_task(
        session_names_get(self->session, "here.localhost", self->port));
    REQUIRE(self->gets[0]);
    AIO_AWAIT((struct get_url *)aio_ref(self->gets[0]));
    CHECK_INT(self->gets[0]->status, 200);
    CHECK_INT(names.calls, 0);
    AIO_FINALLY;
        session_names_end(self->gets);
        aio_resolver_close(self->resolver);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* No more than AIO__NAMES_KEPT names are kept; the one that was used least lately goes. */
TEST(session_names_are_bounded_thread)
{
    char host[32];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    names_begin(false);
    names.status = EAI_NONAME;
    aio__names *kept = (aio__names *)(void *)aio__names_open(loop, 1000000000);
    for (int i = 0; i < AIO__NAMES_KEPT + 10; i++) {
        snprintf(host, sizeof host, "h%d.test", i);
        aio_unref(aio__names_lookup(kept, host, 80, 0));
        if (i >= AIO__NAMES_KEPT / 2) aio_unref(aio__names_lookup(kept, "h0.test", 80, 0));
    }
    CHECK_INT(kept->count, AIO__NAMES_KEPT);
    CHECK(aio__name_find(kept, "h0.test", 80, 0) != NULL);
    CHECK(aio__name_find(kept, "h0.test", 81, 0) == NULL);
    CHECK(aio__name_find(kept, "h0.test", 80, AF_INET) == NULL);
    CHECK(aio__name_find(kept, "h1.test", 80, 0) == NULL);
    CHECK(aio__name_find(kept, "h20.test", 80, 0) != NULL);
    aio__names_close(&kept->base);
    CHECK_PTR(aio_session_open(.ttl_dns_cache = -3), NULL);
    CHECK_INT(errno, EINVAL);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
    names_end();
}
