"""Trying a key: it is named, its counter is stored, and nothing is proven by it."""

from typing import Any

import pytest
from msgspec.structs import replace

from backends.records import Account, Opening, Session
from tests.accounts.samples import DAY, MINUTE, NOW, account, act, bound, logged_on, touched
from webapp.accounts import ceremonies, keys, logon, mislaying, proving, trying
from webapp.accounts.ceremonies import Answer, Failed
from webapp.accounts.keys import KeyNotBound
from webapp.testing.stub_key import StubKey


def somebody() -> tuple[Account, Session, StubKey]:
    """Logged on, with a key bound, and not proven for a while."""
    was, stub = bound(account())
    was, session, _ = logged_on(was, "key", after=-8 * MINUTE)
    return was, session, stub


def test_a_key_that_was_tried_is_named_and_its_counter_is_stored() -> None:
    was, session, stub = somebody()
    now, events = trying.try_this(was, act(), session.id, was.keys[0].id, touched(was, session, stub, "try"))
    assert [tuple(each) for each in events] == [("key tried", was.keys[0].name)]
    assert now.keys[0].sign_count == was.keys[0].sign_count + 1
    assert keys.last_used(now) == now.keys[0]
    assert len(now.nonces) == 1


def test_the_session_of_whoever_tries_a_key_stays_as_it_was() -> None:
    """No younger proof, no other token: whoever walks up to an open browser gains nothing by a key that is in it."""
    was, session, stub = somebody()
    for tried in (
        trying.try_this(was, act(), session.id, was.keys[0].id, touched(was, session, stub, "try")),
        trying.try_any(was, act(), session.id, touched(was, session, stub, "try")),
    ):
        assert tried.account.sessions == was.sessions


def test_any_key_tells_which_one_it_is_a_suspended_one_too() -> None:
    was, blue = bound(account())
    was, red = bound(was)
    was, session, _ = logged_on(was, "key")
    for stub, name in ((red, was.keys[1].name), (blue, was.keys[0].name)):
        now, events = trying.try_any(was, act(), session.id, touched(was, session, stub, "try"))
        used = keys.last_used(now)
        assert used
        assert used.name == name
        assert events[-1].detail == name
    mislaid, _ = mislaying.mislay(was, act(), was.keys[0].id, session.id, "token")
    now, _ = trying.try_any(mislaid, act(), session.id, touched(mislaid, session, blue, "try"))
    assert now.keys[0].mislaid_until, "it is told, and not taken for found"


def test_another_key_than_the_one_in_question_is_refused() -> None:
    was, _ = bound(account())
    was, red = bound(was)
    was, session, _ = logged_on(was)
    with pytest.raises(Failed, match="not yours"):
        trying.try_this(was, act(), session.id, was.keys[0].id, touched(was, session, red, "try"))
    with pytest.raises(KeyNotBound):
        trying.try_this(was, act(), session.id, b"gone", Answer("", "", ""))


def test_a_copied_key_is_noticed_when_it_is_tried() -> None:
    was, session, stub = somebody()
    was, _ = trying.try_any(was, act(), session.id, touched(was, session, stub, "try", counter=7))
    with pytest.raises(Failed, match="clone") as caught:
        trying.try_any(was, act(), session.id, touched(was, session, stub, "try", counter=7))
    assert caught.value.trace
    assert [each.kind for each in caught.value.trace.account.notifications] == ["clone suspected"]


def test_a_key_that_is_tried_stops_an_opening_that_waits() -> None:
    """One touch of any key does, whatever it was touched for."""
    was, session, stub = somebody()
    was = replace(was, opening=Opening(asked_at=NOW, opens_at=NOW + 3 * DAY))
    now, events = trying.try_any(was, act(), session.id, touched(was, session, stub, "try"))
    assert now.opening is None
    assert [each.kind for each in events] == ["opening stopped", "key tried"]


@pytest.mark.parametrize("purpose", ["try", "found"])
def test_what_answers_a_try_neither_proves_nor_logs_on_nor_finds(purpose: Any) -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub, purpose)
    for operation in (proving.by_key, logon.with_key):
        with pytest.raises(Failed, match="over"):
            operation(was, act(), session.id, answer, "token")
    with pytest.raises(Failed, match="over"):
        ceremonies.register(was, act(), session.id, answer)
    other: ceremonies.Use = "found" if purpose == "try" else "try"
    with pytest.raises(Failed, match="over"):
        ceremonies.use(was, act(), other, session.id, was.keys, answer)


@pytest.mark.parametrize("purpose", ["logon", "prove", "found"])
def test_what_answers_anything_else_is_no_try(purpose: Any) -> None:
    was, session, stub = somebody()
    with pytest.raises(Failed, match="over"):
        trying.try_any(was, act(), session.id, touched(was, session, stub, purpose))
