/* JSON: what is a text and what is not, numbers, places of errors, looking things up, the writer. Inputs lie in a block
 * of their exact size, so that the address sanitizer sees a byte read beyond. */
#include <inttypes.h>

static aio_json *json_exact(const char *text, size_t length, aio_input_error *error)
{
    char *copy = (char *)malloc(length ? length : 1);
    memcpy(copy, text, length);
    aio_json *root = aio_json_parse(copy, length, error);
    free(copy);
    return root;
}

/* Parsed, and written again without blanks: what it is, for a check. */
static void json_check(const char *text, size_t length, const char *expected)
{
    aio_input_error error;
    aio_text again;
    aio_json *root = json_exact(text, length, &error);
    CHECK_STR(error.reason, "");
    if (!CHECK(root != NULL)) return;
    CHECK_INT(aio_json_dump(root, &again), 0);
    CHECK_BYTES(again.data, again.length, expected);
    aio_text_clear(&again);
    aio_json_free(root);
}

static void json_refused(const char *text, size_t length, const char *reason, size_t offset)
{
    aio_input_error error;
    errno = 0;
    aio_json *root = json_exact(text, length, &error);
    if (!CHECK(root == NULL)) printf("# %s\n", text);
    aio_json_free(root);
    CHECK_INT(errno, AIO_EJSON);
    CHECK_STR(error.reason, reason);
    CHECK_INT(error.offset, offset);
}

#define JSON(text) (text), sizeof(text) - 1

TEST(json_takes_what_the_grammar_has)
{
    static const struct { const char *text; size_t length; const char *expected; } rows[] = {
        { JSON("null"), "null" }, { JSON("true"), "true" }, { JSON("false"), "false" },
        { JSON(" \t\r\n 1 \t\r\n "), "1" }, { JSON("\xEF\xBB\xBF[]"), "[]" },
        { JSON("[]"), "[]" }, { JSON("[ ]"), "[]" }, { JSON("{}"), "{}" }, { JSON("{ \n }"), "{}" },
        { JSON("[1]"), "[1]" }, { JSON("[ 1 , 2 ]"), "[1,2]" }, { JSON("[[],{},[[]]]"), "[[],{},[[]]]" },
        { JSON("{\"a\":1}"), "{\"a\":1}" }, { JSON("{\"a\" : 1 , \"b\":{\"c\":[]}}"), "{\"a\":1,\"b\":{\"c\":[]}}" },
        { JSON("{\"a\":1,\"a\":2}"), "{\"a\":1,\"a\":2}" }, { JSON("{\"\":0}"), "{\"\":0}" },
        { JSON("\n\n                                      [\n        1\n]"), "[1]" },
        { JSON("\"\""), "\"\"" }, { JSON("\"abc\""), "\"abc\"" },
        { JSON("\"abcdefghijklmnopqrst\""), "\"abcdefghijklmnopqrst\"" },
        { JSON("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { JSON("\"\\u0041\\u00e9\\u20AC\\uD834\\uDd1e\""), "\"A\xC3\xA9\xE2\x82\xAC\xF0\x9D\x84\x9E\"" },
        { JSON("\"\\u0000\\u001f\\u007f\""), "\"\\u0000\\u001f\x7f\"" },
        { JSON("\"\\uFFFF\\uFDD0\""), "\"\xEF\xBF\xBF\xEF\xB7\x90\"" }, /* noncharacters are characters */
        { JSON("\"\\nabcdefghijklmnopq\\trstuvwxyz0123456\""), "\"\\nabcdefghijklmnopq\\trstuvwxyz0123456\"" },
        { JSON("\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""),
          "\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"" },
        { JSON("\"a\\\\\xE2\x82\xAC\\\"b\""), "\"a\\\\\xE2\x82\xAC\\\"b\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) json_check(rows[i].text, rows[i].length, rows[i].expected);
}

TEST(json_refuses_all_else_and_says_where)
{
    static const char early[] = "the text ends too early", value[] = "expected a value", digit[] = "expected a digit";
    static const char control[] = "expected no control character in a string",
        name[] = "expected a member's name in quotes";
    static const char behind[] = "expected nothing behind the value", element[] = "expected ',' or ']'";
    static const char member[] = "expected ',' or '}'", hex[] = "expected four hexadecimal digits",
        utf8[] = "expected UTF-8";
    static const char first[] = "a first half of a surrogate pair without a second";
    static const char second[] = "a second half of a surrogate pair without a first";
    static const char escape[] = "expected one of \"\\/bfnrtu behind a backslash";
    static const struct { const char *text; size_t length; const char *reason; size_t offset; } rows[] = {
        { JSON(""), early, 0 }, { JSON(" "), early, 1 }, { JSON("\xEF\xBB\xBF"), early, 3 },
        { JSON("\xEF\xBB"), value, 0 },
        { JSON("\0"), value, 0 }, { JSON("1\0"), behind, 1 }, { JSON("1 2"), behind, 2 }, { JSON("[] ]"), behind, 3 },
        { JSON("nul"), value, 0 }, { JSON("nulL"), value, 0 }, { JSON("True"), value, 0 }, { JSON("truex"), behind, 4 },
        { JSON("nan"), value, 0 }, { JSON("NaN"), value, 0 }, { JSON("Infinity"), value, 0 },
        { JSON("-Infinity"), digit, 1 },
        { JSON("'a'"), value, 0 }, { JSON("a"), value, 0 }, { JSON("//x\n1"), value, 0 },
        { JSON("[1/**/]"), element, 2 },
        { JSON("["), early, 1 }, { JSON("[1"), early, 2 }, { JSON("[1,"), early, 3 }, { JSON("[1,]"), value, 3 },
        { JSON("[,1]"), value, 1 }, { JSON("[1,,2]"), value, 3 }, { JSON("[1 2]"), element, 3 },
        { JSON("[1}"), element, 2 },
        { JSON("]"), value, 0 }, { JSON("[\"a\":1]"), element, 4 }, { JSON("[1]]"), behind, 3 },
        { JSON("[\f]"), value, 1 },
        { JSON("[\xA0]"), value, 1 }, { JSON("{"), early, 1 }, { JSON("{\"a\""), early, 4 },
        { JSON("{\"a\":"), early, 5 },
        { JSON("{\"a\":1"), early, 6 }, { JSON("{\"a\":1,"), early, 7 }, { JSON("{\"a\":1,}"), name, 7 },
        { JSON("{\"a\" 1}"), "expected ':'", 5 }, { JSON("{\"a\"}"), "expected ':'", 4 },
        { JSON("{\"a\":}"), value, 5 },
        { JSON("{a:1}"), name, 1 }, { JSON("{1:1}"), name, 1 }, { JSON("{,}"), name, 1 },
        { JSON("{\"a\":1]"), member, 6 },
        { JSON("{\"a\":1 \"b\":2}"), member, 7 }, { JSON("{\"a\":1,,\"b\":2}"), name, 7 },
        { JSON("{null:1}"), name, 1 },
        { JSON("\""), early, 1 }, { JSON("\"abc"), early, 4 }, { JSON("\"\\"), early, 2 }, { JSON("\"\\u"), early, 3 },
        { JSON("\"\\\""), early, 3 }, { JSON("\"a\nb\""), control, 2 }, { JSON("\"a\0b\""), control, 2 },
        { JSON("\"\x1f\""), control, 1 }, { JSON("\"\\n\t\""), control, 3 }, { JSON("\"\\x41\""), escape, 2 },
        { JSON("\"\\a\""), escape, 2 }, { JSON("\"\\\0\""), escape, 2 }, { JSON("\"\\U0041\""), escape, 2 },
        { JSON("\"\\u00g0\""), hex, 3 }, { JSON("\"\\u004\""), hex, 3 }, { JSON("\"\\u 041\""), hex, 3 },
        { JSON("\"\\uD800\""), first, 1 }, { JSON("\"\\uD800x\""), first, 1 }, { JSON("\"\\uD800\\n\""), first, 1 },
        { JSON("\"\\uD800\\uD800\""), first, 1 }, { JSON("\"\\uD800\\u00\""), first, 1 },
        { JSON("\"a\\uDC00\""), second, 2 },
        { JSON("\"\x80\""), utf8, 1 }, { JSON("\"\xC0\x80\""), utf8, 1 }, { JSON("\"\xC1\xBF\""), utf8, 1 },
        { JSON("\"\xC2\""), utf8, 1 }, { JSON("\"\xE0\x9F\xBF\""), utf8, 1 }, { JSON("\"\xED\xA0\x80\""), utf8, 1 },
        { JSON("\"\xE2\x82\""), utf8, 1 }, { JSON("\"\xF0\x8F\xBF\xBF\""), utf8, 1 },
        { JSON("\"\xF4\x90\x80\x80\""), utf8, 1 },
        { JSON("\"\xF5\x80\x80\x80\""), utf8, 1 }, { JSON("\"\\n\xFF\""), utf8, 3 },
        { JSON("\"12345678\xC3("), utf8, 9 },
        { JSON("-"), early, 1 }, { JSON("+1"), value, 0 }, { JSON(".5"), value, 0 }, { JSON("-.5"), digit, 1 },
        { JSON("1."), early, 2 }, { JSON("1.e1"), digit, 2 }, { JSON("1e"), early, 2 }, { JSON("1e+"), early, 3 },
        { JSON("[1e]"), digit, 3 }, { JSON("1ee1"), digit, 2 }, { JSON("1.2.3"), behind, 3 }, { JSON("01"), behind, 1 },
        { JSON("-01"), behind, 2 }, { JSON("00"), behind, 1 }, { JSON("0x10"), behind, 1 }, { JSON("1a"), behind, 1 },
        { JSON("--1"), digit, 1 }, { JSON("[-]"), digit, 2 }, { JSON("1_000"), behind, 1 },
        { JSON("\xEF\xBC\x91"), value, 0 },
        { JSON("1e999"), "expected a number that a double can hold", 0 },
        { JSON("[-1e309]"), "expected a number that a double can hold", 2 },
        { JSON("179769313486231580793e289"), "expected a number that a double can hold", 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        json_refused(rows[i].text, rows[i].length, rows[i].reason, rows[i].offset);
}

TEST(json_every_prefix_is_refused)
{
    static const char text[] =
        "{\"a\": [1.5e3, \"\\u20ac\xE2\x82\xAC\", {\"b\": null}], \"c\": true, \"\\uD834\\uDD1E\": -0.1}";
    aio_input_error error;
    for (size_t n = 0; n < sizeof text - 1; n++) CHECK(json_exact(text, n, &error) == NULL);
    aio_json *root = json_exact(text, sizeof text - 1, &error);
    CHECK(root != NULL);
    aio_json_free(root);
}

TEST(json_counts_lines_and_columns)
{
    static const struct { const char *text; unsigned line, column; size_t offset; } rows[] = {
        { "x", 1, 1, 0 }, { "[\n 1,\n x]", 3, 2, 7 }, { "[\"\xE2\x82\xAC\xC3\xA9\", x]", 1, 8, 10 },
        { "\n\n\r\n ?", 4, 2, 5 },
        { "{\n\t\"a\": tru\n}", 2, 7, 8 }, { "[1", 1, 3, 2 },
    };
    aio_input_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(json_exact(rows[i].text, strlen(rows[i].text), &error) == NULL);
        CHECK_INT(error.line, rows[i].line);
        CHECK_INT(error.column, rows[i].column);
        CHECK_INT(error.offset, rows[i].offset);
    }
}

TEST(json_numbers_are_exact)
{
    static const struct { const char *text; enum aio_json_kind kind; const char *again; } rows[] = {
        { "0", AIO_JSON_INT, "0" }, { "-0", AIO_JSON_DOUBLE, "-0.0" }, { "-0.0", AIO_JSON_DOUBLE, "-0.0" },
        { "9223372036854775807", AIO_JSON_INT, NULL }, { "-9223372036854775808", AIO_JSON_INT, NULL },
        { "9223372036854775808", AIO_JSON_UINT, NULL }, { "18446744073709551615", AIO_JSON_UINT, NULL },
        { "18446744073709551616", AIO_JSON_DOUBLE, "18446744073709552000.0" },
        { "99999999999999999999", AIO_JSON_DOUBLE, "100000000000000000000.0" },
        { "-9223372036854775809", AIO_JSON_DOUBLE, "-9223372036854776000.0" }, { "1.0", AIO_JSON_DOUBLE, NULL },
        { "1e0", AIO_JSON_DOUBLE, "1.0" }, { "1E+2", AIO_JSON_DOUBLE, "100.0" }, { "0.1", AIO_JSON_DOUBLE, NULL },
        { "0e5", AIO_JSON_DOUBLE, "0.0" }, { "0.000001", AIO_JSON_DOUBLE, NULL }, { "1e-7", AIO_JSON_DOUBLE, NULL },
        { "1e21", AIO_JSON_DOUBLE, NULL }, { "123456789012345680000.0", AIO_JSON_DOUBLE, NULL },
        { "1.7976931348623157e308", AIO_JSON_DOUBLE, NULL }, { "179769313486231580792e288", AIO_JSON_DOUBLE,
          "1.7976931348623157e308" }, { "5e-324", AIO_JSON_DOUBLE, NULL },
          { "2.2250738585072014e-308", AIO_JSON_DOUBLE, NULL },
        { "2.225073858507201e-308", AIO_JSON_DOUBLE, NULL }, { "1e-400", AIO_JSON_DOUBLE, "0.0" },
        { "2.4703282292062327e-324", AIO_JSON_DOUBLE, "0.0" }, { "2.4703282292062328e-324", AIO_JSON_DOUBLE, "5e-324" },
        { "9007199254740993.0", AIO_JSON_DOUBLE, "9007199254740992.0" },             /* half-way: to even */
        { "9007199254740993.00000000000000000000000001", AIO_JSON_DOUBLE, "9007199254740994.0" },
        { "9007199254740995.0", AIO_JSON_DOUBLE, "9007199254740996.0" },
        { "0.500000000000000166533453693773481063544750213623046875", AIO_JSON_DOUBLE, "0.5000000000000002" },
        { "3.14159265358979323846264338327950288419716939937510", AIO_JSON_DOUBLE, "3.141592653589793" },
        { "6.02214076e23", AIO_JSON_DOUBLE, NULL }, { "-1.5", AIO_JSON_DOUBLE, NULL },
        { "12345.678", AIO_JSON_DOUBLE, NULL },
        { "2.2250738585072012e-308", AIO_JSON_DOUBLE, "2.2250738585072014e-308" }, /* hung others once */
        { "1.00000000000000011102230246251565404236316680908203125", AIO_JSON_DOUBLE, "1.0" },
        { "1.00000000000000011102230246251565404236316680908203126", AIO_JSON_DOUBLE, "1.0000000000000002" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_json *root = aio_json_parse(rows[i].text, strlen(rows[i].text), NULL);
        CHECK_INT(aio_json_kind_of(root), rows[i].kind);
        CHECK_NEAR(aio_json_double(root, NULL, 7), strtod(rows[i].text, NULL), 0);
        aio_json_free(root);
        json_check(rows[i].text, strlen(rows[i].text), rows[i].again ? rows[i].again : rows[i].text);
    }
}

/* It is a double for its sign, and whole, as it says. */
TEST(json_minus_zero)
{
    aio_json *root = aio_json_parse("[-0, -0.0, 0]", 13, NULL);
    for (int i = 0; root && i < 3; i++) {
        const aio_json *value = aio_json_element(root, (size_t)i);
        CHECK_INT(aio_json_kind_of(value), i < 2 ? AIO_JSON_DOUBLE : AIO_JSON_INT);
        CHECK_INT(aio_json_int(value, NULL, 7), 0);
        CHECK_INT(aio_json_uint(value, NULL, 7), 0);
        CHECK(!signbit(aio_json_double(value, NULL, 7)) == (i == 2));
    }
    CHECK(root != NULL);
    aio_json_free(root);
}

/* Each power of ten that there is, and those beyond, with few digits and with the most that are taken at once. */
TEST(json_numbers_of_every_power)
{
    static const char *const digits[] = { "1", "2", "3", "5", "7", "8", "9007199254740993", "1234567890123456789",
                                          "9999999999999999999", "4503599627370497.5" };
    char text[60];
    for (size_t i = 0; i < sizeof digits / sizeof *digits; i++)
        for (int power = -366; power <= 312; power++) {
            int n = snprintf(text, sizeof text, "%se%d", digits[i], power);
            double expected = strtod(text, NULL);
            aio_json *root = aio_json_parse(text, (size_t)n, NULL);
            double got = aio_json_double(root, NULL, -1);
            if (expected <= DBL_MAX && memcmp(&got, &expected, sizeof got) != 0) CHECK_STR(text, "what strtod says");
            CHECK_INT(root != NULL, expected <= DBL_MAX);
            aio_json_free(root);
        }
}

/* Half-way between two doubles, with all its digits, and one more: what 19 digits do not tell. */
TEST(json_numbers_with_all_their_digits)
{
    char text[2000];
    for (int i = 0; i < 400; i++) {
        uint64_t bits = seam_random() % (UINT64_C(0x7FE) << 52), next = bits + 1;
        if (i % 4 == 0) bits = seam_random() >> 12, next = bits + 1;
        double low, high;
        memcpy(&low, &bits, sizeof low);
        memcpy(&high, &next, sizeof high);
        int n = snprintf(text, sizeof text, "%.*Le", 800 + i, ((long double)low + (long double)high) / 2);
        if (i % 3) *(strchr(text, 'e') - 1) = '1';
        aio_json *root = aio_json_parse(text, (size_t)n, NULL);
        double got = aio_json_double(root, NULL, -1), expected = strtod(text, NULL);
        CHECK(memcmp(&got, &expected, sizeof got) == 0);
        aio_json_free(root);
    }
}

/* The digits are as few as can be, and of those the nearest to the number: what printf gives for so many, unless that is
 * another number (below a power of two the next one is near). */
static void json_check_digits(const char *text, double value)
{
    char digits[40], exact[40];
    int n = 0, m = 0;
    for (const char *at = text; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && (n || *at != '0')) digits[n++] = *at;
    while (n && digits[n - 1] == '0') n--;
    if (!n) return;
    snprintf(exact, sizeof exact, "%.*e", n - 1, value);
    bool same = strtod(exact, NULL) == value;
    for (const char *at = exact; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9') exact[m++] = *at;
    exact[m] = 0;
    if (same) CHECK_BYTES(digits, (size_t)n, exact);
    if (n == 1) return;
    snprintf(exact, sizeof exact, "%.*e", n - 2, value);
    CHECK(strtod(exact, NULL) != value);
}

TEST(json_doubles_come_back)
{
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = seam_random();
        double value, back;
        if (i % 3 == 1) bits &= UINT64_C(0x800FFFFFFFFFFFFF);
        if (i % 3 == 2) bits &= ~((UINT64_C(1) << (i % 53)) - 1);
        memcpy(&value, &bits, sizeof value);
        if (bits << 1 >> 53 == 0x7FF) continue;
        aio_json_writer *writer = aio_json_writer_open();
        aio_text text;
        aio_json_write_double(writer, value);
        CHECK_INT(aio_json_writer_finish(writer, &text, NULL), 0);
        json_check_digits(text.data, value);
        aio_json *root = aio_json_parse(text.data, text.length, NULL);
        back = aio_json_double(root, NULL, 7);
        CHECK(memcmp(&back, &value, sizeof back) == 0);
        CHECK_INT(aio_json_kind_of(root), AIO_JSON_DOUBLE);
        aio_json_free(root);
        aio_text_clear(&text);
    }
}

TEST(json_looks_things_up)
{
    static const char text[] =
        "{\"a\":{\"b\":[{\"c\":5},[7,[8]],\"s\"],\"x.y\":1,\"\":{\"d\":2}},\"n\":null,\"t\":true,"
        "\"big\":18446744073709551615,\"neg\":-3,\"d\":2.5,"
        "\"w\":3.0,\"huge\":1e300,\"e\":[],\"dup\":1,\"dup\":{\"k\":2}}";
    aio_json *root = aio_json_parse(text, sizeof text - 1, NULL);
    CHECK_INT(aio_json_int(root, "a.b[0].c", 0), 5);
    CHECK_INT(aio_json_int(root, "a.b[1][0]", 0), 7);
    CHECK_INT(aio_json_int(root, "a.b[1][1][0]", 0), 8);
    CHECK_INT(aio_json_int(root, "a.b[-2][-1][0]", 0), 8);
    CHECK_STR(aio_json_string(root, "a.b[2]", NULL).data, "s");
    CHECK_STR(aio_json_string(root, "a.b[-1]", NULL).data, "s");
    CHECK_INT(aio_json_int(root, "a[\"x.y\"]", 0), 1);
    CHECK_INT(aio_json_int(root, "a[\"\"].d", 0), 2);
    CHECK_INT(aio_json_int(root, "[\"a\"][\"b\"][0].c", 0), 5);
    CHECK_INT(aio_json_int(root, "dup.k", 0), 2); /* the last one */
    CHECK_PTR(aio_json_get(root, ""), root);
    CHECK_PTR(aio_json_get(root, NULL), root);
    static const char *const nothing[] = {
        "b", "a.c", "a.b[3]", "a.b[-4]", "a.b[-0]", "a.b[x]", "a.b[", "a.b[0", "a.b[0x", "a.b[]", ".", "a.", ".a",
        "a..b", "a[0]", "n.x", "t[0]", "e[0]", "e[-1]", "a.b[0]c", "a.[0]", "[\"a", "a.b[99999999999999999999999]",
        "a.b.c", "dup[0]"
    };
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        if (!CHECK(aio_json_get(root, nothing[i]) == NULL)) printf("# %s\n", nothing[i]);
    CHECK_INT(aio_json_kind_of(aio_json_get(root, "n")), AIO_JSON_NULL);
    CHECK_INT(aio_json_kind_of(aio_json_get(root, "nix")), AIO_JSON_NONE);
    CHECK(aio_json_bool(root, "t", false) && !aio_json_bool(root, "n", false) && aio_json_bool(root, "d", true));
    CHECK_INT(aio_json_int(root, "big", -1), -1);
    CHECK(aio_json_uint(root, "big", 0) == UINT64_MAX);
    CHECK_INT(aio_json_uint(root, "neg", 9), 9);
    CHECK_INT(aio_json_int(root, "neg", 9), -3);
    CHECK_INT(aio_json_int(root, "d", 9), 9);
    CHECK_INT(aio_json_int(root, "w", 9), 3);
    CHECK_INT(aio_json_uint(root, "w", 9), 3);
    CHECK_INT(aio_json_int(root, "huge", 9), 9);
    CHECK_INT(aio_json_uint(root, "huge", 9), 9);
    CHECK_NEAR(aio_json_double(root, "neg", 0), -3, 0);
    CHECK_NEAR(aio_json_double(root, "big", 0), 18446744073709551615.0, 0);
    CHECK_NEAR(aio_json_double(root, "t", 4), 4, 0);
    CHECK_STR(aio_json_string(root, "t", "none").data, "none");
    CHECK_INT(aio_json_string(root, "t", "none").length, 4);
    CHECK(aio_json_string(root, "t", NULL).data == NULL);
    CHECK_INT(aio_json_count(root), 11);
    CHECK_INT(aio_json_count(aio_json_get(root, "a.b")), 3);
    CHECK_INT(aio_json_count(aio_json_get(root, "t")), 0);
    CHECK(aio_json_element(root, 0) == NULL && aio_json_member(NULL, "a", 1) == NULL && aio_json_element(NULL,
        0) == NULL);
    CHECK(aio_json_get(NULL, "a") == NULL && aio_json_int(NULL, "a", 6) == 6 && aio_json_count(NULL) == 0);
    aio_json_free(root);
    aio_json_free(NULL);
    root = aio_json_parse("[[1],2]", 7, NULL);
    CHECK_INT(aio_json_int(aio_json_element(root, 1), NULL, 0), 2);
    aio_json_free(root);
    root = aio_json_parse("{\"a\\u0000b\":1}", 14, NULL);
    CHECK_INT(aio_json_int(aio_json_member(root, "a\0b", 3), NULL, 0), 1);
    aio_json_free(root);
}

TEST(json_steps_through)
{
    static const char text[] = "{\"one\":1,\"two\":[2,[3,4],{}],\"three\":{\"x\":{}}}";
    aio_json *root = aio_json_parse(text, sizeof text - 1, NULL);
    const aio_json *item, *part;
    size_t position = 0, inner = 0, count = 0;
    aio_text name;
    char names[64] = "";
    while (aio_json_next(root, &position, &name, &item)) {
        strcat(names, name.data);
        count++;
    }
    CHECK_STR(names, "onetwothree");
    CHECK_INT(count, 3);
    item = aio_json_get(root, "two");
    for (count = 0; aio_json_next(item, &inner, &name, &part); count++) CHECK(name.data == NULL && name.length == 0);
    CHECK_INT(count, 3);
    CHECK_INT(aio_json_kind_of(part), AIO_JSON_OBJECT);
    position = 0;
    CHECK(!aio_json_next(part, &position, NULL, &item) && !aio_json_next(NULL, &position, NULL, &item));
    CHECK(!aio_json_next(aio_json_get(root, "one"), &position, NULL, &item));
    aio_json_free(root);
}

TEST(json_bounds_depth)
{
    enum { DEEP = 200000 };
    char *text = (char *)malloc(2 * DEEP);
    aio_input_error error;
    aio_text again;
    memset(text, '[', DEEP);
    memset(text + DEEP, ']', DEEP);
    errno = 0;
    CHECK(aio_json_parse(text, 2 * DEEP, &error) == NULL);
    CHECK_INT(errno, AIO_ELIMIT);
    CHECK_STR(error.reason, "expected no deeper nesting than max_depth");
    CHECK_INT(error.offset, AIO_JSON_DEPTH);
    CHECK(aio_json_parse("[[[]]]", 6, &error, .max_depth = 2) == NULL);
    CHECK_INT(error.offset, 2);
    aio_json *root = aio_json_parse("[[],[[]]]", 9, &error, .max_depth = 3);
    CHECK(root != NULL);
    aio_json_free(root);
    root = aio_json_parse(text, 2 * DEEP, &error, .max_depth = AIO_UNLIMITED);
    CHECK_INT(aio_json_dump(root, &again), 0);
    CHECK(again.length == 2 * DEEP && !memcmp(again.data, text, 2 * DEEP));
    aio_text_clear(&again);
    aio_json_free(root);
    CHECK(aio_json_parse("1", 1, NULL, .max_depth = -2) == NULL && errno == EINVAL);
    CHECK(aio_json_parse_with(NULL, 0, &error, NULL) == NULL && errno == AIO_EJSON);
    CHECK_STR(error.reason, "the text ends too early");
    free(text);
}

TEST(json_writes_pretty)
{
    aio_json_writer *w = aio_json_writer_open(.indent = 2);
    aio_text text;
    const char *reason = NULL;
    aio_json_write_object(w);
    aio_json_write_name(w, "a");
    aio_json_write_array(w);
    aio_json_write_int(w, INT64_MIN);
    aio_json_write_uint(w, UINT64_MAX);
    aio_json_write_double(w, 0.25);
    aio_json_write_bool(w, true);
    aio_json_write_null(w);
    aio_json_write_string(w, NULL);
    aio_json_write_array(w);
    aio_json_write_end(w);
    aio_json_write_end(w);
    aio_json_write_name(w, "q\"\n\x01");
    aio_json_write_bytes(w, "x\0y", 3);
    aio_json_write_name_bytes(w, "o", 1);
    aio_json_write_object(w);
    aio_json_write_end(w);
    aio_json_write_end(w);
    CHECK_INT(aio_json_writer_finish(w, &text, &reason), 0);
    CHECK_STR(reason, "");
    CHECK_STR(text.data, "{\n  \"a\": [\n    -9223372036854775808,\n    18446744073709551615,\n    0.25,\n"
        "    true,\n    null,\n    null,\n    []\n  ],\n  \"q\\\"\\n\\u0001\": \"x\\u0000y\",\n  \"o\": {}\n}");
    aio_json *root = aio_json_parse(text.data, text.length, NULL);
    aio_text again;
    CHECK_INT(aio_json_dump(root, &again, .indent = 2), 0);
    CHECK_STR(again.data, text.data);
    w = aio_json_writer_open(); /* a tree in a text */
    aio_json_write_array(w);
    aio_json_write_tree(w, aio_json_get(root, "o"));
    aio_json_write_tree(w, aio_json_get(root, "a[1]"));
    aio_json_write_end(w);
    aio_text_clear(&again);
    CHECK_INT(aio_json_writer_finish(w, &again, NULL), 0);
    CHECK_STR(again.data, "[{},18446744073709551615]");
    aio_text_clear(&again);
    aio_text_clear(&text);
    aio_json_free(root);
}

/* What the writer must make of a string, byte by byte. */
static size_t json_quoted(char *to, const char *text, size_t length)
{
    char *first = to;
    *to++ = '"';
    for (size_t i = 0; i < length; i++) {
        static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
        const char *known = text[i] ? strchr(from, text[i]) : NULL;
        if (known) to += snprintf(to, 8, "\\%c", into[known - from]);
        else if ((unsigned char)text[i] < 0x20) to += snprintf(to, 8, "\\u%04x", (unsigned)text[i]);
        else *to++ = text[i];
    }
    *to++ = '"';
    return (size_t)(to - first);
}

static void json_check_string(const char *text, size_t length)
{
    char expected[800];
    aio_text written, again;
    size_t n = json_quoted(expected, text, length);
    aio_json_writer *w = aio_json_writer_open();
    char *alone = (char *)malloc(length ? length : 1); /* nothing may be read behind it */
    memcpy(alone, text, length);
    aio_json_write_bytes(w, alone, length);
    CHECK_INT(aio_json_writer_finish(w, &written, NULL), 0);
    CHECK_BYTES(written.data, written.length, expected, n);
    aio_json *root = aio_json_parse(written.data, written.length, NULL);
    aio_text back = aio_json_string(root, NULL, NULL);
    CHECK_BYTES(back.data, back.length, text, length);
    CHECK_INT(aio_json_dump(root, &again), 0);
    CHECK_BYTES(again.data, again.length, expected, n);
    free(alone);
    aio_json_free(root);
    aio_text_clear(&again);
    aio_text_clear(&written);
}

/* Each kind of character at each place of a string of each length, and twice. */
TEST(json_writes_every_string)
{
    static const char *const odd[] = { "\"", "\\", "\n", "\x01", "\x1F", "\x7F", "\xC3\xBC", "\xE2\x82\xAC",
                                       "\xF0\x9F\x98\x80", "" };
    char text[80];
    for (size_t kind = 0; kind <= 10; kind++)
        for (size_t before = 0; before < 18; before++)
            for (size_t behind = 0; behind < 18; behind++) {
                size_t n = kind < 10 ? strlen(odd[kind]) : 1; /* the last: a NUL */
                memset(text, 'x', sizeof text);
                memcpy(text + before, kind < 10 ? odd[kind] : "", n);
                memcpy(text + before + n + behind / 2, kind < 10 ? odd[kind] : "", n);
                json_check_string(text, before + 2 * n + behind);
            }
    memset(text, 1, sizeof text); /* each becomes six */
    json_check_string(text, sizeof text);
}

TEST(json_refuses_a_string_cut_off_within_a_character)
{
    for (size_t length = 1; length < 24; length++)
        for (size_t cut = 1; cut < 4; cut++) {
            char text[32];
            aio_text none;
            const char *reason;
            memset(text, 'x', sizeof text);
            memcpy(text + length, "\xF0\x9F\x98\x80", 4);
            aio_json_writer *w = aio_json_writer_open();
            aio_json_write_bytes(w, text, length + cut);
            CHECK_INT(aio_json_writer_finish(w, &none, &reason), EINVAL);
            CHECK_STR(reason, "a string that is not UTF-8");
        }
}

static void json_check_number(aio_json_writer *w, const char *expected)
{
    aio_text text;
    CHECK_INT(aio_json_writer_finish(w, &text, NULL), 0);
    CHECK_STR(text.data, expected);
    aio_text_clear(&text);
}

TEST(json_writes_integers_of_every_length)
{
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10)
        for (int i = -1; i <= 1; i++) {
            char expected[32];
            uint64_t value = power + (uint64_t)i;
            aio_json_writer *w = aio_json_writer_open();
            aio_json_write_uint(w, value);
            snprintf(expected, sizeof expected, "%" PRIu64, value);
            json_check_number(w, expected);
            if (value > INT64_MAX) continue;
            w = aio_json_writer_open();
            aio_json_write_int(w, -(int64_t)value);
            snprintf(expected, sizeof expected, "%" PRId64, -(int64_t)value);
            json_check_number(w, expected);
        }
}

TEST(json_writes_doubles_as_javascript)
{
    static const struct { double value; const char *text; } rows[] = {
        { 0.0, "0.0" }, { -0.0, "-0.0" }, { 1, "1.0" }, { -10, "-10.0" }, { 1e20, "100000000000000000000.0" },
        { 1e21, "1e21" }, { 123456789012345680000.0, "123456789012345680000.0" }, { 1.5e300, "1.5e300" },
        { 1.7976931348623157e308, "1.7976931348623157e308" }, { 5e-324, "5e-324" }, { -2.5e-7, "-2.5e-7" },
        { 1e-7, "1e-7" }, { 1e-6, "0.000001" }, { 0.00012345678901234567, "0.00012345678901234567" },
        { 0.5, "0.5" }, { 12.25, "12.25" }, { 1234567890123456.7, "1234567890123456.8" }, { 1e100, "1e100" },
        { 9007199254740993.0, "9007199254740992.0" }, { 0.1, "0.1" }, { 100.125, "100.125" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" }, { 4.35e-5, "0.0000435" } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_json_writer *w = aio_json_writer_open();
        aio_json_write_double(w, rows[i].value);
        json_check_number(w, rows[i].text);
    }
}

static void json_misuse(aio_json_writer *w, int which)
{
    switch (which) {
    case 0: break;
    case 1: aio_json_write_object(w); break;
    case 2: aio_json_write_end(w); break;
    case 3: aio_json_write_int(w, 1); aio_json_write_int(w, 2); break;
    case 4: aio_json_write_object(w); aio_json_write_int(w, 1); break;
    case 5: aio_json_write_object(w); aio_json_write_name(w, "a"); aio_json_write_end(w); break;
    case 6: aio_json_write_object(w); aio_json_write_name(w, "a"); aio_json_write_name(w, "b"); break;
    case 7: aio_json_write_array(w); aio_json_write_name(w, "a"); break;
    case 8: aio_json_write_name(w, "a"); break;
    case 9: aio_json_write_double(w, HUGE_VAL); break;
    case 10: aio_json_write_double(w, (double)NAN); break;
    case 11: aio_json_write_string(w, "\xC0\x80"); break;
    case 12: aio_json_write_bytes(w, "\xE2\x82", 2); break;
    case 13: aio_json_write_object(w); aio_json_write_name(w, "\xFF"); break;
    case 14: aio_json_write_tree(w, NULL); break;
    case 15: aio_json_write_array(w); aio_json_write_end(w); aio_json_write_array(w); break;
    case 16: aio_json_write_object(w); aio_json_write_name(w, NULL); break;
    case 17: aio_json_write_object(w); aio_json_write_name_bytes(w, NULL, 0); break;
    default: aio_json_write_array(w); aio_json_write_end(w); aio_json_write_end(w); break;
    }
}

TEST(json_writer_makes_nothing_that_is_not_json)
{
    static const char *const reasons[] = {
        "no value at all", "an array or object without its end", "an end of nothing", "a value behind the root",
        "a member without a name", "a name without a value", "a name without a value", "a name outside of an object",
        "a name outside of an object", "a number that is infinite or none", "a number that is infinite or none",
        "a string that is not UTF-8", "a string that is not UTF-8", "a string that is not UTF-8",
        "an invalid value",
        "a value behind the root", "a member without a name", "a member without a name", "an end of nothing" };
    for (int i = 0; i < 19; i++) {
        aio_json_writer *w = aio_json_writer_open();
        aio_text text = { "x", 1 };
        const char *reason = NULL;
        json_misuse(w, i);
        if (i > 1) json_misuse(w, 3); /* what comes after changes nothing */
        CHECK_INT(aio_json_writer_finish(w, &text, &reason), EINVAL);
        CHECK_STR(reason, reasons[i]);
        CHECK(text.data == NULL && text.length == 0);
    }
    CHECK(aio_json_writer_open(.indent = -1) == NULL && errno == EINVAL);
}

TEST(json_without_memory)
{
    static const char text[] =
        "{\"a\":[1,2.5,\"x\",{\"b\":[[[[1]]]]},1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9]}";
    for (long n = 1; n < 40; n++) {
        aio_text again = { NULL, 0 };
        seam.fail_alloc = n;
        seam.fail_on = true;
        seam.allocations = 0;
        errno = 0;
        aio_input_error error = { NULL, 1, 1, 1 };
        aio_json *root = aio_json_parse(text, sizeof text - 1, &error);
        ALWAYS(root || errno == ENOMEM);
        ALWAYS(error.reason && !*error.reason && !error.offset && !error.line && !error.column);
        int code = root ? aio_json_dump(root, &again, .indent = 3) : ENOMEM;
        seam.fail_alloc = 0;
        ALWAYS(code == ENOMEM || (code == 0 && again.length > sizeof text));
        aio_text_clear(&again);
        aio_json_free(root);
        ALWAYS(seam.live == 0);
    }
}

/* Numbers at the ends of what their getters give, and the writer's bound. */
TEST(json_getters_at_their_ends)
{
    static const struct { const char *text; int64_t whole; uint64_t natural; } rows[] = {
        { "-9.223372036854775808e18", INT64_MIN, 7 }, { "9.223372036854775808e18", 7, UINT64_C(9223372036854775808) },
        { "-9.223372036854777856e18", 7, 7 }, { "1.8446744073709551616e19", 7, 7 },
        { "1.8446744073709549568e19", 7, UINT64_C(18446744073709549568) }, { "0", 0, 0 }, { "0.0", 0, 0 }, { "-0.0", 0, 0 },
        { "0.5", 7, 7 }, { "-1", -1, 7 }, { "-1.0", -1, 7 }, { "18446744073709551615", 7, UINT64_MAX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_json *tree = aio_json_parse(rows[i].text, strlen(rows[i].text), NULL);
        CHECK(tree != NULL);
        CHECK(aio_json_int(tree, NULL, 7) == rows[i].whole);
        CHECK(aio_json_uint(tree, NULL, 7) == rows[i].natural);
        aio_json_free(tree);
    }
    aio_json_writer *w = aio_json_writer_open(.indent = 64);
    aio_text text = { NULL, 0 };
    CHECK(w != NULL);
    aio_json_write_bool(w, true);
    CHECK_INT(aio_json_writer_finish(w, &text, NULL), 0);
    CHECK_STR(text.data, "true");
    aio_text_clear(&text);
    errno = 0;
    CHECK(!aio_json_writer_open(.indent = 65) && errno == EINVAL);
    errno = 0;
    CHECK(!aio_json_writer_open(.indent = -1) && errno == EINVAL);
}
