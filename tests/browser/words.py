"""What stands on the pages in another language, by what stands there in English: so that one walk goes through both."""

import re
from collections.abc import Callable, Iterator

from tests import catalogues
from webapp.languages import LOCALE

Say = Callable[[str], str]


def of(code: str) -> Say:
    """`say("Log off")`, as people see it in this language; of a part of an English sentence, the whole of its translation.

    The walk goes on only where the words are there, so it ends at the first that are not. KeyError for words of no page.
    """
    known = dict(_known(code)) if code != "en" else {}

    def say(words: str) -> str:
        if code == "en":
            return words
        if words in known:
            return known[words]
        parts = [text for text in known if words in text and "%(" not in text]
        if parts:
            return known[min(parts, key=len)]
        filled = [(text, found) for text in known if _letters(text) and (found := re.fullmatch(_pattern(text), words))]
        if not filled:
            raise KeyError(words)
        text, found = max(filled, key=lambda each: _letters(each[0]))
        return known[text] % found.groupdict()

    return say


def _known(code: str) -> Iterator[tuple[str, str]]:
    """Each message without its markup; those with words for readers of screens alone also without these, which wins."""
    for message in catalogues.read(LOCALE / code.replace("-", "_") / "LC_MESSAGES"):
        for source in catalogues.sources(message) if message.id else ():
            words = catalogues.strings(message)[0]
            yield _plain(source), _plain(words)
            yield _plain(_seen(source)), _plain(_seen(words))


def _seen(text: str) -> str:
    return re.sub(r'<span class="unseen">.*?</span>', "", text)


def _plain(text: str) -> str:
    return re.sub(r"<[^>]*>", "", text).strip()


def _letters(text: str) -> int:
    """How many there are that are not filled in."""
    return len(re.findall(r"[a-z]", re.sub(r"%\(\w+\)s", "", text)))


def _pattern(text: str) -> str:
    return re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(text))
