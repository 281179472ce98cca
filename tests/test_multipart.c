/* Multipart bodies: parts whatever the cuts, headers, limits, nesting, and through a real request and response. */

/* A body in pieces: of one size, or cut once at `cut`. */
struct mp_body { const char *data; size_t length, at, cut, piece; char *copy; };
struct mp_read { aio_task task; aio_text result; struct mp_body *body; };
static AIO_CORO(mp_read)
{
    AIO_BEGIN(mp_read);
    AIO_AWAIT(aio_sleep(0));
    free(self->body->copy);
    self->body->copy = NULL;
    self->result.length = self->body->length - self->body->at;
    if (self->body->piece && self->result.length > self->body->piece) self->result.length = self->body->piece;
    if (self->body->at < self->body->cut && self->result.length > self->body->cut - self->body->at)
        self->result.length = self->body->cut - self->body->at;
    /* at the end of a block of its own, which goes with the next piece */
    self->result.data = self->body->copy = url_exact(self->body->data + self->body->at, self->result.length);
    self->body->at += self->result.length;
    AIO_END;
}
static aio_text_task *mp_source(void *body)
{
    return (aio_text_task *)(void *)AIO_CALL(mp_read, .body = (struct mp_body *)body);
}

/* Writes what the parts are: name(filename)type=data; ... and '!' with the code of an error. */
struct mp_all { aio_task task; struct mp_body *body; const char *type; bool pieces; size_t most; aio_multipart *m; aio_part *part;
                aio_text text; aio_multipart_options options; char out[512]; size_t n; };
static void mp_add(struct mp_all *self, const char *data, size_t n)
{
    if (n > sizeof self->out - 1 - self->n) n = sizeof self->out - 1 - self->n;
    memcpy(self->out + self->n, data, n);
    self->out[self->n += n] = '\0';
}
static AIO_CORO(mp_all)
{
    AIO_BEGIN(mp_all);
    self->m = aio__multipart_open(aio__text(self->type, strlen(self->type)), mp_source, self->body, &self->options);
    if (!self->m) AIO_RAISE(errno);
    AIO_TRY {
        AIO_ASYNC_FOR(self->part, aio_multipart_next(self->m)) {
            if (self->part->name) mp_add(self, self->part->name, strlen(self->part->name));
            if (self->part->filename) {
                mp_add(self, "(", 1);
                mp_add(self, self->part->filename, strlen(self->part->filename));
                mp_add(self, ")", 1);
            }
            if (strcmp(self->part->type, "text/plain") != 0) mp_add(self, self->part->type, strlen(self->part->type));
            mp_add(self, "=", 1);
            if (self->pieces) {
                AIO_ASYNC_FOR(self->text, aio_part_read_chunk(self->part)) mp_add(self, self->text.data, self->text.length);
            } else {
                AIO_AWAIT(self->text, aio_part_read(self->part));
                ALWAYS(self->text.data[self->text.length] == '\0');
                mp_add(self, self->text.data, self->text.length);
            }
            mp_add(self, ";", 1);
        }
    } AIO_CATCH_CODE(AIO_EPAYLOAD, AIO_ELIMIT) {
        mp_add(self, "!", 1);
        if (aio_caught(self)->code == AIO_ELIMIT) { /* which one */
            const char *limit = strstr(aio_caught(self)->message, "max_");
            ALWAYS(limit != NULL);
            mp_add(self, limit, strspn(limit, "_abcdefghijklmnopqrstuvwxyz"));
        } else {
            mp_add(self, "payload", 7);
        }
    } AIO_END_TRY;
    AIO_FINALLY;
    aio_multipart_close(self->m);
    AIO_END;
}

#define MP_TYPE "multipart/form-data; boundary=xyz"
#define MP_PART(fields, data) "--xyz\r\n" fields "\r\n" data "\r\n"
#define MP_NAME(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"
static const struct mp_case { const char *type, *body, *expected; } mp_cases[] = {
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz--", "a=1;" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "") MP_PART(MP_NAME("b"), "2") "--xyz--\r\n", "a=;b=2;" },
    { MP_TYPE, "--xyz\r\n" MP_NAME("a") "\r\n--xyz--", "a=;" },
    { MP_TYPE, "preamble\r\n--xy\r\n" MP_PART(MP_NAME("a"), "1") "--xyz--\r\nepilogue --xyz\r\n\r\n", "a=1;" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "\r\n--xy\r\r\n--x\r\n-\r\n") "--xyz--", "a=\r\n--xy\r\r\n--x\r\n-\r\n;" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1\r\n--xy") "--xyz \t \r\n" MP_NAME("b") "\r\n2\r\n--xyz--", "a=1\r\n--xy;b=2;" },
    /* longer boundaries, of a multipart within, whose beginning is the outer one */
    { MP_TYPE, MP_PART(MP_NAME("a"), "1\r\n--xyz1\r\n2\r\n--xyz-b--\r\n--xyz-\r\n") "--xyz--",
      "a=1\r\n--xyz1\r\n2\r\n--xyz-b--\r\n--xyz-\r\n;" },
    { MP_TYPE, "--xyz\r\n" MP_NAME("a") "\r\n--xyzz\r\n--xyz--", "a=--xyzz;" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz-x", "a=1\r\n--xyz-x!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz\n\r\n--xyz--", "a=1;!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz x\r\n--xyz--", "a=1;!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz\x80\r\n--xyz--", "a=1;!payload" },
    { MP_TYPE, "--xyz--", "" },
    { "Multipart/Mixed ; x=\"b;c\" ; BOUNDARY = \"a b\"", "--a b\r\nContent-Type: Text/HTML; charset=x\r\n\r\n<\r\n--a b--", "text/html=<;" },
    { MP_TYPE, MP_PART("content-disposition: FORM-DATA; filename=\"C:\\dir\\a\\\"b.txt\"; name = n ;x\r\nX: y\r\n", "1") "--xyz--",
      "n(C:\\dir\\a\"b.txt)=1;" },
    /* a quote that a backslash stands before ends no value, nor does the field's end */
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename=\"a\\\"\r\n", "1") "--xyz--", "n(a\")=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename=\"a\\\r\n", "1") "--xyz--", "n(a\\)=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename=old; filename*=utf-8'en'%e2%82%ac%20x; filename=p\r\n", "1") "--xyz--",
      "n(\xE2\x82\xAC x)=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename*=utf-8''; filename=p\r\n", "1") "--xyz--", "n()=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename*=utf-8''a.php%00.jpg\r\n", "1") "--xyz--",
      "n(a.php%00.jpg)=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; filename*=utf-8'; filename=p\r\n", "1") "--xyz--", "n(p)=1;" },
    { "multipart/mixed \t; boundary \t= xyz \t; c=d", MP_PART(MP_NAME("a"), "1") "--xyz--", "a=1;" },
    { MP_TYPE, "--xyz\rx: y\r\n\r\n1\r\n--xyz--", "!payload" },
    { MP_TYPE, MP_PART("Content-Disposition: attachment; name=n; filename*=latin1''x\r\n", "1") "--xyz--", "=1;" },
    { MP_TYPE, MP_PART("Content-Disposition: form-data; name=n; name=m; filename=p; filename=q\r\n", "1") "--xyz--", "n(p)=1;" },
    { MP_TYPE, MP_PART(MP_NAME("a") "X: \r\nY:\r\nZ:\t \r\n", "1") "--xyz--", "a=1;" }, /* values of nothing */
    /* what is wrong with it */
    { MP_TYPE, "", "!payload" },
    { MP_TYPE, "no delimiter", "!payload" },
    { MP_TYPE, "x--xyz\r\n\r\n", "!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1"), "a=1!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz", "a=1;!payload" },
    { MP_TYPE, MP_PART(MP_NAME("a"), "1") "--xyz-", "a=1;!payload" },
    { MP_TYPE, "--xyz\r\n" MP_NAME("a") "\r\n1\r\n--xy", "a=1!payload" },
    { MP_TYPE, "--xyz\r\n" MP_NAME("a"), "!payload" },
    { MP_TYPE, "--xyzz\r\n\r\n1\r\n--xyz--", "!payload" },
    { MP_TYPE, "--xyz-\r\n\r\n1\r\n--xyz--", "!payload" },
    { MP_TYPE, "--xyz --\r\n", "!payload" },
    { MP_TYPE, "--xyz\rx", "!payload" },
    { MP_TYPE, MP_PART("no colon\r\n", "1") "--xyz--", "!payload" },
    { MP_TYPE, MP_PART(": v\r\n", "1") "--xyz--", "!payload" },
    { MP_TYPE, MP_PART("a b: v\r\n", "1") "--xyz--", "!payload" },
    { MP_TYPE, MP_PART("a: \001\r\n", "1") "--xyz--", "!payload" },
    { MP_TYPE, MP_PART("a: 1\rb: 2\r\n", "1") "--xyz--", "!payload" },
    { MP_TYPE, MP_PART("a: 1\nb: 2\r\n", "1") "--xyz--", "!payload" },
};

/* Every case whole, in pieces of one byte, and cut at every place. */
struct multipart_cases { aio_task task; struct mp_all *run; struct mp_body body; size_t i, cut; };
SCENARIO(multipart_cases, .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_CANCEL /* thousands of runs: multipart_faults */)
{
    AIO_BEGIN(multipart_cases);
    for (self->i = 0; self->i < sizeof mp_cases / sizeof *mp_cases; self->i++)
        for (self->cut = 0; self->cut <= strlen(mp_cases[self->i].body) + 1; self->cut++) {
            memset(&self->body, 0, sizeof self->body);
            self->body.data = mp_cases[self->i].body;
            self->body.length = strlen(self->body.data);
            self->body.cut = self->cut;
            self->body.piece = self->cut > self->body.length;
            self->run = AIO_CALL(mp_all, .body = &self->body, .type = mp_cases[self->i].type, .pieces = true);
            AIO_AWAIT((struct mp_all *)aio_ref(self->run));
            if (strcmp(self->run->out, mp_cases[self->i].expected) != 0) printf("# case %zu cut %zu\n", self->i, self->cut);
            CHECK_STR(self->run->out, mp_cases[self->i].expected);
            aio_unref(self->run);
            free(self->body.copy);
        }
    self->run = NULL;
    AIO_END;
}

TEST(multipart_types)
{
    static const char *const wrong[] = {
        "", "text/plain", "multipart", "multipart/mixed", "multipart/mixed; boundary=", "multipart/mixed; boundary=\"\"",
        "application/x; boundary=a", "multiparty/mixed; boundary=a", "multipart/mixed; boundary=\"a \"", "multipart/mixed; boundary=\"a\001\"",
        "multipart/mixed; boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK(!aio__multipart_open(aio__text(wrong[i], strlen(wrong[i])), mp_source, NULL, NULL) && errno == EINVAL);
    }
    static const char longest[] = "multipart/mixed; boundary=1234567890123456789012345678901234567890123456789012345678901234567890";
    aio_multipart *m = aio__multipart_open(aio__text(longest, strlen(longest)), mp_source, NULL, NULL);
    CHECK(m && m->length == 70 + 4);
    aio_multipart_close(m);
    errno = 0;
    CHECK(!aio_response_multipart(NULL) && errno == EINVAL);
    errno = 0;
    CHECK(!aio_request_multipart(NULL) && errno == EINVAL);
    CHECK(!aio_part_multipart(NULL));
    aio_multipart_close(NULL);
}

/* Each limit, and a part that is not read. */
struct multipart_limits { aio_task task; struct mp_all *run; struct mp_body body; int i; };
SCENARIO(multipart_limits)
{
    static const struct { aio_multipart_options options; const char *expected; } rows[] = {
        { { .max_part = 3 }, "aa=123;bb=!max_part" }, { { .max_part = 4 }, "aa=123;bb=4567;" },
        { { .max_parts = 1 }, "aa=123;!max_parts" }, { { .max_parts = 2 }, "aa=123;bb=4567;" },
        { { .max_fields = 1 }, "aa=123;!max_fields" }, { { .max_fields = 2 }, "aa=123;bb=4567;" },
        { { .max_head = 44 }, "!max_head" }, { { .max_head = 45 }, "aa=123;!max_head" },
        { { .max_head = 60 }, "aa=123;bb=4567;" },
    };
    AIO_BEGIN(multipart_limits);
    for (self->i = 0; self->i < 9; self->i++) {
        memset(&self->body, 0, sizeof self->body);
        self->body.data = MP_PART(MP_NAME("aa"), "123") MP_PART(MP_NAME("bb") "X: 1\r\n", "4567") "--xyz--";
        self->body.length = strlen(self->body.data);
        REQUIRE(self->run = AIO_CALL(mp_all, .body = &self->body, .type = MP_TYPE, .options = rows[self->i].options));
        AIO_AWAIT((struct mp_all *)aio_ref(self->run));
        CHECK_STR(self->run->out, rows[self->i].expected);
        aio_unref(self->run);
        self->run = NULL;
        free(self->body.copy);
        self->body.copy = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->run);
    free(self->body.copy);
    AIO_END;
}

/* Transfer codings undone, or what is wrong: whole, and in pieces of one byte. */
struct multipart_transfer_codings { aio_task task; struct mp_body body; aio_multipart *m; aio_part *part; aio_text text; char all[256];
                  int i, piece; };
SCENARIO(multipart_transfer_codings)
{
    static const struct { const char *coding, *data, *expected; } rows[] = { /* expected NULL: refused */
        { "base64", "", "" }, { "Base64", "YQ==", "a" }, { "base64", "YWI=", "ab" }, { "base64", "YWJj", "abc" },
        { "base64", " Y W\r\n\tJj\r\nZA= =\r\n", "abcd" }, { "base64", "////++++", "\xFF\xFF\xFF\xFB\xEF\xBE" },
        { "base64", "Y", NULL }, { "base64", "YQ", NULL }, { "base64", "YQ=", NULL }, { "base64", "YQ===", NULL },
        { "base64", "=", NULL }, { "base64", "====", NULL }, { "base64", "YWJj=", NULL }, { "base64", "YQ==YQ==", NULL },
        { "base64", "YW-j", NULL }, { "base64", "YW\xFFj", NULL },
        { "quoted-printable", "a=41=3d=C3=a4", "aA=\xC3\xA4" }, { "Quoted-Printable", "a =\r\nb= \t\r\nc=\nd", "a bcd" },
        { "quoted-printable", "a \t\r\n\r\n  b \n c \t", "a\r\n\r\n  b\n c" }, { "quoted-printable", "a=20 \r\nb=", "a \r\nb" },
        { "quoted-printable", "a\rb\r\n", "a\rb\r\n" }, { "quoted-printable", "a= ", "a" }, { "quoted-printable", "", "" },
        { "quoted-printable", "a=4", NULL }, { "quoted-printable", "a=4g", NULL }, { "quoted-printable", "a=g4", NULL },
        { "quoted-printable", "a=\rb", NULL }, { "quoted-printable", "a= b", NULL },
        { "7bit", "a=41 ", "a=41 " }, { "8BIT", "YQ==", "YQ==" }, { "binary", "=", "=" }, { "x-uuencode", "a", NULL },
    };
    AIO_BEGIN(multipart_transfer_codings);
    for (self->i = 0; self->i < 2 * (int)(sizeof rows / sizeof *rows); self->i++) {
        snprintf(self->all, sizeof self->all, MP_PART("Content-Transfer-Encoding: %s\r\n", "%s") MP_PART("", "YQ==") "--xyz--",
                 rows[self->i / 2].coding, rows[self->i / 2].data);
        memset(&self->body, 0, sizeof self->body);
        self->body.data = self->all;
        self->body.length = strlen(self->all);
        self->body.piece = (size_t)self->i % 2;
        REQUIRE(self->m = aio__multipart_open(aio__text(MP_TYPE, sizeof MP_TYPE - 1), mp_source, &self->body, NULL));
        AIO_AWAIT(self->part, aio_multipart_next(self->m));
        AIO_TRY {
            AIO_AWAIT(self->text, aio_part_read_decoded(self->part));
            REQUIRE(rows[self->i / 2].expected);
            CHECK_BYTES(self->text.data, self->text.length, rows[self->i / 2].expected);
            CHECK_INT(self->text.data[self->text.length], 0);
            AIO_AWAIT(self->text, aio_part_read_decoded(self->part)); /* not decoded twice */
            CHECK_BYTES(self->text.data, self->text.length, rows[self->i / 2].expected);
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
            if (!seam.fired) CHECK(!rows[self->i / 2].expected);
            if (!seam.fired) CHECK(strstr(aio_caught(self)->message, "Content-Transfer-Encoding") != NULL);
        } AIO_END_TRY;
        AIO_AWAIT(self->part, aio_multipart_next(self->m)); /* which has none */
        AIO_AWAIT(self->text, aio_part_read_decoded(self->part));
        CHECK_BYTES(self->text.data, self->text.length, "YQ==");
        aio_multipart_close(self->m);
        self->m = NULL;
        free(self->body.copy);
        self->body.copy = NULL;
    }
    AIO_FINALLY;
    aio_multipart_close(self->m);
    free(self->body.copy);
    AIO_END;
}

/* A multipart within one; parts that are passed over; two who read at once. */
struct multipart_nests { aio_task task; struct mp_body body; aio_multipart *outer, *inner; aio_part *part, *within; aio_text text;
                         int parts; };
SCENARIO(multipart_nests)
{
    static const char body[] =
        "--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\none\r\n--i\r\nContent-Type: multipart/x; "
        "boundary=deep\r\n\r\n--deep--\r\n--i--\r\nafter\r\n--o\r\n\r\nlast\r\n--o\r\n\r\nskipped\r\n--o--\r\n";
    AIO_BEGIN(multipart_nests);
    self->body.data = body;
    self->body.length = sizeof body - 1;
    self->body.piece = 7;
    REQUIRE(self->outer = aio__multipart_open(aio__text("multipart/mixed; boundary=o", 27), mp_source, &self->body,
                                              &(aio_multipart_options){ .max_depth = 2 }));
    AIO_AWAIT(self->part, aio_multipart_next(self->outer));
    REQUIRE(self->inner = aio_part_multipart(self->part));
    AIO_AWAIT(self->within, aio_multipart_next(self->inner));
    AIO_AWAIT(self->text, aio_part_read(self->within));
    CHECK_BYTES(self->text.data, self->text.length, "one");
    AIO_AWAIT(self->within, aio_multipart_next(self->inner));
    CHECK_STR(self->within->type, "multipart/x");
    errno = 0;
    CHECK(!aio_part_multipart(self->within) && errno == AIO_ELIMIT);
    AIO_ASYNC_FOR(self->within, aio_multipart_next(self->inner)) UNREACHED();
    AIO_AWAIT(self->part, aio_multipart_next(self->outer));
    AIO_AWAIT(self->text, aio_part_read_chunk(self->part));
    CHECK(self->text.length > 0);
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->outer)) self->parts++;
    CHECK_INT(self->parts, 1);
    AIO_FINALLY;
    aio_multipart_close(self->inner);
    aio_multipart_close(self->outer);
    free(self->body.copy);
    AIO_END;
}

/* With a depth of 1 no part is a multipart. */
struct multipart_flat { aio_task task; struct mp_body body; aio_multipart *outer; aio_part *part; };
SCENARIO(multipart_flat)
{
    static const char body[] = "--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i--\r\n--o--\r\n";
    AIO_BEGIN(multipart_flat);
    self->body.data = body;
    self->body.length = sizeof body - 1;
    self->body.piece = 7;
    REQUIRE(self->outer = aio__multipart_open(aio__text("multipart/mixed; boundary=o", 27), mp_source, &self->body,
                                              &(aio_multipart_options){ .max_depth = 1 }));
    AIO_AWAIT(self->part, aio_multipart_next(self->outer));
    errno = 0;
    CHECK(!aio_part_multipart(self->part) && errno == AIO_ELIMIT);
    AIO_FINALLY;
    aio_multipart_close(self->outer);
    free(self->body.copy);
    AIO_END;
}

/* What is called before its multipart, or the one around that, is closed, and begins behind it or never. */
struct multipart_begins_late { aio_task task; struct mp_body body; aio_multipart *outer, *inner; aio_part *part;
                               void *calls[4]; int i; };
SCENARIO(multipart_begins_late)
{
    static const char body[] = "--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\none\r\n--i--\r\n--o--\r\n";
    AIO_BEGIN(multipart_begins_late);
    self->body.data = body;
    self->body.length = sizeof body - 1;
    self->body.piece = 7;
    REQUIRE(self->outer = aio__multipart_open(aio__text("multipart/mixed; boundary=o", 27), mp_source, &self->body, NULL));
    AIO_AWAIT(self->part, aio_multipart_next(self->outer));
    REQUIRE(self->inner = aio_part_multipart(self->part));
    REQUIRE(self->calls[0] = aio_multipart_next(self->inner));
    aio_unref(self->calls[0]);
    REQUIRE(self->calls[0] = aio_create_task(aio_multipart_next(self->inner)));
    REQUIRE(self->calls[1] = aio_create_task(aio_part_read(self->part)));
    REQUIRE(self->calls[2] = aio_create_task(aio_part_read_chunk(self->part)));
    REQUIRE(self->calls[3] = aio_multipart_next(self->outer));
    aio_multipart_close(self->outer);
    self->outer = NULL;
    aio_multipart_close(self->inner);
    self->inner = NULL;
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TRY {
            AIO_AWAIT((aio_future *)aio_ref(self->calls[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(ECONNABORTED);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
    for (int i = 0; i < 4; i++) aio_unref(self->calls[i]);
    aio_multipart_close(self->inner);
    aio_multipart_close(self->outer);
    free(self->body.copy);
    AIO_END;
}

/* One reads at a time. A read that is given up within a delimiter takes nothing: the next one goes on behind it. Where
 * the body ends in a delimiter that is not the last, the part before it is whole, and the next one says what is wrong. */
struct mp_slow { aio_task task; aio_text result; int *at; };
static AIO_CORO(mp_slow)
{
    static const char *const pieces[] = { "--xyz\r\n\r\none\r\n-", "-xy", "two\r\n--xyz" };
    AIO_BEGIN(mp_slow);
    AIO_AWAIT(aio_sleep(2));
    const char *piece;
    piece = *self->at < 3 ? pieces[*self->at] : "";
    ++*self->at;
    AIO_RETURN(aio__text(piece, strlen(piece)));
    AIO_END;
}
static aio_text_task *mp_slow_source(void *at) { return (aio_text_task *)(void *)AIO_CALL(mp_slow, .at = (int *)at); }

struct multipart_given_up { aio_task task; aio_multipart *m; aio_part *part; aio_text text; void *other; int at; };
SCENARIO(multipart_given_up, .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(multipart_given_up);
    REQUIRE(self->m = aio__multipart_open(aio__text("multipart/mixed; boundary=xyz", 29), mp_slow_source, &self->at,
                                          NULL));
    AIO_AWAIT(self->part, aio_multipart_next(self->m));
    AIO_TRY {
        AIO_AWAIT(self->text, aio_wait_for(aio_part_read(self->part), 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    REQUIRE(self->other = aio_create_task(aio_part_read(self->part)));
    AIO_AWAIT(aio_sleep(0.5));
    AIO_TRY {
        AIO_AWAIT(self->text, aio_part_read_chunk(self->part));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK(strstr(aio_caught(self)->message, "another coroutine is reading this multipart"));
    } AIO_END_TRY;
    AIO_AWAIT((aio_future *)aio_ref(self->other));
    self->text = ((aio_text_task *)self->other)->result;
    CHECK_STR(self->text.data, "one\r\n--xytwo");
    AIO_TRY {
        AIO_AWAIT(self->part, aio_multipart_next(self->m));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EPAYLOAD);
        CHECK(strstr(aio_caught(self)->message, "the body ends before the last delimiter"));
    } AIO_END_TRY;
    AIO_FINALLY;
    fd_end_task(self->other);
    aio_multipart_close(self->m);
    AIO_END;
}

/* Through HTTP: the server takes a form apart and answers with a multipart, which the client takes apart. */
struct mp_echo { aio_task task; aio_request *request; aio_multipart *m; aio_part *part; aio_text text; char answer[256]; int n; };
static AIO_CORO(mp_echo)
{
    static const char *const headers[] = { "Content-Type", "multipart/mixed; boundary=back", NULL };
    AIO_BEGIN(mp_echo);
    self->m = aio_request_multipart(self->request, .max_parts = 8);
    if (!self->m) AIO_RAISE(errno);
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->m)) {
        AIO_AWAIT(self->text, aio_part_read(self->part));
        self->n += snprintf(self->answer + self->n, sizeof self->answer - (size_t)self->n, "--back\r\n\r\n%s is %s\r\n",
                            self->part->name, self->text.data);
    }
    self->n += snprintf(self->answer + self->n, sizeof self->answer - (size_t)self->n, "--back--\r\n");
    AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->answer, .length = (size_t)self->n,
                                  .headers = headers));
    AIO_FINALLY;
    aio_multipart_close(self->m);
    AIO_END;
}
static void *mp_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(mp_echo, .request = request);
}

struct multipart_http { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_multipart *m;
                        aio_part *part; aio_text text; char url[64]; int parts; };
SCENARIO(multipart_http, .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, EINVAL })
{
    static const char body[] = MP_PART(MP_NAME("a"), "1") MP_PART(MP_NAME("b"), "2") "--xyz--\r\n";
    static const char *const headers[] = { "Content-Type", MP_TYPE, NULL };
    AIO_BEGIN(multipart_http);
    AIO_AWAIT(self->server, aio_start_http_server(mp_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .headers = headers, .data = body,
                                               .data_length = sizeof body - 1));
    REQUIRE(self->m = aio_response_multipart(self->response));
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->m)) {
        AIO_AWAIT(self->text, aio_part_read(self->part));
        CHECK_STR(self->text.data, self->parts++ ? "b is 2" : "a is 1");
    }
    CHECK_INT(self->parts, 2);
    aio_response_release(self->response);
    self->response = NULL;
    CHECK_INT((int)aio_session_idle(self->session), 1);
    AIO_FINALLY;
        aio_multipart_close(self->m);
        aio_response_release(self->response);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* One that is kept longer than its message, which a part of it has been read from: the request's handler is over, the
 * response released. Its reads say so; what its last part was called stays. */
struct multipart_outlives { aio_task task; aio_server *server; aio_session *session; aio_response *response;
                            aio_multipart *m[2]; aio_part *part[2]; aio_text text; char url[64]; int i; bool over; };
struct mp_keeps { aio_task task; aio_request *request; struct multipart_outlives *of; aio_text text; bool kept; };
static AIO_CORO(mp_keeps)
{
    static const char body[] = MP_PART(MP_NAME("c"), "3") MP_PART(MP_NAME("d"), "4") "--xyz--\r\n";
    static const char *const headers[] = { "Content-Type", MP_TYPE, NULL };
    AIO_BEGIN(mp_keeps);
    self->of->m[0] = aio_request_multipart(self->request);
    if (!self->of->m[0]) AIO_RAISE(errno);
    AIO_AWAIT(self->of->part[0], aio_multipart_next(self->of->m[0]));
    AIO_AWAIT(self->text, aio_part_read(self->of->part[0]));
    AIO_AWAIT(aio_request_respond(self->request, 200, .body = body, .length = sizeof body - 1, .headers = headers));
    self->kept = !self->of->over;
    AIO_FINALLY;
    if (!self->kept) {
        aio_multipart_close(self->of->m[0]);
        self->of->m[0] = NULL;
    }
    AIO_END;
}
static void *mp_keeping_handler(aio_request *request, void *arg)
{
    struct multipart_outlives *of = (struct multipart_outlives *)arg;
    return AIO_CALL(mp_keeps, .request = request, .of = of);
}

SCENARIO(multipart_outlives, .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, AIO_ESTATUS, ECONNRESET, EPIPE, EINVAL })
{
    static const char body[] = MP_PART(MP_NAME("a"), "1") MP_PART(MP_NAME("b"), "2") "--xyz--\r\n";
    static const char *const headers[] = { "Content-Type", MP_TYPE, NULL };
    AIO_BEGIN(multipart_outlives);
    AIO_AWAIT(self->server, aio_start_http_server(mp_keeping_handler, self, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .headers = headers, .data = body,
                                               .data_length = sizeof body - 1, .raise_for_status = true));
    REQUIRE(self->m[1] = aio_response_multipart(self->response));
    AIO_AWAIT(self->part[1], aio_multipart_next(self->m[1]));
    AIO_AWAIT(self->text, aio_part_read(self->part[1]));
    aio_response_release(self->response);
    self->response = NULL;
    AIO_AWAIT(aio_sleep(1));
    for (self->i = 0; self->i < 6; self->i++) {
        AIO_TRY {
            if (self->i < 2) AIO_AWAIT(aio_multipart_next(self->m[self->i & 1]));
            else if (self->i < 4) AIO_AWAIT(aio_part_read(self->part[self->i & 1]));
            else AIO_AWAIT(aio_part_read_chunk(self->part[self->i & 1]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(ECONNABORTED);
            CHECK(strstr(aio_caught(self)->message, "has ended"));
        } AIO_END_TRY;
    }
    CHECK_STR(self->part[0]->name, "a");
    CHECK_STR(self->part[1]->name, "c");
    AIO_FINALLY;
        self->over = true;
        aio_multipart_close(self->m[0]);
        aio_multipart_close(self->m[1]);
        self->m[0] = self->m[1] = NULL;
        aio_response_release(self->response);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
