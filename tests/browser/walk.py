"""Ways through the pages that several browser tests take, in the words that stand on the buttons.

`say` turns English ones into those of the page's language.
"""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site
from tests.browser.words import Say

U2F = "/account/security/u2f"
NEW_PASSWORD = "seven brass keys in a row"


def log_on(page: Page, site: Site, person: Person, say: Say = str) -> None:
    """Username and password; where that leads is the caller's to look at."""
    page.goto(f"{site.url}/logon")
    type_password(page, person.username, person.password, say)
    expect(page).not_to_have_url(re.compile(r"/logon(\?|$)"))
    page.wait_for_load_state()  # Firefox lets a page that is still coming interrupt the next goto
    if "/logon/key" in page.url:
        page.wait_for_load_state("networkidle")  # the key is asked for at once: who leaves meanwhile interrupts that


def type_password(page: Page, username: str, password: str, say: Say = str) -> None:
    """On the logon page, once it is there."""
    page.get_by_label(say("Username")).fill(username)
    page.get_by_label(say("Password"), exact=True).fill(password)
    page.get_by_role("button", name=say("Log on")).click()


def log_off(page: Page, site: Site, say: Say = str) -> None:
    page.goto(f"{site.url}/account")
    page.get_by_role("button", name=say("Log off")).click()
    expect(page.get_by_role("status")).to_have_text(say("You are logged off."))


def prove_by_code(page: Page, site: Site, person: Person, say: Say = str) -> None:
    """From the bind page's first step to its second."""
    page.get_by_role("button", name=say("Send verification code to email")).click()
    expect(page.get_by_label(say("Verification code"))).to_be_focused()
    page.get_by_label(say("Verification code")).fill(site.code(person))
    page.get_by_role("button", name=say("Submit for verification")).click()
    expect(page.get_by_role("heading", name=say("Bind your key"))).to_be_visible()


def bind(page: Page, site: Site, person: Person, name: str = "Blue") -> None:
    """Bind the virtual key that answers in this page, as somebody who has no key yet and is logged on."""
    page.goto(site.url + U2F)
    prove_by_code(page, site, person)
    touch_to_bind(page, name)
    expect(page.get_by_role("heading", name=f"{name} is bound")).to_be_visible()


def touch_to_bind(page: Page, name: str, say: Say = str) -> None:
    page.get_by_label(say("Name of this key")).fill(name)
    page.get_by_role("button", name=say("Bind this key")).click()


def get_codes(page: Page, say: Say = str) -> list[str]:
    """Press the button that has recovery codes made; the ten that are shown."""
    page.get_by_role("button", name=say("Get recovery codes")).click()
    expect(page.get_by_role("heading", name=say("Your recovery codes"))).to_be_visible()
    codes = page.locator("#codes code").all_text_contents()
    assert len(set(codes)) == 10
    return codes


def use_code(page: Page, code: str) -> None:
    """On the key page of a logon."""
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(code)
    page.get_by_role("button", name="Log on").click()


def touch_to_log_on(page: Page, site: Site) -> None:
    """Behind the password the key is asked for at once."""
    expect(page).to_have_url(f"{site.url}/account")
    page.wait_for_load_state()


def tab_to(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until the control with this label or text has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        label = page.evaluate(
            "() => { const e = document.activeElement; const l = e.labels && e.labels[0];"
            " return (l ? l.textContent : e.textContent).trim(); }"
        )
        if label.startswith(name):
            return
    raise AssertionError(f"{name!r} is not reached by Tab")


def fresh(visit: Visit, site: Site, say: Say = str) -> Person:
    """A new person, logged on in this visit."""
    person = site.person()
    log_on(visit.page, site, person, say)
    return person
