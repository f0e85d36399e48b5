"""How often is too often. Counted in the backend, so that every process and machine counts together.

A limit slows down whoever makes the attempts: a pair of account and address, or an address. It never closes an account: a
stranger's attempts at somebody's name do not touch the person who comes from elsewhere.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from backends.protocol import fold
from webapp import clock
from webapp.settings import Network
from webapp.state import Request


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` attempts in a `window` that begins with the first."""

    name: str
    most: int
    window: timedelta


class TooOften(Exception):
    """The limit is reached; it is worth coming back after `wait`."""

    def __init__(self, wait: timedelta) -> None:
        self.seconds = max(1, math.ceil(wait.total_seconds()))


WINDOW = timedelta(minutes=10)
LOGON_PAIR = Limit("logon", 10, WINDOW)
LOGON_ADDRESS = Limit("logon-address", 100, WINDOW)
LOGON_ADDRESS_STRICT = Limit("logon-address", 10, WINDOW)
LOGON_WHOLE = Limit("logon-whole", 2000, WINDOW)
"""Wrong passwords on the whole installation. Beyond, every address has only the strict limit: that slows an attack from many
addresses down and leaves a person, who needs a few attempts, alone."""
KEY_STEP = Limit("key", 30, WINDOW)
RECOVERY = Limit("recovery", 10, WINDOW)
RESET_ADDRESS = Limit("reset-address", 20, timedelta(hours=1))
RESET_ACCOUNT = Limit("reset", 3, timedelta(hours=1))
LONGEST_ADDRESS = 64
"""Characters of an IPv6 address with the name of an interface; what is longer is none."""


async def logon(request: Request, username: str) -> None:
    """Count an attempt to log on, before the password is looked at. TooOften for this pair, this address, or in an attack."""
    place = here(request)
    now = clock.now()
    wrong = await request.state.backend.count_attempt(_bucket(LOGON_WHOLE, ()), now, LOGON_WHOLE.window, cost=0)
    await count(request, LOGON_ADDRESS_STRICT if wrong.count > LOGON_WHOLE.most else LOGON_ADDRESS, place)
    await count(request, LOGON_PAIR, fold(username), place)


async def logon_was(request: Request, username: str, *, right: bool) -> None:
    """A right password begins the pair anew; a wrong one counts against the whole."""
    place = here(request)
    if right:
        await forget(request, LOGON_PAIR, fold(username), place)
        await take_back(request, LOGON_ADDRESS, place)
    else:
        await request.state.backend.count_attempt(_bucket(LOGON_WHOLE, ()), clock.now(), LOGON_WHOLE.window)


async def count(request: Request, limit: Limit, *who: str) -> None:
    """Count one attempt of whoever this is; TooOften once there were more than the limit allows."""
    now = clock.now()
    attempts = await request.state.backend.count_attempt(_bucket(limit, who), now, limit.window)
    if attempts.count > limit.most:
        request.state.metrics.limit_hit(limit.name)
        raise TooOften(attempts.resets_at - now)


async def look(request: Request, limit: Limit, *who: str) -> None:
    """TooOften if whoever this is has reached the limit; nothing is counted. For attempts that nobody can guess right."""
    now = clock.now()
    attempts = await request.state.backend.count_attempt(_bucket(limit, who), now, limit.window, cost=0)
    if attempts.count >= limit.most:
        raise TooOften(attempts.resets_at - now)


async def take_back(request: Request, limit: Limit, *who: str) -> None:
    """The attempt just counted was none to count: it succeeded, or failed through no fault of theirs."""
    await request.state.backend.count_attempt(_bucket(limit, who), clock.now(), limit.window, cost=-1)


async def forget(request: Request, limit: Limit, *who: str) -> None:
    """Begin anew: they have shown who they are."""
    await request.state.backend.forget_attempts(_bucket(limit, who))


def address(request: Request) -> str:
    """Where the request comes from. Only a proxy that we were told to trust may speak for somebody else.

    The headers are read from the right, where our own proxies write: what stands left of the first address that is not one of
    them is what anybody may have sent. A proxy writes one of the two headers and may pass on the other as a visitor sent it:
    where they differ, neither counts.
    """
    state = request.state
    if "address" not in state:
        state.address = _address(request)
    return state.address


def here(request: Request) -> str:
    """The neighbourhood of the address that the request comes from: what limits count."""
    return neighbourhood(address(request))


def neighbourhood(address: str) -> str:
    """What one attacker holds at least: an IPv4 address, or an IPv6 /64."""
    ip = _ip(address)
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return address


def forwarded(request: Request) -> tuple[list[str], list[str]]:
    """The addresses that `Forwarded` (RFC 7239 §5.2) and `X-Forwarded-For` claim, as they stand."""
    lines = request.headers.getlist("forwarded")
    standard = re.findall(r'for="?\[?([^"\];,\s]+)', ",".join(lines), re.IGNORECASE) if lines else []
    usual = [text.strip().strip("[]") for line in request.headers.getlist("x-forwarded-for") for text in line.split(",")]
    return _without_ports(standard), _without_ports(usual)


def is_trusted(request: Request, text: str) -> bool:
    """Whether this is the address of a proxy that may speak for others."""
    return _is_in(request.state.settings.trusted_proxies, text)


def _address(request: Request) -> str:
    peer = request.client.host if request.client else ""
    networks = request.state.settings.trusted_proxies
    if not _is_in(networks, peer):
        return peer
    told = {_nearest(networks, claims) for claims in forwarded(request) if claims}
    found = told.pop() if len(told) == 1 else None
    return found or peer


def _without_ports(claims: list[str]) -> list[str]:
    return [text.rpartition(":")[0] if text.count(":") == 1 else text for text in claims]


def _nearest(networks: Sequence[Network], claims: list[str]) -> str | None:
    """The last address that is not one of our proxies; None if that is none, or if there are only our proxies."""
    nearest = next((claimed for claimed in reversed(claims) if not _is_in(networks, claimed)), "")
    return nearest if _ip(nearest) else None


def _is_in(networks: Sequence[Network], text: str) -> bool:
    ip = _ip(text) if networks else None
    return ip is not None and any(ip in network for network in networks if ip.version == network.version)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    return _parsed(text) if len(text) <= LONGEST_ADDRESS else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Parsing costs more than everything else here, and a logon asks for the same few addresses a dozen times."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def _bucket(limit: Limit, who: tuple[str, ...]) -> str:
    """Hashed, so that names of any length fit and the backend learns no address from it."""
    return f"{limit.name}:{hashlib.sha256(chr(0).join(who).encode()).hexdigest()[:32]}"
