"""Jinja as we use it, for pages and for letters: strict about missing values, always escaping. Never trusts markup.

There is an environment for each language, made when it is first needed. In it templates are compiled with their words
translated already, so that a page costs the same in every language.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateAssertionError, nodes, select_autoescape
from jinja2.visitor import NodeTransformer

from webapp import languages
from webapp.branding import Made
from webapp.languages import Language, Text, _
from webapp.settings import Settings

_here = Path(__file__).parent
_rooms = _here if (_here / "templates").is_dir() else _here.parent
STATIC = _rooms / "static"
TEMPLATES = _rooms / "templates"


class Translated(Environment):
    """An environment whose templates speak one language: `{% trans %}` and `_()` are translated when they are compiled, and what
    Python has marked is translated when it is shown.
    """

    def __init__(self, language: Language) -> None:
        super().__init__(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=language.plain,
            extensions=["jinja2.ext.i18n"],
        )
        self.policies["ext.i18n.trimmed"] = True
        self.newstyle_gettext = True
        self.language, self.ngettext = language, language.ngettext
        self.globals.update(language=language)
        self.filters.update(when=languages.when, day=languages.day, lasting=languages.lasting)
        self.filters.update(browser=browser, aligned=partial(_aligned, language))

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Those of all templates, for none has its own: to look through two mappings for each takes a fifth of a panel."""
        return {**self.globals, **d} if d else self.globals

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        _Words(self.language).visit(source)
        source.set_environment(self)
        return super()._generate(source, *args, **kwargs)


class _Words(NodeTransformer):
    """Puts words of this language in the place of those that are marked, and makes one of what then stands beside each other."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.marks: dict[str, Callable[[nodes.Call], nodes.Node | list[nodes.Expr]]] = {
            "_": self._text, "_n": self._counted, "gettext": self._block, "ngettext": self._counted_block,
        }  # fmt: skip

    def visit_Call(self, node: nodes.Call) -> nodes.Node | list[nodes.Expr]:  # noqa: N802 - as Jinja wants it
        self.generic_visit(node)
        mark = self.marks.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        return mark(node) if mark else node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - as Jinja wants it
        """`language.code`: what the language of the page is, is known."""
        if isinstance(node.node, nodes.Name) and node.node.name == "language":
            return nodes.Const(getattr(self.language, node.attr), lineno=node.lineno)
        return self.generic_visit(node)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        for field, value in node.iter_fields():
            if isinstance(value, list):
                setattr(node, field, list(_merged(value)))
        return node

    def _text(self, node: nodes.Call) -> nodes.Expr:
        """`{{ _('Hello %(name)s', name=name) }}`"""
        words = nodes.Const(self.language.gettext(_message(node, 0)), lineno=node.lineno)
        return nodes.Mod(words, _values(node), lineno=node.lineno) if node.kwargs else words

    def _counted(self, node: nodes.Call) -> nodes.Expr:
        """`{{ _n('%(count)s key', '%(count)s keys', count) }}`"""
        count = nodes.Keyword("count", node.args[2], lineno=node.lineno)
        return nodes.Mod(_form(node), _values(node, count), lineno=node.lineno)

    def _block(self, node: nodes.Call) -> list[nodes.Expr]:
        """`{% trans %}Hello <b>{{ name }}</b>{% endtrans %}`: as if the template had been written in this language."""
        values = {each.key: each.value for each in node.kwargs}
        return [
            values[piece] if name else nodes.TemplateData(piece.replace("%%", "%"), lineno=node.lineno)
            for name, piece in _pieces(self.language.gettext(_message(node, 0)))
        ]

    def _counted_block(self, node: nodes.Call) -> list[nodes.Expr]:
        """`{% trans count=n %}{{ count }} key{% pluralize %}{{ count }} keys{% endtrans %}`"""
        words = nodes.MarkSafeIfAutoescape(_form(node), lineno=node.lineno)
        return [nodes.Mod(words, _values(node), lineno=node.lineno)]


def _merged(body: list[Any]) -> Iterator[Any]:
    """The same with one output in the place of several in a row: Jinja hands on each by itself."""
    before: nodes.Output | None = None
    for each in body:
        if isinstance(each, nodes.Output):
            if before:
                before.nodes += each.nodes
                continue
            before = each
        else:
            before = None
        yield each


def _message(node: nodes.Call, which: int) -> str:
    """What is marked, which must stand there as it is."""
    message = node.args[which] if which < len(node.args) else None
    if not isinstance(message, nodes.Const):
        raise TemplateAssertionError("only a text that stands here can be translated", node.lineno)
    return str(message.value)


def _form(node: nodes.Call) -> nodes.Expr:
    """The form of the message that goes with the number."""
    messages: list[nodes.Expr] = [nodes.Const(_message(node, which), lineno=node.lineno) for which in (0, 1)]
    ngettext = nodes.EnvironmentAttribute("ngettext", lineno=node.lineno)
    return nodes.Call(ngettext, [*messages, node.args[2]], [], None, None, lineno=node.lineno)


def _values(node: nodes.Call, *more: nodes.Keyword) -> nodes.Expr:
    """What is filled in. A text of Python that is among it is translated first."""
    finalize = nodes.EnvironmentAttribute("finalize", lineno=node.lineno)
    pairs = [
        nodes.Pair(
            nodes.Const(each.key, lineno=node.lineno),
            nodes.Call(finalize, [each.value], [], None, None, lineno=node.lineno),
            lineno=node.lineno,
        )
        for each in (*node.kwargs, *more)
    ]
    return nodes.Dict(pairs, lineno=node.lineno)


def _pieces(message: str) -> Iterator[tuple[bool, str]]:
    """The message in pieces, each with whether it is the name of a value."""
    for number, piece in enumerate(re.split(r"%\((\w+)\)s", message)):
        if piece:
            yield number % 2 == 1, piece


@cache
def environment(language: Language) -> Translated:
    """The one environment of this language; whoever serves pages adds its functions to the globals before the first page."""
    return Translated(language)


def render(language: Language, template: str, **context: Any) -> str:
    """The text of a template that knows nothing of a request."""
    return environment(language).get_template(template).render(context)


def browser(text: str) -> Text | str:
    """A browser as it was recorded, in English, in words: `Firefox on Linux`."""
    if text == "An unknown browser":
        return _("An unknown browser")
    name, on, system = text.partition(" on ")
    if not on:
        return text
    return (
        _("A browser on %(system)s", system=system)
        if name == ("A browser")
        else _("%(name)s on %(system)s", name=name, system=system)
    )


def place(text: str) -> Text | str:
    """A browser and its address as they were recorded, in words."""
    name, comma, address = text.partition(", ")
    return _("%(browser)s, %(address)s", browser=browser(name), address=address) if comma else browser(name)


def _aligned(language: Language, text: object, width: int) -> str:
    """The text with blanks behind it, so that what follows stands below each other; a Chinese character is two wide."""
    said = str(language.plain(text))
    columns = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in said)
    return said + " " * max(1, width - columns)


def helper(settings: Settings) -> Text:
    """Whom to ask, in plain text, of which a mail program makes a link; the macro of that name says it in HTML."""
    if settings.help is None:
        return _("whoever runs %(name)s", name=settings.name)
    return _("whoever runs %(name)s (%(where)s)", name=settings.name, where=settings.help.href.removeprefix("mailto:"))


@lru_cache(maxsize=64)
def digest(file: str) -> str:
    """Part of a file's address, so that a browser may keep it for a year and still gets the next version at once."""
    path = STATIC / file
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


def version(file: str, made: Mapping[str, Made]) -> str:
    """The same of a file that we ship, or of what this deployment has made to be served beside them."""
    return made[file].version if file in made else digest(file)
