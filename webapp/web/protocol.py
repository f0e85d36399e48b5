"""What one connection may take of the server: bytes, seconds, and a place among all connections.

uvicorn with httptools bounds none of these, and no proxy has to stand before Keystead. Whoever keeps the server waiting is cut
off; when places run out, the address with the most waiting connections loses its oldest ones. A request that has arrived whole is
never cut off for another one.
"""

import heapq
from collections import Counter
from collections.abc import Collection
from http import HTTPStatus
from itertools import count
from typing import Any, cast
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState


class TooMuch(Exception):
    """Raised into the parser, which stops reading at once."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds: its `http` setting. A deadline is noticed up to `TICK` seconds late."""

    MAX_CONNECTIONS = 512
    """In one process. A shell grants 1,024 open files, and the backend and mail need some."""
    MAX_LARGE = 128
    """Requests, among those, that are larger than a slice and have not arrived whole. Of forms they hold 8 MB."""
    MAX_HEAD = 32 * 1024
    """Bytes of a request that are not its body: request line, headers, the framing of chunks, trailers."""
    MAX_HEADERS = 100
    MAX_TARGET = 8 * 1024
    """Bytes of the path and the query: to take 32 kB of a query apart would take 30 ms."""
    MAX_BODY = 1024 * 1024
    """Bytes after which nobody listens any more. A form ends at 64 kB already, with a page that says so."""
    MAX_PIPELINE = 8

    HEAD_SECONDS = 10.0
    """From the connection, or the answer before, to the end of the headers. uvicorn closes after five where nothing comes."""
    BODY_SECONDS = 12.0
    """From the headers to the end of the body. A form is given ten, so that its page comes first."""
    ANSWER_SECONDS = 60.0
    """From the end of the request to the end of the answer, which a visitor may be slow to take."""
    LINGER_SECONDS = 5.0
    """For the rest of a body that was answered early: closing at once could lose the answer (RFC 9112 §9.6)."""
    TICK = 1.0
    SLICE = 16 * 1024
    """Bytes between two looks at what was taken: uvloop reads 256 kB at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken = self._body = 0  # bytes of the request that is arriving, and of its body
        self._large = LARGE.setdefault(self.server_state, set())
        self._number = next(NUMBERS)
        self._status = HTTPStatus.BAD_REQUEST  # what a request that cannot be parsed is answered with
        self._running: RequestResponseCycle | None = None
        self._give(self.HEAD_SECONDS)
        self._timer = self.loop.call_later(self.TICK, self._tick)

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= self.MAX_CONNECTIONS:
            self._make_room(self._others())
        super().connection_made(transport)
        if len(self.connections) > self.MAX_CONNECTIONS:
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if len(data) <= self.SLICE:
            return self._take(data)
        for start in range(0, len(data), self.SLICE):
            if not self.transport.is_closing():
                self._take(data[start : start + self.SLICE])
        return None

    def _take(self, part: bytes) -> None:
        self._taken += len(part)
        super().data_received(part)
        if self._taken > self.SLICE:
            self._weigh()

    def _weigh(self) -> None:
        """Refuse a request that has grown too large, or the oldest of too many that are large."""
        if self._taken - self._body > self.MAX_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self not in self._large and self._may_answer():
            self._large.add(self)
            if len(self._large) > self.MAX_LARGE:
                self._make_room(self._large)

    def on_headers_complete(self) -> None:
        if len(self.url) > self.MAX_TARGET:
            self._stop(HTTPStatus.REQUEST_URI_TOO_LONG)
        if len(self.headers) > self.MAX_HEADERS or (self._taken > self.MAX_HEAD and self._head() > self.MAX_HEAD):
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if len(self.pipeline) >= self.MAX_PIPELINE:
            self._stop(HTTPStatus.BAD_REQUEST)
        self._due = self.loop.time() + self.BODY_SECONDS
        super().on_headers_complete()
        self.headers = []  # for trailers: they must not become headers of a request that was judged (RFC 9110 §6.5.1)
        if not self.pipeline:
            self._running = self.cycle

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self.MAX_BODY:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._taken = self._body = 0
        self._large.discard(self)
        self._due = self.loop.time() + (self.HEAD_SECONDS if self.cycle.response_complete else self.ANSWER_SECONDS)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._running = self.pipeline[-1][0]
            self._give(self.BODY_SECONDS if self._running.more_body else self.ANSWER_SECONDS)
        elif self.cycle.more_body:
            self._large.discard(self)
            self._due = min(self._due, self.loop.time() + self.LINGER_SECONDS)
        else:
            self._give(self.HEAD_SECONDS)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._status)

    def _stop(self, status: HTTPStatus) -> None:
        """From within the parser, which then asks for the answer to a request that it cannot read."""
        self._status = status
        raise TooMuch

    def _head(self) -> int:
        """Bytes of the request line and the headers."""
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _give(self, seconds: float) -> None:
        self._due = self.loop.time() + seconds

    def _tick(self) -> None:
        self._timer = self.loop.call_later(self.TICK, self._tick)
        if self.loop.time() < self._due:
            return
        if self.transport.is_closing():
            self.transport.abort()  # what was written last is not taken
        elif self.flow.read_paused and not self.flow.write_paused:
            self._give(self.BODY_SECONDS)  # it is us who do not read
        elif self._taken:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Close, with an answer where none is under way."""
        if self._may_answer() and not self.transport.is_closing():
            text = status.phrase.encode()
            about = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
            self.transport.write(STATUS_LINE[status] + about + text)
        self._close()

    def _may_answer(self) -> bool:
        """Whether what is written now is the answer to what arrives now."""
        before = self._running
        if before is None or before.response_complete:
            return before is None or not before.more_body
        return before.more_body and not before.response_started

    def _close(self) -> None:
        self._abandon()
        self._give(self.LINGER_SECONDS)
        self.transport.close()

    def _abandon(self) -> None:
        """Nobody takes the answer any more."""
        self._large.discard(self)
        if self._running and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _waits(self) -> bool:
        """Whether it is the visitor's turn."""
        return self._running is None or self._running.response_complete or self._running.more_body

    def _others(self) -> "set[BoundedProtocol]":
        return cast("set[BoundedProtocol]", self.connections)  # one server speaks one protocol

    def _make_room(self, among: "Collection[BoundedProtocol]") -> None:
        """Close those of the busiest address that have kept us waiting the longest. Several: looking for them takes time."""
        waiting = [other for other in among if other._waits()]
        crowd = Counter(other._host() for other in waiting)
        first = heapq.nsmallest(
            1 + len(among) // 16, waiting, key=lambda other: (-crowd[other._host()], other._due, other._number)
        )
        for other in first:
            self.connections.discard(other)
            other._close()

    def _host(self) -> str:
        return self.client[0] if self.client else ""


NUMBERS = count()
"""Of connections as they come: those that are read in one turn of the loop are due at the same time."""
LARGE: WeakKeyDictionary[ServerState, set[BoundedProtocol]] = WeakKeyDictionary()
"""The connections of each server whose request is larger than a slice, and has not arrived whole."""
