"""Every sentence that people see, once, so that all can be read in one go: docs/words.md is made of the code.

    python -m tests.words        writes the page

From templates come texts and the attributes that are read or shown; from Python the strings of the modules that choose words. `…`
stands for what is filled in, `[this | that]` for words that depend on something. `unmarked` finds what nobody could translate.
Never judges what they say.
"""

import ast
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "words.md"
PARTS = (
    ("Pages", "templates/*.html"),
    ("Refusals and what becomes of a step", "webapp/web/*.py"),
    ("What else stands in the code", "webapp/routes.py"),
    ("What views say", "webapp/views/*.py"),
    ("Letters: their frames", "templates/mail/*.txt"),
    ("Letters: subjects and words", "webapp/notifications/*.py"),
    ("Recovery sheet in plain text", "templates/*.txt"),
    ("Browsers, and whom to ask", "webapp/templating.py"),
)
FOR_MACHINES = frozenset(
    {"app_check", "app_host", "browsers", "cookies", "forwarded", "guards", "health", "mail", "readiness", "visits"}
)
"""Modules whose strings nobody reads."""
MARKS = frozenset({"_", "_n", "gettext", "ngettext"})
NAMES = frozenset({"Google Chrome", "Mozilla Firefox", "Microsoft Edge", "Apple Safari"})
"""What is called the same in every language."""
ATTRIBUTES = ("alt", "aria-label", "placeholder", "title", "content")
INLINE = frozenset({"a", "b", "bdi", "br", "code", "em", "i", "kbd", "span", "strong", "time"})
IF, ELSE, END, CUT = "\ue000", "\ue001", "\ue002", "\ue003"
OR = " | "
"""Between what is said of one and of several."""
FILLED_IN = "…"


def page() -> str:
    """The text of docs/words.md."""
    lines = [
        "# Every sentence that people see",
        "",
        "Made from the code by `python -m tests.words`; a test compares them. Each sentence stands once, where it first occurs.",
        f"`{FILLED_IN}` is filled in, `[this | that]` depends on something.",
    ]
    seen: set[str] = set()
    for title, pattern in PARTS:
        lines += ["", f"## {title}"]
        for path in files(pattern):
            new = [text for text in dict.fromkeys(sentences(path)) if text not in seen]
            seen.update(new)
            lines += ["", f"**{path.stem}**", "", *(f"- {text}" for text in new)] if new else []
    return "\n".join(lines) + "\n"


def files(*patterns: str) -> list[Path]:
    """The files in which people read something: of these patterns, or of all parts."""
    found = (path for pattern in patterns or [pattern for _, pattern in PARTS] for path in ROOT.glob(pattern))
    return sorted(path for path in found if path.stem not in FOR_MACHINES)


def sentences(path: Path) -> Iterator[str]:
    """What people can read of this file, in its order."""
    source = path.read_text(encoding="utf-8")
    found = of_python(source) if path.suffix == ".py" else of_template(source, html=path.suffix == ".html")
    return (text for text in map(_tidied, found) if re.search(r"[^\W\d_]{2}", text) and not re.fullmatch('[a-z]+|.*=".*', text))


def of_python(source: str) -> Iterator[str]:
    """Strings that begin as a sentence does, but for docstrings."""
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in told or id(node) in inside:
            continue
        text = _text(node)
        if re.match(r"\s*[A-Z(][\w’'-]* ?", text) and (" " in text.strip() or text.istitle()) and "KEYSTEAD_" not in text:
            yield text


def unmarked(path: Path) -> Iterator[str]:
    """What people can read of this file, and nobody could translate."""
    source = path.read_text(encoding="utf-8")
    found = unmarked_in_python(source) if path.suffix == ".py" else unmarked_in_template(source, html=path.suffix == ".html")
    texts = (_tidied(re.sub(f"[{IF}{ELSE}{END}{CUT}]", " ", text)) for text in found)
    return (text for text in texts if re.search(r"[^\W\d_]{2}", text) and text not in NAMES and not re.fullmatch('.*=".*', text))


def unmarked_in_python(source: str) -> Iterator[str]:
    """Sentences outside of `_` and `_n`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
            node.args = []
        if isinstance(node, ast.Compare):  # with what is recorded
            node.comparators = []
    return (text for text in of_python(ast.unparse(tree)) if "\\" not in text)


def unmarked_in_template(source: str, *, html: bool) -> Iterator[str]:
    """Texts and attributes outside of `{% trans %}`, and strings within expressions outside of `_`."""
    marked, _ = _marked(re.sub(r"(?s)\{% (trans|block shape)\b.*?\{% end(trans|block) %\}", "", source))
    parser = _Texts()
    parser.feed(marked if html else "")
    parser.close()
    yield from (piece.replace(FILLED_IN, "") for piece in (parser.pieces if html else [marked]))
    tree = Environment(extensions=["jinja2.ext.i18n"]).parse(source)  # noqa: S701 - nothing is rendered
    said = {id(arg) for call in tree.find_all(nodes.Call) if _is_mark(call) for arg in call.args}
    strings = (node.value for node in tree.find_all(nodes.Const) if id(node) not in said and isinstance(node.value, str))
    yield from (text for text in strings if re.match(r" ?[A-Z(][a-z]", text))


def _is_mark(call: nodes.Call) -> bool:
    return isinstance(call.node, nodes.Name) and call.node.name in MARKS


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if _is_text(part) else FILLED_IN for part in node.values)  # type: ignore[attr-defined]  # _is_text
    return str(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def of_template(source: str, *, html: bool) -> Iterator[str]:
    """Texts between tags, attributes that are shown or read aloud, and strings within expressions that begin as sentences do."""
    marked, strings = _marked(source)
    if html:
        parser = _Texts()
        parser.feed(marked)
        parser.close()
        pieces = parser.pieces
    else:
        pieces = marked.split("\n\n")
    for piece in pieces:
        yield from _chosen(piece)
    yield from strings


def _marked(source: str) -> tuple[str, list[str]]:
    """The template with marks where it branches and where something is filled in, and the strings of its expressions."""
    text, within = "", ""
    strings: list[str] = []
    words: list[str] = []
    for _, kind, value in Environment().lex(source):  # noqa: S701 - nothing is rendered
        if kind == "data":
            text += value
        elif kind in ("variable_begin", "block_begin"):
            within, words = kind, []
        elif kind in ("variable_end", "block_end"):
            text += FILLED_IN if kind == "variable_end" else _branch(words)
            within = ""
        elif within:
            words += [value] if kind != "whitespace" else []
            strings += [ast.literal_eval(value)] if kind == "string" and re.match(r"""['"] ?[A-Z(]""", value) else []
    return text, strings


def _branch(words: list[str]) -> str:
    """What a tag is for the text around it. `trans` marks what is translated, and is no boundary."""
    marks = {"if": IF, "elif": ELSE, "else": ELSE, "endif": END, "trans": "", "endtrans": "", "pluralize": OR}
    return marks.get(words[0] if words else "", CUT)


def _chosen(piece: str) -> Iterator[str]:
    """The piece with its branches in brackets; in pieces of its own where they reach beyond it."""
    depth = 0
    for mark in re.findall(f"[{IF}{ELSE}{END}]", piece):
        depth += (mark == IF) - (mark == END)
        if depth < 0 or (mark == ELSE and not depth):
            break
    whole = depth == 0 and CUT not in piece
    if whole:
        yield piece.replace(IF, "[").replace(ELSE, " | ").replace(END, "]")
    else:
        yield from re.split(f"[{IF}{ELSE}{END}{CUT}]", piece)


class _Texts(HTMLParser):
    """Pieces of text that stand together, and attributes that people read."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        shown = [value for name, value in attrs if name in ATTRIBUTES and value and (name != "content" or "=" not in value)]
        if tag not in INLINE:
            self.pieces.append("")
        if tag != "meta":
            self.pieces[-1:-1] = shown
        if tag == "br":
            self.pieces[-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self.pieces.append("")

    def handle_data(self, data: str) -> None:
        self.pieces[-1] += data


def _tidied(text: str) -> str:
    text = re.sub(r"%\(\w+\)s", FILLED_IN, text)
    text = re.sub(r"\s+", " ", text).strip(" |")
    return re.sub(r"\[\s*\|?\s*\]", "", text).replace("[ ", "[").replace(" ]", "]").replace("*", "\\*").strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
