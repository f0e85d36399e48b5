"""Browsers that have logged on before."""

from msgspec.structs import replace

from tests.accounts.samples import NOW, account
from webapp.accounts import devices

ALICES = account()


def test_a_browser_is_known_to_the_accounts_that_it_has_logged_on_to() -> None:
    browser = devices.known_to(None, ALICES)
    assert devices.knows(browser, ALICES)
    assert not devices.knows(browser, account(id="bobs-id"))
    assert not devices.knows(None, ALICES)
    both = devices.known_to(browser, account(id="bobs-id"))
    assert both.id == browser.id
    assert devices.knows(both, ALICES)
    assert devices.knows(both, account(id="bobs-id"))


def test_an_account_that_was_frozen_knows_no_browser_of_before() -> None:
    browser = devices.known_to(None, ALICES)
    frozen = replace(ALICES, devices_at=NOW)
    assert not devices.knows(browser, frozen)
    assert devices.knows(devices.known_to(browser, frozen), frozen)


def test_a_browser_remembers_eight_accounts_and_forgets_the_one_used_longest_ago() -> None:
    browser, accounts = devices.new(), [account(id=f"id-{number}") for number in range(9)]
    for each in accounts[:8]:
        browser = devices.known_to(browser, each)
    browser = devices.known_to(browser, accounts[0])
    browser = devices.known_to(browser, accounts[8])
    assert [devices.knows(browser, each) for each in accounts] == [True, False, *[True] * 7]


def test_a_browser_comes_back_from_its_cookie() -> None:
    browser = devices.known_to(devices.known_to(None, ALICES), account(id="bobs-id"))
    assert devices.load(devices.dump(browser)) == browser
    new = devices.new()
    assert devices.load(devices.dump(new)) == new
    assert not devices.knows(new, ALICES)


def test_a_cookie_of_many_tags_is_cut() -> None:
    browser = devices.load(".".join(["id", *map(str, range(100))]))
    assert len(browser.tags) == devices.MAX_ACCOUNTS


def test_what_a_browser_carries_names_no_account() -> None:
    text = devices.dump(devices.known_to(None, ALICES))
    assert not any(name in text for name in (ALICES.id, ALICES.username, ALICES.email))
