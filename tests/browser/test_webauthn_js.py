"""The two scripts of ours where something is missing: htmx or they do not load, a connection that is lost, a key that is slow."""

import time

from playwright.sync_api import Page, Route, expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site

HTMX = "**/htmx-*.js*"


def test_without_htmx_the_same_forms_bind_a_key_and_log_on_with_it(visit: Visit, site: Site) -> None:
    visit.keys.add("u2f")
    page, person = at_binding_without(visit, site, HTMX)
    walk.touch_to_bind(page, "Blue")
    touch(page)
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()

    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page).to_have_url(f"{site.url}/account")


def test_a_ceremony_that_came_with_the_page_waits_for_a_click(visit: Visit, site: Site) -> None:
    visit.hold_touches()
    page, _ = at_binding_without(visit, site, HTMX)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("button", name="Touch my key now")).to_be_enabled()
    assert page.evaluate("() => typeof window.__touch") == "undefined"  # nothing was asked
    page.get_by_role("button", name="Touch my key now").click()
    waiting = page.get_by_role("button", name="Waiting for your key")
    expect(waiting).to_be_disabled()
    expect(waiting).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("heading", name="Touch your key now")).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("Cancelled")


def test_a_ceremony_that_came_with_the_page_cannot_be_clicked_before_its_script_is_there(visit: Visit, site: Site) -> None:
    visit.keys.add("u2f")
    page, _ = at_binding_without(visit, site, HTMX)
    held: list[Route] = []
    visit.context.route("**/webauthn.js*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright puts an attribute on it
    walk.touch_to_bind(page, "Blue")
    ends = time.monotonic() + 15
    while not held and time.monotonic() < ends:
        page.wait_for_timeout(50)
    page.wait_for_timeout(500)  # a page that did not wait for its script would be there by now
    assert page.get_by_role("button", name="Touch my key now").count() == 0
    held.pop().continue_()
    touch(page)
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()


def test_where_the_script_does_not_load_a_click_is_answered_by_what_is_missing(visit: Visit, site: Site) -> None:
    page, _ = at_binding_without(visit, site, "**/*.js*")
    walk.touch_to_bind(page, "Blue")
    touch(page)
    expect(page.get_by_role("alert")).to_contain_text("Your key was not asked")
    expect(page.get_by_label("Name of this key")).to_have_value("Blue")


def test_a_browser_that_cannot_use_keys_is_told_on_a_page_that_came_with_a_ceremony(visit: Visit, site: Site) -> None:
    visit.context.add_init_script("delete window.PublicKeyCredential")
    page, _ = at_binding_without(visit, site, "**/*.js*")
    visit.context.unroute("**/*.js*")
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("button", name="Touch my key now")).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="This browser cannot use security keys")).to_be_visible()


def test_a_lost_connection_is_said_beside_the_button_and_the_button_works_again(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    # htmx puts a lost connection on the console too, where it would fail this test.
    page.evaluate(
        "() => { console.error = () => {}; window.__fetch = window.fetch;"
        " window.fetch = () => Promise.reject(new TypeError('lost')); }"
    )
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("alert")).to_contain_text("was interrupted")
    expect(page.get_by_role("button", name="Bind this key")).to_be_focused()
    page.evaluate("() => { window.fetch = window.__fetch; }")
    page.get_by_role("button", name="Bind this key").click()
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()


def at_binding_without(visit: Visit, site: Site, scripts: str) -> tuple[Page, Person]:
    """Somebody who is about to bind, and in whose browser these scripts never arrive."""
    visit.context.route(scripts, lambda route: route.abort())
    page, person = visit.page, walk.fresh(visit, site)
    page.goto(site.url + walk.U2F)
    walk.prove_by_code(page, site, person)
    return page, person


def touch(page: Page) -> None:
    """The click that starts a ceremony which came with the page."""
    page.get_by_role("button", name="Touch my key now").click()
