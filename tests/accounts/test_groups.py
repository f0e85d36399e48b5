"""Groups: what they may be called, and who is in which."""

import pytest

from tests.accounts.samples import account, act
from webapp.accounts import groups
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened


def test_groups_are_sorted_and_have_one_spelling() -> None:
    assert groups.normalise(["Staff", "admins", "staff"]) == ("admins", "staff")
    assert groups.normalise([]) == ()


@pytest.mark.parametrize("name", ["", "two words", "a,b", "-a", "é", "a" * 65, "a;14d", "İ", "Everyone", "nobody"])
def test_a_group_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a group"):
        groups.normalise([name])


def test_an_account_is_in_fifty_groups_at_most() -> None:
    groups.normalise(str(number) for number in range(50))
    with pytest.raises(ValueError, match="at most 50"):
        groups.normalise(str(number) for number in range(51))


def test_an_account_is_put_into_groups_which_is_an_event() -> None:
    now, happened = groups.set_groups(account(groups=("old",)), act(), ("admins", "staff"))
    assert now.groups == ("admins", "staff")
    assert happened == [Happened("groups changed", "admins, staff")]
    assert groups.set_groups(now, act(), ("admins", "staff")) == Decision(now)
