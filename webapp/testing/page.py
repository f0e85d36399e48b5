"""A page or panel as a browser sees it: its forms, what it says, and whether it asks for a key. Reads only, judges nothing."""

from dataclasses import dataclass, field
from html.parser import HTMLParser


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
        reader.page.text = " ".join(reader.page.text.split())
        reader.page.said = [" ".join(words.split()) for words in reader.page.said]
        return reader.page

    def form(self, ending: str) -> Form | None:
        """The form whose action ends like this, as in `/bind/begin`."""
        return next((form for form in self.forms if form.action.endswith(ending)), None)

    @property
    def ceremony(self) -> Form | None:
        """The form that asks for a key."""
        return next((form for form in self.forms if form.ceremony), None)


_EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_UNSEEN = {"script", "style", "template", "noscript", "svg"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._form: Form | None = None
        self._open: list[tuple[str, bool]] = []
        """The elements that are open, and whether each announces what it holds."""
        self._gap = ""
        """What stands between this text and the one before: nothing where only a name begins or ends."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._gap = self._gap if tag == "bdi" else " "
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
        announces = given.get("role") in ("alert", "status") and "hidden" not in given
        if announces:
            self.page.said.append("")
        if tag not in _EMPTY:
            self._open.append((tag, announces))

    def handle_endtag(self, tag: str) -> None:
        self._gap = self._gap if tag == "bdi" else " "
        if tag == "form":
            self._form = None
        while self._open and any(name == tag for name, _ in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        names = {name for name, _ in self._open}
        if "title" in names and "svg" not in names:
            self.page.title += data
        elif not names & _UNSEEN:
            self.page.text += f"{self._gap}{data}"
            if any(announces for _, announces in self._open):
                self.page.said[-1] += f"{self._gap}{data}"
            self._gap = ""
