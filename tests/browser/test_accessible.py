"""axe-core finds nothing on any page, in light and dark, and every page fits a screen of 320 px."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _findings(page: Page) -> list[str]:
    """What axe-core finds, in a line each."""
    page.evaluate(f"() => {{ {AXE} }}")
    result: dict[str, Any] = page.evaluate("() => window.axe.run(document, {resultTypes: ['violations']})")
    return [f"{found['id']}: {node['html'][:160]}" for found in result["violations"] for node in found["nodes"]]


def _overflow(page: Page) -> int:
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def _pages(visit: Visit, site: Site, person: Person) -> Iterator[str]:
    """Walks the whole flow and stops at everything that there is to see."""
    page = visit.page
    page.goto(f"{site.url}/logon")
    yield "logon"
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Log on").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "wrong password"
    walk.log_on(page, site, person)
    yield "account"
    page.goto(f"{site.url}/account/security")
    yield "security, nothing bound"
    page.goto(site.url + walk.U2F)
    yield "verify"
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_label("Verification code")).to_be_visible()
    yield "code sent"
    page.get_by_label("Verification code").fill("000000")
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "wrong code"
    page.get_by_label("Verification code").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_role("heading", name="Bind your key")).to_be_visible()
    yield "bind"
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    yield "touch"
    visit.fail()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "cancelled"
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    yield "done"
    page.goto(f"{site.url}/account/security")
    yield "security, bound"
    page.get_by_role("link", name="Unbind").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "unbind dialog"
    page.goto(f"{site.url}{walk.U2F}/dialog")
    yield "bind dialog"
    page.goto(f"{site.url}{walk.U2F}/dialog?help=1")
    yield "help dialog"
    for path in ("password", "email", "recovery", "sessions", "activity"):
        page.goto(f"{site.url}/account/{path}")
        yield path
    page.goto(f"{site.url}/account")
    page.get_by_text("What if I lose something today?").click()
    yield "account, no way back"
    page.goto(f"{site.url}/account/recovery/rehearsal")
    yield "rehearsal, no codes"
    page.get_by_role("link", name="Get recovery codes").click()
    codes = walk.get_codes(page)
    yield "recovery codes"
    page.get_by_role("link", name="Back to Security Settings").click()
    expect(page.get_by_role("alert")).to_contain_text("You have not printed")
    yield "recovery codes, not kept"
    page.get_by_role("link", name="I have put them away").click()
    page.goto(f"{site.url}/account/recovery/rehearsal")
    page.get_by_label("Recovery code").fill(codes[0])
    page.get_by_role("button", name="Check this code").click()
    expect(page.get_by_role("status")).to_contain_text("You would get in")
    yield "rehearsal, you would get in"
    page.goto(f"{site.url}/account/recovery")
    page.get_by_role("button", name="Make new codes").click()
    expect(page.get_by_label("Type one of them")).to_be_visible()
    yield "new recovery codes"
    page.get_by_label("Type one of them").fill("AAAA")
    page.get_by_role("button", name="I have put them away").click()
    expect(page.get_by_role("alert")).to_contain_text("not one of these codes")
    yield "new recovery codes, a typo"
    page.get_by_role("button", name="I have put them away").click()
    page.goto(f"{site.url}/account/activity")
    page.locator(".happened li", has_text="was bound").get_by_role("link", name="Was this you?").click()
    expect(page.get_by_role("heading", name="Was this you?")).to_be_visible()
    yield "was this you?"
    page.goto(site.link(person, "/not-me"))
    yield "this was not me"
    page.goto(f"{site.url}/logon/forgotten")
    yield "forgotten password"
    page.goto(f"{site.url}/nowhere")
    yield "not found"
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    yield "key step, touch"
    page.reload()
    expect(page.get_by_role("button", name="Use my key")).to_be_focused()
    yield "key step"
    page.goto(f"{site.url}/logon/recovery")
    yield "recovery code at logon"
    page.get_by_role("link", name="Ask the help desk").click()
    expect(page.get_by_role("button", name="Get a number")).to_be_visible()
    yield "help desk"
    page.get_by_role("button", name="Get a number").click()
    expect(page.locator(".call code")).to_be_visible()
    yield "help desk, a number"
    site.keystead("helpdesk", page.locator(".call code").inner_text(), person.username, "--pass", "--yes")
    expect(page.get_by_role("heading", name="This browser has a pass")).to_be_visible()
    yield "help desk, a pass"
    page.goto(f"{site.url}/logon/key")
    page.get_by_role("button", name="Use my key").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page).to_have_url(f"{site.url}/account")
    yield from _own_keys(visit, site)


def _own_keys(visit: Visit, site: Site) -> Iterator[str]:
    """What people do with the key that they have, by a touch of just now."""
    page = visit.page
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Mislaid?").click()
    expect(page.get_by_role("heading", name="You cannot find Blue?")).to_be_visible()
    yield "mislaid?"
    page.get_by_role("button", name="It is mislaid").click()
    expect(page.get_by_role("link", name="I have found it")).to_be_visible()
    yield "security, mislaid"
    page.get_by_role("link", name="Rename").click()
    expect(page.get_by_label("Name of this key")).to_be_focused()
    yield "rename"
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="I have found it").click()
    expect(page.get_by_role("button", name="Waiting for your key")).to_be_visible()
    yield "found, touch"
    visit.touch()
    expect(page.locator(".key.lit")).to_contain_text("and it works")
    yield "found"
    page.get_by_role("link", name="Which key is this?").click()
    expect(page.get_by_role("button", name="Waiting for your key")).to_be_visible()
    visit.fail()
    expect(page.get_by_role("alert")).to_contain_text("Not bound here")
    yield "which, not bound here"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    new_visit: NewVisit, site: Site, person: Person, scheme: Literal["light", "dark"]
) -> None:
    visit = new_visit(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 320, "height": 700})
    visit.hold_touches()
    visit.keys.add("u2f")
    found: list[str] = []
    seen = []
    for where in _pages(visit, site, person):
        seen.append(where)
        found += [f"{where}: {finding}" for finding in _findings(visit.page)]
        if overflow := _overflow(visit.page):
            found.append(f"{where}: {overflow} px wider than the screen")
    assert len(seen) == 43
    assert found == []


def _joining(visit: Visit, site: Site) -> Iterator[str]:
    """What somebody sees who has no account, or of whom a key is required."""
    page, stranger = visit.page, Person("bert", "bert@example.com", walk.NEW_PASSWORD)
    page.goto(f"{site.url}/join")
    yield "join"
    page.get_by_label("E-mail address").fill("bert@elsewhere.example")
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "join, another domain"
    page.goto(f"{site.url}/join")
    page.get_by_label("E-mail address").fill(stranger.email)
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("status")).to_be_visible()
    yield "join, mail sent"
    page.goto(site.link(stranger, "/join/account"))
    yield "invited"
    page.get_by_label("Username").fill(stranger.username)
    page.get_by_label("Password", exact=True).fill("password1234")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "a weak password"
    page.get_by_label("Password", exact=True).fill(stranger.password)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="Bind your key")).to_be_visible()
    yield "a key must be bound"
    page.get_by_role("button", name="Log off").click()
    expect(page.get_by_role("status")).to_have_text("You are logged off.")
    walk.fresh(visit, site)
    page.goto(f"{site.url}/account")
    expect(page.get_by_role("note")).to_be_visible()
    yield "a key is required soon"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_who_joins(
    new_visit: NewVisit, serve: Callable[..., Site], scheme: Literal["light", "dark"]
) -> None:
    site = serve(KEYSTEAD_JOIN="example.com", KEYSTEAD_KEY_REQUIRED="everyone")
    visit = new_visit(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 320, "height": 700})
    found: list[str] = []
    for where in _joining(visit, site):
        found += [f"{where}: {finding}" for finding in _findings(visit.page)]
        if overflow := _overflow(visit.page):
            found.append(f"{where}: {overflow} px wider than the screen")
    assert found == []


def test_axe_finds_nothing_on_the_page_for_old_browsers(new_visit: NewVisit, site: Site) -> None:
    page = new_visit(user_agent="Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko").page
    page.goto(f"{site.url}/logon")
    expect(page.get_by_text("Internet Explorer 11")).to_be_visible()
    assert _findings(page) == []
