"""What a check is, what it gets, and what it says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from webapp.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and what to do if it is wrong. `unchecked`: it could not be looked at from here, which is no fault."""

    state: Literal["ok", "wrong", "unchecked"]
    text: str
    todo: str = ""
    check: str = ""

    def of(self, check: str) -> "Finding":
        """The same, under the name of its check unless it has one of its own."""
        return self if self.check else replace(self, check=check)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the deployer asked for beside: a mail to somebody, another address to look at, an app, how many MB must be free."""

    mail_to: str | None = None
    url: str | None = None
    app: str | None = None
    free: int = 500


class Context(NamedTuple):
    """What a check looks at. Of the settings, those that it needs are right."""

    settings: Settings
    options: Options


class Check(NamedTuple):
    """A check, and the variables that it cannot do without."""

    name: str
    needs: tuple[str, ...]
    look: Callable[[Context], Awaitable[list[Finding]]]


def ok(text: str, check: str = "") -> Finding:
    """It is as it should be."""
    return Finding("ok", text, check=check)


def wrong(text: str, todo: str, check: str = "") -> Finding:
    """It is not, and this is to be done."""
    return Finding("wrong", text, todo, check)


def unchecked(text: str, check: str = "") -> Finding:
    """It could not be looked at, for this reason."""
    return Finding("unchecked", text, check=check)
