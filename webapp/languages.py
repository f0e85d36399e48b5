"""The languages that people read us in: which there are, which one somebody wants, and how words become theirs.

A sentence in Python is marked with `_` where it stands, and stays a `Text` until it is shown: only what shows it knows in which
language. English is the source, and needs no catalogue. Never guesses: of two scripts of one language the wrong one is not taken.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from gettext import GNUTranslations
from pathlib import Path
from typing import Literal

LOCALE = Path(__file__).parent / "locale"
MAX_HEADER = 500
"""Characters of an `Accept-Language` header. Browsers send about 50."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words that are translated where they are shown. `many` is what they are for another `count` than one; as `str`, English."""

    message: str
    values: Mapping[str, object]
    many: str = ""
    count: int = 1

    def __str__(self) -> str:
        return ENGLISH.say(self)


def _(message: str, /, **values: object) -> Text:
    """Marks a sentence. `%(name)s` in it stands for the value of that name, which may be a Text itself."""
    return Text(message, values)


def _n(one: str, many: str, count: int, /, **values: object) -> Text:
    """Marks a sentence that depends on a number, which stands in it as `%(count)s`."""
    return Text(one, {"count": count, **values}, many, count)


@dataclass(frozen=True, slots=True)
class Language:
    """`code` is what HTML and HTTP call it (BCP 47), `name` what it is called in itself."""

    code: str
    name: str
    direction: Literal["ltr", "rtl"] = "ltr"

    def gettext(self, message: str) -> str:
        """The message in this language; in English where the catalogue has none."""
        found = _catalogue(self.code)
        return found.gettext(message) if found else message

    def ngettext(self, one: str, many: str, count: int) -> str:
        """The same for a message that depends on a number."""
        found = _catalogue(self.code)
        return found.ngettext(one, many, count) if found else one if count == 1 else many

    def say(self, text: Text) -> str:
        """The words of this text."""
        message = self.ngettext(text.message, text.many, text.count) if text.many else self.gettext(text.message)
        return message % {name: self.plain(value) for name, value in text.values.items()} if text.values else message

    def plain(self, value: object) -> object:
        """The words of a Text; anything else as it is."""
        return self.say(value) if isinstance(value, Text) else value


ENGLISH = Language("en", "English")
KNOWN: dict[str, Language] = {each.code: each for each in (ENGLISH, Language("zh-CN", "简体中文"))}
"""By their codes, in the order in which they are offered. Each but English has a catalogue in `locale/`."""

_SCRIPTS = {"zh": "hans", "zh-tw": "hant", "zh-hk": "hant", "zh-mo": "hant"}
"""In what a language is written by those who do not say it."""


def of(*codes: str) -> Language:
    """The first of these that there is; English if there is none."""
    return next((KNOWN[code] for code in codes if code in KNOWN), ENGLISH)


def choose(header: str, otherwise: str) -> Language:
    """The language that this `Accept-Language` header wants most of those that there are (RFC 9110 §12.5.4).

    Who reads a script that we do not have, and nothing else that we have, gets English.
    """
    return _chosen(header, otherwise) if len(header) <= MAX_HEADER else of(otherwise)


@lru_cache(maxsize=512)
def _chosen(header: str, otherwise: str) -> Language:
    lacking = set()
    for tag in _wanted(header):
        if tag == "*":
            break
        kind = _kind(tag)
        if found := _known(tag, kind):
            if "-" in tag or kind[0] not in lacking:
                return found
        elif any(_kind(code)[0] == kind[0] for code in KNOWN):
            lacking.add(kind[0])
    return ENGLISH if lacking else of(otherwise)


_RANGE = re.compile(r"\s*([A-Za-z0-9-]{1,35}|\*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?", re.ASCII)


def _wanted(header: str) -> list[str]:
    """The tags of the header, in lower case, the most wanted first; without what is not wanted at all or not well-formed."""
    ranges = [found for part in header.split(",") if (found := _RANGE.fullmatch(part))]
    weighed = [(float(each[2] or 1), each[1].lower()) for each in ranges]
    return [tag for weight, tag in sorted(weighed, key=lambda each: -each[0]) if weight > 0]


def _kind(tag: str) -> tuple[str, str]:
    """The language and its script."""
    primary, *subtags = tag.lower().split("-")
    script = next((each for each in subtags if len(each) == 4 and each.isalpha()), "")
    region = next((each for each in subtags if len(each) == 2), "")
    return primary, script or _SCRIPTS.get(f"{primary}-{region}") or _SCRIPTS.get(primary, "")


def _known(tag: str, kind: tuple[str, str]) -> Language | None:
    """The language of this tag, or the first of its kind."""
    exact = next((each for code, each in KNOWN.items() if code.lower() == tag), None)
    return exact or next((each for code, each in KNOWN.items() if _kind(code) == kind), None)


@cache
def _catalogue(code: str) -> GNUTranslations | None:
    """What is translated; None for English, and for a language whose catalogue is not there."""
    path = LOCALE / code.replace("-", "_") / "LC_MESSAGES" / "keystead.mo"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return GNUTranslations(file)


# dates and times

_MONTHS = (
    _("January"), _("February"), _("March"), _("April"), _("May"), _("June"), _("July"), _("August"), _("September"),
    _("October"), _("November"), _("December"),
)  # fmt: skip


def day(moment: datetime) -> Text:
    """The day of a moment, as it stands on paper."""
    return _("%(day)s %(month)s %(year)s", day=moment.day, month=_MONTHS[moment.month - 1], year=moment.year)


def when(moment: datetime, zone: int | None = None) -> Text:
    """A moment as people write it: in UTC, or by a clock that is so many minutes ahead of it."""
    there = moment + timedelta(minutes=zone or 0)
    date, time = day(there), there.strftime("%H:%M")
    if not zone:
        return _("%(date)s, %(time)s UTC", date=date, time=time)
    hours, minutes = divmod(abs(zone), 60)
    ahead = f"{'+' if zone > 0 else '-'}{hours}" + (f":{minutes:02}" if minutes else "")
    return _("%(date)s, %(time)s (UTC%(ahead)s)", date=date, time=time, ahead=ahead)


def lasting(seconds: int) -> Text:
    """How long something lasts, as people say it: `40 seconds`, `5 minutes`, `2 hours`; rather too long than too short."""
    say, length = next((say, length) for say, length, most in _UNITS if seconds <= most)
    return say(-(-seconds // length))


_UNITS: tuple[tuple[Callable[[int], Text], int, int], ...] = (
    (lambda count: _n("%(count)s second", "%(count)s seconds", count), 1, 59),
    (lambda count: _n("%(count)s minute", "%(count)s minutes", count), 60, 90 * 60),
    (lambda count: _n("%(count)s hour", "%(count)s hours", count), 3600, 2**63),
)
"""Of each how many seconds it has, and up to how many it is used."""
