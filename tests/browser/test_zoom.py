"""Every page can be read on 320 px, at 200 % of 1280 px, and with text alone at 200 %; axe-core reads what forms say."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site
from tests.browser.test_accessible import _findings, _overflow

WAYS = {"320 px": (320, "100%"), "200 %": (640, "100%"), "text at 200 %": (1280, "200%")}
OUTSIDE = ("logon", "logon/forgotten", "nowhere", "logon/reset?token=x", "logon?notice=ended")
INSIDE = (
    "account", "account/security", "account/security/u2f", "account/security/u2f/dialog", "account/password", "account/email",
    "account/recovery", "account/recovery/rehearsal", "account/sessions", "account/activity", "account/apps",
)  # fmt: skip


def too_wide(page: Page) -> list[str]:
    """In which ways of reading it the page is wider than the screen."""
    found = []
    for way, (width, size) in WAYS.items():
        page.set_viewport_size({"width": width, "height": 500})
        page.evaluate("(size) => { document.documentElement.style.fontSize = size; }", size)
        if _overflow(page):
            found.append(way)
    page.evaluate("() => { document.documentElement.style.fontSize = ''; }")
    return found


def test_every_page_can_be_read_on_320_px_and_at_200_percent(visit: Visit, site: Site, person: Person) -> None:
    page, found = visit.page, {}
    for path in OUTSIDE:
        page.goto(f"{site.url}/{path}")
        found[path] = too_wide(page)
    walk.log_on(page, site, person)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    for path in INSIDE:
        page.goto(f"{site.url}/{path}")
        found[path] = too_wide(page)
    assert {path: ways for path, ways in found.items() if ways} == {}


def said(page: Page, site: Site, person: Person) -> Iterator[str]:
    """Everything that a form has to say when it is not done as it was asked."""
    page.goto(f"{site.url}/logon/forgotten")
    page.get_by_label("Username or e-mail address").fill(person.email)
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("button", name="Send it again")).to_be_disabled()
    yield "mail sent"
    page.goto(site.link(person, "/logon/reset"))
    page.get_by_label("New password").fill("qwertyuiop123")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    yield "weak password"
    walk.log_on(page, site, person)
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    wrong = str((int(site.code(person)) + 1) % 10**6).zfill(6)
    for left in ("4 tries", "3 tries", "2 tries", "1 try", "no tries"):
        page.get_by_label("Verification code").fill(wrong)
        page.get_by_role("button", name="Submit for verification").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(f"{left} left")
    yield "no tries left"
    walk.log_off(page, site)
    for _ in range(11):
        page.goto(f"{site.url}/logon")
        walk.type_password(page, "somebody-else", "wrong")
        expect(page.get_by_role("alert").or_(page.get_by_role("heading", name="Too many attempts"))).to_be_visible()
    yield "too often"


@pytest.mark.chromium_is_enough
def test_what_a_form_says_is_found_right_by_axe_and_fits(visit: Visit, site: Site, person: Person) -> None:
    found: dict[str, list[str]] = {}
    for where in said(visit.page, site, person):
        found[where] = _findings(visit.page) + too_wide(visit.page)
    assert len(found) == 4
    assert {where: what for where, what in found.items() if what} == {}


IN_ITS_BUTTON = """() => Array.from(document.querySelectorAll(".button")).filter((button) => {
  button.setAttribute("aria-busy", "true");
  const spinner = getComputedStyle(button, "::before"), room = parseFloat(getComputedStyle(button).paddingLeft);
  if (spinner.position !== "absolute") return button.scrollWidth > button.clientWidth;
  return parseFloat(spinner.left) < 0 || parseFloat(spinner.left) + parseFloat(spinner.width) > room;
}).map((button) => button.outerHTML)"""


def test_the_spinner_stays_in_its_button_and_off_its_words(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    walk.log_on(page, site, person)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    for path in ("account/security", "account/password", "account/sessions", "account/recovery"):
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 500})
            page.goto(f"{site.url}/{path}")
            assert page.evaluate(IN_ITS_BUTTON) == []
