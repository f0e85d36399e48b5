"""Binding, naming, suspending and unbinding keys."""

from typing import Unpack

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from backends.records import Account, Opening, RecoveryCode, Session
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SETTINGS, account, act, answered, bound, key, logged_on, settings
from webapp.accounts import ceremonies, keys, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.keys import KeyNotBound
from webapp.testing.stub_key import Faults, StubKey

CODES = (RecoveryCode(digest=b"1", made_at=NOW), RecoveryCode(digest=b"2", made_at=NOW, spent_at=NOW))
OPENING = Opening(asked_at=NOW, opens_at=NOW + 3 * DAY)


def bind(was: Account, session: Session, stub: StubKey, name: str = "", **faults: Unpack[Faults]) -> Decision:
    answer = answered(ceremonies.begin_bind(SETTINGS, was, session.id), stub, **faults)
    return keys.bind(was, act(), session.id, answer, name, "new token")


def kinds(decision: Decision) -> list[str]:
    return [each.kind for each in decision.events]


def letters(now: Account) -> list[str]:
    return [each.kind for each in now.notifications]


# which keys are asked for


def test_an_account_without_keys_is_asked_for_none() -> None:
    assert keys.asked(account(), SETTINGS) == ()


def test_a_key_is_asked_for_where_the_preview_includes_the_account() -> None:
    was = account(keys=(key(),))
    assert keys.asked(was, SETTINGS) == was.keys
    assert keys.asked(was, settings(preview="listed")) == ()
    assert keys.asked(replace(was, listed=True), settings(preview="listed")) == was.keys


def test_a_suspended_key_is_asked_for_by_no_logon_while_another_is() -> None:
    live, suspended = key(b"live"), key(b"suspended", suspended_at=NOW)
    assert keys.asked(account(keys=(live, suspended)), SETTINGS) == (live,)


def test_where_every_key_is_suspended_one_is_needed_unless_a_wait_has_opened_the_account() -> None:
    """Otherwise whoever reads the mailbox could have the only key suspended, and get in without it."""
    suspended = key(b"suspended", suspended_at=NOW)
    assert keys.asked(account(keys=(suspended,)), SETTINGS) == (suspended,)
    assert keys.asked(account(keys=(suspended,), opened_at=NOW), SETTINGS) == ()


def test_a_frozen_account_asks_for_its_keys_suspended_or_not_and_in_no_preview_or_in_any() -> None:
    was = account(keys=(key(b"live"), key(b"suspended", suspended_at=NOW)), frozen_at=NOW)
    assert keys.asked(was, settings(preview="listed")) == was.keys


# binding


def test_binding_makes_the_key_the_proof_ends_other_sessions_and_is_told() -> None:
    was, _, _ = logged_on(account())
    was, here, old = logged_on(was, "code")
    decision = bind(was, here, StubKey(), " Blue\tkey ")
    now = decision.account
    assert [each.name for each in now.keys] == ["Blue key"]
    assert now.keys[0].rp_id == "account.example.com"
    assert [(each.id, each.proof) for each in now.sessions] == [(here.id, "key")]
    assert sessions.find(now, sessions.hash_token("new token"), NOW)
    assert sessions.find(now, sessions.hash_token(old), NOW) is None
    assert kinds(decision) == ["key bound"]
    assert letters(now) == ["key bound"]
    assert len(now.nonces) == 1


def test_a_key_without_a_name_gets_one_that_none_has() -> None:
    was = account(keys=(key(b"1", name="Security key"), key(b"2", name="Security key 3")))
    was, here, _ = logged_on(was, "key")
    assert bind(was, here, StubKey(), "\u200b").account.keys[-1].name == "Security key 2"


def test_twenty_keys_are_the_most() -> None:
    was, here, _ = logged_on(account(keys=tuple(key(bytes([number])) for number in range(20))), "key")
    with pytest.raises(Failed, match="too many keys"):
        bind(was, here, StubKey())


def test_a_key_that_is_bound_already_is_not_bound_again() -> None:
    was, stub = bound(account())
    was, here, _ = logged_on(was, "key")
    with pytest.raises(Failed, match="taken") as caught:
        bind(was, here, StubKey(), credential_id=stub.credentials[0].id)
    assert caught.value.trace
    assert len(caught.value.trace.account.nonces) == 1
    assert caught.value.trace.account.keys == was.keys


def test_what_does_not_verify_is_not_bound_and_its_ceremony_is_used_up() -> None:
    was, here, _ = logged_on(account(), "code")
    with pytest.raises(Failed, match="refused") as caught:
        bind(was, here, StubKey(), wrong_origin="https://evil.example")
    assert caught.value.trace
    assert caught.value.trace.account == replace(was, nonces=caught.value.trace.account.nonces)
    assert len(caught.value.trace.account.nonces) == 1


def test_binding_stops_an_opening_that_waits() -> None:
    """Who binds a key has one in the hand; and an opening of before would suspend it."""
    was, here, _ = logged_on(account(opening=OPENING), "code")
    decision = bind(was, here, StubKey())
    assert decision.account.opening is None
    assert kinds(decision) == ["opening stopped", "key bound"]


# naming


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (" a  b ", "a b"),
        ("a\nb\u202ec\u200bd", "a b c d"),
        ("e\u0301", "é"),
        ("x" * 100, "x" * 64),
        ("x" * 1025, ""),
        ("\ud800", ""),
    ],
)
def test_a_name_is_one_line_that_shows_what_it_says(typed: str, shown: str) -> None:
    assert keys.normalise(typed) == shown


@given(some.text())
def test_a_name_is_normalised_once_and_for_all(text: str) -> None:
    plain = keys.normalise(text)
    assert keys.normalise(plain) == plain
    assert len(plain) <= keys.MAX_NAME


def test_a_long_name_of_marks_takes_no_time() -> None:
    """Sorting combining marks takes time that grows with their square (CPython's unicodedata)."""
    assert keys.normalise("a" + "\u0301\u0327" * 10**6) == ""


def test_a_key_is_renamed() -> None:
    decision = keys.rename(account(keys=(key(b"1"), key(b"2"))), act(), b"2", "Green")
    assert [each.name for each in decision.account.keys] == ["Key 1", "Green"]
    assert [tuple(each) for each in decision.events] == [("key renamed", "Green")]


def test_a_key_is_not_renamed_to_nothing() -> None:
    with pytest.raises(Refused, match="no name"):
        keys.rename(account(keys=(key(),)), act(), b"key", " \u200b ")


def test_another_accounts_key_is_neither_renamed_nor_unbound_nor_reinstated() -> None:
    was = account(keys=(key(),))
    with pytest.raises(KeyNotBound):
        keys.rename(was, act(), b"other", "x")
    with pytest.raises(KeyNotBound):
        keys.unbind(was, act(), [b"other"])
    with pytest.raises(KeyNotBound):
        keys.reinstate(was, act(), None)


@pytest.mark.parametrize("slug", ["", "!", "a", "\ud800", "ü", "=" * 5, "A" * 10_000])
def test_any_address_of_a_key_names_one_or_none(slug: str) -> None:
    found = keys.id_of(slug)
    assert found is None or isinstance(found, bytes)
    assert keys.id_of(keys.slug(b"\xff\x00id")) == b"\xff\x00id"


# unbinding


def test_unbinding_is_told_and_leaves_the_other_keys_and_the_codes() -> None:
    was = account(keys=(key(b"1"), key(b"2")), recovery_codes=CODES)
    decision = keys.unbind(was, act(), [b"1"])
    assert [each.id for each in decision.account.keys] == [b"2"]
    assert decision.account.recovery_codes == CODES
    assert kinds(decision) == ["key unbound"]
    assert letters(decision.account) == ["key unbound"]


def test_unbinding_the_last_key_makes_the_codes_void_and_says_so() -> None:
    decision = keys.unbind(account(keys=(key(),), recovery_codes=CODES), act(), [b"key"])
    assert decision.account.recovery_codes == ()
    assert kinds(decision) == ["key unbound", "recovery codes void"]


def test_the_codes_stay_while_a_suspended_key_is_left() -> None:
    """A frozen account asks for it, so that a code is still a way back."""
    was = account(keys=(key(b"1"), key(b"2", suspended_at=NOW)), recovery_codes=CODES)
    assert keys.unbind(was, act(), [b"1"]).account.recovery_codes == CODES


def test_an_opening_ends_with_the_last_key() -> None:
    """Else it would open the account to the password when other keys are bound later."""
    was = account(keys=(key(b"1"), key(b"2")), opening=OPENING)
    assert keys.unbind(was, act(), [b"1"]).account.opening == OPENING
    decision = keys.unbind(was, act(), [b"1", b"2"])
    assert decision.account.opening is None
    assert kinds(decision) == ["key unbound", "key unbound", "opening stopped"]


def test_unbinding_here_ends_every_other_session_and_changes_this_ones_token() -> None:
    was, _, _ = logged_on(account(keys=(key(),)))
    was, here, old = logged_on(was, "key")
    now, _ = keys.unbind_here(was, act(), b"key", here.id, "new token")
    assert [each.id for each in now.sessions] == [here.id]
    assert sessions.find(now, sessions.hash_token(old), NOW) is None
    assert sessions.find(now, sessions.hash_token("new token"), NOW)


def test_whoever_runs_the_site_unbinds_with_every_session_ended_and_is_named() -> None:
    was, _, _ = logged_on(account(keys=(key(b"1"), key(b"2"))))
    now, _ = keys.unbind_all_sessions(was, act(), [b"1", b"2"], by="the help desk")
    assert (now.sessions, now.keys) == ((), ())
    assert [each.facts for each in now.notifications] == [{"key": f"Key {n}", "by": "the help desk"} for n in (1, 2)]
    assert len({each.id for each in now.notifications}) == 2


def test_one_key_that_is_not_bound_leaves_the_others_bound() -> None:
    with pytest.raises(KeyNotBound):
        keys.unbind(account(keys=(key(),)), act(), [b"key", b"other"])


# suspending


def test_keys_are_suspended_that_were_bound_since() -> None:
    was = account(keys=(key(b"before", bound_at=NOW - HOUR), key(b"then", bound_at=NOW), key(b"after", bound_at=NOW + HOUR)))
    now, events = keys.suspend(was, act(DAY), NOW)
    assert [each.suspended_at for each in now.keys] == [None, NOW + DAY, NOW + DAY]
    assert [each.detail for each in events] == ["Key then", "Key after"]
    again, nothing = keys.suspend(now, act(2 * DAY), NOW)
    assert again is now
    assert not nothing


def test_a_suspended_key_is_reinstated_once() -> None:
    was = account(keys=(key(suspended_at=NOW),))
    decision = keys.reinstate(was, act(), b"key")
    assert decision.account.keys[0].suspended_at is None
    assert kinds(decision) == ["key reinstated"]
    again = keys.reinstate(decision.account, act(MINUTE), b"key")
    assert again.account is decision.account
    assert not again.events
