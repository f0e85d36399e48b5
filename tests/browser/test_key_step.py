"""How a key is asked for: at once behind the password, above the fold, with a drawing that moves once, while it waits."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Site

SCREENS = [(1366, 625), (390, 664)]
TOUCH = "Touch your key now"


def at_the_key_step(visit: Visit, site: Site) -> Page:
    """Somebody who has just given the password, and whose key waits for a touch."""
    visit.hold_touches()
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name=TOUCH)).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    return page


def test_the_key_is_asked_for_at_once_and_not_again_by_a_reload_or_by_going_back(visit: Visit, site: Site) -> None:
    page = at_the_key_step(visit, site)
    expect(page.get_by_role("button", name="Waiting for your key")).to_be_visible()
    expect(page.get_by_role("heading", name=TOUCH)).to_be_focused()
    page.reload()
    expect(page.get_by_role("button", name="Use my key")).to_be_focused()
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name="Use my key")).to_be_visible()
    page.get_by_role("link", name="see what else helps").click()
    expect(page).to_have_url(f"{site.url}/logon/recovery")
    page.go_back()
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name="Use my key")).to_be_visible()
    page.get_by_role("button", name="Use my key").click()
    expect(page.get_by_role("heading", name=TOUCH)).to_be_visible()
    visit.touch()
    expect(page).to_have_url(f"{site.url}/account")


def test_without_htmx_the_key_is_asked_for_at_once_and_not_again_by_a_reload(visit: Visit, site: Site) -> None:
    visit.context.route("**/htmx-*.js*", lambda route: route.abort())
    visit.hold_touches()
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    walk.touch_to_bind(page, "Blue")
    page.get_by_role("button", name="Touch my key now").click()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_role("button", name="Waiting for your key")).to_be_visible()
    page.goto(f"{site.url}/logon/key")
    expect(page.get_by_role("button", name="Use my key")).to_be_focused()
    page.get_by_role("button", name="Use my key").click()
    expect(page.get_by_role("button", name="Touch my key now")).to_be_visible()
    page.wait_for_timeout(500)
    page.get_by_role("button", name="Touch my key now").click()
    visit.touch()
    expect(page).to_have_url(f"{site.url}/account")


def test_the_drawing_moves_once_and_only_while_a_key_is_waited_for(visit: Visit, site: Site) -> None:
    page = at_the_key_step(visit, site)
    expect(page.get_by_role("button", name="Waiting for your key")).to_be_visible()
    moving = page.evaluate(
        "() => document.getAnimations().filter((a) => a.effect.target.closest('.drawing'))"
        ".map((a) => a.effect.getComputedTiming().endTime)"
    )
    assert moving
    assert max(moving) < 5000, "WCAG 2.2.2: what moves for longer needs a way to stop it"
    page.reload()
    expect(page.locator(".drawing")).to_have_count(0)


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_everything_that_must_be_pressed_lies_above_the_fold(new_visit: NewVisit, site: Site, width: int, height: int) -> None:
    visit = new_visit(viewport={"width": width, "height": height})
    visit.hold_touches()
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    above_the_fold(page, "Send verification code to email")
    walk.prove_by_code(page, site, person)
    above_the_fold(page, "Bind this key")
    walk.touch_to_bind(page, "Blue")
    for _ in range(2):
        above_the_fold(page, "Waiting for your key", "Cancel")
        visit.fail()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        above_the_fold(page, "Try again")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name=TOUCH)).to_be_visible()
    visit.touch()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Unbind").click()
    above_the_fold(page, "OK, unbind it")
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Mislaid?").click()
    expect(page.get_by_role("heading", name="You cannot find Blue?")).to_be_visible()
    above_the_fold(page, "It is mislaid")
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    for _ in range(2):
        expect(page.get_by_role("heading", name=TOUCH)).to_be_visible()
        above_the_fold(page, "Waiting for your key", "Cancel")
        visit.fail()
        expect(page.get_by_role("button", name="Try again")).to_be_focused()
        above_the_fold(page, "Try again")
        page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name=TOUCH)).to_be_visible()
    page.goto(f"{site.url}/logon/key")
    above_the_fold(page, "Use my key")


def above_the_fold(page: Page, *names: str) -> None:
    """Where somebody who has just come sees it: with the page at its top."""
    for name in names:
        button = page.get_by_role("button", name=name, exact=False)
        expect(button).to_be_visible()
        bottom = button.evaluate("(e) => e.getBoundingClientRect().bottom + (e.closest('dialog') ? 0 : scrollY)")
        fold = page.evaluate("() => innerHeight")
        assert bottom <= fold, f"{name} ends at {bottom} px of {fold}"
