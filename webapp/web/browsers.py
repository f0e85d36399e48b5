"""What a User-Agent says about a browser: its name, whether it is too old, and whether it is a phone.

None of this is a security check. A browser that lies only misses a piece of advice; it still owes the key.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from webapp.languages import Text, _

_SYSTEMS = (
    ("Windows Phone", "Windows Phone"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"),
    ("CrOS", "ChromeOS"), ("Windows", "Windows"), ("Mac OS X", "macOS"), ("Linux", "Linux"),
)  # fmt: skip
_NAMES = (
    ("Internet Explorer", re.compile(r"(?:MSIE |Trident/.*rv:)(\d+)")),
    ("Edge", re.compile(r"(?:Edge|Edg|EdgA|EdgiOS)/(\d+)")),
    ("Opera", re.compile(r"OPR/(\d+)")),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"(?:Chrome|CriOS|Chromium)/(\d+)")),
    ("Safari", re.compile(r"Version/(\d+).*Safari/")),
)
_RUNS_FROM = {"Internet Explorer": 10_000, "Chrome": 51, "Firefox": 60}
_WEBAUTHN_FROM = {"Chrome": 67, "Firefox": 60, "Edge": 18, "Opera": 54, "Safari": 13}
_PHONE = re.compile(r"iPhone|iPad|Android|Windows Phone|Mobile")


@dataclass(frozen=True, slots=True)
class Browser:
    """What the header said; `version` is 0 and `name` empty where it said nothing we know."""

    name: str
    version: int
    system: str
    phone: bool

    @property
    def too_old(self) -> bool:
        """Internet Explorer, Chrome before 51, Firefox before 60: these get a page that names what works."""
        return self.version < _RUNS_FROM.get(self.name, 0)

    @property
    def no_webauthn(self) -> Text | None:
        """Which version of this browser has WebAuthn, when this one has not; None where it should work."""
        since = _WEBAUTHN_FROM.get(self.name, 0)
        if self.version >= since:
            return None
        return _(
            "%(browser)s has it from version %(version)s on. Please update it, or use a current Chrome or Firefox.",
            browser=self.name,
            version=since,
        )

    def __str__(self) -> str:
        """As people would say it, and as it is recorded: `Firefox on Linux`. `templating.browser` has the words."""
        return f"{self.name or 'A browser'} on {self.system}" if self.system else self.name or "An unknown browser"


def parse(user_agent: str) -> Browser:
    """What this User-Agent header says; anything is accepted."""
    return _parse(user_agent[:512])


@lru_cache(maxsize=256)
def _parse(text: str) -> Browser:
    system = next((name for word, name in _SYSTEMS if word in text), "")
    for name, pattern in _NAMES:
        if found := pattern.search(text):
            return Browser(name, int(found[1][:6]), system, bool(_PHONE.search(text)))
    return Browser("", 0, system, bool(_PHONE.search(text)))
