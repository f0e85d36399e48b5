"""Secrets that were replaced: which of them are still needed, for what, and until when. Names them by their places only."""

from collections import Counter
from datetime import datetime

from backends.protocol import Backend
from webapp import clock
from webapp.accounts import rotation
from webapp.doctor.finding import Context, Finding, ok, wrong
from webapp.doctor.records import asked
from webapp.settings import Settings


async def secrets(ctx: Context) -> list[Finding]:
    """What is to be done with each, if anything."""
    if any(times > 1 for times in Counter(ctx.settings.sealing_keys).values()):
        text = "A secret stands twice in KEYSTEAD_SECRET_KEYS and KEYSTEAD_RETIRED_KEYS."
        return [wrong(text, "Leave each in one place: README, Changing the secret.")]
    return await asked(ctx, lambda backends: _each(ctx.settings, backends[0]))


async def _each(settings: Settings, backend: Backend) -> list[Finding]:
    _, *old = settings.secret_keys
    found = [
        _behind(settings, f"Secret {number} of {len(old) + 1}", await rotation.last_signed(backend, key))
        for number, key in enumerate(old, 2)
    ]
    found += [
        _retired(settings, f"Retired secret {number}", await rotation.last_signed(backend, key))
        for number, key in enumerate(settings.retired_keys, 1)
    ]
    return [ok(text) for text in found] or [ok("None was replaced.")]


def _behind(settings: Settings, which: str, last: datetime | None) -> str:
    """Of one that still verifies everything."""
    if last is None:
        longest = rotation.needed_until(settings, clock.now()) - clock.now()
        return f"{which} is not known to have signed here. Leave it in its place for {longest.days} days after it was replaced."
    until = rotation.needed_until(settings, last)
    if until > clock.now():
        return f"{which} signed until {_at(last)}. Sessions and mailed links carry it until {_at(until)}: leave it in its place."
    return f"{which} is carried by nothing since {_at(until)}: move it to KEYSTEAD_RETIRED_KEYS."


def _retired(settings: Settings, which: str, last: datetime | None) -> str:
    """Of one that verifies seals."""
    when = f", which ended {_at(last)}" if last else ""
    if last and settings.events_kept:
        return f"{which} verifies events of its time{when}. They are kept until {_at(last + settings.events_kept)}."
    return f"{which} verifies events of its time{when}. Leave it in its place for as long as you keep them."


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
