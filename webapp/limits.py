"""How often is too often. Counted in the backend, so that every process and machine counts together.

A limit slows down whoever makes the attempts: a pair of account and address, or an address. It never closes an account: a
stranger's attempts at somebody's name do not touch the person who comes from elsewhere.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, ip_address

from webapp import clock
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


LOGON_PAIR = Limit("logon", 10, timedelta(minutes=10))
LOGON_ADDRESS = Limit("logon-address", 100, timedelta(minutes=10))


async def count(request: Request, limit: Limit, *who: str) -> None:
    """Count one attempt of whoever this is; TooOften once there were more than the limit allows."""
    now = clock.now()
    attempts = await request.state.backend.count_attempt(_bucket(limit, who), now, limit.window)
    if attempts.count > limit.most:
        raise TooOften(attempts.resets_at - now)


async def take_back(request: Request, limit: Limit, *who: str) -> None:
    """The attempt just counted was none to count: it succeeded, or failed through no fault of theirs."""
    await request.state.backend.count_attempt(_bucket(limit, who), clock.now(), limit.window, cost=-1)


async def forget(request: Request, limit: Limit, *who: str) -> None:
    """Begin anew: they have shown who they are."""
    await request.state.backend.forget_attempts(_bucket(limit, who))


def address(request: Request) -> str:
    """Where the request comes from. Only an address we were told to trust may speak for another."""
    return request.client.host if request.client else ""


def neighbourhood(address: str) -> str:
    """What one attacker holds at least: an IPv4 address, or an IPv6 /64."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return address


def _bucket(limit: Limit, who: tuple[str, ...]) -> str:
    """Hashed, so that names of any length fit and the backend learns no address from it."""
    return f"{limit.name}:{hashlib.sha256(chr(0).join(who).encode()).hexdigest()[:32]}"
