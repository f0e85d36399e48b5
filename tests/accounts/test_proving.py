"""Proofs: a code while no key is bound, a touch of a key otherwise."""

import pytest
from msgspec.structs import replace

from backends.records import Account, Opening, Session
from tests.accounts.samples import DAY, MINUTE, NOW, SETTINGS, account, act, bound, key, logged_on, touched
from webapp.accounts import codes, proving, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.codes import Wrong
from webapp.accounts.decision import Refused


def with_code(was: Account) -> tuple[Account, Session, str]:
    was, session, _ = logged_on(was)
    was = codes.prepare(was, act(), session.id, "bind", was.email).account
    return was, session, codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""


def test_a_code_proves_it_where_no_key_is_bound() -> None:
    was, session, digits = with_code(account())
    decision = proving.by_code(was, act(), session.id, digits, "new token")
    found = sessions.find(decision.account, sessions.hash_token("new token"), NOW)
    assert found
    assert (found.id, found.proof, found.proven_at) == (session.id, "code", NOW)
    assert decision.account.codes == ()


def test_a_bound_account_is_not_proven_by_a_code() -> None:
    was, session, digits = with_code(account(keys=(key(),)))
    with pytest.raises(Refused, match="key owed") as caught:
        proving.by_code(was, act(), session.id, digits, "new token")
    assert caught.value.trace is None


def test_a_code_proves_it_where_a_wait_has_opened_the_account_and_nowhere_else() -> None:
    was, session, digits = with_code(account(keys=(key(suspended_at=NOW),), opened_at=NOW))
    assert proving.by_code(was, act(), session.id, digits, "new token")
    was, session, digits = with_code(account(keys=(key(suspended_at=NOW),)))
    with pytest.raises(Refused, match="key owed"):
        proving.by_code(was, act(), session.id, digits, "new token")


def test_a_code_that_was_mailed_to_another_address_proves_nothing() -> None:
    was, session, _ = logged_on(account())
    was = codes.prepare(was, act(), session.id, "bind", "old@example.com").account
    digits = codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""
    with pytest.raises(Wrong, match="none waiting"):
        proving.by_code(was, act(), session.id, digits, "new token")


def test_a_touch_proves_it_and_stops_an_opening() -> None:
    was, stub = bound(account(opening=Opening(asked_at=NOW, opens_at=NOW + 3 * DAY)))
    was, session, old = logged_on(was, "recovery")
    decision = proving.by_key(was, act(MINUTE), session.id, touched(was, session, stub, "prove"), "new token")
    found = sessions.find(decision.account, sessions.hash_token("new token"), NOW)
    assert found
    assert (found.proof, found.proven_at) == ("key", NOW + MINUTE)
    assert sessions.find(decision.account, sessions.hash_token(old), NOW) is None
    assert decision.account.opening is None
    assert [each.kind for each in decision.events] == ["opening stopped", "proof given"]


def test_a_touch_of_a_suspended_key_proves_nothing() -> None:
    was, _ = bound(account())
    was, suspended = bound(was)
    was = replace(was, keys=(was.keys[0], replace(was.keys[1], suspended_at=NOW)))
    was, session, _ = logged_on(was)
    with pytest.raises(Failed, match="not yours"):
        proving.by_key(was, act(), session.id, touched(was, session, suspended, "prove"), "new token")


def test_a_touch_for_the_logon_proves_nothing() -> None:
    was, stub = bound(account())
    was, session, _ = logged_on(was)
    with pytest.raises(Failed, match="over"):
        proving.by_key(was, act(), session.id, touched(was, session, stub, "logon"), "new token")
