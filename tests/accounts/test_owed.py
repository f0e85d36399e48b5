"""Letters that an account is owed: bounded, leased, tried for three days."""

from datetime import timedelta

import pytest

from backends.records import Account
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SECOND, account, act
from webapp.accounts import owed
from webapp.accounts.owed import GIVE_UP, LEASE, MAX_OWED, PAUSES, Kind


def owing(*kinds: Kind) -> Account:
    return flooded(account(), *((kind, 1) for kind in kinds))


def flooded(was: Account, *floods: tuple[Kind, int]) -> Account:
    """With so many letters of each kind, of one commit."""
    for kind, number in floods:
        for _ in range(number):
            was = owed.owe(was, act(), kind)
    return was


def ids(now: Account) -> list[str]:
    return [each.id for each in now.notifications]


def test_a_letter_holds_facts_and_is_leased_to_whoever_commits_it() -> None:
    (letter,) = owed.owe(account(), act(), "key bound", facts={"key": "Blue"}).notifications
    assert (letter.to, letter.at, letter.due_at, letter.facts) == ("alice@example.com", NOW, NOW + LEASE, {"key": "Blue"})
    assert (letter.address, letter.browser) == ("192.0.2.1", "Firefox 156 on Linux")
    assert (letter.attempts, letter.holder) == (0, "")


def test_a_letter_goes_where_it_is_addressed_to() -> None:
    (letter,) = owed.owe(account(), act(), "e-mail changed", to="old@example.com").notifications
    assert letter.to == "old@example.com"


def test_letters_of_one_commit_have_different_ids_and_so_have_those_of_another() -> None:
    was = owing("key unbound", "key unbound", "key bound")
    later = owed.owe(account(version=2, notifications=was.notifications), act(), "key unbound")
    assert len(set(ids(later))) == 4


def test_ids_stay_different_also_where_letters_are_too_many() -> None:
    was = flooded(account(), ("key unbound", MAX_OWED + 50))
    assert len(was.notifications) == MAX_OWED
    assert len(set(ids(was))) == MAX_OWED


def test_a_flood_of_one_kind_costs_no_other_its_letter_and_neither_its_own_first() -> None:
    was = flooded(account(), ("e-mail changed", 1), ("recovery codes made", MAX_OWED + 50), ("key bound", 1))
    kinds = [each.kind for each in was.notifications]
    assert len(kinds) == MAX_OWED
    assert (kinds[0], kinds[1], kinds[-1]) == ("e-mail changed", "recovery codes made", "key bound")
    assert was.notifications[1].id == "1-recovery codes made-0"


def test_what_a_stranger_can_cause_is_told_once_an_hour_with_a_count() -> None:
    was = account()
    for number in range(5):
        was = owed.owe(was, act(number * MINUTE), "key refused")
    first, counting = was.notifications
    assert (first.due_at, first.facts) == (NOW + LEASE, {})
    assert (counting.due_at, counting.facts) == (NOW + HOUR, {"count": "4"})


def test_after_an_hour_of_quiet_it_is_told_at_once_again() -> None:
    was = owed.owe(account(), act(), "key refused")
    was = owed.owe(was, act(HOUR), "key refused")
    assert [each.due_at for each in was.notifications] == [NOW + LEASE, NOW + HOUR + LEASE]


def test_while_it_goes_on_there_is_one_letter_an_hour() -> None:
    was, sent = account(), 0
    for minute in range(5 * 60):
        was = owed.owe(was, act(minute * MINUTE), "new browser")
        due = [each for each in was.notifications if each.due_at <= NOW + (minute + 1) * MINUTE]
        for each in due:
            was, sent = owed.sent(was, act(minute * MINUTE), each.id).account, sent + 1
    assert sent == 6, "at once, and at the end of each of five hours"


def test_a_letter_on_its_way_counts_no_more() -> None:
    """What is counted in it now would be struck off with it, and told to nobody."""
    was = owed.owe(owed.owe(account(), act(), "key refused"), act(SECOND), "key refused")
    was = owed.lease(was, act(HOUR), "holder").account
    now = owed.owe(was, act(HOUR + SECOND), "key refused")
    assert [each.facts.get("count") for each in now.notifications] == [None, "1", "1"]


def test_kinds_are_bounded_each_for_itself() -> None:
    was = owed.owe(owing("key refused"), act(), "new browser")
    assert [each.due_at for each in was.notifications] == [NOW + LEASE] * 2


def test_what_is_due_is_leased_for_a_minute_to_one() -> None:
    was = owing("key bound", "key unbound")
    assert owed.lease(was, act(LEASE - SECOND), "early").account is was
    leased = owed.lease(was, act(LEASE), "first").account
    assert {(each.holder, each.due_at) for each in leased.notifications} == {("first", NOW + 2 * LEASE)}
    assert owed.lease(leased, act(LEASE), "second").account is leased
    again = owed.lease(leased, act(2 * LEASE), "second").account
    assert {each.holder for each in again.notifications} == {"second"}


def test_what_is_not_due_is_not_leased() -> None:
    was = owed.owe(owing("key bound"), act(), "opening waits", due_at=NOW + DAY)
    leased = owed.lease(was, act(LEASE), "holder").account
    assert [each.holder for each in leased.notifications] == ["holder", ""]
    assert leased.notifications[1].due_at == NOW + DAY


def test_what_was_taken_is_owed_no_longer() -> None:
    was = owing("key bound", "key unbound")
    now = owed.sent(was, act(), was.notifications[0].id).account
    assert [each.kind for each in now.notifications] == ["key unbound"]
    assert owed.sent(now, act(), was.notifications[0].id).account is now


def test_what_was_not_taken_is_tried_again_with_growing_pauses() -> None:
    was, pauses = owing("key bound"), []
    for _ in range(9):
        was = owed.not_sent(was, act(), was.notifications[0].id).account
        pauses.append(was.notifications[0].due_at - NOW)
    assert pauses == [*PAUSES, HOUR, HOUR]


def tried(was: Account, until: timedelta, every: timedelta = timedelta()) -> tuple[Account, list[str], timedelta]:
    """The account whose letter nobody took, what happened, and when it was tried last."""
    after = was.notifications[0].due_at - NOW
    while was.notifications and after < until:
        was = owed.lease(was, act(after), "holder").account
        was, events = owed.not_sent(was, act(after + every), was.notifications[0].id)
        if events:
            return was, [f"{each.kind}: {each.detail}" for each in events], after
        after = was.notifications[0].due_at - NOW
    return was, [], after


def test_after_three_days_it_is_given_up_which_is_an_event() -> None:
    was, events, after = tried(owing("key bound"), 5 * DAY)
    assert events == ["not mailed: key bound"]
    assert was.notifications == ()
    assert GIVE_UP <= after + MINUTE < GIVE_UP + 2 * HOUR
    assert was.notified_at == {owed.GIVEN_UP: NOW + after}


def test_a_letter_that_is_due_days_later_has_three_days_as_well() -> None:
    was = owed.owe(account(), act(), "opening waits", due_at=NOW + 4 * DAY)
    was, events, after = tried(was, 6 * DAY)
    assert not events
    _, events, after = tried(was, 10 * DAY)
    assert events
    assert after > 6 * DAY


def test_a_letter_that_nobody_could_try_for_a_week_is_tried() -> None:
    """The server was switched off: the first attempt after that is not the last."""
    was = owed.lease(owing("key bound"), act(7 * DAY), "holder").account
    now, events = owed.not_sent(was, act(7 * DAY), was.notifications[0].id)
    assert not events
    assert now.notifications[0].due_at == NOW + 7 * DAY + PAUSES[0]


def test_that_a_letter_is_gone_is_no_reason_to_record_anything() -> None:
    was = account()
    assert owed.not_sent(was, act(), "gone").account is was


@pytest.mark.parametrize("attempts", [0, 1, 5, 20])
def test_since_when_a_letter_is_due_is_known_however_often_it_was_put_off(attempts: int) -> None:
    was, after = owing("key bound"), LEASE
    for _ in range(attempts):
        was = owed.not_sent(was, act(after), was.notifications[0].id).account
        after = was.notifications[0].due_at - NOW
    assert owed.due_since(was.notifications[0]) == NOW + LEASE


def test_letters_of_a_kind_are_taken_back() -> None:
    now = owed.without(owing("reset", "key bound", "reset"), "reset")
    assert [each.kind for each in now.notifications] == ["key bound"]
