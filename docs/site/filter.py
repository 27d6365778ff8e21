#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Doxygen's input filter: turns the headers' plain comments into ones that it reads, and the guides' links into the site's.

A comment covers the declarations that follow it without an empty line; followed by an empty line, it is the heading of
what comes after it. A declaration that no comment precedes stays without one, and Doxygen then refuses it.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATUSES = re.findall(r"\bRESATTN_(\w+) = -\d+", (ROOT / "include/resattn/common.h").read_text())


PIECE = re.compile(r"""
    /\*.*?\*/[^\S\n]*\n            # a comment
  | \n
  | \#define[ ](?:[^\n]*\\\n)*[^\n]*\n
  | (?:\#|extern[ ]"C"|\})[^\n]*\n  # directives, and the braces around everything
  | (?:[^;{]|\{[^}]*\})*?;[^\n]*\n  # a declaration
""", flags=re.S | re.X)


def outside_quotes(change, text):
    """Applies `change` to what is not between backquotes."""
    return "`".join(part if i % 2 else change(part) for i, part in enumerate(text.split("`")))


def linked(text):
    text = re.sub(r"\b(resattn_\w+\(\))", r"#\1", text)
    text = re.sub(r"(?<![\w/#-])((?:resattn|RESATTN)_[A-Za-z0-9_]*[A-Za-z0-9])\b(?![(*/])", r"#\1", text)
    text = re.sub(r"(?<![\w#])(" + "|".join(STATUSES) + r")\b", r'@ref RESATTN_\1 "\1"', text)
    return re.sub(r"\bdocs/(\w+\.md)", r"[docs/\1](docs/\1)", text)


def joined(block):
    """The lines of a paragraph as one, so that a dash at a line's beginning makes no list; indented ones are a list."""
    items = re.split(r"\n  (?! )", block)
    return "\n- ".join(" ".join(item.split()) for item in items)


def paragraphs(comment):
    """A comment's text."""
    lines = [re.sub(r"^ \* ?", "", line).rstrip() for line in comment[2:-2].strip("\n").split("\n")]
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    text = "\n\n".join(block if block.startswith("    ") else outside_quotes(linked, joined(block)) for block in blocks)
    text = re.sub(r"\s*\bSince (\d+\.\d+)\.$", r"\n\n@since \1", text)
    return re.sub(r"(?<=[.)]) (Errors|Attributes?|Parameters): ", r"\n\n<b>\1:</b> ", text)


def heading(comment):
    text = re.sub(r"^-+ (.*?) -+$", r"\1.", paragraphs(comment))
    title, rest = re.match(r"(.*?)(?:[.:](?:\s|$)|$)(.*)", text, flags=re.S).groups()
    title = title[:1].upper() + title[1:]
    return f"/** @name {re.sub('[#`]', '', title)}\n{rest}\n*/\n/** @{{ */"


def enumerators(declaration):
    """Comments behind enumerators; one without is covered by the comment of the whole enum, if that has one."""
    name = re.search(r"\}\s*(\w+)\s*;", declaration)
    declaration = re.sub(r"(?m)^( +)/\* ", r"\1/** ", declaration)
    declaration = re.sub(r"(?<=\S) */\*(?!\*) *", " /**< ", declaration)
    lines = declaration.split("\n")
    for i, line in enumerate(lines):
        above = i > 0 and re.match(r" +/\*\*.*\*/$", lines[i - 1])
        if name and not above and re.fullmatch(r" +RESATTN_\w+(?: = -?\d+)?,?", line):
            lines[i] += f" /**< See #{name.group(1)}. */"
    return "\n".join(lines)


def header(text):
    output, covering, headings, first = [], None, 0, True
    pieces = PIECE.findall(text)
    if "".join(pieces) != text:
        sys.exit("filter.py: a piece of the header is no comment, declaration or directive")
    for i, piece in enumerate(pieces):
        after = pieces[i + 1] if i + 1 < len(pieces) else "\n"
        if piece.startswith("/* SPDX"):
            output.append("\n")
        elif piece.startswith("/*"):
            comment = piece.rstrip()
            if first:
                output.append(f"/** @file\n{paragraphs(comment)}\n*/\n")
                first = False
            elif after == "\n":
                output.append(("/** @} */\n" if headings else "") + heading(comment) + "\n")
                headings += 1
            else:
                covering = paragraphs(comment)
        elif piece == "\n":
            covering = None
            output.append(piece)
        elif re.match(r"#(?!define)|extern|\}", piece):
            output.append(piece)
        else:
            if covering is not None:
                output.append(f"/** {covering}\n*/\n")
            documented = covering is not None or not piece.startswith("typedef enum")
            output.append(enumerators(piece) if documented and "#define" not in piece else piece)
    if headings:
        output.append("/** @} */\n")
    return "".join(output)


def lines_of(text):
    """Each line, and whether it is code."""
    fenced = False
    for line in text.split("\n"):
        fence = line.lstrip().startswith("```")
        yield line, fenced or fence or line.startswith("    ")
        fenced = fenced != fence


def place(file, anchor):
    """The site's name for a place that code-hosting pages call #anchor, which is known within one page only."""
    return re.sub(r"[^a-z0-9]+", "-", f"{file}-{anchor}".lower())


def headings_and_functions(text, file):
    """Headings get the names by which they are linked to, functions become links to their comments."""
    for line, code in lines_of(text):
        if not code and line.startswith("## "):
            line = line.replace("`", "")
            anchor = re.sub(r"[^\w -]", "", line[3:].strip().lower()).replace(" ", "-")
            line += f" {{#{place(file, anchor)}}}"
        elif not code:
            line = line.replace("`", "") if line.startswith("#") else re.sub(r"`(resattn_[a-z0-9_]+\(\))`", r"#\1", line)
        yield line


def guide(text, path):
    """Links to files that are no pages of the site go to the copies beside the pages, as build.py makes them."""
    pages = set(os.environ.get("RESATTN_PAGES", "").split(":"))
    here = os.path.relpath(path, ROOT)

    def target(match):
        words, link = match.groups()
        if re.match(r"[a-z]+:", link):
            return match.group(0)
        link, _, anchor = link.partition("#")
        file = os.path.relpath((path.parent / link).resolve(), ROOT) if link else here
        if anchor:
            return f'@ref {place(file, anchor)} "{words[1:-1]}"'
        if file == "README.md":
            return f"{words}(index.html)"
        if (ROOT / file).is_dir():
            return f"{words}(files.html)" if file == "include/resattn" else words
        return f"{words}({file if file in pages or words[0] == '!' else file.replace('/', '-')})"

    text = "\n".join(headings_and_functions(text, here))
    if here == "README.md":
        text = text.replace("\n", " {#mainpage}\n", 1)
    return re.sub(r"(!?\[[^\]\n]*(?:\n[^\]\n]*)?\])\(([^)\s]+)\)", target, text)


if __name__ == "__main__":
    source = pathlib.Path(sys.argv[1]).resolve()
    sys.stdout.write(guide(source.read_text(), source) if source.suffix == ".md" else header(source.read_text()))
