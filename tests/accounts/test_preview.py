"""Whether an account is asked for its key."""

from msgspec.structs import replace

from tests.accounts.samples import account, settings
from webapp.accounts import preview

ACCOUNT = account()


def test_everyone_is_asked_by_default() -> None:
    assert preview.includes(settings(), ACCOUNT)


def test_only_listed_accounts_are_asked_when_the_deployer_says_so() -> None:
    assert not preview.includes(settings(preview="listed"), ACCOUNT)
    assert preview.includes(settings(preview="listed"), replace(ACCOUNT, listed=True))


def test_a_percentage_takes_about_that_many_and_raising_it_only_adds() -> None:
    accounts = [replace(ACCOUNT, id=f"account-{number}") for number in range(2000)]
    asked = {
        share: {each.id for each in accounts if preview.includes(settings(preview=share), each)} for share in (0, 25, 50, 100)
    }
    assert asked[0] == set()
    assert 400 < len(asked[25]) < 600
    assert asked[25] < asked[50] < asked[100]
    assert len(asked[100]) == 2000


def test_a_listed_account_is_in_every_percentage() -> None:
    assert preview.includes(settings(preview=0), replace(ACCOUNT, listed=True))
