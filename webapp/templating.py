"""Jinja as we use it, for pages and for letters: strict about missing values, always escaping. Never trusts markup."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from webapp.branding import Made

_here = Path(__file__).parent
_rooms = _here if (_here / "templates").is_dir() else _here.parent
STATIC = _rooms / "static"


@cache
def environment() -> Environment:
    """The one environment; whoever serves pages adds its functions to the globals before the first page."""
    found = Environment(
        loader=FileSystemLoader(_rooms / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        auto_reload=False,
    )
    found.trim_blocks = found.lstrip_blocks = True
    found.filters.update(when=when, day=day, lasting=lasting)
    return found


def render(template: str, **context: Any) -> str:
    """The text of a template that knows nothing of a request."""
    return environment().get_template(template).render(context)


@lru_cache(maxsize=64)
def digest(file: str) -> str:
    """Part of a file's address, so that a browser may keep it for a year and still gets the next version at once."""
    path = STATIC / file
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else ""


def version(file: str, made: Mapping[str, Made]) -> str:
    """The same of a file that we ship, or of what this deployment has made to be served beside them."""
    return made[file].version if file in made else digest(file)


def day(moment: datetime) -> str:
    """The day of a moment, as it stands on paper."""
    return f"{moment.day} {moment:%B %Y}"


def when(moment: datetime, zone: int | None = None) -> str:
    """A moment as people write it: in UTC, or by a clock that is so many minutes ahead of it."""
    if not zone:
        return f"{day(moment)}{moment:, %H:%M} UTC"
    there, (hours, minutes) = moment + timedelta(minutes=zone), divmod(abs(zone), 60)
    ahead = f"{'+' if zone > 0 else '-'}{hours}" + (f":{minutes:02}" if minutes else "")
    return f"{day(there)}{there:, %H:%M} (UTC{ahead})"


def lasting(seconds: int) -> str:
    """How long something lasts, as people say it: `40 seconds`, `5 minutes`, `2 hours`; rather too long than too short."""
    unit, length = next((unit, length) for unit, length, most in _UNITS if seconds <= most)
    count = -(-seconds // length)
    return f"{count} {unit}{'s' if count != 1 else ''}"


_UNITS = (("second", 1, 59), ("minute", 60, 90 * 60), ("hour", 3600, 2**63))
"""Of each how many seconds it has, and up to how many it is used."""
