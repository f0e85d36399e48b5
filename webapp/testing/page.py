"""A page or panel as a browser sees it: its forms, what it says, and whether it asks for a key. Reads only, judges nothing."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple


@dataclass(slots=True)
class Form:
    """A form, with what its fields hold before anybody types. `ceremony` is "create" or "get" where it asks for a key."""

    action: str
    method: str
    htmx: bool
    ceremony: str | None = None
    options: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Page:
    """What came. `said` is what role=status and role=alert announce, in order."""

    title: str = ""
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    text: str = ""
    ids: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, html: str) -> "Page":
        """The page in this text."""
        reader = _Reader()
        reader.feed(html)
        reader.close()
        page = reader.page
        page.text = " ".join("".join(reader.text).split())
        page.said = [" ".join("".join(words).split()) for words in reader.said]
        return page

    def form(self, ending: str) -> Form | None:
        """The form whose action ends like this, as in `/bind/begin`."""
        return next((form for form in self.forms if form.action.endswith(ending)), None)

    @property
    def ceremony(self) -> Form | None:
        """The form that asks for a key."""
        return next((form for form in self.forms if form.ceremony), None)


_EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_UNSEEN = {"script", "style", "template", "noscript", "svg"}


class _Open(NamedTuple):
    """An element that is open; whether it is seen and what announces it, as those around it have it."""

    tag: str
    unseen: bool = False
    announced: list[str] | None = None


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.text: list[str] = []
        self.said: list[list[str]] = []
        self._form: Form | None = None
        self._open = [_Open("")]
        self._gap = ""
        """What stands between this text and the one before: nothing where only a name begins or ends."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag != "bdi":
            self._gap = " "
        if "id" in given:
            self.page.ids.append(given["id"])
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower(), "hx-post" in given)
            self._form.ceremony = given.get("data-ceremony")
            self._form.options = given.get("data-options", "")
            self.page.forms.append(self._form)
        elif tag == "input" and self._form and "name" in given:
            self._form.fields[given["name"]] = given.get("value", "")
        elif tag == "a" and "href" in given:
            self.page.links.append(given["href"])
        around = self._open[-1]
        announced = around.announced
        if given.get("role") in ("alert", "status") and "hidden" not in given:
            announced = []
            self.said.append(announced)
        if tag not in _EMPTY:
            self._open.append(_Open(tag, around.unseen or tag in _UNSEEN, announced))

    def handle_endtag(self, tag: str) -> None:
        if tag != "bdi":
            self._gap = " "
        if tag == "form":
            self._form = None
        if any(each.tag == tag for each in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1]
        if inside.unseen:
            return
        if inside.tag == "title":
            self.page.title += data
            return
        self.text.extend((self._gap, data))
        if inside.announced is not None:
            inside.announced.extend((self._gap, data))
        self._gap = ""
