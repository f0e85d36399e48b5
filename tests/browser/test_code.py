"""Where a code is typed: a mail that waits is seen to wait, and a code that cannot be typed any more says so."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site


@pytest.fixture
def page(visit: Visit, site: Site, person: Person) -> Page:
    """Logged on, at the step where a code is sent."""
    walk.log_on(visit.page, site, person)
    visit.page.goto(site.url + walk.U2F)
    return visit.page


def another(code: str) -> str:
    return str((int(code) + 1) % 10**6).zfill(6)


def test_a_mail_that_has_to_wait_is_seen_to_wait(page: Page) -> None:
    page.get_by_role("button", name="Send verification code to email").click()
    again = page.get_by_role("button", name="Send again")
    expect(again).to_be_disabled()
    expect(again).to_have_text("Send again in 0:59")
    page.reload()
    expect(again).to_be_disabled()


def test_after_five_wrong_tries_the_one_button_sends_a_new_code_at_once(page: Page, site: Site, person: Person) -> None:
    page.get_by_role("button", name="Send verification code to email").click()
    code = site.code(person)
    for left in ("4 tries", "3 tries", "2 tries", "1 try", "no tries"):
        expect(page.get_by_label("Verification code")).to_be_focused()
        page.keyboard.type(another(code))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(f"{left} left")
    expect(page.get_by_role("main").get_by_role("button")).to_have_text(["Send a new code"])
    expect(page.get_by_role("button", name="Send a new code")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Verification code")).to_be_focused()
    page.keyboard.type(site.code(person))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Bind your key")).to_be_focused()


def test_a_code_that_expires_while_it_is_waited_for_is_said_aloud(page: Page) -> None:
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_text("Valid for")).to_be_visible()
    page.evaluate("""() => {
      const clock = document.querySelector("#code-hint span");
      clock.setAttribute("data-expires-in", 1);
      clock.dispatchEvent(new CustomEvent("htmx:after:process", { bubbles: true }));
    }""")
    expect(page.get_by_text("The code has expired.").first).to_be_visible()
    expect(page.locator("#live")).to_contain_text("The code has expired. Have a new one sent.")
