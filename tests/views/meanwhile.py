"""What happens at the worst moment: while a form is still arriving, or between a decision and its commit."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event as Signal
from typing import Protocol
from urllib.parse import urlencode

import httpx2
import pytest
from starlette.types import Message, Scope

from backends.protocol import Unavailable
from backends.records import Account, Event
from webapp.testing.site import ADDRESS, Site
from webapp.testing.visitor import Visitor


class Arrive(Protocol):
    """Lets the form arrive."""

    def __call__(self, *, send: bool = True) -> httpx2.Response: ...


@contextmanager
def held_back(site: Site, visitor: Visitor, path: str, fields: Mapping[str, str]) -> Iterator[Arrive]:
    """A form of which all has arrived but the last byte. Calling what this gives sends that byte, and returns the answer.

    With `send=False` the byte is never sent, and it is waited for the answer to that.

    The client that tests use calls the application once a body is complete; hence this calls it itself.
    """
    form = _Form(urlencode(fields).encode())
    sending = site.portal.start_task_soon(site.app, _scope(site, visitor, path), form.receive, form.send)

    def complete(*, send: bool = True) -> httpx2.Response:
        if send:
            site.portal.call(form.arrived.set)
        sending.result(10)
        return form.answer()

    try:
        assert form.waits.wait(5), "nobody reads the form"
        yield complete
    finally:
        sending.cancel()


def meddle(site: Site, monkeypatch: pytest.MonkeyPatch, first: Callable[[], Awaitable[object]]) -> None:
    """Let `first` happen between the next decision and its commit."""
    commit = site.backend.commit

    async def too_late(was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        monkeypatch.setattr(site.backend, "commit", commit)
        await first()
        return await commit(was, now, events)

    monkeypatch.setattr(site.backend, "commit", too_late)


def fail(site: Site, monkeypatch: pytest.MonkeyPatch, *, done: bool, silent: bool = False) -> None:
    """Let the next commit fail, before or after it is `done`; a backend that is `silent` answers nothing after it either."""
    commit = site.backend.commit

    async def away(*_: object) -> Account | None:
        raise Unavailable("away")

    async def failing(was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        monkeypatch.setattr(site.backend, "commit", commit)
        if done:
            assert await commit(was, now, events)
        if silent:
            monkeypatch.setattr(site.backend, "account", away)
        raise Unavailable("away")

    monkeypatch.setattr(site.backend, "commit", failing)


class _Form:
    """A request that is under way, as ASGI tells of it."""

    def __init__(self, body: bytes) -> None:
        self._parts = [body[-1:], body[:-1]]
        self._messages: list[Message] = []
        self.waits = Signal()
        self.arrived = asyncio.Event()

    async def receive(self) -> Message:
        if len(self._parts) < 2:
            self.waits.set()
            await self.arrived.wait()
        return {"type": "http.request", "body": self._parts.pop(), "more_body": bool(self._parts)}

    async def send(self, message: Message) -> None:
        self._messages.append(message)

    def answer(self) -> httpx2.Response:
        start, *rest = self._messages
        body = b"".join(message.get("body", b"") for message in rest)
        return httpx2.Response(start["status"], headers=start["headers"], content=body)


def _scope(site: Site, visitor: Visitor, path: str) -> Scope:
    headers = {"origin": visitor.origin, "content-type": "application/x-www-form-urlencoded", "cookie": visitor.cookie}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        "client": (ADDRESS, 50000),
        "server": ("localhost", 8000),
        "state": dict(site.state),
    }
