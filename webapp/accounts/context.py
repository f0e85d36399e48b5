"""Who acts on an account, from where, and with what: made by a guard, the command line or a test. Never holds a request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backends.protocol import Backend
from backends.records import Account, Notification
from webapp.metrics import Metrics
from webapp.settings import Settings

Level = Literal["password_only", "authenticated", "proven", "fresh"]
"""What a session must have given: the password, all that is owed at logon, a proof within ten minutes, or within one."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The session that acts, by the hash of its token, and what it must have given. Looked at again by every commit.

    `to_bind`: the act is part of binding a key, which is open also to who must bind one before anything else.
    """

    token_hash: bytes
    level: Level
    to_bind: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """A browser that has logged on before: its random id, and the accounts that it has logged on to, as their tags."""

    id: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What an operation is carried out with. `claim` is None where nobody's session acts, as at the command line."""

    settings: Settings
    backend: Backend
    metrics: Metrics
    address: str = ""
    browser: str = ""
    claim: Claim | None = None
    device: Device | None = None
    accounts: int = 0
    """About how many there are; 0 where nobody asked."""
    zone: int | None = None
    """How many minutes the browser's clock is ahead of UTC."""
    language: str = ""
    """The code of the language in which the browser reads us."""
    owes: Callable[[Account, Sequence[Notification]], None] = lambda account, notifications: None
    """Told of the letters that an account is owed since a commit of ours, so that they are sent at once."""


@dataclass(frozen=True, slots=True)
class Act:
    """The moment of a decision: when, from where, by which browser, under which settings. All that a pure operation may know."""

    now: datetime
    settings: Settings
    address: str = ""
    browser: str = ""
    device: Device | None = None
    zone: int | None = None
    language: str = ""
