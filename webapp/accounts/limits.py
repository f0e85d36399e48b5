"""How often is too often. Counted in the backend, so that every process and machine counts together.

A browser that has logged on before has an allowance of its own. All strangers to a name share one, so that guesses at it are
capped for the whole world, and the owner still gets in: by a known browser, or by the mailed link that makes one known.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from backends.protocol import MAX_NAME, fold
from backends.records import Attempts
from webapp import clock
from webapp.accounts.context import Context


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts in a `window` that begins with the first."""

    name: str
    most: int
    window: timedelta


class TooOften(Exception):
    """The limit that `limit` names is reached; come back after `seconds`. `account_id`: whose limit it is, if anybody's."""

    def __init__(self, limit: str, wait: timedelta, account_id: str = "") -> None:
        super().__init__(limit)
        self.limit, self.seconds, self.account_id = limit, max(1, math.ceil(wait.total_seconds())), account_id


WINDOW = timedelta(minutes=10)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LOGON_DEVICE = Limit("logon-device", 10, WINDOW)
STRANGERS = Limit("logon-strangers", 15, WINDOW)
STRANGERS_HOUR = Limit("logon-strangers-hour", 45, HOUR)
"""Of each name. An account has two, username and address, and to count them together would tell strangers that they belong
together. Two windows of an hour touch within any hour, so that of guesses at one account 180 are verified in it at the most."""
PASSWORD_CHANGE = Limit("password-change", 10, WINDOW)
LOGON_PAIR = Limit("logon", 10, WINDOW)
PREFIXES = {64: 100, 56: 200, 48: 400, 32: 100}
"""Attempts in ten minutes from one IPv4 address (/32), and from one IPv6 /64, /56 and /48: what one customer may hold."""
STRICT = 10
"""What one address may try while the whole installation is under attack."""
LOGON_WHOLE = Limit("logon-whole", 2000, WINDOW)
"""Wrong passwords on the whole installation, or of each hundred accounts one, where that is more. Beyond, every address has only
the strict limit. In its busiest ten minutes an account in thirty logs on, and of those one in ten mistypes: a third of it."""
ACCOUNTS_TO_ONE = 100
SLICES = 16
"""In how many counters those are counted, so that no counter is written by every logon there is."""
KEY_STEP = Limit("key", 30, WINDOW)
RECOVERY = Limit("recovery", 10, WINDOW)
HELPDESK = Limit("helpdesk", 10, HOUR)
"""Numbers for the help desk that one address may ask for, for one account."""
CODES = Limit("codes", 10, DAY)
"""Verification codes mailed to one account."""
OF_AN_ACCOUNT = (PASSWORD_CHANGE, KEY_STEP, RECOVERY, HELPDESK, CODES)
"""Counted under the account's id first: the log may name it."""
RESET_ASKER = Limit("reset-asker", 20, HOUR)
RESET_NAME = Limit("reset-name", 1, timedelta(minutes=2))
JOIN_ASKER = Limit("join-asker", 20, HOUR)
JOIN_ADDRESS = Limit("join-address", 1, timedelta(minutes=2))
JOIN_ADDRESS_DAY = Limit("join-address-day", 5, DAY)
JOIN_WHOLE = Limit("join-whole", 1000, DAY)
"""Mails to whoever asks to join: each leaves a record."""
JOINING = Limit("joining", 20, HOUR)
"""What may be typed by one invitation: it tells whether a name is taken."""
MAX_ADDRESS = 64
"""Characters of an IPv6 address with the name of an interface; what is longer is none."""


async def logon(ctx: Context, name: str, *, known: bool) -> None:
    """Count an attempt to log on, before the password is looked at. TooOften for this browser, this account, or this address."""
    if known and ctx.device:
        await count(ctx, LOGON_DEVICE, folded(name), ctx.device.id)
        return
    wrong = await _look(ctx, _slice(ctx))
    strict = wrong.count > max(LOGON_WHOLE.most, ctx.accounts // ACCOUNTS_TO_ONE) // SLICES
    for bits, prefix in prefixes(ctx.address):
        most = STRICT if strict and bits in (32, 64) else PREFIXES[bits]
        await count(ctx, Limit(f"logon-{bits}", most, WINDOW), prefix)
    await count(ctx, LOGON_PAIR, folded(name), here(ctx))
    await count(ctx, STRANGERS, folded(name))
    await count(ctx, STRANGERS_HOUR, folded(name))


async def logon_was(ctx: Context, name: str, *, known: bool, right: bool) -> None:
    """A right password takes the attempt back; a wrong one counts against the whole."""
    if known and ctx.device:
        if right:
            await forget(ctx, LOGON_DEVICE, folded(name), ctx.device.id)
        return
    if not right:
        limit, *who = _slice(ctx)
        await ctx.backend.count_attempt(_bucket(limit, tuple(who)), clock.now(), limit.window)
        return
    await forget(ctx, LOGON_PAIR, folded(name), here(ctx))
    for limit in (STRANGERS, STRANGERS_HOUR):
        await take_back(ctx, limit, folded(name))
    for bits, prefix in prefixes(ctx.address):
        await take_back(ctx, Limit(f"logon-{bits}", PREFIXES[bits], WINDOW), prefix)


async def count(ctx: Context, limit: Limit, *who: str) -> None:
    """Count one attempt of whoever this is; TooOften once there were more than the limit allows."""
    now = clock.now()
    attempts = await ctx.backend.count_attempt(_bucket(limit, who), now, limit.window)
    if attempts.count > limit.most:
        ctx.metrics.limit_hit(limit.name)
        raise TooOften(limit.name, attempts.resets_at - now, who[0] if limit in OF_AN_ACCOUNT else "")


async def look(ctx: Context, limit: Limit, *who: str) -> None:
    """TooOften if whoever this is has reached the limit; nothing is counted. For attempts that nobody can guess right."""
    attempts = await _look(ctx, (limit, *who))
    if attempts.count >= limit.most:
        raise TooOften(limit.name, attempts.resets_at - clock.now(), who[0] if limit in OF_AN_ACCOUNT else "")


async def take_back(ctx: Context, limit: Limit, *who: str) -> None:
    """The attempt just counted was none to count: it succeeded, or failed through no fault of theirs."""
    await ctx.backend.count_attempt(_bucket(limit, who), clock.now(), limit.window, cost=-1)


async def forget(ctx: Context, limit: Limit, *who: str) -> None:
    """Begin anew: they have shown who they are."""
    await ctx.backend.forget_attempts(_bucket(limit, who))


def here(ctx: Context) -> str:
    """What one attacker holds at least: an IPv4 address, or an IPv6 /64."""
    return prefixes(ctx.address)[0][1]


def prefixes(address: str) -> list[tuple[int, str]]:
    """The rate-limit prefixes of an address, narrowest first: `(64, "2001:db8::")`, …"""
    ip = parsed(address)
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    if isinstance(ip, IPv6Address) and mapped is None:
        return [(bits, str(IPv6Address(int(ip) >> (128 - bits) << (128 - bits)))) for bits in (64, 56, 48)]
    return [(32, str(mapped or ip or address))]


def folded(name: str) -> str:
    """The name as limits count it: one bucket for all that are too long to be one."""
    return fold(name) if len(name) <= MAX_NAME else ""


async def _look(ctx: Context, of: tuple[Limit, *tuple[str, ...]]) -> Attempts:
    limit, *who = of
    return await ctx.backend.count_attempt(_bucket(limit, tuple(who)), clock.now(), limit.window, cost=0)


def _slice(ctx: Context) -> tuple[Limit, str]:
    """The counter of the whole that this address is counted in."""
    return LOGON_WHOLE, str(hashlib.sha256(here(ctx).encode()).digest()[0] % SLICES)


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address that this text is; None if it is none."""
    return _parsed(text) if len(text) <= MAX_ADDRESS else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Parsing costs more than all that is done with it, and a logon asks for the same few addresses a dozen times."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _bucket(limit: Limit, who: tuple[str, ...]) -> str:
    """Hashed, so that names of any length fit and the backend learns no address from it."""
    return f"{limit.name}:{hashlib.sha256(chr(0).join(who).encode()).hexdigest()[:32]}"
