"""axe-core finds nothing on any page, in light and dark and in Chinese, and every page fits a phone."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import walk, words
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site
from tests.browser.words import Say

pytestmark = pytest.mark.chromium_is_enough
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _findings(page: Page) -> list[str]:
    """What axe-core finds, in a line each."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {AXE} }}")
    result: dict[str, Any] = page.evaluate("() => window.axe.run(document, {resultTypes: ['violations']})")
    return [f"{found['id']}: {node['html'][:160]}" for found in result["violations"] for node in found["nodes"]]


def _overflow(page: Page) -> int:
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def _pages(visit: Visit, site: Site, person: Person, say: Say) -> Iterator[str]:
    """Walks the whole flow and stops at everything that there is to see."""
    page = visit.page
    page.goto(f"{site.url}/logon")
    yield "logon"
    page.get_by_label(say("Username")).fill(person.username)
    page.get_by_label(say("Password"), exact=True).fill("wrong")
    page.get_by_role("button", name=say("Log on")).click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "wrong password"
    walk.log_on(page, site, person, say)
    yield "account"
    page.goto(f"{site.url}/account/security")
    yield "security, nothing bound"
    page.goto(site.url + walk.U2F)
    yield "verify"
    page.get_by_role("button", name=say("Send verification code to email")).click()
    expect(page.get_by_label(say("Verification code"))).to_be_visible()
    yield "code sent"
    page.get_by_label(say("Verification code")).fill("000000")
    page.get_by_role("button", name=say("Submit for verification")).click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "wrong code"
    page.get_by_label(say("Verification code")).fill(site.code(person))
    page.get_by_role("button", name=say("Submit for verification")).click()
    expect(page.get_by_role("heading", name=say("Bind your key"))).to_be_visible()
    yield "bind"
    walk.touch_to_bind(page, "Blue", say)
    expect(page.get_by_role("heading", name=say("Touch your key now"))).to_be_visible()
    yield "touch"
    visit.fail()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "cancelled"
    page.get_by_role("button", name=say("Try again")).click()
    expect(page.get_by_role("heading", name=say("Touch your key now"))).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name=say("Blue is bound"))).to_be_visible()
    yield "done"
    page.goto(f"{site.url}/account/security")
    yield "security, bound"
    page.get_by_role("link", name=say("Unbind")).click()
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
    page.get_by_text(say("What if I lose something today?")).click()
    yield "account, no way back"
    page.goto(f"{site.url}/account/recovery/rehearsal")
    yield "rehearsal, no codes"
    page.get_by_role("link", name=say("Get recovery codes")).click()
    codes = walk.get_codes(page, say)
    yield "recovery codes"
    page.get_by_role("link", name=say("Back to Security Settings")).click()
    expect(page.get_by_role("alert")).to_contain_text(say("You have not printed"))
    yield "recovery codes, not kept"
    page.get_by_role("link", name=say("I have put them away")).click()
    page.goto(f"{site.url}/account/recovery/rehearsal")
    page.get_by_label(say("Recovery code"), exact=True).fill(codes[0])
    page.get_by_role("button", name=say("Check this code")).click()
    expect(page.get_by_role("status")).to_contain_text(say("You would get in"))
    yield "rehearsal, you would get in"
    page.goto(f"{site.url}/account/recovery")
    page.get_by_role("button", name=say("Make new codes")).click()
    expect(page.get_by_label(say("Type one of them"))).to_be_visible()
    yield "new recovery codes"
    page.get_by_label(say("Type one of them")).fill("AAAA")
    page.get_by_role("button", name=say("I have put them away")).click()
    expect(page.get_by_role("alert")).to_contain_text(say("not one of these codes"))
    yield "new recovery codes, a typo"
    page.get_by_role("button", name=say("I have put them away")).click()
    page.goto(f"{site.url}/account/activity")
    page.locator(".happened li", has_text=say("was bound")).get_by_role("link", name=say("Was this you?")).click()
    expect(page.get_by_role("heading", name=say("Was this you?"))).to_be_visible()
    yield "was this you?"
    page.goto(site.link(person, "/not-me"))
    yield "this was not me"
    page.goto(f"{site.url}/logon/forgotten")
    yield "forgotten password"
    page.goto(f"{site.url}/nowhere")
    yield "not found"
    walk.log_off(page, site, say)
    walk.log_on(page, site, person, say)
    expect(page.get_by_role("heading", name=say("Touch your key now"))).to_be_visible()
    yield "key step, touch"
    page.reload()
    expect(page.get_by_role("button", name=say("Use my key"))).to_be_focused()
    yield "key step"
    page.goto(f"{site.url}/logon/recovery")
    yield "recovery code at logon"
    page.get_by_role("link", name=say("Ask the help desk")).click()
    expect(page.get_by_role("button", name=say("Get a number"))).to_be_visible()
    yield "help desk"
    page.get_by_role("button", name=say("Get a number")).click()
    expect(page.locator(".call code")).to_be_visible()
    yield "help desk, a number"
    site.keystead("helpdesk", page.locator(".call code").inner_text(), person.username, "--pass", "--yes")
    expect(page.get_by_role("heading", name=say("This browser has a pass"))).to_be_visible()
    yield "help desk, a pass"
    page.goto(f"{site.url}/logon/key")
    page.get_by_role("button", name=say("Use my key")).click()
    expect(page.get_by_role("heading", name=say("Touch your key now"))).to_be_visible()
    visit.touch()
    expect(page).to_have_url(f"{site.url}/account")
    yield from _own_keys(visit, site, say)


def _own_keys(visit: Visit, site: Site, say: Say) -> Iterator[str]:
    """What people do with the key that they have, by a touch of just now."""
    page = visit.page
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name=say("Mislaid?")).click()
    expect(page.get_by_role("heading", name=say("You cannot find Blue?"))).to_be_visible()
    yield "mislaid?"
    page.get_by_role("button", name=say("It is mislaid")).click()
    expect(page.get_by_role("link", name=say("I have found it"))).to_be_visible()
    yield "security, mislaid"
    page.get_by_role("link", name=say("Rename")).click()
    expect(page.get_by_label(say("Name of this key"))).to_be_focused()
    yield "rename"
    page.get_by_role("link", name=say("Cancel")).click()
    page.get_by_role("link", name=say("I have found it")).click()
    expect(page.get_by_role("button", name=say("Waiting for your key"))).to_be_visible()
    yield "found, touch"
    visit.touch()
    expect(page.locator(".key.lit")).to_contain_text(say("This is Blue, and it works."))
    yield "found"
    page.get_by_role("link", name=say("Which key is this?")).click()
    expect(page.get_by_role("button", name=say("Waiting for your key"))).to_be_visible()
    visit.fail()
    expect(page.get_by_role("alert")).to_contain_text(say("Not bound here"))
    yield "which, not bound here"


def _look(new_visit: NewVisit, language: str) -> Visit:
    return new_visit(viewport={"width": 320, "height": 700}, color_scheme="dark", locale=language, reduced_motion="reduce")


def _wrong(visit: Visit, where: str) -> list[str]:
    """What axe finds in light and dark, and whether anything is wider than a phone."""
    page, found = visit.page, []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found += [f"{where}, {scheme}: {finding}" for finding in _findings(page)]
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        if overflow := _overflow(page):
            found.append(f"{where}: {overflow} px wider than a screen of {width}")
    return found


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_axe_finds_nothing_and_nothing_overflows(new_visit: NewVisit, site: Site, person: Person, language: str) -> None:
    visit = _look(new_visit, language)
    visit.hold_touches()
    visit.keys.add("u2f")
    found: list[str] = []
    seen = []
    for where in _pages(visit, site, person, words.of(language)):
        seen.append(where)
        found += _wrong(visit, where)
    assert len(seen) == 43
    assert found == []


def _joining(visit: Visit, site: Site, say: Say) -> Iterator[str]:
    """What somebody sees who has no account, or of whom a key is required."""
    page, stranger = visit.page, Person("bert", "bert@example.com", walk.NEW_PASSWORD)
    page.goto(f"{site.url}/join")
    yield "join"
    page.get_by_label(say("E-mail address")).fill("bert@elsewhere.example")
    page.get_by_role("button", name=say("Send the mail")).click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "join, another domain"
    page.goto(f"{site.url}/join")
    page.get_by_label(say("E-mail address")).fill(stranger.email)
    page.get_by_role("button", name=say("Send the mail")).click()
    expect(page.get_by_role("status")).to_be_visible()
    yield "join, mail sent"
    page.goto(site.link(stranger, "/join/account"))
    yield "invited"
    page.get_by_label(say("Username")).fill(stranger.username)
    page.get_by_label(say("Password"), exact=True).fill("password1234")
    page.get_by_role("button", name=say("Join")).click()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "a weak password"
    page.get_by_label(say("Password"), exact=True).fill(stranger.password)
    page.get_by_role("button", name=say("Join")).click()
    expect(page.get_by_role("heading", name=say("Bind your key"))).to_be_visible()
    yield "a key must be bound"
    page.get_by_role("button", name=say("Log off")).click()
    expect(page.get_by_role("status")).to_have_text(say("You are logged off."))
    walk.fresh(visit, site, say)
    page.goto(f"{site.url}/account")
    expect(page.get_by_role("note")).to_be_visible()
    yield "a key is required soon"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_axe_finds_nothing_on_the_pages_of_who_joins(new_visit: NewVisit, serve: Callable[..., Site], language: str) -> None:
    site = serve(KEYSTEAD_JOIN="example.com", KEYSTEAD_KEY_REQUIRED="everyone")
    visit = _look(new_visit, language)
    found: list[str] = []
    for where in _joining(visit, site, words.of(language)):
        found += _wrong(visit, where)
    assert found == []


def _apps(visit: Visit, site: Site) -> Iterator[str]:
    """What somebody sees who opens applications: first without a key, then with one that was not asked for at the logon."""
    page, person = visit.page, site.person()
    wishes = {"wiki": ["--title", "The wiki", "--fresh", "15m"], "console": ["--key", "required"], "staff": ["--group", "staff"]}
    ways = {name: f"{site.url}/apps/enter?to=http://{name}.localhost:9001/page&nonce={'0' * 64}" for name in wishes}
    for name, wish in wishes.items():
        site.keystead("app", "add", name, f"http://{name}.localhost:9001", *wish)
    page.goto(ways["wiki"])
    expect(page.get_by_text("Then you go on to The wiki.")).to_be_visible()
    yield "logon for an application"
    walk.type_password(page, person.username, person.password)
    expect(page.get_by_role("heading", name="The wiki")).to_be_visible()
    yield "code for an application"
    page.goto(ways["console"])
    expect(page.get_by_role("link", name="Bind a key")).to_be_visible()
    yield "needs a key"
    page.goto(ways["staff"])
    expect(page.get_by_role("heading", name="staff is not open to you")).to_be_visible()
    yield "not open"
    page.goto(f"{site.url}/account/apps?notice=lost")
    expect(page.get_by_role("link", name="Open The wiki")).to_be_visible()
    yield "applications"
    walk.bind(page, site, person)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    page.goto(f"{site.url}/account/apps")
    yield "applications, with a key"
    visit.hold_touches()
    page.goto(ways["wiki"])
    expect(page.get_by_role("button", name="Use my key")).to_be_focused()
    yield "touch for an application"
    page.get_by_role("button", name="Use my key").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    yield "touch now"
    visit.fail()
    expect(page.get_by_role("alert")).to_be_visible()
    yield "touch for an application, failed"
    page.route(lambda address: address.startswith(f"{site.url}/apps/enter"), _stay)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="The wiki opens")).to_be_visible()
    yield "it opens"


def _stay(route: Route) -> None:
    """The page that leads to an application, without what leads there at once."""
    response = route.fetch()
    assert 'http-equiv="refresh"' in response.text()
    route.fulfill(response=response, body=response.text().replace('http-equiv="refresh"', ""))


def test_axe_finds_nothing_on_the_pages_of_applications(new_visit: NewVisit, serve: Callable[..., Site]) -> None:
    site = serve(KEYSTEAD_PREVIEW="listed")
    visit = _look(new_visit, "en")
    visit.keys.add("ctap2")
    found = [finding for where in _apps(visit, site) for finding in _wrong(visit, where)]
    assert found == []


def test_axe_finds_nothing_on_the_page_for_old_browsers(new_visit: NewVisit, site: Site) -> None:
    page = new_visit(user_agent="Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko").page
    page.goto(f"{site.url}/logon")
    expect(page.get_by_text("Internet Explorer 11")).to_be_visible()
    assert _findings(page) == []
