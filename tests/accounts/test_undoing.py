"""What can be taken back of an event: found by its moment, and only as long as it is there."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from backends.records import Account, Event, RecoveryCode
from tests.accounts.samples import DAY, HOUR, NOW, account, act, bound, key, logged_on, settings, touched
from webapp.accounts import helpdesk, logon, opening, sessions, undoing
from webapp.accounts.decision import Refused
from webapp.accounts.undoing import Made


def event(kind: str, at: datetime = NOW) -> Event:
    return Event(account_id="alices-id", seq=1, kind=kind, at=at, address="", browser="", detail="", mac=b"")


def with_codes() -> Account:
    return account(keys=(key(),), recovery_codes=(RecoveryCode(digest=b"1", made_at=NOW), RecoveryCode(digest=b"2", made_at=NOW)))


def test_a_logon_made_the_session_that_was_entered_then_and_no_other() -> None:
    was, stub = bound(account())
    was, _, _ = logged_on(was, after=-2 * HOUR)
    was, owing, _ = logged_on(was, stage="password_only", after=-HOUR)
    now = logon.with_key(was, act(), owing.id, touched(was, owing, stub), "in").account
    found = undoing.made(now, event("logged on")).session
    assert found
    assert found.id == owing.id
    assert undoing.made(now, event("logged on", NOW - 2 * HOUR)).session == now.sessions[0]
    assert undoing.made(now, event("logged on", NOW - HOUR)) == Made(), "it owed the key then"
    later = sessions.seen(now, act(HOUR), owing.id).account
    assert undoing.made(later, event("logged on")).session
    assert undoing.made(sessions.keep_only(now, None), event("logged on")) == Made()


def test_a_session_of_before_that_was_recorded_is_found_by_when_it_began() -> None:
    was, session, _ = logged_on(account())
    was = sessions.in_place(was, replace(session, entered_at=None))
    assert undoing.made(was, event("logged on")).session


def test_a_key_is_found_by_when_it_was_bound() -> None:
    was = account(keys=(key(b"1"), key(b"2", bound_at=NOW)))
    assert undoing.made(was, event("key bound")).key == was.keys[1]
    assert undoing.made(was, event("key unbound")) == Made()


def test_recovery_codes_that_were_made_then_are_void_and_no_others() -> None:
    now, events = undoing.take_back(with_codes(), act(), event("recovery codes made"))
    assert now.recovery_codes == ()
    assert [each.kind for each in events] == ["recovery codes void"]
    assert len(now.keys) == 1
    with pytest.raises(Refused, match="over"):
        undoing.take_back(with_codes(), act(), event("recovery codes made", NOW - DAY))
    with pytest.raises(Refused, match="over"):
        undoing.take_back(with_codes(), act(), event("logged on"))


def test_a_wait_or_a_pass_that_was_begun_then_is_stopped() -> None:
    waiting = opening.ask(account(keys=(key(),)), act(settings=settings(wait=3 * DAY))).account
    assert undoing.take_back(waiting, act(), event("opening asked")).account.opening is None
    was, session, _ = logged_on(account(keys=(key(),)), stage="password_only")
    given = helpdesk.give_pass(helpdesk.ask(was, act(), session.id).account, act(), session.id).account
    assert undoing.take_back(given, act(), event("pass given")).account.opening is None
    with pytest.raises(Refused, match="over"):
        undoing.take_back(given, act(), event("pass given", NOW - DAY))
