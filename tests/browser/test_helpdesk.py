"""The loss of key and codes, with the help desk on the phone: the person's browser, a thief's beside it, and the command."""

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from backends import open_backend
from backends.records import Account
from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site
from webapp.accounts import commits
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision
from webapp.metrics import Metrics
from webapp.settings import Settings

DAY = timedelta(days=1)


def get_a_number(page: Page, site: Site, person: Person) -> str:
    """From the logon to the number, as somebody who has the password and nothing else."""
    walk.log_on(page, site, person)
    page.goto(f"{site.url}/logon/recovery")
    page.get_by_role("link", name="Ask the help desk").click()
    page.get_by_role("button", name="Get a number").click()
    expect(page.locator(".call code")).to_be_visible()
    return page.locator(".call code").inner_text()


def a_day_passes(site: Site, person: Person) -> None:
    """As if the pass had been given a day before."""

    async def work() -> None:
        settings = Settings.from_environ(site.environ)
        backend = await open_backend(settings.backend)
        try:
            found = await backend.account_named(person.username)
            assert found
            await commits.change(Context(settings, backend, Metrics()), found, _a_day_before)
        finally:
            await backend.close()

    _in_a_thread(lambda: asyncio.run(work()))


def _a_day_before(account: Account, act: Act) -> Decision:
    assert account.opening
    was = account.opening
    return Decision(replace(account, opening=replace(was, asked_at=was.asked_at - DAY, opens_at=was.opens_at - DAY)))


def _in_a_thread(work: Callable[[], None]) -> None:
    """Playwright holds an event loop in this one."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def thief_at(new_visit: NewVisit) -> Page:
    """A browser without a key: the key that is asked for behind the password is never touched, and who leaves leaves nothing."""
    visit = new_visit()
    visit.hold_touches()
    return visit.page


def words_in(page: Page) -> list[str]:
    return page.locator(".call dd").all_inner_texts()[1:]


def test_key_and_codes_are_lost_and_the_help_desk_lets_this_one_browser_in(visit: Visit, new_visit: NewVisit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    lost = visit.keys.add("u2f")
    walk.bind(page, site, person, "Lost")
    visit.keys.remove(lost)
    walk.log_off(page, site)
    visit.hold_touches()
    thief = thief_at(new_visit)
    number, stolen = get_a_number(page, site, person), get_a_number(thief, site, person)
    assert number != stolen

    looked = site.keystead("helpdesk", number)
    theirs, ours = words_in(page)
    assert f"They say        {theirs}\nYou answer      {ours}\n" in looked.stdout
    assert f"Username        {person.username}\n" in looked.stdout
    given = site.keystead("helpdesk", number, person.username, "--pass", "--yes")
    assert "can log on without the key, once" in given.stdout, given.stderr
    expect(page.get_by_role("heading", name="This browser has a pass")).to_be_visible()
    expect(thief.locator(".call code")).to_have_text(stolen)
    assert any("A browser will log on without your key" in str(letter["Subject"]) for letter in site.letters(person))

    a_day_passes(site, person)
    walk.log_on(thief, site, person)
    thief.goto(f"{site.url}/logon/help")
    expect(thief.get_by_role("button", name="Get a number")).to_be_visible()
    expect(thief.get_by_role("button", name="Log on without my key")).to_have_count(0)
    thief.goto(f"{site.url}/account")
    expect(thief).to_have_url(re.compile("/logon/key"))
    expect(thief.get_by_text("The help desk gave a browser a pass")).to_be_visible()

    page.bring_to_front()
    walk.log_on(page, site, person)
    page.get_by_role("button", name="Log on without my key").click()
    expect(page.get_by_role("status")).to_contain_text("without your key, this once")
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.touch_to_bind(page, "New")
    touch(visit)
    expect(page.get_by_role("heading", name="New is bound")).to_be_visible()
    page.goto(f"{site.url}/account/security")
    page.locator(".key", has_text="Lost").get_by_role("link", name="Unbind").click()
    page.get_by_role("button", name="OK").click()
    expect(page.locator(".key", has_text="Lost")).to_have_count(0)
    expect(page.locator(".key", has_text="New")).to_have_count(1)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    touch(visit)
    walk.touch_to_log_on(page, site)


def touch(visit: Visit) -> None:
    expect(visit.page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()


@pytest.mark.chromium_is_enough
def test_the_owner_whose_pass_a_thief_talked_out_of_the_help_desk_stops_it_by_one_touch(
    visit: Visit, new_visit: NewVisit, site: Site
) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    key = visit.keys.add("u2f")
    walk.bind(page, site, person)
    bound = visit.keys.stored(key)[0]
    visit.keys.remove(key)  # Firefox shows a key to every tab, and the thief has none
    walk.log_off(page, site)
    thief = thief_at(new_visit)
    number = get_a_number(thief, site, person)
    site.keystead("helpdesk", number, "--pass", "--yes")
    expect(thief.get_by_role("heading", name="This browser has a pass")).to_be_visible()
    page.bring_to_front()
    key = visit.keys.add("u2f")
    visit.keys.load(key, bound)
    walk.log_on(page, site, person)
    walk.touch_to_log_on(page, site)
    visit.keys.remove(key)
    page.goto(f"{site.url}/account/activity")
    expect(page.locator(".happened")).to_contain_text("Opening the account without a key was stopped")
    walk.log_on(thief, site, person)
    expect(thief).to_have_url(re.compile("/logon/key"))
    expect(thief.get_by_text("The help desk gave a browser a pass")).to_have_count(0)
