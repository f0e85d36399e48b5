"""How an answer is refused: one error for whatever is wrong with it. Its reason never quotes what came from outside."""

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class Rejected(Exception):
    """This answer proves nothing. `reason` is short and technical, for the log only, and quotes nothing from outside."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotYours(Rejected):
    """A key answered, but none of the keys that were asked for."""


def reject(reason: str) -> NoReturn:
    raise Rejected(reason)


def of(kind: type[T], value: object) -> T:
    """The value, if it is of this type."""
    return value if isinstance(value, kind) else reject("type of a field")


def mapping(value: object) -> Mapping[Any, Any]:
    return of(dict, value)
