"""Mislaid, not lost: suspended for seven days, back by a touch, else unbound."""

import pytest
from msgspec.structs import replace

from backends import protocol
from backends.records import Account, RecoveryCode, Session
from tests.accounts.samples import DAY, MILLISECOND, MINUTE, NOW, SECOND, SETTINGS, account, act, bound, key, logged_on, touched
from webapp.accounts import identities, keys, logon, mislaying, opening, proving, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.keys import KeyNotBound
from webapp.accounts.sessions import NotProven

CODE = RecoveryCode(digest=b"1", made_at=NOW)


def mislaid(was: Account, number: int = 0) -> tuple[Account, Session]:
    """The account whose key was just said to be mislaid, and the session that said it."""
    was, session, _ = logged_on(was, "key")
    return mislaying.mislay(was, act(), was.keys[number].id, session.id, "new token").account, session


def kinds(decision: Decision) -> list[str]:
    return [each.kind for each in decision.events]


def letters(now: Account) -> list[str]:
    return [each.kind for each in now.notifications]


def test_a_mislaid_key_is_suspended_for_seven_days_and_that_is_told_now_and_the_day_before() -> None:
    was, session, _ = logged_on(account(keys=(key(),)), "key")
    decision = mislaying.mislay(was, act(), b"key", session.id, "new token")
    (now,) = decision.account.keys
    assert (now.suspended_at, now.mislaid_until) == (NOW, NOW + 7 * DAY)
    assert kinds(decision) == ["key mislaid"]
    assert letters(decision.account) == ["key mislaid", "key still mislaid"]
    assert decision.account.notifications[1].due_at == NOW + 6 * DAY


def test_saying_it_ends_every_other_session_and_changes_this_ones_token() -> None:
    """Whoever has the key may have the computer too: what is logged on there ends."""
    was, _, _ = logged_on(account(keys=(key(),)), "key")
    was, here, old = logged_on(was, "key")
    now = mislaying.mislay(was, act(), b"key", here.id, "new token").account
    assert [each.id for each in now.sessions] == [here.id]
    assert sessions.find(now, sessions.hash_token(old), NOW) is None
    assert sessions.find(now, sessions.hash_token("new token"), NOW)


def test_it_takes_a_touch_or_a_recovery_code_of_just_now() -> None:
    was, with_key, _ = logged_on(account(keys=(key(),)), "key")
    was, with_code, _ = logged_on(was, "recovery")
    was, with_mail, _ = logged_on(was, "code")
    allowed = {
        (session.proof, after)
        for session in (with_key, with_code, with_mail)
        for after in (59 * SECOND, MINUTE, 10 * MINUTE - SECOND, 10 * MINUTE)
        if mislaying.may(was, session, NOW + after)
    }
    assert allowed == {("key", 59 * SECOND), *(("recovery", after) for after in (59 * SECOND, MINUTE, 10 * MINUTE - SECOND))}
    with pytest.raises(NotProven):
        mislaying.mislay(was, act(MINUTE), b"key", with_key.id, "new token")


def test_a_suspended_key_is_not_mislaid_as_well() -> None:
    """Seven days would unbind what *This was not me* has only suspended."""
    was, session, _ = logged_on(account(keys=(key(b"1"), key(b"2", suspended_at=NOW))), "key")
    with pytest.raises(Refused, match="suspended"):
        mislaying.mislay(was, act(), b"2", session.id, "new token")
    with pytest.raises(KeyNotBound):
        mislaying.mislay(was, act(), b"3", session.id, "new token")


def test_a_mislaid_key_will_do_at_the_logon_beside_the_others_and_proves_nothing_else() -> None:
    was, _ = mislaid(account(keys=(key(b"1"), key(b"2"))))
    assert [each.id for each in keys.asked(was, SETTINGS)] == [b"1", b"2"]
    assert [each.id for each in sessions.keys_in_force(was)] == [b"2"]


def test_whoever_mislays_the_only_key_still_owes_it() -> None:
    was, _ = mislaid(account(keys=(key(),)))
    assert keys.asked(was, SETTINGS) == was.keys
    assert sessions.keys_in_force(was) == was.keys


def test_after_a_wait_has_opened_the_account_a_mislaid_key_is_asked_for_no_more_than_the_others() -> None:
    was, _ = mislaid(account(keys=(key(b"1"), key(b"2"))))
    assert keys.asked(opening.suspend_all(was, act())[0], SETTINGS) == ()


def test_a_touch_at_the_logon_brings_it_back_and_is_told() -> None:
    was, stub = bound(account())
    was, _ = mislaid(was)
    was, half, _ = logged_on(was, stage="password_only")
    decision = logon.with_key(was, act(), half.id, touched(was, half, stub, "logon"), "token")
    is_back(decision)


def test_a_touch_that_proves_brings_the_only_key_back_as_well() -> None:
    was, stub = bound(account())
    was, session = mislaid(was)
    is_back(proving.by_key(was, act(), session.id, touched(was, session, stub, "prove"), "token"))


def test_a_touch_in_the_settings_brings_it_back_and_proves_nothing() -> None:
    was, stub = bound(account())
    was, _ = bound(was)
    was, _ = mislaid(was)
    was, session, _ = logged_on(was)
    decision = mislaying.find(was, act(), session.id, was.keys[0].id, touched(was, session, stub, "found"))
    is_back(decision)
    assert decision.account.sessions == was.sessions


def is_back(decision: Decision) -> None:
    back = decision.account.keys[0]
    assert (back.suspended_at, back.mislaid_until) == (None, None)
    assert "key found" in kinds(decision)
    assert "key found" in letters(decision.account)
    assert "key still mislaid" not in letters(decision.account)


def test_only_the_key_itself_is_found_by_a_touch() -> None:
    was, _ = bound(account())
    was, other = bound(was)
    was, session = mislaid(was)
    with pytest.raises(Failed, match="not yours"):
        mislaying.find(was, act(), session.id, was.keys[0].id, touched(was, session, other, "found"))


def test_a_suspended_key_is_not_reinstated_by_a_touch_alone() -> None:
    """It may be a stranger's: *This was not me* has suspended it."""
    was, stub = bound(account())
    was = replace(was, keys=(replace(was.keys[0], suspended_at=NOW), key(b"mine")))
    was, session, _ = logged_on(was)
    decision = mislaying.find(was, act(), session.id, was.keys[0].id, touched(was, session, stub, "found"))
    assert decision.account.keys[0].suspended_at == NOW


def test_a_key_that_nobody_touched_for_seven_days_is_unbound_and_no_other() -> None:
    was, _ = mislaid(account(keys=(key(b"1"), key(b"2")), recovery_codes=(CODE,)))
    assert mislaying.unbind_overdue(was, act(7 * DAY - MILLISECOND)).account is was
    decision = mislaying.unbind_overdue(was, act(7 * DAY))
    assert [each.id for each in decision.account.keys] == [b"2"]
    assert kinds(decision) == ["key unbound"]
    assert letters(decision.account) == ["key mislaid", "key unbound"]
    assert decision.account.notifications[-1].facts["by"] == mislaying.BY
    assert decision.account.recovery_codes == (CODE,)


def test_the_account_is_found_when_it_is_due() -> None:
    was, _ = mislaid(account(keys=(key(),)))
    was = replace(was, notifications=())
    assert protocol.due_at(was) == NOW + 7 * DAY
    assert protocol.due_at(keys.reinstate(was, act(), b"key").account) == act().now + MINUTE  # its letter


def test_a_freeze_stops_the_clock_so_that_the_mailbox_removes_no_factor() -> None:
    """A stranger who says that the owner's key is mislaid gets nowhere by the owner's *This was not me*."""
    was, _ = mislaid(account(keys=(key(),)))
    now = identities.freeze(was, act()).account
    assert (now.keys[0].suspended_at, now.keys[0].mislaid_until) == (NOW, None)
    assert "key still mislaid" not in letters(now)
    assert mislaying.unbind_overdue(now, act(8 * DAY)).account is now


def test_what_is_unbound_is_reminded_of_no_more() -> None:
    was, _ = mislaid(account(keys=(key(b"1"), key(b"2"))))
    was, _ = mislaid(was, 1)
    now = keys.unbind(was, act(), [b"1"]).account
    assert [each.facts["id"] for each in now.notifications if each.kind == "key still mislaid"] == [keys.slug(b"2")]
