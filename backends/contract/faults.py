"""A backend of which one query fails: before it does anything, or after it was done. Never changes what the others answer.

Whoever builds on a backend proves with it that an action is done as a whole or not at all, whatever fails in the middle.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from backends.protocol import Backend, Unavailable

When = Literal["before", "after"]
STREAMS = frozenset({"accounts", "dump"})
"""Queries that answer bit by bit, and are passed on."""


@dataclass
class Fault:
    """Which query fails, counted from 0 since it was armed, and how. With `outage`, every one behind it fails as well."""

    number: int
    when: When
    outage: bool = False
    asked: list[str] = field(default_factory=list)
    """The names of the queries since then."""

    def fails_before(self, number: int) -> bool:
        return (number == self.number and self.when == "before") or (self.outage and number > self.number)

    def fails_after(self, number: int) -> bool:
        return number == self.number and self.when == "after"


class FaultyBackend:
    """A backend that answers as the one that it wraps, but for the query that `fault` names."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.fault: Fault | None = None

    def __getattr__(self, name: str) -> Any:
        query = getattr(self.backend, name)
        return query if name in STREAMS or not callable(query) else self._watched(name, query)

    def _watched(self, name: str, query: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def ask(*args: Any, **kwargs: Any) -> Any:
            fault = self.fault
            if fault is None:
                return await query(*args, **kwargs)
            number = len(fault.asked)
            fault.asked.append(name)
            if fault.fails_before(number):
                raise Unavailable(f"{name} fails before it does anything")
            answer = await query(*args, **kwargs)
            if fault.fails_after(number):
                raise Unavailable(f"{name} fails after it was done")
            return answer

        return ask
