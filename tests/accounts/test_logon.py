"""Logging on: what is looked up before is looked at again in the decision."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from backends.records import Account, ChainLink, Opening, RecoveryCode, Session
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SECOND, account, act, bound, key, logged_on, settings, touched
from webapp.accounts import devices, logon, recovery, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.decision import Decision, Refused
from webapp.testing.stub_key import StubKey

OLD = ChainLink(seq=9, mac=b"mac")
WAITING = settings(wait=72 * HOUR)
CODE = "AAAA-BBBB-CCCC-DDDD"
CODES = (RecoveryCode(digest=recovery.digest("alices-id", CODE), made_at=NOW), RecoveryCode(digest=b"2", made_at=NOW))


def begin(was: Account, *, after: timedelta = timedelta(), **more: str) -> Decision:
    return logon.begin(was, act(after), was.password_hash, "token", **more)


def owing_the_key(was: Account) -> tuple[Account, Session]:
    was, session, _ = logged_on(was, stage="password_only")
    return was, session


def keyed() -> tuple[Account, Session, StubKey]:
    was, stub = bound(account(head=OLD))
    was, session = owing_the_key(was)
    return was, session, stub


def stage(now: Account, token: str = "token") -> str | None:
    found = sessions.find(now, sessions.hash_token(token), NOW)
    return found.stage if found else None


def kinds(decision: Decision) -> list[str]:
    return [each.kind for each in decision.events]


def letters(now: Account) -> list[str]:
    return [each.kind for each in now.notifications]


# the password


def test_without_a_key_the_password_is_enough() -> None:
    decision = begin(account())
    assert stage(decision.account) == "authenticated"
    assert kinds(decision) == ["logged on"]


def test_with_a_key_the_password_opens_the_key_step_only() -> None:
    decision = begin(account(keys=(key(),)))
    assert stage(decision.account) == "password_only"
    assert not decision.events
    assert decision.account.sessions[0].proof is None


def test_a_password_that_was_changed_meanwhile_opens_nothing() -> None:
    with pytest.raises(Refused, match="changed"):
        logon.begin(account(), act(), "$another", "token")


def test_a_frozen_account_opens_to_no_password_of_before() -> None:
    with pytest.raises(Refused, match="frozen"):
        begin(account(frozen_at=NOW))


def test_a_new_password_opens_a_frozen_account_without_keys() -> None:
    decision = begin(account(frozen_at=NOW - HOUR, password_at=NOW))
    assert kinds(decision) == ["logged on", "unfrozen"]
    assert decision.account.frozen_at is None


@pytest.mark.parametrize("suspended_at", [None, NOW])
def test_a_new_password_alone_does_not_open_a_frozen_account_with_a_key(suspended_at: None) -> None:
    was = account(frozen_at=NOW - HOUR, password_at=NOW, keys=(key(suspended_at=suspended_at),))
    decision = begin(was)
    assert stage(decision.account) == "password_only"
    assert decision.account.frozen_at


def test_a_stronger_hash_of_the_same_password_is_kept() -> None:
    decision = begin(account(), stronger="$stronger")
    assert decision.account.password_hash == "$stronger"
    assert decision.account.password_at == account().password_at


def test_the_session_that_was_there_in_this_browser_is_replaced() -> None:
    was, _, before = logged_on(account())
    was, other, _ = logged_on(was)
    now = begin(was, before=before).account
    assert len(now.sessions) == 2
    assert now.sessions[0] == other
    assert stage(now, before) is None


# new browsers


def test_a_browser_that_is_not_known_is_told_of_and_one_that_is_is_not() -> None:
    was = account(head=OLD)
    assert letters(begin(was).account) == ["new browser"]
    known = act(device=devices.known_to(None, was))
    assert letters(logon.begin(was, known, was.password_hash, "token").account) == []


def test_the_very_first_logon_is_no_news() -> None:
    assert letters(begin(account(head=ChainLink(seq=1))).account) == []


def test_of_three_hundred_new_browsers_two_letters_tell() -> None:
    was = account(head=OLD)
    for number in range(300):
        was = begin(was, after=number * SECOND).account
    first, counting = was.notifications
    assert (first.kind, first.facts) == ("new browser", {})
    assert (counting.facts, counting.due_at) == ({"count": "299"}, NOW + HOUR)


# the key


def test_a_touch_of_the_key_opens_the_account_under_a_new_token() -> None:
    was, session, stub = keyed()
    decision = logon.with_key(was, act(), session.id, touched(was, session, stub), "token")
    assert stage(decision.account) == "authenticated"
    assert decision.account.sessions[0].proof == "key"
    assert [tuple(each) for each in decision.events] == [("logged on", "Security key")]
    assert letters(decision.account) == ["new browser"]


def test_a_key_that_was_unbound_at_that_moment_opens_nothing() -> None:
    was, session, stub = keyed()
    answer = touched(was, session, stub)
    with pytest.raises(Failed, match="not yours"):
        logon.with_key(replace(was, keys=(key(),)), act(), session.id, answer, "token")


def test_a_suspended_key_opens_nothing_while_another_is_asked_for() -> None:
    was, session, stub = keyed()
    was = replace(was, keys=(replace(was.keys[0], suspended_at=NOW), key(b"live")))
    with pytest.raises(Failed, match="not yours"):
        logon.with_key(was, act(), session.id, touched(was, session, stub), "token")


def test_an_answer_that_is_refused_is_recorded_and_told() -> None:
    was, session, stub = keyed()
    with pytest.raises(Failed, match="refused") as caught:
        logon.with_key(was, act(), session.id, touched(was, session, stub, bad_signature=True), "token")
    assert caught.value.trace
    assert kinds(caught.value.trace) == ["key refused"]
    assert letters(caught.value.trace.account) == ["key refused"]
    assert len(caught.value.trace.account.nonces) == 1


def test_who_cancels_is_no_reason_to_worry() -> None:
    was, session, stub = keyed()
    with pytest.raises(Failed) as caught:
        logon.with_key(was, act(), session.id, touched(was, session, stub)._replace(credential="", failure="NotAllowedError"), "")
    assert caught.value.trace is None


def test_a_copied_key_is_refused_and_told() -> None:
    was, session, stub = keyed()
    was = logon.with_key(was, act(), session.id, touched(was, session, stub), "token").account
    was, session = owing_the_key(replace(was, notifications=()))
    with pytest.raises(Failed, match="clone") as caught:
        logon.with_key(was, act(), session.id, touched(was, session, stub, counter_back=0), "token")
    assert caught.value.trace
    assert kinds(caught.value.trace) == ["clone suspected"]
    assert letters(caught.value.trace.account) == ["clone suspected"]


def test_a_suspended_key_with_a_new_password_opens_a_frozen_account_and_is_reinstated() -> None:
    was, session, stub = keyed()
    was = replace(was, frozen_at=NOW - HOUR, password_at=NOW, keys=(replace(was.keys[0], suspended_at=NOW - HOUR),))
    decision = logon.with_key(was, act(), session.id, touched(was, session, stub), "token")
    assert kinds(decision) == ["key reinstated", "logged on", "unfrozen"]
    assert decision.account.frozen_at is None
    assert decision.account.keys[0].suspended_at is None
    assert decision.account.keys[0].sign_count == was.keys[0].sign_count + 1


def test_a_touch_stops_an_opening_that_waits() -> None:
    was, session, stub = keyed()
    was = replace(was, opening=Opening(asked_at=NOW, opens_at=NOW + 3 * DAY))
    decision = logon.with_key(was, act(), session.id, touched(was, session, stub), "token")
    assert decision.account.opening is None
    assert kinds(decision)[0] == "opening stopped"


# recovery codes


def test_a_recovery_code_opens_the_account_once_and_ends_every_other_session() -> None:
    was, _, _ = logged_on(account(keys=(key(),), recovery_codes=CODES, head=OLD))
    was, session = owing_the_key(was)
    decision = logon.with_recovery_code(was, act(), session.id, CODE.lower().replace("-", " "), "token")
    now = decision.account
    assert [(each.id, each.stage, each.proof) for each in now.sessions] == [(session.id, "authenticated", "recovery")]
    assert [tuple(each) for each in decision.events] == [("recovery code used", "1 left"), ("logged on", "")]
    assert now.notifications[0].facts == {"left": "1"}
    with pytest.raises(Refused, match="used before"):
        logon.with_recovery_code(replace(now, sessions=was.sessions), act(), session.id, CODE, "token")


def test_a_recovery_code_opens_a_frozen_account_and_stops_an_opening() -> None:
    opening = Opening(asked_at=NOW, opens_at=NOW + 3 * DAY)
    was = account(keys=(key(),), recovery_codes=CODES, frozen_at=NOW - HOUR, password_at=NOW, opening=opening)
    was, session = owing_the_key(was)
    decision = logon.with_recovery_code(was, act(), session.id, CODE, "token")
    assert kinds(decision) == ["opening stopped", "recovery code used", "logged on", "unfrozen"]
    assert decision.account.opening is None


def mistyped(was: Account, session: Session, code: str = "AAAA-AAAA-AAAA-AAAA") -> Decision:
    """What a code that is none leaves behind."""
    with pytest.raises(Refused) as caught:
        logon.with_recovery_code(was, act(), session.id, code, "token")
    return caught.value.trace or Decision(was)


def test_what_is_no_recovery_code_is_recorded_as_that_and_told_from_the_third_on_once_an_hour() -> None:
    was, session = owing_the_key(account(keys=(key(),), recovery_codes=CODES))
    told = []
    for _ in range(5):
        trace = mistyped(was, session)
        assert kinds(trace) == ["recovery code refused"]
        was = trace.account
        told.append(letters(was))
    assert told == [[], [], ["recovery code refused"], *[["recovery code refused"] * 2] * 2]
    assert was.notifications[0].facts == {"typed": "3"}
    assert [each.due_at - each.at for each in was.notifications] == [MINUTE, HOUR]
    assert recovery.left(was) == 2


def test_a_code_that_was_used_before_is_recorded_as_that() -> None:
    used = (replace(CODES[0], spent_at=NOW), CODES[1])
    was, session = owing_the_key(account(keys=(key(),), recovery_codes=used))
    assert [tuple(each) for each in mistyped(was, session, CODE).events] == [("recovery code refused", "used before")]


def test_a_slip_of_the_pen_that_nobody_would_guess_with_leaves_nothing_behind() -> None:
    was, session = owing_the_key(account(keys=(key(),), recovery_codes=CODES))
    assert mistyped(was, session, CODE[:-1]) == Decision(was)


def test_who_gets_in_begins_anew() -> None:
    was, session = owing_the_key(account(keys=(key(),), recovery_codes=CODES))
    was = mistyped(mistyped(was, session).account, session).account
    assert was.codes_refused == 2
    assert logon.with_recovery_code(was, act(), session.id, CODE, "token").account.codes_refused == 0


# without a key


def test_where_no_key_is_asked_for_any_more_the_session_is_in() -> None:
    was, session = owing_the_key(account())
    decision = logon.without_key(was, act(), session.id, "token")
    assert stage(decision.account) == "authenticated"
    assert decision.account.sessions[0].proof is None


def test_a_key_that_was_bound_meanwhile_is_asked_for() -> None:
    was, session = owing_the_key(account(keys=(key(),)))
    with pytest.raises(sessions.KeyOwed):
        logon.without_key(was, act(settings=WAITING), session.id, "token")


def test_once_the_wait_is_over_the_password_opens_the_account_and_its_keys_are_suspended() -> None:
    was = account(keys=(key(),), opening=Opening(asked_at=NOW - 3 * DAY, opens_at=NOW))
    was, session = owing_the_key(was)
    with pytest.raises(sessions.KeyOwed):
        logon.without_key(was, act(-SECOND, settings=WAITING), session.id, "token")
    decision = logon.without_key(was, act(settings=WAITING), session.id, "token")
    assert kinds(decision) == ["key suspended", "opened after the wait", "logged on"]
    assert decision.account.keys[0].suspended_at == NOW
    assert decision.account.opening is None
    assert "opened after the wait" in letters(decision.account)


def test_a_wait_that_the_deployer_no_longer_allows_opens_nothing() -> None:
    was = account(keys=(key(),), opening=Opening(asked_at=NOW - 3 * DAY, opens_at=NOW))
    was, session = owing_the_key(was)
    with pytest.raises(sessions.KeyOwed):
        logon.without_key(was, act(), session.id, "token")


@pytest.mark.parametrize("step", ["key", "recovery", "none"])
def test_a_session_that_was_ended_does_not_come_back(step: str) -> None:
    was, session, stub = keyed()
    was = replace(was, recovery_codes=CODES)
    answer = touched(was, session, stub)
    ended = replace(was, sessions=())
    steps: dict[str, Callable[[], Decision]] = {
        "key": lambda: logon.with_key(ended, act(), session.id, answer, "token"),
        "recovery": lambda: logon.with_recovery_code(ended, act(), session.id, CODE, "token"),
        "none": lambda: logon.without_key(replace(ended, keys=()), act(), session.id, "token"),
    }
    with pytest.raises(sessions.NotSignedIn):
        steps[step]()
