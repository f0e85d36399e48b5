"""The settings, and what can be said about them without asking anybody. Never repeats a secret."""

import difflib
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from secrets import token_urlsafe

from webapp.doctor.finding import Context, Finding, ok, wrong
from webapp.settings import PREFIX, TABLE, Settings, SettingsError

LEAST_BITS = 100
ANYBODYS = frozenset({
    "aol.com", "gmail.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com", "live.com", "mail.com", "mail.ru",
    "msn.com", "outlook.com", "proton.me", "protonmail.com", "qq.com", "t-online.de", "web.de", "yahoo.com", "yandex.ru",
})  # fmt: skip
"""Mail domains where anybody can have an address. There are more of them."""
MEGABYTE = 1_000_000
PROCESS = 93
"""MB of a process while it checks passwords."""
MOST_OF_A_CORE = 8
"""Processes that are more than any core has use for."""
_EXAMPLE = re.compile(r"(^|\.)example\.(com|net|org)$|\.example$")
"""Names that are given to nobody (RFC 2606)."""
_WORDS = re.compile(r"secret|password|passwort|change_?me|example|keystead|default|123456|abcdef|qwert|(.)\1{5}", re.IGNORECASE)
_MAKE = "Make one with `keystead secret`. Put it in front, keep the old one behind it (with a comma between) for a day."


def problems(environ: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with which variable."""
    try:
        Settings.from_environ(environ)
    except SettingsError as error:
        return error.problems
    return {}


def mended(environ: Mapping[str, str], problems: Mapping[str, str]) -> dict[str, str]:
    """The environment with what is wrong put aside, so that what hangs on the rest can be looked at."""
    aside = {setting.variable: setting.example if setting.default is None else setting.default for setting in TABLE}
    aside["KEYSTEAD_SECRET_KEYS"] = token_urlsafe(32)
    return dict(environ) | {variable: aside[variable] for variable in problems}


def settings(environ: Mapping[str, str], problems: Mapping[str, str]) -> list[Finding]:
    """Each variable that is missing, wrong, or misspelt."""
    found = [wrong(f"{variable} {text}", f"Set {variable} as it says.", "settings") for variable, text in problems.items()]
    found += [
        wrong(f"{name} is set, and nothing reads it.", f"{near} was probably meant: rename it.", "settings")
        for name, near in _misspelt(environ).items()
    ]
    given = sum(bool(environ.get(setting.variable, "").strip()) for setting in TABLE)
    return found or [ok(f"{given} of {len(TABLE)} are set, the others have defaults.", "settings")]


async def secrets(ctx: Context) -> list[Finding]:
    """Whether the secrets could be guessed."""
    keys, metrics = ctx.settings.secret_keys, ctx.settings.metrics
    found = [
        wrong(f"{_which(number, len(keys), 'KEYSTEAD_SECRET_KEYS')} {weakness}", _MAKE)
        for number, key in enumerate(keys, 1)
        if (weakness := _weakness(key))
    ]
    if metrics in keys:
        found.append(
            wrong(
                "KEYSTEAD_METRICS is one of KEYSTEAD_SECRET_KEYS.", "Whoever reads metrics must not sign sessions: make another."
            )
        )
    elif metrics and (weakness := _weakness(metrics)):
        found.append(wrong(f"KEYSTEAD_METRICS {weakness}", "Make another one with `keystead secret`."))
    return found or [ok("Nobody will guess them.")]


async def durations(ctx: Context) -> list[Finding]:
    """Whether each of them can ever count."""
    idle, whole = ctx.settings.session_idle, ctx.settings.session_lifetime
    if idle > whole:
        text = "KEYSTEAD_SESSION_IDLE is longer than KEYSTEAD_SESSION_LIFETIME: nobody is ever logged off for doing nothing."
        return [wrong(text, "Make it shorter than the whole, such as 12h of 7d.")]
    return [ok(f"Sessions end after {_long(whole)}, or after {_long(idle)} without a visit.")]


async def processes(ctx: Context) -> list[Finding]:
    """Whether this machine has what so many of them need."""
    wanted, cores = ctx.settings.web_concurrency, os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE
    if wanted > cores * MOST_OF_A_CORE or wanted * PROCESS > memory:
        text = f"{wanted} processes on {cores} cores with {memory:,} MB: each takes {PROCESS} MB while it checks passwords."
        return [wrong(text, f"Set WEB_CONCURRENCY to one for each core: {cores}.")]
    return [ok(f"{wanted} on {cores} {'core' if cores == 1 else 'cores'}.")]


def _long(duration: timedelta) -> str:
    days, minutes = divmod(int(duration.total_seconds()) // 60, 24 * 60)
    parts = ((days, "d"), (minutes // 60, "h"), (minutes % 60, "m"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)


async def address(ctx: Context) -> list[Finding]:
    """Whether the public URL is one for other people."""
    if ctx.settings.local:
        return [ok(f"{ctx.settings.public_url} is for a look from this machine only.")]
    if _EXAMPLE.search(ctx.settings.rp_id):
        text = f"{ctx.settings.public_url} is an address from an example, which belongs to nobody."
        return [wrong(text, "Set KEYSTEAD_PUBLIC_URL to your own before anybody binds a key: keys stay bound to its domain.")]
    return [ok(f"{ctx.settings.public_url}: keys are bound to {ctx.settings.rp_id}.")]


async def help(ctx: Context) -> list[Finding]:
    """Whether somebody who is locked out is told whom to ask."""
    if ctx.settings.help is None:
        return [ok("KEYSTEAD_HELP is not set: pages and letters say to ask whoever runs the site, and not where.")]
    return [ok(f"People who need it are told {ctx.settings.help.text}.")]


async def joining(ctx: Context) -> list[Finding]:
    """Whether those who may invite themselves are somebody's people."""
    if anybodys := sorted(ANYBODYS.intersection(ctx.settings.join)):
        text = f"KEYSTEAD_JOIN names {' and '.join(anybodys)}, where anybody can have an address: everybody may join."
        return [wrong(text, "Name a mail domain of your own, or invite people one by one (`keystead account invite`).")]
    if ctx.settings.join:
        return [ok(f"People at {' and '.join(ctx.settings.join)} may invite themselves.")]
    return [ok("Whoever has no account is invited.")]


def _misspelt(environ: Mapping[str, str]) -> dict[str, str]:
    known = [setting.variable for setting in TABLE]
    strange = [name for name in environ if name.upper().startswith(PREFIX) and name not in known]
    near = {name: difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8) for name in strange}
    return {name: matches[0] for name, matches in near.items() if matches}


def _which(number: int, count: int, variable: str) -> str:
    return f"{variable}: secret {number} of {count}" if count > 1 else variable


def _weakness(secret: str) -> str:
    """Why a secret could be guessed; empty if nothing speaks for it. Nothing can show that one was drawn at random."""
    if found := _WORDS.search(secret):
        return "holds a word that everybody tries." if found[1] is None else "repeats one character."
    if re.fullmatch(r"[a-z _.-]+", secret) or re.fullmatch(r"[0-9 _.-]+", secret):
        return "has letters of one kind only, as words that somebody thought of have."
    share = [count / len(secret) for count in Counter(secret).values()]
    bits = -len(secret) * sum(part * math.log2(part) for part in share)
    return "repeats itself so much that it could be guessed." if bits < LEAST_BITS else ""
