"""A language for tests: English with every letter accented, and a third longer. What is not of it was not translated.

`leaks` reads a page or a letter in it and names every word that is none of it. Names that people chose are not translated: they
stand in `<bdi>`, codes in `<code>`.

    python -m tests.pseudo serve        Keystead, with this language and one from right to left among those at its foot
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from tests.words import ATTRIBUTES
from webapp.languages import KNOWN, Language

PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ACCENTED = str.maketrans(PLAIN, "ÀßÇÐÉƑĜĤÎĴĶĻṀÑÖÞǪŔŠŢÛṼŴẊÝŽåƀçðéƒĝĥîĵķļṁñöþǫŕšţûṽŵẋýž")
KEPT = re.compile(r"(%\(\w+\)s|%%|<[^>]*>|&\w+;)")
"""What is filled in, and markup."""
SAME = {
    "Keystead", "UTC", "Chrome", "Firefox", "Edge", "Safari", "Opera", "Internet", "Explorer", "Google", "Mozilla", "Microsoft",
    "Apple", "Android", "ChromeOS", "Windows", "macOS", "Linux", "iPhone", "iPad", "Phone", "keystead", "command",
}  # fmt: skip
"""What is called the same in every language, and stands for itself in the words of a sentence."""
UNREAD = frozenset({"bdi", "code", "script", "style", "pre"})
VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


def disguise(message: str) -> str:
    """The message in this language."""
    pieces = KEPT.split(message)
    said = "".join(piece if number % 2 else piece.translate(ACCENTED) for number, piece in enumerate(pieces))
    letters = sum(character.isalpha() for character in "".join(pieces[::2]))
    core = said.rstrip()
    return core + "·" * (letters // 3) + said[len(core) :]


@dataclass(frozen=True, slots=True)
class Pseudo(Language):
    """Needs no catalogue."""

    def gettext(self, message: str) -> str:
        return disguise(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        return disguise(one if count == 1 else many)


PSEUDO = Pseudo("en-XA", "Þŝéûðö")
FROM_RIGHT = Pseudo("ar-XB", "Öðûéŝþ", "rtl")


def leaks(page: str, data: Iterable[str] = (), filled_in: Iterable[str] = ()) -> list[str]:
    """Words of the page that are not of this language. Those of `data` may stand in attributes, those of `filled_in` anywhere."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    there = set(words(filled_in))
    known = there | set(words(data))
    texts = [word for word in words(reader.texts) if word not in there]
    return texts + [word for word in words(reader.attributes) if word not in known]


def leaks_of_text(text: str, data: Iterable[str] = ()) -> list[str]:
    """The same of a letter in plain text."""
    known = set(words(data))
    return [word for word in words([text]) if word not in known]


def words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from (word for word in re.findall(r"[A-Za-z]{2,}", text) if word not in SAME)


class _Reader(HTMLParser):
    """What is read, and is neither a name nor in another language than the page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.attributes: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        unread = tag in UNREAD or (tag != "html" and any(name == "lang" for name, _ in attrs))
        if tag != "meta":
            self.attributes += [value for name, value in attrs if name in ATTRIBUTES and value]
        if tag not in VOID:
            self._open.append((tag, unread))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(unread for _, unread in self._open):
            self.texts.append(data)


if __name__ == "__main__":
    from webapp import cli

    KNOWN.update({each.code: each for each in (PSEUDO, FROM_RIGHT)})
    cli.main()
