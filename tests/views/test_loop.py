"""Nobody keeps the event loop busy by what they type: while it stands, nobody else is served.

Normalising a text takes time that grows with the square of its length: combining marks in the wrong order are sorted one by one.
One form of 64 kB held version 0.1 for 3 s. What counts here is the processor's time of the loop's own thread. What
strangers can send besides is in `tests/proofs/loop.py`.
"""

import time
from collections.abc import Callable, Mapping
from operator import itemgetter

import httpx2
import pytest

from backends.protocol import MAX_NAME, fold
from tests.views.people import bound
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor
from webapp.web.forms import MAX_BODY

pytestmark = pytest.mark.clock

MAX_BUSY = 0.05
"""Seconds. What is measured is all that the loop does for a request, in pieces or not."""
ROOM = MAX_BODY - 100
"""Octets of a form, but for the names of its fields."""
MARKS = "\u0345\u0300" * (ROOM // 4)
"""In the wrong order, and as many as a form has room for."""


def test_a_name_is_measured_before_it_is_normalised() -> None:
    assert fold("e\u0301" * (MAX_NAME // 2)) == "\u00e9" * (MAX_NAME // 2)
    begun = time.thread_time()
    with pytest.raises(ValueError, match="longer than MAX_NAME"):
        fold(MARKS)
    assert time.thread_time() - begun < MAX_BUSY


@pytest.mark.parametrize("path", ["/logon", "/logon/forgotten", "/logon/known/ask"])
def test_a_form_full_of_combining_marks_keeps_nobody_waiting(keystead: Site, path: str) -> None:
    answer = answered_without_a_wait(keystead, sends(keystead.visitor(), path, {"username": MARKS}))
    assert answer.status_code == (401 if path == "/logon" else 200)


@pytest.mark.parametrize("typed", [MARKS, "a" * ROOM, "\u202e" * (ROOM // 3)], ids=["marks", "letters", "direction"])
def test_a_name_of_a_key_keeps_nobody_waiting(keystead: Site, stub_key: StubKey, typed: str) -> None:
    visitor = bound(keystead, stub_key)
    ask = sends(visitor, f"{U2F}/keys/{stub_key.slug}/name", {"name": typed})
    assert answered_without_a_wait(keystead, ask).status_code == 422


@pytest.mark.parametrize("path", ["/account/email", "/account/recovery/confirm", "/account/password", f"{U2F}/verify"])
def test_whatever_is_typed_keeps_nobody_waiting(keystead: Site, stub_key: StubKey, path: str) -> None:
    visitor, part = bound(keystead, stub_key), MARKS[: len(MARKS) // 5]
    ask = sends(visitor, path, dict.fromkeys(("email", "code", "old", "new", "token"), part))
    assert answered_without_a_wait(keystead, ask).status_code in (200, 409, 422)


def test_a_cookie_full_of_escaped_quotes_keeps_nobody_waiting(keystead: Site) -> None:
    visitor, cookie = keystead.visitor(), b'anything="' + b'\\"' * 15_000 + b'"'
    assert (
        answered_without_a_wait(keystead, lambda: visitor.client.get("/logon", headers=[(b"cookie", cookie)])).status_code == 200
    )


def sends(visitor: Visitor, path: str, fields: Mapping[str, str]) -> Callable[[], httpx2.Response]:
    """A form in which nothing is spelled out by percent, so that more goes in."""
    body = "&".join(f"{name}={text}" for name, text in fields.items()).encode()
    return lambda: visitor.post(path, body=body)


def answered_without_a_wait(site: Site, ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """The answer, for which the event loop's thread was not busy for longer. Templates are read at the first of four.

    The shortest counts: a collection of garbage is nobody's request.
    """
    ask()
    busy, answer = min((_busy(site, ask) for _ in range(3)), key=itemgetter(0))
    assert busy < MAX_BUSY, f"{busy * 1000:.0f} ms"
    return answer


def _busy(site: Site, ask: Callable[[], httpx2.Response]) -> tuple[float, httpx2.Response]:
    begun = site.call(_thread_time)
    answer = ask()
    return site.call(_thread_time) - begun, answer


async def _thread_time() -> float:
    return time.thread_time()
