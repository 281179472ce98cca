/* Errors: names, texts, owners, tracebacks, printing, and those that need no memory. */

static void error_print(const aio_exception *error, char *out, size_t size)
{
    FILE *file = tmpfile();
    aio_exception_print(error, file);
    rewind(file);
    size_t n = fread(out, 1, size - 1, file);
    out[n] = 0;
    fclose(file);
}

TEST(error_names_and_texts)
{
    CHECK_STR(aio_code_name(AIO_ECANCELLED), "CancelledError");
    CHECK_STR(aio_code_name(AIO_ETIMEOUT), "TimeoutError");
    CHECK_STR(aio_code_name(AIO_EPROXY), "ProxyError"); /* the last of the list */
    CHECK_STR(aio_code_text(AIO_ESTOPPED), "event loop stopped before Future completed");
    CHECK_STR(aio_code_name(ECONNREFUSED), "ConnectionRefusedError");
    CHECK_STR(aio_code_name(ENOMEM), "MemoryError");
    CHECK_STR(aio_code_name(EBUSY), "OSError");
    CHECK_STR(aio_code_text(EBUSY), strerror(EBUSY));
    CHECK_STR(aio_code_name(AIO__EFIRST), "OSError");
    CHECK_STR(aio_code_name(AIO__ELAST), "OSError");
    CHECK_STR(aio_code_name(-1), "OSError");
    for (int code = AIO__EFIRST + 1; code < AIO__ELAST; code++) CHECK(*aio_code_name(code) && *aio_code_text(code));
}

TEST(error_print)
{
    char text[2000];
    aio_exception *error = aio__exception(ECONNREFUSED, "connect", "connect to %s:%d: refused", "a.test", 81);
    CHECK_STR(error->phase, "connect");
    error_print(error, text, sizeof text);
    CHECK_STR(text, "ConnectionRefusedError: connect to a.test:81: refused\n");
    aio__exception_add(error, "fetch.c", "fetch", 17);
    aio__exception_add(error, "crawl.c", "crawl", 31);
    error_print(error, text, sizeof text);
    CHECK_STR(text, "Traceback (most recent await last):\n"
                    "  crawl.c:31, in crawl\n"
                    "  fetch.c:17, in fetch\n"
                    "ConnectionRefusedError: connect to a.test:81: refused\n");
    aio_exception_print(NULL, stdout);
    aio_exception_print(error, NULL);
    aio_exception_unref(error);
    aio_exception_unref(NULL);
    CHECK_PTR(aio_exception_ref(NULL), NULL);
}

/* Places in aio.h are counted, in debug mode named. */
struct error_within { aio_task task; };
static AIO_CORO(error_within)
{
    AIO_BEGIN(error_within);
    AIO_RAISE(EPIPE);
    AIO_END;
}
struct error_around { aio_task task; };
static AIO_CORO(error_around)
{
    AIO_BEGIN(error_around);
    AIO_AWAIT(aio_wait_for(aio_wait_for(AIO_CALL(error_within), 5), 5));
    AIO_END;
}
TEST(error_print_folds_ours, .skip = KIND_DEBUG)
{
    char text[2000];
    aio_exception *error = NULL;
    aio_loop *loop = aio_new_event_loop();
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(error_around), &error), EPIPE);
    error_print(error, text, sizeof text);
    CHECK(strstr(text, ", in error_around\n  ... 2 in aio.h\n") && strstr(text, ", in error_within\nBrokenPipeError"));
    CHECK(!strstr(text, "aio__wait_for"));
    setenv("AIO_DEBUG", "1", 1);
    error_print(error, text, sizeof text);
    unsetenv("AIO_DEBUG");
    CHECK(!strstr(text, " in aio.h\n") && strstr(text, ", in aio__wait_for\n"));
    aio_exception_unref(error);
    aio_loop_free(loop);
}

TEST(error_long_message_is_cut)
{
    char text[3000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    aio_exception *error = aio__exception(EPIPE, "", "%s", text);
    CHECK_INT(strlen(error->message), AIO__MESSAGE_MAX - 1);
    aio_exception_unref(error);
}

TEST(error_traceback_is_bounded)
{
    char text[8000];
    aio_exception *error = aio__exception(EPIPE, "", NULL);
    for (int i = 0; i < 100000; i++) aio__exception_add(error, "deep.c", "deep", i);
    CHECK_INT(error->traceback_count, AIO__TRACEBACK_MAX);
    CHECK_INT(error->traceback_left_out, 100000 - AIO__TRACEBACK_MAX);
    CHECK_INT(error->traceback[0].line, 0); /* the innermost ones are kept */
    error_print(error, text, sizeof text);
    CHECK(strstr(text, "Traceback (most recent await last):\n  ... 99936 more\n  deep.c:63, in deep\n") == text);
    aio_exception_unref(error);
}

TEST(error_copy_shares_nothing)
{
    aio_exception *error = aio__exception_counts(aio__exception(EPIPE, "send", "first"), 1, 2, 3);
    for (int i = 0; i < 5; i++) aio__exception_add(error, "a.c", "a", i);
    aio_exception *copy = aio__exception_copy(error);
    aio__exception_add(copy, "b.c", "b", 9);
    aio_exception_unref(error);
    CHECK_INT(copy->code, EPIPE);
    CHECK_STR(copy->phase, "send");
    CHECK_STR(copy->message, "first");
    CHECK(copy->consumed == 1 && copy->expected == 2 && copy->partial == 3);
    CHECK_INT(copy->traceback_count, 6);
    CHECK_INT(copy->traceback[4].line, 4);
    CHECK_STR(copy->traceback[5].name, "b");
    aio_exception_unref(copy);
}

static aio_exception *error_group(int count)
{
    aio_exception *group = aio__exception(AIO_EGROUP, "", "%d errors", count);
    group->members = (aio_exception **)aio__malloc((size_t)count * sizeof *group->members);
    for (int i = 0; i < count; i++) group->members[group->member_count++] = aio__exception(EPIPE, "", "number %d", i);
    return group;
}

TEST(error_group_is_copied_and_printed)
{
    char text[1000];
    aio_exception *group = error_group(2), *copy = aio__exception_copy(group);
    aio_exception_unref(group);
    CHECK_INT(copy->member_count, 2);
    error_print(copy, text, sizeof text);
    CHECK_STR(text, "ExceptionGroup: 2 errors\n"
                    "  --- 1 of 2 ---\n"
                    "  BrokenPipeError: number 0\n"
                    "  --- 2 of 2 ---\n"
                    "  BrokenPipeError: number 1\n");
    aio_exception_unref(copy);
}

TEST(error_without_memory)
{
    seam.fail_alloc = 1;
    seam.fail_on = true;
    aio_exception *error = aio__exception(EPIPE, "", "never"), *cancel = aio__exception(AIO_ECANCELLED, "", "why");
    seam.fail_alloc = 0;
    ALWAYS(error->code == ENOMEM);
    ALWAYS(cancel->code == AIO_ECANCELLED); /* a cancel stays a cancel */
    aio__exception_add(error, "a.c", "a", 1); /* static: nothing is added, nothing freed */
    ALWAYS(error->traceback_count == 0);
    for (int i = 0; i < 3; i++) aio_exception_unref(error);
    ALWAYS(aio_exception_ref(error) == error);
    ALWAYS(aio__exception_copy(error) == error);
    ALWAYS(!strcmp(error->message, "out of memory"));
}

TEST(error_loses_only_its_traceback_without_memory)
{
    aio_exception *error = aio__exception(EPIPE, "", "kept");
    seam.fail_alloc = seam.allocations + 1;
    seam.fail_on = true;
    for (int i = 0; i < 3; i++) aio__exception_add(error, "a.c", "a", i);
    seam.fail_alloc = 0;
    ALWAYS(error->code == EPIPE);
    ALWAYS(error->traceback_count == 0);
    ALWAYS(error->traceback_left_out == 3);
    aio__exception_add(error, "a.c", "a", 4);
    ALWAYS(error->traceback_count + error->traceback_left_out == 4);
    aio_exception_unref(error);
}

TEST(error_group_copy_without_memory)
{
    for (long n = 1; n < 8; n++) { /* whatever it loses, it is a sound one, and nothing is left of it */
        aio_exception *group = error_group(3);
        for (int i = 0; i < 3; i++) aio__exception_add(group->members[i], "a.c", "a", i);
        seam.fail_alloc = seam.allocations + n;
        aio_exception *copy = aio__exception_copy(group);
        seam.fail_alloc = 0;
        ALWAYS(copy->code == AIO_EGROUP || copy->code == ENOMEM);
        for (int i = 0; i < copy->member_count; i++)
            ALWAYS(copy->members[i]->code == EPIPE || copy->members[i]->code == ENOMEM);
        aio_exception_unref(copy);
        aio_exception_unref(group);
    }
}

/* Whatever bytes a peer or a user has put there, a message is one line that moves no terminal. */
TEST(error_messages_are_escaped)
{
    static const char *const rows[][2] = {
        { "plain", "plain" }, { "", "" }, { "a\r\nb", "a\\x0d\\x0ab" }, { "\x1b[2J\x07\t\x7f", "\\x1b[2J\\x07\\x09\\x7f" },
        { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { "\xc2\x9b" "2J \xc2\xa0", "\\xc2\\x9b2J \xc2\xa0" }, { "\x9b" "2J\xff\xc0\xaf", "\\x9b2J\\xff\\xc0\\xaf" },
        { "\xc3", "\\xc3" }, { "\xe2\x82", "\\xe2\\x82" }, { "\xf0\x9f\x98z", "\\xf0\\x9f\\x98z" }, { "\\x0a", "\\x0a" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_exception *error = aio__exception(EPIPE, "", "<%s>", rows[i][0]);
        aio_exception *again = aio__exception(EPIPE, "", "%s", error->message);
        char expected[200];
        snprintf(expected, sizeof expected, "<%s>", rows[i][1]);
        CHECK_STR(error->message, expected);
        CHECK_STR(again->message, expected);
        aio_exception_unref(error);
        aio_exception_unref(again);
    }
    char long_[1000];
    memset(long_, '\n', sizeof long_);
    long_[999] = 0;
    aio_exception *error = aio__exception(EPIPE, "", "%s", long_);
    CHECK_INT(strlen(error->message), 4 * (AIO__MESSAGE_MAX - 1));
    aio_exception_unref(error);
}

static void *error_no_client(aio_stream *stream, void *arg) { return (void)stream, (void)arg, NULL; }

/* A URL, or a part of one, in a host's place: told at once, and without its password. */
TEST(error_messages_hide_user_info_of_hosts)
{
    static const char *const rows[] = { "http://user:secret@a.test/", "user:secret@a.test", "u:s@secret@a.test:80" };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_resolver *resolver = aio_resolver_open(.nameservers = "127.0.0.1");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *tries[] = {
            aio_open_connection(rows[i], 80), aio_open_connection(rows[i], 80, .resolver = resolver),
            aio_open_connection("127.0.0.1", 1, .server_hostname = rows[i]),
            aio_open_connection("127.0.0.1", 1, .local_host = rows[i]),
            aio_start_server(error_no_client, NULL, rows[i], 0),
            aio_create_datagram_endpoint(.remote_host = rows[i], .remote_port = 1),
            aio_resolver_resolve(resolver, rows[i], 80), aio_resolver_query(resolver, rows[i], AIO_DNS_A),
            aio_loop_getaddrinfo(loop, rows[i], 80),
        };
        for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
            aio_exception *error = NULL;
            CHECK(aio_loop_run_until_complete(loop, tries[k], &error) != 0);
            if (!CHECK(error)) continue;
            CHECK(!strstr(error->message, "secret"));
            if (strstr(error->message, "secret")) CHECK_STR(error->message, "***");
            aio_exception_unref(error);
        }
    }
    aio_resolver_close(resolver);
    aio_loop_free(loop);
}

/* A URL that does not parse may have a password all the same: no message shows it. */
TEST(error_messages_hide_user_info)
{
    static const char *const rows[][2] = {
        { "http://user:secret@", "http://***@:" }, { "http://user:secret@:80/", "http://***@:80/" },
        { "http://user:sec/ret@host/", "http://***@host/" }, { "http://user:secret@host:x/", "http://***@host:x/" },
        { "http://user:sec?ret#@ho st/", "http://***@ho st/" }, { "user:secret@host", "***@host" },
        { "//user:secret@host", "***@host" }, { "http:/user:secret@host", "***@host" },
        { "http://user:secret@a@host\r\n", "http://***@host\\x0d\\x0a" },
        { "://user:secret@host", "***@host" }, { "http://us er:secret\x1b@ho\x1bst/", "http://***@ho\\x1bst/" },
    };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *session = aio_session_open();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_exception *error = NULL;
        CHECK(aio_loop_run_until_complete(loop, aio_session_get(session, rows[i][0]), &error) != 0);
        CHECK(!strstr(error->message, "secret"));
        CHECK(strstr(error->message, rows[i][1]) != NULL);
        if (error && !strstr(error->message, rows[i][1])) CHECK_STR(error->message, rows[i][1]);
        aio_exception_unref(error);
    }
    aio_exception *error = NULL;
    CHECK_INT(aio_loop_run_until_complete(loop, aio_session_request(session, "GE\r\nT", "http://u:secret@a/"), &error),
              EINVAL);
    CHECK(error && strstr(error->message, "GE\\x0d\\x0aT http://***@a/") != NULL);
    aio_exception_unref(error);
    aio_loop_run_until_complete(loop, aio_session_close(session), NULL);
    aio_loop_free(loop);
}

/* ---- what stands at the edges ---- */

TEST(error_code_lists)
{
    static const int codes[] = { EPIPE, EINTR, 0, EIO };
    CHECK(aio__code_in(EPIPE, codes) && aio__code_in(EINTR, codes));
    CHECK(!aio__code_in(EIO, codes) && !aio__code_in(EBUSY, codes));
    for (int i = 0; i < 2; i++) { /* the text of an unknown code is libc's until it is asked again */
        char text[80];
        snprintf(text, sizeof text, "%s", strerror(i ? AIO__ELAST : AIO__EFIRST));
        CHECK_STR(aio_code_text(i ? AIO__ELAST : AIO__EFIRST), text);
    }
}

/* One that many own goes with the last of them; what it shares with another one is owned by both. */
TEST(error_owners)
{
    aio_exception *group = error_group(3), *other = aio__exception(EPIPE, "", "other"), *bare = error_group(0);
    long live = seam.live;
    aio__free(bare->members);
    bare->members = NULL;
    aio__exception_share(other, bare);
    CHECK_PTR(other->members, NULL);
    aio__exception_counts(group, 4, 5, 6);
    aio__exception_share(other, group);
    CHECK(other->consumed == 4 && other->expected == 5 && other->partial == 6);
    CHECK_INT(other->member_count, 3);
    CHECK_INT(seam.live, live);
    CHECK_PTR(aio_exception_ref(group), group);
    aio_exception_unref(group);
    CHECK_STR(group->message, "3 errors");
    aio_exception_unref(group);
    CHECK_STR(other->members[2]->message, "number 2");
    aio__exception_share(&aio__no_memory, other);
    CHECK_INT(aio__no_memory.member_count, 0);
    aio__exception_counts(&aio__no_memory, 1, 2, 3);
    CHECK(!aio__no_memory.consumed && !aio__no_memory.expected && !aio__no_memory.partial);
    CHECK_INT(aio__no_memory.refs, AIO__STATIC);
    aio_exception_unref(bare);
    aio_exception_unref(other);
    CHECK_INT(seam.live, 0);
}

/* A traceback has room for what is in it, grows seven times, and no more beyond its bound; a copy of it can grow. */
TEST(error_traceback_grows)
{
    aio_exception *error = aio__exception(EPIPE, "", "deep");
    long had = seam.allocations;
    for (int i = 0; i < 80; i++) {
        aio__exception_add(error, "deep.c", "deep", i);
        CHECK(malloc_usable_size(error->traceback) >= (size_t)error->traceback_count * sizeof *error->traceback);
        if (i != 4 && i != 63 && i != 79) continue;
        aio_exception *copy = aio__exception_copy(error);
        aio__exception_add(copy, "more.c", "more", i);
        CHECK_INT(copy->traceback_count, i == 4 ? 6 : 64);
        CHECK_INT(copy->traceback_left_out, i == 4 ? 0 : i - 62);
        CHECK_STR(copy->traceback[3].file, "deep.c");
        CHECK_STR(copy->traceback[4].name, "deep");
        CHECK_INT(copy->traceback[4].line, 4);
        if (i == 4) CHECK_STR(copy->traceback[5].name, "more");
        CHECK(malloc_usable_size(copy->traceback) >= (size_t)copy->traceback_count * sizeof *copy->traceback);
        aio_exception_unref(copy);
        had += 1 + (i == 4 ? 4 : 7);
    }
    CHECK_INT(seam.allocations - had, 7);
    aio_exception_unref(error);
}

TEST(error_debug_is_wanted)
{
    const char *had = getenv("AIO_DEBUG");
    char *before = had ? strdup(had) : NULL;
    static const char *const rows[] = { "", "0", "0x", "1", "yes" };
    unsetenv("AIO_DEBUG");
    CHECK(!aio__debug_wanted());
    for (int i = 0; i < 5; i++) {
        setenv("AIO_DEBUG", rows[i], 1);
        CHECK_INT(aio__debug_wanted(), i > 2);
    }
    unsetenv("AIO_DEBUG");
    if (before) setenv("AIO_DEBUG", before, 1);
    free(before);
}

/* Places of ours are counted wherever they stand, also at the end; groups within groups are shown to a depth. */
TEST(error_print_edges, .skip = KIND_DEBUG)
{
    char text[4000];
    const char *ours = NULL;
    aio_exception *error = NULL, *made = aio__exception(EPIPE, "", "made"), *nested = aio__exception(EPIPE, "", "in");
    aio_loop *loop = aio_new_event_loop();
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(error_around), &error), EPIPE);
    for (int i = 0; i < error->traceback_count; i++)
        if (!strcmp(error->traceback[i].name, "aio__wait_for")) ours = error->traceback[i].file;
    if (CHECK(ours)) {
        aio__exception_add(made, ours, "one", 1);
        aio__exception_add(made, ours, "two", 2);
        aio__exception_add(made, "user.c", "three", 3);
        aio__exception_add(made, ours, "four", 4);
        error_print(made, text, sizeof text);
        CHECK_STR(text, "Traceback (most recent await last):\n  ... 1 in aio.h\n  user.c:3, in three\n"
                        "  ... 2 in aio.h\nBrokenPipeError: made\n");
    }
    for (int i = 0; i < 12; i++) {
        aio_exception *group = aio__exception(AIO_EGROUP, "", "group %d", i);
        group->members = (aio_exception **)aio__malloc(sizeof *group->members);
        group->members[group->member_count++] = nested;
        nested = group;
    }
    error_print(nested, text, sizeof text);
    CHECK(strstr(text, "ExceptionGroup: group 3\n") != NULL); /* the eighth within the outermost */
    CHECK(!strstr(text, "group 2\n"));
    aio_exception_unref(nested);
    aio_exception_unref(made);
    aio_exception_unref(error);
    aio_loop_free(loop);
}
