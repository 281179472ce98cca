#!/usr/bin/env python3
"""The checker's own tests: a small header that keeps every rule, and a broken copy for each way to break one."""
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import check  # noqa: E402

RULER = "=" * 76

GOOD = """\
/* toy.h: a header that keeps every rule.
 *
 * CONTENTS
 *
 *    1. Types
 *    2. Platform
 *    3. Numbers
 *
 * LICENCE: none.
 */
#ifndef AIO_TOY_H
#define AIO_TOY_H
#include <stddef.h>
/* RULER
 * 1. Types
 *
 * What a user sees.
 * RULER */
#define AIO_LIMIT 3
#ifdef __cplusplus
extern "C" {
#endif
typedef struct aio_number aio_number;
struct aio_number { int value; void (*close)(aio_number *); };
typedef enum { AIO_ODD, AIO_EVEN } aio_parity;
typedef int aio_visit_fn(aio_number *);
aio_number *aio_number_open(int value);
void aio_number_close(aio_number *number);
#ifdef __cplusplus
}
#endif
#endif
#ifdef AIO_IMPLEMENTATION
/* RULER
 * 2. Platform
 *
 * Owns the table.
 * RULER */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static long aio__call_read(int fd, void *to, size_t size) { return (long)read(fd, to, size); }
static struct {
    void *(*malloc)(size_t);
    void (*free)(void *);
    long (*read)(int, void *, size_t);
} aio__os = { malloc, free, aio__call_read };
#define AIO__NEW(type) ((type *)aio__os.malloc(sizeof(type)))
/* RULER
 * 3. Numbers
 *
 * Calls the platform.
 * RULER */
static int aio__twice(int value) { return 2 * value; }
aio_number *aio_number_open(int value)
{
    aio_number *number = AIO__NEW(aio_number);
    if (number) number->value = aio__twice(value);
    if (number) number->close = aio_number_close;
    return number;
}
void aio_number_close(aio_number *number) { aio__os.free(number); }
#endif
""".replace("RULER", RULER)


def findings(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "toy.h")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return check.Checker(path).check()


class Rules(unittest.TestCase):
    def broken(self, rule, message, old, new, *more):
        """The good header with `old` replaced by `new` breaks `rule`, and says so with `message`."""
        self.assertIn(old, GOOD)
        text = GOOD.replace(old, new, 1)
        found = findings(text)
        self.assertEqual({name for _, name, _ in found}, {rule} | set(more), found)
        self.assertTrue(any(message in said for _, name, said in found if name == rule), found)

    def test_the_good_one_keeps_every_rule(self):
        self.assertEqual(findings(GOOD), [])

    def test_contents_title(self):
        self.broken("contents", "`3. Counts` where the banners have `3. Numbers`",
                    " *    3. Numbers", " *    3. Counts")

    def test_contents_entry_missing(self):
        self.broken("contents", "the table has nothing", " *    3. Numbers\n", "")

    def test_contents_order(self):
        self.broken("contents", "`2. Numbers`", " *    2. Platform\n *    3. Numbers",
                    " *    2. Numbers\n *    3. Platform")

    def test_contents_table_missing(self):
        self.broken("contents", "no table of contents", " * CONTENTS\n", " * INSIDE\n")

    def test_contents_number_of_a_banner(self):
        self.broken("contents", "section 4 stands at place 3", " * 3. Numbers\n *\n", " * 4. Numbers\n *\n")

    def test_contents_paragraph(self):
        self.broken("contents", "no paragraph", " * Owns the table.\n", " *\n")

    def test_contents_form_of_a_banner(self):
        self.broken("contents", "not a banner's form", " * 1. Types\n *\n * What", " * 1) Types\n *\n * What")
        self.broken("contents", "not a banner's form", "=\n * 1. Types\n", "= * 1. Types\n")

    def test_contents_divide(self):
        self.broken("contents", "no line `#ifdef AIO_IMPLEMENTATION`", "#ifdef AIO_IMPLEMENTATION",
                    "#if defined(AIO_IMPLEMENTATION)")

    def test_form(self):
        for message, line in (("more than 120 columns", "/* %s */" % ("x" * 115)), ("a tab", "/*\t*/"),
                              ("blanks at the end", "/* */ "), ("a mark of work", "/* TO" + "DO */")):
            self.broken("form", message, "#define AIO_LIMIT 3\n", "#define AIO_LIMIT 3\n" + line + "\n")

    def test_form_of_a_line_directive(self):
        before = GOOD[:GOOD.index("#define AIO_LIMIT 3\n")].count("\n")
        for number, right in ((before + 2, True), (before + 1, False), (before + 3, False)):
            with_it = GOOD.replace("#define AIO_LIMIT 3\n", "#line %d\n#define AIO_LIMIT 3\n" % number)
            self.assertEqual([message for _, rule, message in findings(with_it) if rule == "form"],
                             [] if right else ["#line says %d of line %d" % (number, before + 2)])

    def test_length(self):
        def long(lines):
            return "static int aio__twice(int value)\n{\n" + "    value++;\n" * (lines - 3) + "    return value; }"
        short = "static int aio__twice(int value) { return 2 * value; }"
        self.broken("length", "aio__twice has 71 lines", short, long(71))
        self.assertEqual(findings(GOOD.replace(short, long(70))), [])

    def test_layers_call(self):
        self.broken("layers", "aio__early, in `2. Platform`, uses aio__twice of `3. Numbers`",
                    "static long aio__call_read", "static int aio__twice(int value);\n"
                    "static int aio__early(void) { return aio__twice(1); }\nstatic long aio__call_read")

    def test_layers_address(self):
        self.broken("layers", "aio__hook, in `2. Platform`, uses aio__twice", "static long aio__call_read",
                    "static int aio__twice(int value);\nstatic int (*aio__hook)(int) = aio__twice;\n"
                    "static long aio__call_read")

    def test_layers_through_a_macro(self):
        self.broken("layers", "uses aio_number_close", "static long aio__call_read",
                    "#define AIO__DROP(n) aio_number_close(n)\n"
                    "static void aio__drop(aio_number *n) { AIO__DROP(n); }\nstatic long aio__call_read")

    def test_layers_through_pasting(self):
        self.broken("layers", "uses aio__twice", "static long aio__call_read",
                    "#define AIO__PASTE(name) aio__##name(1)\nstatic int aio__twice(int value);\n"
                    "static int aio__paste(void) { return AIO__PASTE(twice); }\nstatic long aio__call_read")

    def test_layers_outside_of_a_room(self):
        self.broken("layers", "no section of the implementation", "#ifdef AIO_IMPLEMENTATION\n",
                    "#ifdef AIO_IMPLEMENTATION\nstatic int aio__stray(void) { return 1; }\n")

    def test_layers_where_linux_is_off(self):
        self.broken("layers", "uses aio__twice", "static long aio__call_read",
                    "#ifdef AIO_NO_LINUX\nstatic int aio__twice(int value);\n"
                    "static int aio__posix(void) { return aio__twice(1); }\n#endif\nstatic long aio__call_read")

    def with_members(self, room, own):
        """The good header with struct aio_number defined in a room of the implementation: 2 or 3."""
        before = {2: "static long aio__call_read", 3: "static int aio__twice"}[room]
        text = GOOD.replace("struct aio_number { int value; void (*close)(aio_number *); };\n", "", 1)
        return text.replace(before, own + before, 1)

    def reaches(self, text):
        said = [message for _, rule, message in findings(text) if rule == "members"]
        for message in said:
            self.assertIn("`3. Numbers` uses members of aio_number, which is `2. Platform`'s own: ", message)
        return [re.findall(r"(\w+) at \d+", message) for message in said]

    def test_members_of_another_room(self):
        own = "struct aio_number { int value; union { int a; void (*close)(aio_number *); } u; };\n"
        for room, reached in ((3, []), (2, [["close", "value"]])):
            text = self.with_members(room, own).replace("number->close", "number->u.close")
            self.assertEqual(self.reaches(text), reached)

    def test_members_through_a_macro_and_in_a_configuration(self):
        text = self.with_members(2, "struct aio_number { int value; void (*close)(aio_number *); };\n"
                                    "#define AIO__VALUE(number) ((number)->value)\n")
        begin = text.index("    if (number) number->value")
        text = (text[:begin] + "#ifdef AIO_NO_LINUX\n    if (number) AIO__VALUE(number) = aio__twice(value);\n#else\n"
                "    (void)value; (void)aio__twice;\n#endif\n" + text[text.index("    return number"):])
        self.assertEqual(self.reaches(text), [["value"]])

    def test_one_use_of_a_member_is_enough(self):
        text = self.with_members(2, "struct aio_number { int value; void (*close)(aio_number *); };\n"
                                    "static void aio__close(aio_number *n) { n->close(n); }\n")
        text = re.sub(r"if \(.*number->close.*", "aio__close(number);", text)
        self.assertEqual(self.reaches(text), [["value"]])

    def test_members_of_a_record_and_of_an_open_room(self):
        text = self.with_members(2, "struct aio_number { int value; void (*close)(aio_number *); };\n")
        for rule, name in (("OPEN", "aio_number"), ("OPEN_ROOMS", "Platform")):
            self.assertEqual(len(self.reaches(text)), 1)
            self.addCleanup(setattr, check, rule, getattr(check, rule))
            setattr(check, rule, frozenset((name,)))
            self.assertEqual(self.reaches(text), [])
            setattr(check, rule, frozenset())

    def test_prefixes(self):
        self.broken("prefixes", "aio__call_twice begins with a word of `2. Platform`, where aio__call_read is",
                    "static int aio__twice(int value) {",
                    "static int aio__call_twice(int value) { return value; }\nstatic int aio__twice(int value) {")

    def test_names_prefix(self):
        for kind, old, new in (
                ("function helper", "aio__twice(int value) {", "helper(int value) {"),
                ("macro LIMIT", "#define AIO_LIMIT", "#define LIMIT"),
                ("enum constant EVEN", "AIO_EVEN", "EVEN"),
                ("type visit_fn", "aio_visit_fn", "visit_fn"),
                ("type number", "typedef enum {", "struct number { int x; };\ntypedef enum {"),
                ("global counter", "static int aio__twice(", "static int counter;\nstatic int aio__twice("),
                ("global second", "static int aio__twice(",
                 "static int aio__first = 1, *second;\nstatic int aio__twice("),
                ("global counters", "static int aio__twice(",
                 "static int counters[] = { 1 };\nstatic int aio__twice(")):
            text = GOOD.replace(old, new, 1)
            said = [message for _, rule, message in findings(text) if rule == "names"]
            self.assertTrue(any(kind + " has not the prefix" in message for message in said), (kind, said))

    def test_names_private(self):
        self.broken("names", "function aio_twice is private", "aio__twice(int value) {",
                    "aio_twice(int value) {", "seam")

    def test_names_private_macro(self):
        default = "#ifndef AIO_MALLOC\n#define AIO_MALLOC malloc\n#endif\n"
        self.broken("names", "macro AIO_MALLOC is private", "#define AIO__NEW", default + "#define AIO__NEW")
        self.assertEqual(findings(GOOD.replace("#define AIO__NEW", default + "#define AIO__NEW")
                                  .replace(" * CONTENTS", " * OPTIONS: AIO_MALLOC\n *\n * CONTENTS")), [])

    def test_names_of_posix(self):
        for kind, old, new in (
                ("macro aio_buf", "#define AIO_LIMIT", "#define aio_buf"),
                ("enum constant AIO_CANCELED", "AIO_EVEN", "AIO_CANCELED"),
                ("function aio_read", "void aio_number_close(aio_number *number);", "void aio_read(void);\n"),
                ("type aio_error", "aio_visit_fn", "aio_error"),
                ("global aio_key", "void aio_number_close(aio_number *number);", "extern int aio_key;\n")):
            text = GOOD.replace(old, new, 1)
            said = [message for _, rule, message in findings(text) if rule == "names"]
            self.assertIn(kind + " belongs to POSIX", said)

    def test_seam_call(self):
        self.broken("seam", "aio_number_close uses free past", "{ aio__os.free(number); }", "{ free(number); }")

    def test_seam_call_of_what_a_wrapper_stands_for(self):
        self.broken("seam", "aio__twice uses read past", "{ return 2 * value; }", "{ return (int)read(value, 0, 0); }")

    def test_seam_address(self):
        self.broken("seam", "aio_number_close uses free past", "{ aio__os.free(number); }",
                    "{ void (*f)(void *) = free; f(number); }")

    def test_seam_call_of_what_the_table_lacks(self):
        self.broken("seam", "the object uses write", "{ return 2 * value; }", "{ return (int)write(value, 0, 0); }")

    def test_seam_table_missing(self):
        self.broken("seam", "no initialiser of the table", "} aio__os = {", "} aio__so = {\n#define aio__os aio__so\n")

    def test_symbols_of_libc(self):
        self.broken("symbols", "aio_fsync is a symbol of libc's", "static int aio__twice(int value) {",
                    "int aio_fsync(int value);\nint aio_fsync(int value) { return value; }\n"
                    "static int aio__twice(int value) {", "names", "neighbours")

    def test_symbols_exported(self):
        self.broken("symbols", "aio__twice is exported", "static int aio__twice(",
                    "int aio__twice(int);\nint aio__twice(")

    def test_neighbours(self):
        self.broken("neighbours", "no C++", "typedef enum {", "struct aio_odd { int class; };\ntypedef enum {")
        self.broken("neighbours", "no C:", "typedef enum {", "struct aiocb { int aio_x; };\ntypedef enum {", "names")


if __name__ == "__main__":
    unittest.main()
