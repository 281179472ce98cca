#!/usr/bin/env python3
"""The manual of aio.h as HTML: its head, its public sections, an index of names, the examples.

usage: tests/doc/doc.py aio.h FOLDER      writes FOLDER/index.html, and a page for each example
"""
import html
import os
import re
import sys

STYLE = """
:root { --ink: #1c2024; --soft: #5b6470; --line: #dfe3e8; --code: #f5f7f9; --link: #0b5cad; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --soft: #9aa4b0; --line: #333a43; --code: #1d2228; --link: #7cb7ff; --paper: #14181c; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
nav { position: fixed; inset: 0 auto 0 0; width: 19rem; overflow: auto; padding: 1rem; font-size: 14px;
      border-right: 1px solid var(--line); }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
nav li { overflow: hidden; text-overflow: ellipsis; }
nav input { width: 100%; padding: .4rem; margin-bottom: .8rem; font: inherit; color: inherit; background: var(--code);
            border: 1px solid var(--line); border-radius: 4px; }
main { margin-left: 19rem; padding: 1rem 2.5rem 6rem; max-width: 72rem; }
h1 { font-size: 1.7rem; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
pre { padding: .7rem 1rem; overflow-x: auto; background: var(--code); border-radius: 4px; font-size: 13.5px;
      line-height: 1.45; }
code, pre, #names { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
#names { font-size: 12.5px; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
:target { background: #ffe58a; color: #000; }
.intro { color: var(--soft); }
@media (max-width: 60rem) { nav { position: static; width: auto; max-height: 40vh; } main { margin: 0; padding: 1rem; } }
"""
FILTER = """
const box = document.querySelector('input'), rows = [...document.querySelectorAll('#names li')];
box.addEventListener('input', () => {
  const wanted = box.value.toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});
"""
NAME = re.compile(r"\b(aio_[a-z0-9_]+|AIO_[A-Z0-9_]+)\b")
DEFINED = re.compile(
    r"^AIO_API [^(]*?\b(aio_\w+)\(|^#define (aio_\w+|AIO_[A-Z]\w*)|^(?:typedef )?(?:struct|enum) (aio_\w+) \{"
    r"|^\} (aio_\w+);|^typedef struct aio_\w+ (aio_\w+);|^typedef [^(;]*\((?:\*)?(aio_\w+)\)\(|^typedef [\w ]+\**(aio_\w+)\("
    r"|^typedef struct aio_\w+ \{[^}]*\} (aio_\w+);", re.M)
ERROR = re.compile(r'X\((AIO_E\w+), "(.*?)", "(.*?)"\)')
CONSTANT = re.compile(r"\b(AIO_[A-Z][A-Z0-9_]*)\b(?= *[=,}\n])")


def anchor(title):
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def is_code(lines):
    """Whether a paragraph of a comment is a program, or a table, whose lines must stay."""
    return bool(re.search(r"[;{}]$", lines[-1])) or any(
        re.search(r"[{\\]$|^ {2,}|\S {3,}\S|^#|^\d+\. ", line) for line in lines)


class Manual:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.places = {}          # of each public name: its anchor
        self.seen = set()         # names that have theirs already
        self.sections = []

    def link(self, text):
        """Names of a text that has been escaped, with links."""
        return NAME.sub(lambda m: '<a href="index.html#%s">%s</a>' % (m[0], m[0]) if m[0] in self.places else m[0], text)

    def prose(self, lines, kind=""):
        """Lines of a comment, without its marks, as paragraphs."""
        out, paragraph = [], []
        for line in lines + [""]:
            if line.strip():
                paragraph.append(line)
                continue
            if paragraph and is_code(paragraph):
                left = min(len(row) - len(row.lstrip()) for row in paragraph)
                code = self.link(html.escape("\n".join(row[left:] for row in paragraph)))
                if out and out[-1].startswith("<pre>"):
                    out[-1] = out[-1][:-6] + "\n\n" + code + "</pre>"
                else:
                    out.append("<pre>%s</pre>" % code)
            elif paragraph:
                text = " ".join(row.strip() for row in paragraph)
                text = re.sub(r"`(.+?)`", r"<code>\1</code>", self.link(html.escape(text)))
                out.append("<p%s>%s</p>" % (kind, text))
            paragraph = []
        return "\n".join(out)

    def comment(self, text, kind=""):
        if text.startswith("/* X(name"):
            return ""
        lines = re.sub(r"^/\* ?|\s*\*/\s*$", "", text.strip()).split("\n")
        return self.prose([re.sub(r"^ \* ?", "", line) for line in lines], kind)

    def clean(self, block):
        """Declarations as a user reads them: without what macros need, and what is private."""
        out, drops = [], False
        for line in block.split("\n"):
            private = drops or re.match(r"#define AIO__|#undef|#if|#else|#endif|#ifdef|AIO__ARGS", line)
            drops = bool(private) and line.endswith("\\")
            if not private:
                out.append(line)
        text = re.sub(r" AIO__UNSET\b", "", "\n".join(out))
        text = re.sub(r"^(#define aio_\w+\(.*?\))[ \\].*?(?<!\\)$", r"\1", text, flags=re.M | re.S)
        return re.sub(r"^AIO_API ", "", re.sub(r" *AIO__PRINTF\([^)]*\)", "", text), flags=re.M).strip("\n")

    def defined(self, block):
        names = [name for match in DEFINED.findall(block) for name in match if name]
        if re.search(r"^(typedef )?enum\b|^enum", block, re.M):
            names += CONSTANT.findall(re.sub(r"/\*.*?\*/", "", block, flags=re.S))
        names += [code for code, _, _ in ERROR.findall(block)]
        return [name for name in dict.fromkeys(names) if "__" not in name]

    def blocks(self, body):
        """What stands between empty lines: of comments and of declarations."""
        for block in re.split(r"\n\s*\n(?![ *])", body.strip("\n")):
            at = 0
            for match in re.finditer(r"^/\*.*?\*/[ \t]*(?:\n|$)", block, re.M | re.S):
                if block[at:match.start()].strip():
                    yield "code", block[at:match.start()].strip("\n")
                yield "comment", match[0]
                at = match.end()
            if block[at:].strip():
                yield "code", block[at:].strip("\n")

    def read(self):
        start, end = self.text.index("#ifndef AIO_H_INCLUDED"), self.text.index("#ifdef AIO_IMPLEMENTATION")
        banner = re.compile(r"/\* ={20,}\n \* (\d+)\. (.+?)\n \*\n(.*?)\n \* ={20,} \*/\n", re.S)
        public = self.text[start:end]
        found = list(banner.finditer(public))
        for match, follower in zip(found, found[1:] + [None]):
            body = public[match.end():follower.start() if follower else len(public)]
            parts = list(self.blocks(body))
            self.sections.append((match[1], match[2], match[3], parts))
            for kind, part in parts:
                for name in self.defined(part) if kind == "code" else ():
                    self.places.setdefault(name, match[2])

    def section(self, number, title, intro, parts):
        out = ['<h2 id="%s">%s. %s</h2>' % (anchor(title), number, html.escape(title))]
        out.append(self.prose([re.sub(r"^ \* ?", "", line) for line in intro.split("\n")], ' class="intro"'))
        for kind, part in parts:
            if kind == "comment":
                heading = re.fullmatch(r"/\* ---- (.*?) ---- \*/\s*", part)
                out.append("<h3>%s</h3>" % html.escape(heading[1]) if heading else self.comment(part))
                continue
            marks = "".join('<a id="%s"></a>' % name for name in self.defined(part) if name not in self.seen)
            self.seen.update(self.defined(part))
            rows = ["%-20s %-26s %s" % row for row in ERROR.findall(part)]
            code = "\n".join(rows) or self.clean(part)
            if code.strip():
                out.append("%s<pre>%s</pre>" % (marks, self.link(html.escape(code))))
        return "\n".join(out)

    def head(self):
        """The comment at the head of the file, up to its contents."""
        text = self.text[:self.text.index(" * CONTENTS")]
        lines = [re.sub(r"^(/\*| \*) ?", "", line) for line in text.split("\n")]
        parts, title, kept = [], None, []
        for line in lines[2:] + ["END"]:
            if re.fullmatch(r"[A-Z][A-Z ]+", line):
                body = self.prose([row[2:] if row.startswith("  ") else row for row in kept])
                parts.append((title, body))
                title, kept = line.capitalize(), []
            else:
                kept.append(line)
        return [(heading, body) for heading, body in parts if body]


def page(title, nav, main):
    return ('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>%s</title>'
            '<meta name="viewport" content="width=device-width"><style>%s</style></head>\n'
            "<body><nav>%s</nav><main>%s</main><script>%s</script></body></html>\n"
            % (html.escape(title), STYLE, nav, main, FILTER))


def examples(manual, root, folder, nav):
    """A page for each example; rows of a list of them."""
    rows = []
    for base, _, names in sorted(os.walk(root)):
        for name in sorted(name for name in names if name.endswith((".c", ".h"))):
            path = os.path.join(base, name)
            with open(path, encoding="utf-8") as file:
                source = file.read()
            told = re.match(r"/\*(.*?)\*/", source, re.S)
            about = re.sub(r"\s*\n \*\s*", " ", told[1]).strip() if told else ""
            shown = os.path.relpath(path, root)
            target = "example-%s.html" % re.sub(r"[^a-z0-9]+", "-", shown.lower())
            rows.append('<li><a href="%s">%s</a> %s</li>' % (target, shown, html.escape(about)))
            body = "<h1>%s</h1><pre>%s</pre>" % (shown, manual.link(html.escape(source)))
            with open(os.path.join(folder, target), "w", encoding="utf-8") as file:
                file.write(page(shown, nav, body))
    return rows


def main(header, folder):
    manual = Manual(header)
    manual.read()
    os.makedirs(folder, exist_ok=True)
    head = manual.head()
    parts = ['<li><a href="index.html#%s">%s</a></li>' % (anchor(title), title) for title, _ in head if title]
    parts += ['<li><a href="index.html#%s">%s. %s</a></li>' % (anchor(title), number, html.escape(title))
              for number, title, _, _ in manual.sections]
    parts.append('<li><a href="index.html#examples">Examples</a></li>')
    names = ['<li><a href="index.html#%s">%s</a></li>' % (name, name) for name in sorted(manual.places)]
    nav = '<input placeholder="find a name" aria-label="find a name"><ul>%s</ul><ul id="names">%s</ul>' % (
        "".join(parts), "".join(names))
    out = ["<h1>aio.h: asyncio and aiohttp for C, in one file</h1>"]
    for title, body in head:
        out.append(('<h2 id="%s">%s</h2>' % (anchor(title), title) if title else "") + body)
    out += [manual.section(*section) for section in manual.sections]
    out.append('<h2 id="examples">Examples</h2><ul>%s</ul>' % "".join(
        examples(manual, os.path.join(os.path.dirname(header) or ".", "examples"), folder, nav)))
    whole = page("aio.h", nav, "\n".join(out))
    missing = [name for name in manual.places if 'id="%s"' % name not in whole]
    if missing:
        sys.exit("doc: names without a place: %s" % " ".join(missing))
    with open(os.path.join(folder, "index.html"), "w", encoding="utf-8") as file:
        file.write(whole)
    print("%s/index.html: %d sections, %d names" % (folder, len(manual.sections), len(names)))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
