"""The help desk: whose number it is, and a pass that opens one session, once, after a wait, unless a key is touched."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from backends.records import Account, Session
from tests.accounts.samples import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SECOND,
    SETTINGS,
    account,
    act,
    bound,
    key,
    logged_on,
    settings,
    touched,
)
from webapp.accounts import expiry, helpdesk, identities, logon, opening, sessions
from webapp.accounts.decision import Decision, Refused

Calling = tuple[Account, Session, str]


def calling(was: Account | None = None) -> Calling:
    """An account with a session that owes the key and shows a number; and that session's token."""
    now, session, token = logged_on(was or account(keys=(key(),)), stage="password_only")
    now = helpdesk.ask(now, act(), session.id).account
    return now, sessions.get(now, session.id), token


def passed(was: Account | None = None) -> Calling:
    """The same, with a pass."""
    now, session, token = calling(was)
    return helpdesk.give_pass(now, act(), session.id).account, session, token


def enter(was: Account, session: Session, after: timedelta) -> Decision:
    return logon.without_key(was, act(after), session.id, "stepped up")


def number(of: Account, session: Session, after: timedelta = timedelta()) -> str:
    call = helpdesk.call(SETTINGS, sessions.get(of, session.id), NOW + after)
    assert call
    return call.number


def is_found(of: Account, number: str, after: timedelta = timedelta(), **changes: object) -> list[str]:
    return [session.id for session, _ in helpdesk.find(settings(**changes), of, number, NOW + after)]


# the number


def test_a_number_finds_the_session_that_shows_it_however_it_is_typed() -> None:
    was, one, _ = calling()
    was, two, _ = calling(was)
    shown = number(was, one)
    assert is_found(was, shown) == is_found(was, f" {shown.replace('-', ' ')} ") == [one.id]
    assert is_found(was, number(was, two)) == [two.id]
    assert is_found(was, "") == is_found(was, shown[:-1]) == []


def test_nobody_has_a_number_who_did_not_ask_for_one() -> None:
    _was, session, _ = logged_on(account(keys=(key(),)), stage="password_only")
    assert helpdesk.call(SETTINGS, session, NOW) is None


def test_a_number_is_good_for_a_quarter_of_an_hour_and_its_session_lives_as_long() -> None:
    was, session, token = calling()
    shown, late = number(was, session), 15 * MINUTE
    assert sessions.find(was, sessions.hash_token(token), NOW + late - SECOND)
    assert is_found(was, shown, late - SECOND) == [session.id]
    assert is_found(was, shown, late) == []
    assert helpdesk.call(SETTINGS, session, NOW + late) is None


def test_asking_again_gives_the_same_number_and_another_session_another() -> None:
    was, session, _ = calling()
    again = helpdesk.ask(was, act(MINUTE), session.id)
    assert again == Decision(was)
    two, other, _ = calling(was)
    assert number(two, other) != number(two, session)


def test_number_and_words_are_of_a_secret_of_ours_and_the_one_before_is_still_read() -> None:
    was, session, _ = calling()
    old, new = SETTINGS.secret_keys[0], "another secret " * 4
    shown = number(was, session)
    assert is_found(was, shown, secret_keys=(new, old)) == [session.id]
    assert is_found(was, shown, secret_keys=(new,)) == []
    ((_, call),) = helpdesk.find(settings(secret_keys=(new, old)), was, shown, NOW)
    assert call == helpdesk.call(SETTINGS, session, NOW), "both sides read the same words"
    assert call != helpdesk.call(settings(secret_keys=(new, old)), session, NOW)


def test_both_sides_have_words_of_a_list_of_words_that_are_told_apart() -> None:
    assert len(set(helpdesk.WORDS)) == 128
    assert len({word[:4] for word in helpdesk.WORDS}) > 120
    _was, session, _ = calling()
    call = helpdesk.call(SETTINGS, session, NOW)
    assert call
    assert {call.theirs, call.ours} <= set(helpdesk.WORDS)


def test_a_session_that_is_in_has_no_number() -> None:
    was, stub = bound(account())
    was, session, _ = calling(was)
    now = logon.with_key(was, act(), session.id, touched(was, session, stub), "in").account
    assert is_found(now, number(was, session)) == []


def test_whoever_looks_is_recorded_with_what_was_looked_at() -> None:
    was, session, _ = calling()
    assert [*helpdesk.look_up(was, act(), session.id).events] == [("number looked up", "Firefox 156 on Linux, 192.0.2.1")]
    with pytest.raises(Refused, match="over"):
        helpdesk.look_up(was, act(15 * MINUTE), session.id)


# the pass


def test_a_pass_opens_after_the_wait_and_not_before() -> None:
    was, session, _ = passed()
    assert was.opening
    assert was.opening.opens_at == NOW + 24 * HOUR
    with pytest.raises(sessions.KeyOwed):
        enter(was, session, 24 * HOUR - SECOND)
    assert sessions.is_authenticated(enter(was, session, 24 * HOUR).account, "stepped up")


def test_a_pass_opens_only_the_session_that_it_was_given_to() -> None:
    was, _, _ = passed()
    was, other, _ = calling(was)
    with pytest.raises(sessions.KeyOwed):
        enter(was, other, 24 * HOUR)


def test_a_pass_opens_once_and_every_key_stays_bound_and_asked_for() -> None:
    was, session, token = passed()
    now = enter(was, session, 24 * HOUR).account
    assert now.opening is None
    assert now.keys == was.keys
    assert now.opened_at is None
    again = logon.begin(now, act(24 * HOUR), now.password_hash, "again", before=token).account
    assert [each.stage for each in again.sessions] == ["authenticated", "password_only"]
    with pytest.raises(sessions.KeyOwed):
        enter(again, again.sessions[-1], 25 * HOUR)


def test_whoever_comes_by_a_pass_can_bind_a_key_for_ten_minutes_and_every_other_session_is_ended() -> None:
    was, _, _ = logged_on(account(keys=(key(),)))
    was, session, _ = passed(was)
    now = enter(was, session, 24 * HOUR).account
    (mine,) = now.sessions
    assert (mine.id, mine.proof) == (session.id, "recovery")
    assert sessions.is_proven(now, mine, NOW + 24 * HOUR + 9 * MINUTE)
    assert not sessions.is_proven(now, mine, NOW + 24 * HOUR + 10 * MINUTE)


def test_a_pass_goes_on_to_the_session_by_which_the_same_browser_logs_on_again_and_to_no_other() -> None:
    was, first, token = passed()
    other = logon.begin(was, act(23 * HOUR), was.password_hash, "other").account
    with pytest.raises(sessions.KeyOwed):
        enter(other, other.sessions[-1], 24 * HOUR)
    same = logon.begin(other, act(24 * HOUR), was.password_hash, "same", before=token).account
    assert sessions.is_authenticated(enter(same, same.sessions[-1], 24 * HOUR).account, "stepped up")
    with pytest.raises(sessions.KeyOwed):
        enter(replace(same, sessions=(first,)), first, 24 * HOUR)


def test_a_pass_that_is_not_used_within_three_days_is_over() -> None:
    was, session, _ = passed()
    enter(was, session, 4 * DAY - SECOND)
    with pytest.raises(sessions.KeyOwed):
        enter(was, session, 4 * DAY)
    assert expiry.expire(was, NOW + 4 * DAY - SECOND).opening
    assert expiry.expire(was, NOW + 4 * DAY).opening is None


def test_a_touch_stops_a_pass_in_whatever_session() -> None:
    was, stub = bound(account())
    was, caller, _ = passed(was)
    was, owner, _ = logged_on(was, stage="password_only")
    now = logon.with_key(was, act(), owner.id, touched(was, owner, stub), "in")
    assert now.account.opening is None
    assert "opening stopped" in [each.kind for each in now.events]
    with pytest.raises(sessions.KeyOwed):
        enter(now.account, caller, 24 * HOUR)


def test_a_freeze_stops_a_pass() -> None:
    was, _, _ = passed()
    assert identities.freeze(was, act()).account.opening is None


def test_a_pass_is_told_at_once_with_the_browser_that_it_is_for_and_each_day_of_a_long_wait() -> None:
    was, session, _ = calling()
    given = act(settings=settings(helpdesk_wait=3 * DAY), address="", browser="keystead command")
    decision = helpdesk.give_pass(was, given, session.id)
    assert [(each.kind, each.due_at - NOW) for each in decision.account.notifications] == [
        ("pass given", MINUTE), ("pass waits", DAY), ("pass waits", 2 * DAY),
    ]  # fmt: skip
    assert decision.account.notifications[0].facts["for"] == "Firefox 156 on Linux, 192.0.2.1"
    assert [*decision.events] == [("pass given", "Firefox 156 on Linux, 192.0.2.1")]
    stopped, _ = opening.stop(decision.account)
    assert [each.kind for each in stopped.notifications] == ["pass given"]


def test_its_use_is_told() -> None:
    was, session, _ = passed()
    decision = enter(was, session, 24 * HOUR)
    assert "pass used" in [each.kind for each in decision.account.notifications]
    assert [each.kind for each in decision.events] == ["pass used", "logged on"]


def test_a_number_that_is_too_old_gets_no_pass_and_one_number_gets_one() -> None:
    was, session, _ = calling()
    with pytest.raises(Refused, match="over"):
        helpdesk.give_pass(was, act(15 * MINUTE), session.id)
    given = helpdesk.give_pass(was, act(), session.id).account
    with pytest.raises(Refused, match="over"):
        helpdesk.give_pass(given, act(), session.id)


def test_a_pass_takes_the_place_of_a_wait_that_somebody_began_and_no_wait_that_of_a_pass() -> None:
    allowed = act(settings=settings(wait=3 * DAY))
    was, session, _ = calling(opening.ask(account(keys=(key(),)), allowed).account)
    decision = helpdesk.give_pass(was, allowed, session.id)
    assert [each.kind for each in decision.events] == ["opening stopped", "pass given"]
    assert "opening waits" not in [each.kind for each in decision.account.notifications]
    with pytest.raises(Refused, match="not allowed"):
        opening.ask(decision.account, allowed)


def test_an_account_without_keys_needs_no_pass() -> None:
    was, session, _ = calling(account())
    with pytest.raises(Refused, match="over"):
        helpdesk.give_pass(was, act(), session.id)
