#!/usr/bin/env python3
"""Proves the standing rules of aio.h: contents, form, lengths, layers, members, names, prefixes, seam.

usage: check.py [HEADER]

The text is read twice: as it stands, for the manual, the banners and the macros; and as the preprocessor gives it,
once for each configuration, for functions, calls and declarations. The compiled object tells the rest (nm). Which room
uses which member the compiler tells, of a copy in which every member of a struct is marked as deprecated.
"""
import functools
import os
import re
import shlex
import subprocess
import sys
import tempfile

LONGEST = 70
COLUMNS = 120
MARK = re.compile(r"\b(%s)\b" % "|".join(("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK")))
CONFIGURATIONS = ([], ["-DAIO_NO_TLS"], ["-DAIO_NO_LINUX"])

_POSIX_CALLS = "cancel error fsync init read return suspend write".split()
POSIX_NAMES = frozenset(
    ["aio_" + call for call in _POSIX_CALLS] + ["aio_" + call + "64" for call in _POSIX_CALLS]
    + "aio_waitcomplete aio_mlock aio_readv aio_writev aio_read2 aio_write2".split()
    + "aio_fildes aio_lio_opcode aio_reqprio aio_buf aio_nbytes aio_sigevent aio_offset".split()
    + "aio_flags aio_data aio_key".split()
    + "AIO_CANCELED AIO_NOTCANCELED AIO_ALLDONE AIO_PRIO_DELTA_MAX AIO_LISTIO_MAX AIO_MAX".split()
    + "aiocb aiocb64 aioinit lio_listio lio_listio64 LIO_READ LIO_WRITE LIO_NOP LIO_WAIT LIO_NOWAIT".split())

# What the implementation may call past the table: it neither allocates, nor enters the kernel, nor reads a clock.
HARMLESS = re.compile(
    r"mem(cpy|move|set|cmp|chr|rchr|mem)|str(n?len|n?cmp|n?casecmp|chr|rchr|str|spn|cspn|pbrk|to[dlu]\w*|error(_r)?)"
    r"|__xpg_strerror_r|gai_strerror|v?snprintf|(__isoc\d+_)?(sscanf|strto\w+)|[fv]*printf|f?puts|f?putc|fwrite|fflush|std(err|out)"
    r"|qsort|bsearch|abort|getenv|environ|__errno_location|__assert_fail|[hn]to[hn][sl]|inet_(pton|ntop)"
    r"|sig(empty|fill|add|del)set|sigismember|pthread_((mutex|cond|condattr|mutexattr|attr)_\w+|once|self|equal)"
    r"|(is|to)[a-z]+|fmod|floor|ceil|_GLOBAL_OFFSET_TABLE_|__tls_get_addr|__stack_chk_fail|__sched_cpucount")

# Rooms whose structs are everybody's, and records that a room makes for others to read and write.
OPEN_ROOMS = frozenset(("Platform and the seam", "Memory", "The loop's data"))
OPEN = frozenset((
    "aio__address", "aio__addresses", "aio__http_head", "aio__http_limits", "aio__owned", "aio__phases",
    "aio__origin_key", "aio__proxy_url", "aio__redirect", "aio__ws_reader"))
# Any other struct is its room's own.

# First words of private functions that stand in more than one room: none of them names a thing of one room.
SHARED_WORDS = frozenset(
    "address buffer cancel close connect coroutine done error fd file frame host http is list loop made pairs poll put "
    "report run sleep task text timeout tls wait waiter ws".split())

# Names that only ask the system headers for something.
FEATURE_MACRO = re.compile(r"_(GNU|DEFAULT|BSD|POSIX_C|XOPEN|DARWIN_C|NETBSD|ALL)_SOURCE$")

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\.?\d[\w.]*|->|\.\.\.|\S')
IDENTIFIER = re.compile(r"[A-Za-z_]\w*$")
BANNER = re.compile(r"^/\* ={20,}\n \* (\d+)\. (.+?)\n \*\n((?: \*.*\n)*?) \* ={20,} \*/$", re.M)
BANNER_LIKE = re.compile(r"^/\* ={20,}.*$", re.M)
ENTRY = re.compile(r"^ \*\s+(\d+)\.\s+(\S.*?)\s*$")


NO_CODE = re.compile(r"/\*.*?\*/|//[^\n]*"                          # comments,
                     r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"  # texts
                     r"|^[ \t]*#(?:\\\n|[^\n])*", re.S | re.M)        # and directives


class Function:
    def __init__(self, name, first, last, body, static):
        self.name, self.first, self.last, self.body, self.static = name, first, last, body, static


class Declarations:
    """What one preprocessed text declares at file scope."""

    def __init__(self):
        self.functions, self.names, self.initialisers = [], [], []

    def declare(self, kind, name, line):
        self.names.append((kind, name, line))


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    return done.returncode, done.stdout, done.stderr


def first_error(text):
    rows = text.strip().split("\n")
    return next((row for row in rows if "error" in row), rows[0])


def is_name(token):
    return IDENTIFIER.match(token) is not None


def without_attributes(tokens):
    kept, i = [], 0
    while i < len(tokens):
        if tokens[i][0] in ("__attribute__", "__asm__", "_Pragma", "__extension__"):
            i += 1
            if i < len(tokens) and tokens[i][0] == "(":
                i = closing(tokens, i) + 1
            continue
        kept.append(tokens[i])
        i += 1
    return kept


def closing(tokens, i):
    """The index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        if tokens[j][0] in "([{":
            depth += 1
        elif tokens[j][0] in ")]}":
            depth -= 1
            if depth == 0:
                return j
    return len(tokens) - 1


def declarator(tokens):
    """The name that a declaration without its body or initialiser declares, and whether it is a function's."""
    i, last = 0, (None, False)
    while i < len(tokens):
        text = tokens[i][0]
        if text == "(" and i and is_name(tokens[i - 1][0]) and tokens[i - 1][0] not in ("int", "void", "char", "long"):
            return tokens[i - 1], True
        if text == "(":
            end = closing(tokens, i)
            inner = declarator(tokens[i + 1:end])
            if inner[0]:
                return inner[0], inner[1]
            i = end
        elif text == "{":
            i = closing(tokens, i)
        elif text == "[":
            break
        elif is_name(text):
            last = (tokens[i], False)
        i += 1
    return last


def declare_enumerators(tokens, found):
    for i, (text, _) in enumerate(tokens):
        if text != "enum":
            continue
        j = i + 1
        while j < len(tokens) and is_name(tokens[j][0]):
            j += 1
        if j >= len(tokens) or tokens[j][0] != "{":
            continue
        depth, expected = 0, True
        for name, line in tokens[j + 1:closing(tokens, j)]:
            if depth == 0 and expected and is_name(name):
                found.declare("enum constant", name, line)
                expected = False
            depth += (name in "([{") - (name in ")]}")
            if name == "," and depth == 0:
                expected = True


def declare_tags(tokens, found):
    for i in range(len(tokens) - 2):
        if tokens[i][0] in ("struct", "union", "enum") and is_name(tokens[i + 1][0]) and tokens[i + 2][0] == "{":
            found.declare("type", tokens[i + 1][0], tokens[i + 1][1])


def without_typeof(tokens):
    """`__typeof__(x) name` declares as `int name` does."""
    i = 0
    while i < len(tokens):
        if tokens[i][0] == "__typeof__":
            yield "int", tokens[i][1]
            i = closing(tokens, i + 1)
        else:
            yield tokens[i]
        i += 1


def declare(tokens, found):
    """One external declaration that is not a function definition."""
    tokens = list(without_typeof(without_attributes(tokens)))
    if not tokens:
        return
    declare_tags(tokens, found)
    declare_enumerators(tokens, found)
    head = tokens[0][0]
    if head in ("struct", "union", "enum") and (len(tokens) == 2 or tokens[-1][0] == "}"):
        if len(tokens) == 2 and tokens[1][0].lower().startswith("aio"):
            found.declare("type", tokens[1][0], tokens[1][1])
        return
    for part in split(tokens, ","):
        left, right = (list(split(part, "=", 1)) + [None])[:2]
        name, is_function = declarator(left)
        if not name:
            continue
        kind = "type" if head == "typedef" else "function" if is_function and right is None else "global"
        found.declare(kind, name[0], name[1])
        if right is not None:
            found.initialisers.append(Function(name[0], name[1], right[-1][1], right, True))


def split(tokens, mark, times=None):
    """Parts of the tokens between marks that stand in no bracket."""
    depth, start = 0, 0
    for i, (text, _) in enumerate(tokens):
        if text == mark and depth == 0 and times != 0:
            yield tokens[start:i]
            start, times = i + 1, times and times - 1
        depth += (text in "([{") - (text in ")]}")
    yield tokens[start:]


def define(run_of_tokens, end, body, found):
    head = without_attributes(run_of_tokens)
    name, _ = declarator(head)
    words = [text for text, _ in head]
    found.functions.append(Function(name[0], run_of_tokens[0][1], end, body, "static" in words))
    found.declare("function", name[0], name[1])


def parse(tokens):
    found, pending, i = Declarations(), [], 0
    while i < len(tokens):
        text, line = tokens[i]
        if text == ";":
            declare(pending, found)
            pending = []
        elif text == "{" and len(pending) == 2 and pending[0][0] == "extern" and pending[1][0].startswith('"'):
            pending = []
        elif text == "}" and not pending:
            pass
        elif text == "{":
            end = closing(tokens, i)
            head = without_attributes(pending)
            if head and head[-1][0] == ")" and "=" not in [word for word, _ in head]:
                define(pending, tokens[end][1], tokens[i + 1:end], found)
                pending = []
            else:
                pending = pending + tokens[i:end + 1]
            i = end
        else:
            pending.append(tokens[i])
        i += 1
    return found


def preprocessed(compiler, header, flags):
    """Tokens of the header itself, with their lines; None if it does not preprocess."""
    code, text, errors = run(compiler + ["-E", "-xc", "-std=gnu99", "-DAIO_IMPLEMENTATION"] + flags + [header])
    if code:
        return None, errors
    tokens, line, ours = [], 0, False
    own = os.path.realpath(header)
    for row in text.split("\n"):
        marker = re.match(r'# (\d+) "(.*?)"', row)
        if marker:
            line, ours = int(marker.group(1)), os.path.realpath(marker.group(2)) == own
            continue
        if ours and not row.startswith("#"):
            tokens += [(token, line) for token in TOKEN.findall(row)]
        line += 1
    return tokens, ""


def members(plain, start):
    """Offsets at which declarations of members begin, in the struct whose body begins at `start`; of inner structs and
    unions, their members'."""
    offsets, depth, fresh = [], 1, True
    for at in range(start, len(plain)):
        mark = plain[at]
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            break
        if mark in "{;}":
            fresh = mark != "}"
        elif fresh and not mark.isspace():
            fresh = False
            if not re.compile(r"(struct|union)\s*\{").match(plain, at):
                offsets.append(at)
    return offsets


@functools.lru_cache(maxsize=None)
def libc_symbols(compiler):
    """What the C library exports, as far as it is found."""
    symbols = set()
    for library in ("libc.so.6", "librt.so.1", "libpthread.so.0"):
        path = run(list(compiler) + ["-print-file-name=" + library])[1].strip()
        for row in run(["nm", "-D", "--defined-only", path])[1].split("\n") if os.path.isabs(path) else ():
            symbols.add(row.split()[-1].split("@")[0] if row.split() else "")
    return symbols


@functools.lru_cache(maxsize=None)
def is_clang(compiler):
    return "clang" in run(list(compiler) + ["--version"])[1]


def track(compiler):
    """What makes a warning within a macro tell the line where it is used, and none show its source: that takes long."""
    if is_clang(tuple(compiler)):
        return ["-fno-caret-diagnostics"]
    return ["-ftrack-macro-expansion=0", "-fno-diagnostics-show-caret"]


class Checker:
    def __init__(self, header, compiler=None):
        self.header = os.path.abspath(header)
        self.compiler = compiler or shlex.split(os.environ.get("CC", "cc"))
        with open(self.header, encoding="utf-8") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.findings, self.notes, self.seen = [], [], set()
        self.reaches, self.words = set(), {}
        self.sections = [(self.line_of(m.start()), int(m.group(1)), m.group(2).strip(), m.group(3))
                         for m in BANNER.finditer(self.text)]
        divides = [n for n, row in enumerate(self.lines, 1) if re.match(r"#\s*ifdef\s+AIO_IMPLEMENTATION\b", row)]
        # Words of the manual: a macro that it describes is the user's to define, and the implementation's to default.
        self.manual = set(re.findall(r"\w+", self.text[:self.text.find("*/")]))
        self.divide = divides[-1] if divides else len(self.lines) + 1
        if not divides:
            self.say(1, "contents", "no line `#ifdef AIO_IMPLEMENTATION` divides the file")

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def say(self, line, rule, message):
        if (line, rule, message) not in self.seen:
            self.seen.add((line, rule, message))
            self.findings.append((line, rule, message))

    def section(self, line):
        """The place, from 1, of the section that holds a line; 0 before the first."""
        return sum(1 for banner in self.sections if banner[0] <= line)

    def title(self, place):
        return "%d. %s" % self.sections[place - 1][1:3]

    # ---- the rules, each by the name that it is reported under ----

    def contents(self):
        entries, inside = [], False
        for number, row in enumerate(self.lines, 1):
            if row.startswith(" * CONTENTS"):
                inside = True
            elif inside and (not row.startswith(" *") or row.startswith(" */") or re.match(r" \* [A-Z]", row)):
                break
            elif inside and ENTRY.match(row):
                entries.append((number, int(ENTRY.match(row).group(1)), ENTRY.match(row).group(2)))
        if not entries:
            self.say(1, "contents", "no table of contents after a line ` * CONTENTS`")
        for at, banner in enumerate(self.sections):
            if banner[1] != at + 1:
                self.say(banner[0], "contents", "section %d stands at place %d" % (banner[1], at + 1))
            if not banner[3].strip(" *\n"):
                self.say(banner[0], "contents", "the banner of %r has no paragraph" % banner[2])
        for at in range(max(len(entries), len(self.sections))):
            entry = entries[at][1:] if at < len(entries) else None
            banner = self.sections[at][1:3] if at < len(self.sections) else None
            if entry != banner:
                line = entries[at][0] if entry else self.sections[at][0]
                self.say(line, "contents", "the table has %s where the banners have %s" % (
                    "`%d. %s`" % entry if entry else "nothing", "`%d. %s`" % banner if banner else "nothing"))
                break
        for mark in BANNER_LIKE.finditer(self.text):
            line = self.line_of(mark.start())
            if line > 1 and line not in [banner[0] for banner in self.sections]:
                self.say(line, "contents", "this looks like a banner, and has not a banner's form")

    def form(self):
        for number, row in enumerate(self.lines, 1):
            for broken, what in ((len(row) > COLUMNS, "more than %d columns" % COLUMNS), ("\t" in row, "a tab"),
                                 (row != row.rstrip(), "blanks at the end"),
                                 (MARK.search(row), "a mark of work left undone")):
                if broken:
                    self.say(number, "form", what)
            told = re.match(r"#\s*line\s+(\d+)$", row)
            if told and int(told.group(1)) != number + 1:
                self.say(number, "form", "#line says %s of line %d" % (told.group(1), number + 1))

    def length(self, found):
        for function in found.functions:
            if function.last - function.first + 1 > LONGEST:
                self.say(function.first, "length", "%s has %d lines, more than %d" % (
                    function.name, function.last - function.first + 1, LONGEST))

    def layers(self, found):
        home = {f.name: self.section(f.first) for f in found.functions if f.first > self.divide}
        for user in found.functions + found.initialisers:
            if user.first <= self.divide:
                continue
            mine = self.section(user.first)
            if mine == 0 or self.sections[mine - 1][0] < self.divide:
                self.say(user.first, "layers", "%s stands in no section of the implementation" % user.name)
            for at, (text, line) in enumerate(user.body):
                if home.get(text, 0) > mine and (at == 0 or user.body[at - 1][0] not in (".", "->")):
                    self.say(line, "layers", "%s, in `%s`, uses %s of `%s`, further down" % (
                        user.name, self.title(mine), text, self.title(home[text])))

    def structs(self):
        """Structs that the implementation defines, each with the offsets at which its members' declarations begin."""
        def blank(match):
            return re.sub(r"[^\n]", " ", match.group())
        plain = NO_CODE.sub(blank, self.text)
        divide = sum(len(row) + 1 for row in self.lines[:self.divide])
        for definition in re.finditer(r"^(?:typedef )?struct (\w+)\s*\{", plain, re.M):
            if definition.start() > divide:
                yield definition.group(1), self.line_of(definition.start()), members(plain, definition.end())

    def members(self, flags):
        """Members of a struct that is a room's own are used by that room alone."""
        home, marks = {}, []
        for name, line, offsets in self.structs():
            place = self.section(line)
            if name not in OPEN and place and self.sections[place - 1][2] not in OPEN_ROOMS:
                home[name] = place
                marks += [(at, name) for at in offsets]
        text, last = [], 0
        for at, name in sorted(marks):
            text += [self.text[last:at], "__attribute__((__deprecated__(\"%s\"))) " % name]
            last = at
        path = os.path.join(self.folder, "marked.h")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(text) + self.text[last:])
        code, _, errors = run(self.compiler + ["-xc", "-std=gnu99", "-fsyntax-only", "-DAIO_IMPLEMENTATION",
                                               "-Wdeprecated-declarations"] + track(self.compiler) + flags + [path])
        if code:
            self.say(1, "members", "with its members marked, the header does not compile: " + first_error(errors))
        for use in re.finditer(r"^.*?:(\d+):\d+: warning: .(\w+). is deprecated: (\w+)", errors, re.M):
            line, member, name = int(use.group(1)), use.group(2), use.group(3)
            if self.section(line) != home[name]:
                self.reaches.add((name, line, member, self.title(home[name])))

    def tell_reaches(self):
        """The structs whose members others than their room use, by the room that does."""
        by_struct = {}
        for name, line, member, title in sorted(self.reaches):
            by_struct.setdefault(name, {}).setdefault(self.title(self.section(line)), []).append((line, member, title))
        for name, rooms in sorted(by_struct.items()):
            for room, uses in rooms.items():
                self.say(uses[0][0], "members", "`%s` uses members of %s, which is `%s`'s own: %s" % (
                    room, name, uses[0][2], ", ".join(sorted({"%s at %d" % (use[1], use[0]) for use in uses}))))

    def prefixes(self, found):
        """The first word of private functions' names says one thing: it stands in one room."""
        public = set(re.findall(r"\w+", "\n".join(self.lines[:self.divide])))
        for function in found.functions:
            word = re.match(r"aio__([a-z0-9]+)_", function.name)
            if word and function.first > self.divide and function.name not in public:
                self.words.setdefault(word.group(1), {}).setdefault(self.section(function.first), function)

    def count_words(self):
        for word, rooms in sorted(self.words.items()):
            if len(rooms) > 1 and word not in SHARED_WORDS:
                first, *others = sorted(rooms)
                for room in others:
                    self.say(rooms[room].first, "prefixes", "%s begins with a word of `%s`, where %s is" % (
                        rooms[room].name, self.title(first), rooms[first].name))
        idle = sorted(word for word in SHARED_WORDS if len(self.words.get(word, ())) < 2)
        if idle:
            self.notes.append("prefixes: no longer shared: " + " ".join(idle))

    def names(self, found):
        macros = [("macro", m.group(1), self.line_of(m.start()))
                  for m in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", self.text, re.M)]
        public = {name for _, name, line in found.names + macros if line < self.divide}
        public |= {name for _, name, _ in macros if name in self.manual}
        for kind, name, line in found.names + macros:
            if FEATURE_MACRO.match(name):
                continue
            if name in POSIX_NAMES:
                self.say(line, "names", "%s %s belongs to POSIX" % (kind, name))
            if not re.match(r"aio_|AIO_", name):
                self.say(line, "names", "%s %s has not the prefix aio_ or AIO_" % (kind, name))
            elif line > self.divide and name not in public and not re.match(r"aio__|AIO__", name):
                self.say(line, "names", "%s %s is private, and has not the prefix aio__ or AIO__" % (kind, name))

    def table(self, found):
        """Names that the table aio__os stands for, and the functions of ours that fill it."""
        initialiser = [f for f in found.initialisers if f.name == "aio__os"]
        if not initialiser:
            self.say(self.divide, "seam", "no initialiser of the table aio__os")
            return set(), set()
        entries, body = set(), initialiser[0].body
        for at, (text, _) in enumerate(body):
            if is_name(text) and body[at - 1][0] != "." and at + 1 < len(body) and body[at + 1][0] in ",}":
                entries.add(text)
        wrappers = {f.name for f in found.functions if f.name in entries}
        outside = {text for f in found.functions if f.name in wrappers for at, (text, _) in enumerate(f.body)
                   if at + 1 < len(f.body) and f.body[at + 1][0] == "(" and is_name(text)
                   and not text.startswith("aio_") and not HARMLESS.fullmatch(text)
                   and text not in ("if", "while", "for", "switch", "return", "sizeof")}
        return (entries - wrappers) | outside, wrappers

    def seam(self, found):
        names, wrappers = self.table(found)
        for function in found.functions:
            if function.name in wrappers or function.first < self.divide:
                continue
            body = function.body
            for at, (text, line) in enumerate(body):
                before = body[at - 1][0] if at else ";"
                after = body[at + 1][0] if at + 1 < len(body) else ";"
                called = after == "(" and before not in (".", "->")
                passed = before in ("(", ",", "=", "&") and after in (")", ",", ";") and not any(
                    body[k][0] == text and (is_name(body[k - 1][0]) or body[k - 1][0] == "*")
                    for k in range(1, len(body)))
                if text in names and (called or passed):
                    self.say(line, "seam", "%s uses %s past the table aio__os" % (function.name, text))
        return names

    def compiled(self, source, language, flags=()):
        standard = {"c": "-std=c99", "c++": "-std=c++11"}[language]
        path = os.path.join(self.folder, "try.c")
        with open(path, "w", encoding="utf-8") as file:
            file.write(source.replace("AIO.H", self.header))
        return run(self.compiler + ["-x", language, standard, "-O0", "-fno-builtin", "-U_FORTIFY_SOURCE", "-c", path,
                                    "-o", os.path.join(self.folder, "try.o")] + list(flags))

    def symbols(self, seam_names, flags):
        code, _, errors = self.compiled('#define AIO_IMPLEMENTATION\n#include "AIO.H"\n', "c", flags)
        if code:
            self.say(1, "symbols", "the implementation does not compile: " + first_error(errors))
            return
        exported = run(["nm", "-g", "--defined-only", self.folder + "/try.o"])[1]
        ours = {row.split()[-1] for row in exported.split("\n") if row}
        libraries = libc_symbols(tuple(self.compiler))
        if not libraries:
            self.notes.append("symbols: no dynamic libc found to compare with; POSIX' list alone was used")
        for symbol in sorted(ours & (libraries | POSIX_NAMES)):
            self.say(1, "symbols", "%s is a symbol of libc's" % symbol)
        for symbol in sorted(ours):
            if not symbol.startswith("aio_"):
                self.say(1, "symbols", "%s has not the prefix aio_" % symbol)
            elif not re.search(r"\b%s\b" % re.escape(symbol), "\n".join(self.lines[:self.divide])):
                self.say(1, "symbols", "%s is exported, and the public half does not have it" % symbol)
        for row in run(["nm", "-u", self.folder + "/try.o"])[1].split("\n"):
            symbol = row.split()[-1].split("@")[0] if row.split() else ""
            if symbol and symbol not in seam_names and not HARMLESS.fullmatch(symbol):
                self.say(1, "seam", "the object uses %s, which the table aio__os does not have" % symbol)

    def neighbours(self, flags):
        """The system's <aio.h> beside ours, in both orders."""
        system, ours = "#include <aio.h>\n", '#include "AIO.H"\n'
        tries = [(system + ours, "before"), (ours + system, "after")]
        for language in ("c", "c++"):
            for source, place in tries:
                code, _, errors = self.compiled(source, language)
                if code:
                    self.say(1, "neighbours", "with the system's <aio.h> %s it, the header is no %s: %s" % (
                        place, language.upper(), first_error(errors)))
        code, _, errors = self.compiled("#define AIO_IMPLEMENTATION\n" + ours + system, "c", flags)
        if code:
            self.say(1, "neighbours", "the system's <aio.h> after the implementation: " + first_error(errors))

    def check(self):
        self.contents()
        self.form()
        usable = None
        for flags in CONFIGURATIONS:
            tokens, errors = preprocessed(self.compiler, self.header, flags)
            if tokens is None:
                self.notes.append("%s: not preprocessed: %s" % (" ".join(flags) or "default", first_error(errors)))
                continue
            found = parse(tokens)
            self.length(found)
            self.layers(found)
            self.names(found)
            self.prefixes(found)
            names = self.seam(found)
            usable = usable or (names, flags)
        if not usable:
            self.say(1, "symbols", "no configuration can be preprocessed: " + "; ".join(self.notes))
            return self.findings
        self.count_words()
        with tempfile.TemporaryDirectory() as self.folder:
            for flags in CONFIGURATIONS:
                self.members(flags)
            self.tell_reaches()
            self.symbols(*usable)
            self.neighbours(usable[1])
        return self.findings


RULES = ("contents", "form", "length", "layers", "members", "names", "prefixes", "seam", "symbols", "neighbours")


def main(arguments):
    header = arguments[0] if arguments else "aio.h"
    if not os.path.exists(header):
        print("check-layout: no %s yet: nothing to check" % os.path.basename(header))
        return 0
    checker = Checker(header)
    checker.check()
    for line, rule, message in sorted(checker.findings):
        print("%s:%d: %s: %s" % (os.path.basename(header), line, rule, message))
    for note in checker.notes:
        print("note: " + note)
    broken = {rule for _, rule, _ in checker.findings}
    for rule in RULES:
        print("%s %s" % ("not ok" if rule in broken else "ok", rule))
    print("%d passed, %d failed" % (len(RULES) - len(broken), len(broken)))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
