"""What an operation answers: an account as it should be, or a refusal. An operation is pure: it reads no clock and no backend."""

from collections.abc import Callable, Sequence
from typing import Concatenate, NamedTuple, ParamSpec

from backends.records import Account
from webapp.accounts.context import Act
from webapp.accounts.events import Happened

P = ParamSpec("P")


class Decision(NamedTuple):
    """What an operation makes of an account, and what is to be recorded of it."""

    account: Account
    events: Sequence[Happened] = ()


Operation = Callable[Concatenate[Account, Act, P], Decision]


class Refused(Exception):
    """The operation does not do what was asked. `kind` is a word of ours; `trace` is committed before anybody is told.

    `account` is as it was when that was decided, with the trace: the shell fills it in. `wrong` says what was given and is not
    right (a code, a key, a recovery code), where somebody may have guessed.
    """

    account: Account

    def __init__(self, kind: str, *, trace: Decision | None = None, wrong: str = "") -> None:
        super().__init__(kind)
        self.kind, self.trace, self.wrong = kind, trace, wrong


class AccountGone(Refused):
    """The account was removed meanwhile."""

    def __init__(self) -> None:
        super().__init__("gone")
