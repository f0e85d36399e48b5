"""Opening after a wait: asked for with the password, told each day, stopped by whoever has a key."""

from datetime import timedelta

import pytest

from backends.records import Account
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, account, act, key, logged_on, settings
from webapp.accounts import opening, owed
from webapp.accounts.decision import Refused


def asked(wait: timedelta = 3 * DAY) -> Account:
    return opening.ask(account(keys=(key(),)), act(settings=settings(wait=wait))).account


def test_a_wait_begins_only_where_the_deployer_allows_it() -> None:
    with pytest.raises(Refused, match="not allowed"):
        opening.ask(account(keys=(key(),)), act())


def test_an_account_without_keys_has_nothing_to_wait_for() -> None:
    with pytest.raises(Refused, match="not allowed"):
        opening.ask(account(), act(settings=settings(wait=3 * DAY)))


def test_the_wait_is_told_at_once_and_each_day() -> None:
    now = asked(3 * DAY + HOUR)
    assert now.opening
    assert now.opening.opens_at == NOW + 3 * DAY + HOUR
    assert [(each.kind, each.due_at - NOW) for each in now.notifications] == [
        ("opening asked", MINUTE),
        ("opening waits", 1 * DAY),
        ("opening waits", 2 * DAY),
        ("opening waits", 3 * DAY),
    ]
    assert {each.facts["opens"] for each in now.notifications} == {str(round(now.opening.opens_at.timestamp() * 1000))}


def test_nothing_is_told_at_the_moment_at_which_it_opens() -> None:
    assert [each.due_at - NOW for each in asked(2 * DAY).notifications] == [MINUTE, DAY]


@pytest.mark.parametrize("days", [30, 31, 60, 99_999])
def test_the_letters_of_a_long_wait_are_bounded_and_the_first_of_them_stays(days: int) -> None:
    notifications = asked(days * DAY).notifications
    assert notifications[0].kind == "opening asked"
    assert 15 <= len(notifications) <= 1 + opening.MAX_LETTERS
    assert len({each.id for each in notifications}) == len(notifications)
    assert notifications[-1].due_at < NOW + days * DAY


def test_asking_again_does_not_begin_anew() -> None:
    was = asked()
    later = opening.ask(was, act(DAY, settings=settings(wait=3 * DAY)))
    assert later.account is was
    assert not later.events


def test_a_stop_takes_back_what_was_to_be_told() -> None:
    now, events = opening.stop(asked())
    assert now.opening is None
    assert [each.kind for each in now.notifications] == ["opening asked"]
    assert [each.kind for each in events] == ["opening stopped"]
    assert opening.stop(now) == (now, [])


def test_the_wait_is_over_when_it_is() -> None:
    was, session, _ = logged_on(asked(), stage="password_only")
    waiting = settings(wait=3 * DAY)
    assert not opening.has_passed(was, waiting, session, NOW + 3 * DAY - MINUTE)
    assert opening.has_passed(was, waiting, session, NOW + 3 * DAY)
    assert not opening.has_passed(account(), waiting, session, NOW + 3 * DAY)
    assert not opening.has_passed(was, settings(), session, NOW + 3 * DAY), "the deployer allows none any more"


def test_when_it_opens_no_key_is_lost_and_those_that_were_suspended_stay_so() -> None:
    was = account(keys=(key(b"1"), key(b"2", suspended_at=NOW - DAY)))
    now, events = opening.suspend_all(was, act())
    assert [each.suspended_at for each in now.keys] == [NOW, NOW - DAY]
    assert [each.kind for each in events] == ["key suspended", "opened after the wait"]
    assert [each.kind for each in owed.without(now, "opening waits").notifications] == ["opened after the wait"]
