/* Charsets: to UTF-8, with the offset of bytes invalid in the charset. */

static int charset_decode(const char *charset, const char *data, size_t length, bool replace, const char *expected)
{
    aio__buffer out;
    size_t bad = (size_t)-1;
    const char *copy = at_the_edge(data, length);
    memset(&out, 0, sizeof out);
    int code = aio__charset_decode(aio__text(charset, strlen(charset)), aio__text(copy, length), replace, &out, &bad);
    if (expected) CHECK_BYTES(out.data ? out.data : "", out.end, expected);
    aio__free(out.data);
    return code == EILSEQ ? (int)bad : code ? -code : 0;
}

TEST(charset_decodes)
{
    static const struct { const char *charset, *data, *expected; } rows[] = {
        { "utf-8", "", "" }, { "UTF-8", "plain", "plain" }, { "utf8", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80" },
        { "iso-8859-1", "\xE4\xF6", "\xC3\xA4\xC3\xB6" }, { "windows-1252", "\x80", "\xE2\x82\xAC" },
        { "shift_jis", "\x83\x65\x83\x58\x83\x67", "\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88" },
        { "koi8-r", "\xC1", "\xD0\xB0" }, { "gb18030", "\xC4\xE3", "\xE4\xBD\xA0" }, { "utf-16le", "a", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].data);
        if (rows[i].expected) CHECK_INT(charset_decode(rows[i].charset, rows[i].data, n, false, rows[i].expected), 0);
    }
    CHECK_INT(charset_decode("utf-16le", "a\0\xAC\x20", 4, false, "a\xE2\x82\xAC"), 0);
    CHECK_INT(charset_decode("no-such-charset", "a", 1, false, ""), -EINVAL);
    CHECK_INT(charset_decode("", "a", 1, false, ""), -EINVAL);
    CHECK_INT(charset_decode("latin1//TRANSLIT", "a", 1, false, ""), -EINVAL);
    char many[100];
    memset(many, 'x', sizeof many);
    CHECK_INT(aio__charset_decode(aio__text(many, sizeof many), aio__text("a", 1), false, NULL, NULL), EINVAL);
    long asked = seam.calls[CALL_iconv_open];
    CHECK_INT(aio__charset_decode(aio__text(many, 64), aio__text("a", 1), false, NULL, NULL), EINVAL);
    CHECK_INT(seam.calls[CALL_iconv_open], asked);
    CHECK_INT(aio__charset_decode(aio__text(many, 63), aio__text("a", 1), false, NULL, NULL), EINVAL);
    CHECK_INT(seam.calls[CALL_iconv_open], asked + 1);
}

/* What is UTF-8 under another name is not iconv's business. */
TEST(charset_names_of_utf8)
{
    static const char *const words[] = { "utf-8", "UTF8", "us-ascii", "Ascii" };
    for (size_t i = 0; i < 4; i++) CHECK_INT(charset_decode(words[i], "\xC3\xA4", 2, false, "\xC3\xA4"), 0);
    CHECK_INT(seam.calls[CALL_iconv_open], 0);
    int code = charset_decode("utf-7", "a", 1, false, NULL); /* which not every libc has */
    CHECK(code == 0 || code == -EINVAL);
    CHECK_INT(seam.calls[CALL_iconv_open], 1);
}

/* glibc keeps back what a combining character may follow: at the end none does. */
TEST(charset_last_characters)
{
    CHECK_INT(charset_decode("windows-1258", "abc", 3, false, "abc"), 0);
    CHECK_INT(charset_decode("windows-1255", "x\xE0", 2, false, "x\xD7\x90"), 0);
    CHECK_INT(charset_decode("windows-1258", "a", 1, true, "a"), 0);
}

/* One byte that becomes three, many times: more than there is room for at first. */
TEST(charset_grows)
{
    char katakana[100], expected[301];
    memset(katakana, 0xB1, sizeof katakana);
    for (int i = 0; i < 100; i++) memcpy(expected + 3 * i, "\xEF\xBD\xB1", 4);
    CHECK_INT(charset_decode("shift_jis", katakana, sizeof katakana, false, expected), 0);
}

TEST(charset_bad_bytes)
{
    static const struct { const char *charset, *data; size_t length; int bad; const char *kept, *replaced; } rows[] = {
        { "utf-8", "12345678\xFFz", 10, 8, "12345678", "12345678\xEF\xBF\xBDz" },
        { "utf-8", "a\xC3", 2, 1, "a", "a\xEF\xBF\xBD" },
        { "utf-8", "a\xE2\x82z", 4, 1, "a", "a\xEF\xBF\xBDz" },
        { "utf-8", "a\xF0\x9F\x98", 4, 1, "a", "a\xEF\xBF\xBD" },
        { "utf-8", "a\xC0\x80", 3, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "utf-8", "a\xED\xA0\x80", 4, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "utf-8", "a\xF4\x90\x80\x80", 5, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "utf-8", "a\xE0\x80z", 4, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBDz" },
        { "shift_jis", "a\x83", 2, 1, "a", "a\xEF\xBF\xBD" },
        { "utf-8", "a\xF0\x90\x80z", 5, 1, "a", "a\xEF\xBF\xBDz" },
        { "utf-8", "a\xF4\x8F\xBFz", 5, 1, "a", "a\xEF\xBF\xBDz" },
        { "utf-8", "a\xF0\x8F\x80z", 5, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz" },
        { "utf-8", "a\xE0\xA0z", 4, 1, "a", "a\xEF\xBF\xBDz" },
        { "utf-8", "a\xED\x9Fz", 4, 1, "a", "a\xEF\xBF\xBDz" },
        { "utf-8", "\x80\xC1\xF5", 3, 0, "", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "euc-jp", "a\xFF\xFF" "b", 4, 1, "a", "a\xEF\xBF\xBD\xEF\xBF\xBD" "b" },
        { "windows-1255", "\xE0\xFFz\xE0", 4, 1, "\xD7\x90", "\xD7\x90\xEF\xBF\xBDz\xD7\x90" },
        /* a whole unit is passed over: what follows stays what it is */
        { "utf-16le", "A\0\0\xD8" "B\0C", 8, 2, "A", "A\xEF\xBF\xBD" "BC" },
        { "UTF-16BE", "\0A\xDC\0\0B\0C", 8, 2, "A", "A\xEF\xBF\xBD" "BC" },
        { "utf-16le", "A\0z", 3, 2, "A", "A\xEF\xBF\xBD" },
        { "utf-32le", "A\0\0\0\0\0\x11\xFF" "B\0\0", 12, 4, "A", "A\xEF\xBF\xBD" "B" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(charset_decode(rows[i].charset, rows[i].data, rows[i].length, false, rows[i].kept), rows[i].bad);
        int code = charset_decode(rows[i].charset, rows[i].data, rows[i].length, true, rows[i].replaced);
        CHECK_INT(code, 0);
    }
    CHECK_INT(charset_decode("utf-16le", "a\0\x00\xD8z", 5, false, "a"), 2);
}

TEST(charset_marks)
{
    size_t n;
    CHECK_STR(aio__charset_mark(aio__text("\xEF\xBB\xBFx", 4), &n), "utf-8");
    CHECK_INT((int)n, 3);
    CHECK_STR(aio__charset_mark(aio__text("\xFE\xFF", 2), &n), "utf-16be");
    CHECK_STR(aio__charset_mark(aio__text("\xFF\xFEx", 3), &n), "utf-16le");
    CHECK_INT((int)n, 2);
    CHECK(!aio__charset_mark(aio__text("\xEF\xBB\xBF", 2), &n) && !n);
    CHECK(!aio__charset_mark(aio__text(at_the_edge("\xFE", 1), 1), &n));
    CHECK(!aio__charset_mark(aio__text("", 0), &n));
}

TEST(charset_for_users)
{
    aio_text text;
    aio_input_error error;
    memset(&error, 0xff, sizeof error);
    CHECK_INT(aio_charset_decode(&text, "\xE4", 1, &error, .charset = "iso-8859-1"), 0);
    CHECK_STR(text.data, "\xC3\xA4");
    CHECK_INT(text.length, 2);
    CHECK_INT(error.offset, 0);
    CHECK_STR(error.reason, "");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "\xEF\xBB\xBFx", 4, NULL, .charset = "iso-8859-1"), 0);
    CHECK_STR(text.data, "x");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "\xFE\xFF\0a", 4, NULL), 0);
    CHECK_STR(text.data, "a");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "\xEF\xBB\xBF\xFF", 4, &error), EILSEQ);
    CHECK(!text.data && error.offset == 3 && *error.reason);
    CHECK_INT(aio_charset_decode(&text, "ab\xFF", 3, NULL), EILSEQ);
    CHECK_INT(aio_charset_decode(&text, "a\xFF", 2, NULL, .replace = true), 0);
    CHECK_STR(text.data, "a\xEF\xBF\xBD");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "\xEF\xBB\xBF", 3, NULL, .ignore_mark = true), 0);
    CHECK_STR(text.data, "\xEF\xBB\xBF");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "", 0, &error), 0);
    CHECK_STR(text.data, "");
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, "a", 1, &error, .charset = "no-such"), EINVAL);
    CHECK_STR(error.reason, "no such charset");
    CHECK_INT(aio_charset_decode(&text, "\xFF\xFE\0\0a\0\0", 8, NULL, .charset = "UTF-32"), 0);
    CHECK_STR(text.data, "a"); /* and not the mark of UTF-16 */
    aio_text_clear(&text);
    CHECK_INT(aio_charset_decode(&text, NULL, 0, &error), 0);
    CHECK_STR(text.data, "");
    aio_text_clear(&text);
    text = aio__text("old", 3);
    CHECK_INT(aio_charset_decode(&text, NULL, 1, &error), EINVAL);
    CHECK(!text.data && !text.length);
    CHECK_INT(aio_charset_decode(NULL, "a", 1, &error), EINVAL);
}

struct charset_faults { aio_task task; aio__buffer out; size_t bad; int code; aio_text text; aio_input_error error; };
SCENARIO(charset_faults)
{
    AIO_BEGIN(charset_faults);
    self->code = aio__charset_decode(aio__text("iso-8859-1", 10), aio__text("\xE4", 1), false, &self->out, &self->bad);
    REQUIRE(!self->code);
    CHECK_BYTES(self->out.data, self->out.end, "\xC3\xA4");
    self->code = aio_charset_decode(&self->text, "\xFF\xFE" "a\0\x00\xD8z", 7, &self->error, .replace = true);
    ALWAYS(!self->code || self->code == ENOMEM || self->code == EINVAL || self->code == EMFILE);
    ALWAYS(self->error.offset == 0);
    if (self->code == ENOMEM) ALWAYS(strcmp(self->error.reason, "out of memory") == 0);
    if (self->code == EMFILE) ALWAYS(strcmp(self->error.reason, "too many open files") == 0);
    REQUIRE(!self->code);
    CHECK_BYTES(self->text.data, self->text.length, "a\xEF\xBF\xBD\xEF\xBF\xBD");
    AIO_FINALLY;
    aio__free(self->out.data);
    aio_text_clear(&self->text);
    AIO_END;
}
