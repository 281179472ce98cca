/* Headers: order, case, repeated names, storage, refused bytes. */

static void headers_check(const aio_headers *headers, const char *expected)
{
    char all[512];
    size_t n = 0, position = 0, live = 0;
    aio_text name, value;
    all[0] = '\0';
    while (aio_headers_next(headers, &position, &name, &value)) {
        CHECK(name.data[name.length] == '\0' && value.data[value.length] == '\0');
        n += (size_t)snprintf(all + n, sizeof all - n, "%s=%s;", name.data, value.data);
        live += name.length + value.length + 2;
    }
    CHECK_INT(headers->length - headers->wasted, live);
    CHECK_STR(all, expected);
}

TEST(headers_keep_order_and_find_any_case)
{
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    headers_check(&headers, "");
    CHECK(aio_headers_get(&headers, "a").data == NULL);
    CHECK_INT(aio_headers_add(&headers, "Set-Cookie", "a"), 0);
    CHECK_INT(aio_headers_add(&headers, "Host", "h"), 0);
    CHECK_INT(aio_headers_add(&headers, "set-cookie", "b"), 0);
    CHECK_INT(aio_headers_add(&headers, "X", ""), 0);
    headers_check(&headers, "Set-Cookie=a;Host=h;set-cookie=b;X=;");
    CHECK_STR(aio_headers_get(&headers, "SET-COOKIE").data, "a");
    CHECK_STR(aio_headers_get(&headers, "hOST").data, "h");
    CHECK_STR(aio_headers_get(&headers, "x").data, "");
    CHECK(aio_headers_get(&headers, "Hos").data == NULL);
    CHECK(aio_headers_get(&headers, "Host2").data == NULL);
    CHECK(aio_headers_get(&headers, "").data == NULL);
    CHECK_INT(aio_headers_add(&headers, "r", "1"), 0); /* for the index, the beginning of a name may be there */
    CHECK_INT(aio__headers_bit("r", 1), aio__headers_bit("Hos", 3));
    CHECK(aio_headers_get(&headers, "Hos").data == NULL);
    aio_headers_clear(&headers);
    headers_check(&headers, "");
}

TEST(headers_all_values_of_a_name)
{
    aio_headers headers;
    aio_text value;
    size_t position = 0;
    memset(&headers, 0, sizeof headers);
    CHECK(!aio_headers_next_of(&headers, "a", &position, &value));
    CHECK_INT(aio_headers_add(&headers, "A", "1"), 0);
    CHECK_INT(aio_headers_add(&headers, "b", "2"), 0);
    CHECK_INT(aio_headers_add(&headers, "a", "3"), 0);
    position = 0;
    CHECK(aio_headers_next_of(&headers, "a", &position, &value));
    CHECK_STR(value.data, "1");
    CHECK(aio_headers_next_of(&headers, "a", &position, &value));
    CHECK_STR(value.data, "3");
    CHECK(!aio_headers_next_of(&headers, "a", &position, &value));
    CHECK(!aio_headers_next_of(&headers, "a", &position, &value));
    position = 0;
    CHECK(!aio_headers_next_of(&headers, NULL, &position, &value));
    position = SIZE_MAX - (sizeof position > 4 ? UINT32_MAX : 0);
    CHECK(!aio_headers_next_of(&headers, "a", &position, &value));
    aio_headers_clear(&headers);
}

TEST(headers_set_replaces_the_first_and_removes_the_rest)
{
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_headers_add(&headers, "a", "123"), 0);
    CHECK_INT(aio_headers_add(&headers, "b", "x"), 0);
    CHECK_INT(aio_headers_add(&headers, "A", "456"), 0);
    CHECK_INT(aio_headers_set(&headers, "A", "7"), 0);
    headers_check(&headers, "A=7;b=x;");
    CHECK_INT(aio_headers_add(&headers, "a", "8"), 0);
    CHECK_INT(aio_headers_set(&headers, "a", "a longer value"), 0);
    headers_check(&headers, "a=a longer value;b=x;");
    CHECK_INT(aio_headers_set(&headers, "c", "new"), 0);
    CHECK_INT(aio_headers_set(&headers, "b", ""), 0);
    headers_check(&headers, "a=a longer value;b=;c=new;");
    uint32_t length = headers.length;
    CHECK_INT(aio_headers_set(&headers, "C", "odd"), 0); /* it fits where the old one is */
    CHECK_INT(headers.length, length);
    headers_check(&headers, "a=a longer value;b=;C=odd;");
    aio_headers_clear(&headers);
}

/* How the block and the index grow, and that who replaces a value while they move finds it again. */
TEST(headers_grow)
{
    aio_headers headers;
    char name[8];
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_headers_add(&headers, "n0", "1"), 0);
    CHECK_INT(headers.capacity, 256);
    CHECK_INT(headers.room, 16);
    for (int i = 1; i < 16; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_INT(aio_headers_add(&headers, name, "1"), 0);
    }
    CHECK_INT(headers.room, 16);
    CHECK_INT(aio_headers_set(&headers, "n0", "longer"), 0);
    CHECK_INT(headers.room, 32);
    CHECK_INT(headers.count, 16);
    CHECK_STR(aio_headers_get(&headers, "n0").data, "longer");
    CHECK_STR(aio_headers_get(&headers, "n15").data, "1");
    char value[301];
    memset(value, 'v', 300);
    value[300] = '\0';
    uint32_t live = headers.length - headers.wasted;
    CHECK_INT(aio_headers_add(&headers, "l", value), 0);
    CHECK_INT(headers.capacity, (live + 303) + (live + 303) / 2);
    CHECK_INT(headers.wasted, 0);
    aio_headers_clear(&headers);
}

/* What the headers hold in all, with a NUL behind each name and value, has a limit to the byte. */
TEST(headers_to_the_limit)
{
    size_t most = AIO__HEADERS_MAX;
    char *value = (char *)malloc(most + 2);
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    memset(value, 'v', most + 1);
    CHECK_INT(aio__headers_append(&headers, "a", 1, value, most), AIO_ELIMIT);
    CHECK_INT(aio__headers_append(&headers, "a", 1, value, most - 2), AIO_ELIMIT);
    CHECK_INT(aio__headers_append(&headers, value, most + 1, "a", 1), AIO_ELIMIT);
    CHECK_INT(aio__headers_append(&headers, "a", 1, value, most - 3), 0);
    CHECK_INT(aio__headers_append(&headers, "b", 1, "", 0), AIO_ELIMIT);
    CHECK_INT(aio_headers_remove(&headers, "a"), 1);
    CHECK_INT(aio__headers_append(&headers, "b", 1, "", 0), 0);
    aio_headers_clear(&headers);
    free(value);
}

TEST(headers_remove)
{
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_headers_remove(&headers, "a"), 0);
    CHECK_INT(aio_headers_add(&headers, "a", "1"), 0);
    CHECK_INT(aio_headers_add(&headers, "b", "2"), 0);
    CHECK_INT(aio_headers_add(&headers, "A", "3"), 0);
    CHECK_INT(aio_headers_remove(&headers, "a"), 2);
    headers_check(&headers, "b=2;");
    CHECK_INT(aio_headers_remove(&headers, "a"), 0);
    CHECK_INT(aio_headers_remove(&headers, NULL), 0);
    aio_headers_clear(&headers);
}

TEST(headers_value_of_their_own)
{
    aio_headers headers;
    char name[32];
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_headers_add(&headers, "first", "a value that is copied again and again while the block moves"), 0);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK_INT(aio_headers_add(&headers, name, aio_headers_get(&headers, "first").data), 0);
    }
    CHECK_STR(aio_headers_get(&headers, "n49").data, "a value that is copied again and again while the block moves");
    CHECK_INT(aio_headers_set(&headers, "first", aio_headers_get(&headers, "first").data + 2), 0);
    CHECK_STR(aio_headers_get(&headers, "first").data, "value that is copied again and again while the block moves");
    aio_headers_clear(&headers);
}

TEST(headers_reuse_what_was_removed)
{
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_headers_add(&headers, "keep", "this"), 0);
    for (int i = 0; i < 100000; i++) {
        CHECK_INT(aio_headers_set(&headers, "x", i % 2 ? "a short one" : "a value that is rather longer than that"), 0);
        if (i % 3 == 0) aio_headers_remove(&headers, "x");
    }
    CHECK(headers.capacity < 4096);
    CHECK_STR(aio_headers_get(&headers, "keep").data, "this");
    aio_headers_clear(&headers);
}

TEST(headers_refuse_bytes_that_inject)
{
    static const struct { const char *name, *value; } bad[] = {
        { "", "v" }, { "a b", "v" }, { "a:", "v" }, { "a\r\n", "v" }, { "a\t", "v" }, { "\x80", "v" }, { "a(", "v" },
        { "a\"", "v" },
        { "a/", "v" }, { "a\x7f", "v" }, { "a", "v\r\nX: y" }, { "a", "\n" }, { "a", "\r" }, { "a", "\x01" },
        { "a", "0123456\x1f" },
        { "a", "01234567\x7f" }, { "a", "\t\x0b" }, { NULL, "v" }, { "a", NULL },
    };
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(aio_headers_add(&headers, bad[i].name, bad[i].value), EINVAL);
        CHECK_INT(aio_headers_set(&headers, bad[i].name, bad[i].value), EINVAL);
    }
    CHECK_INT(headers.count, 0);
    CHECK_INT(aio_headers_add(&headers, "!#$%&'*+-.^_`|~09azAZ", "\t !\"~ \x80\xff\xc3\xa9"), 0);
    aio_headers_clear(&headers);
}

/* Each byte at each place in a word, against the plain definition. */
TEST(headers_control_characters_at_every_place)
{
    for (size_t place = 0; place < 19; place++)
        for (int byte = 0; byte < 256; byte++) {
            char *text = (char *)malloc(19);
            memset(text, 'a', 19);
            text[place] = (char)byte;
            bool control = byte < 0x20 || byte == 0x7f;
            CHECK_INT(aio__has_control(text, 19, true), control);
            CHECK_INT(aio__has_control(text, 19, false), control && byte != '\t');
            free(text);
        }
}

TEST(headers_many_and_large)
{
    aio_headers headers;
    char name[32];
    size_t large = 8 * 1024 * 1024;
    char *value = (char *)malloc(large + 1);
    memset(value, 'v', large);
    value[large] = '\0';
    memset(&headers, 0, sizeof headers);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "name-%d", i);
        CHECK_INT(aio_headers_add(&headers, name, name), 0);
    }
    CHECK_STR(aio_headers_get(&headers, "NAME-1999").data, "name-1999");
    CHECK_INT(aio_headers_add(&headers, "large", value), 0);
    CHECK_INT(aio_headers_add(&headers, "large", value), AIO_ELIMIT);
    CHECK_INT(headers.count, 2001);
    aio_headers_clear(&headers);
    free(value);
}
