/* The connector: connections that sessions share, and how they are made. Servers and gets are those of the client's
 * tests. */

/* Two sessions of one connector: one limit, one pool; a session that closes leaves the idle connections to the other. */
struct connector_shared { aio_task task; aio_server *server; aio_connector *connector; aio_session *a, *b;
    struct get_url *gets[3]; aio_future *closed; };
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
    self->gets[2] = get_task(self->b, aio_server_port(self->server), "/b", no_timeouts);
    REQUIRE(self->gets[2]);
    AIO_AWAIT((struct get_url *)aio_ref(self->gets[2]));
    CHECK_INT(self->gets[2]->code, 0);
    CHECK(self->gets[2]->reused);
    CHECK_INT(aio_session_idle(self->b), 1);
    aio_connector_ref(self->connector);        /* b still has it */
    self->closed = aio_session_close(self->b);
    self->b = NULL;
    AIO_AWAIT(self->closed);
    CHECK_INT(aio_connector_idle(self->connector), 1);
    AIO_FINALLY;
        aio_unref_all(self->gets, 3);
        AIO_AWAIT(aio_session_close(self->a));
        AIO_AWAIT(aio_session_close(self->b));
        aio_connector_unref(self->connector);
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
    CHECK(!aio_connector_open(.limit = -2));
    CHECK_INT(errno, EINVAL);
    CHECK(!aio_connector_open(.keepalive_timeout = -3));
    CHECK_INT(errno, EINVAL);
    CHECK_PTR(aio_connector_ref(NULL), NULL);
    aio_connector_unref(NULL);
    CHECK_INT(aio_connector_busy(NULL) + aio_connector_idle(NULL), 0);
    aio_session *forgotten = aio_session_open(.connector = c); /* both go with the loop */
    CHECK(forgotten != NULL);
    aio_loop_free(loop);
    aio_loop_free(other);
}
