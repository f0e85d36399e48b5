"""The harness works: a real browser, a real server, a real mail, a virtual key."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site


def test_somebody_logs_on_binds_a_key_and_then_needs_it(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    visit.keys.add("u2f")
    page.goto(f"{site.url}/account/security/u2f")
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Log on").click()
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.locator("input[name=code]")).to_be_visible()
    page.locator("input[name=code]").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").click()
    page.locator("#bind").get_by_role("button").first.click()
    expect(page).to_have_url(f"{site.url}/account/security/u2f/done")
    page.goto(f"{site.url}/account")
    page.get_by_role("button", name="Log off").first.click()
    expect(page).to_have_url(re.compile("/logon"))
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Log on").click()
    expect(page).to_have_url(f"{site.url}/account")


def test_a_visit_is_in_the_colours_that_were_asked_for(new_visit: NewVisit, site: Site) -> None:
    """Else what is tested in the dark is tested in the light once more."""
    for options, query in (
        ({"color_scheme": "dark"}, "(prefers-color-scheme: dark)"),
        ({"forced_colors": "active"}, "(forced-colors: active)"),
    ):
        page = new_visit(**options).page
        page.goto(f"{site.url}/logon")
        assert page.evaluate("(query) => matchMedia(query).matches", query)
