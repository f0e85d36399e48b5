"""No dead ends: what does not answer is looked for again, what is too often counts down, and an end leads back."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from backends.protocol import Unavailable
from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site
from webapp.testing import site as kit
from webapp.testing.browser import Slot, served

SMALL: list[ViewportSize] = [{"width": 1366, "height": 625}, {"width": 390, "height": 664}]

AGAIN = 20_000
"""Milliseconds: the page looks again after 5 seconds, and then after 10."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[kit.Site]:
    """A site in this process, whose backend a test can take away."""
    with served(tmp_path, Slot()) as site:
        yield site


def log_on(page: Page, site: kit.Site) -> None:
    page.goto(f"{site.url}/logon")
    walk.type_password(page, site.account.username, site.password)
    expect(page).to_have_url(f"{site.url}/account")


async def away(*_: Any, **__: Any) -> None:
    raise Unavailable("away")


def test_a_page_that_did_not_answer_comes_by_itself(visit: Visit, here: kit.Site, monkeypatch: pytest.MonkeyPatch) -> None:
    page = visit.page
    log_on(page, here)
    with monkeypatch.context() as broken:
        broken.setattr(here.backend, "account", away)
        page.goto(f"{here.url}/account/sessions")
        expect(page.get_by_role("heading", name="Back in a moment")).to_be_visible()
        expect(page.get_by_text("We look again in 0:0")).to_be_visible()
        for size in SMALL:
            page.set_viewport_size(size)
            expect(page.locator("#refusal a")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="Where you are logged on")).to_be_visible(timeout=AGAIN)


def test_a_form_that_was_not_answered_is_kept_and_sent_again_by_the_person(
    visit: Visit, here: kit.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit.page
    log_on(page, here)
    page.goto(here.url + walk.U2F)
    sent = list(here.mailbox.mails())
    with monkeypatch.context() as broken:
        broken.setattr(here.backend, "commit", away)
        page.get_by_role("button", name="Send verification code to email").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was changed")
        expect(page.get_by_text("We look again in 0:0")).to_be_visible()
    expect(page.locator("[data-back]")).to_be_visible(timeout=AGAIN)
    expect(page.locator("#live")).to_contain_text("send the form once more")
    assert list(here.mailbox.mails()) == sent, "nobody has sent it"
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_label("Verification code")).to_be_focused()


def test_a_form_without_htmx_that_was_not_answered_leads_back_to_its_page(
    visit: Visit, here: kit.Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit.page
    log_on(page, here)
    page.goto(f"{here.url}/account/sessions")
    with monkeypatch.context() as broken:
        broken.setattr(here.backend, "account", away)
        page.get_by_role("button", name=re.compile("^Log off .*since")).click()
        expect(page.get_by_role("heading", name="Back in a moment")).to_be_visible()
    expect(page.locator("[data-back]")).to_be_visible(timeout=AGAIN)
    expect(page.get_by_role("link", name="Back to the page")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Where you are logged on")).to_be_visible()


def test_who_has_to_wait_sees_for_how_long_and_what_else_there_is(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    page.goto(f"{site.url}/logon")
    for _ in range(11):
        walk.type_password(page, person.username, "wrong")
        expect(page.get_by_role("alert").or_(page.get_by_role("heading", name="Too many attempts"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"You can try again in 9:\d\d"))).to_be_visible()
    for size in SMALL:
        page.set_viewport_size(size)
        expect(page.get_by_role("button", name="Mail me a link")).to_be_in_viewport()
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    expect(page.get_by_role("button", name="Send it again")).to_be_disabled()


def test_a_logon_that_ended_says_so_and_leads_back_to_where_one_was(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    walk.log_on(page, site, person)
    page.goto(site.url + walk.U2F)
    end_sessions(site, person)
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_role("status")).to_contain_text("Your logon has ended")
    walk.type_password(page, person.username, person.password)
    expect(page).to_have_url(site.url + walk.U2F)


def end_sessions(site: Site, person: Person) -> None:
    """A new password by whoever runs the site ends them; it is the same one."""
    done = site.keystead("account", "password", person.username, "--stdin", stdin=person.password)
    assert done.returncode == 0, done.stderr
