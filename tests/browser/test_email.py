"""The mailbox is lost: with the key, a person gives another address."""

from dataclasses import replace

from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Site


def test_the_mailbox_is_lost_and_the_key_is_enough_to_change_the_address(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    walk.touch_to_log_on(page, site)
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Change the e-mail address").click()
    new = replace(person, email=f"new-{person.email}")
    page.get_by_label("New e-mail address").fill(new.email)
    page.get_by_role("button", name="Send verification code").click()
    page.get_by_label("Verification code").fill(site.code(new))
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_role("status")).to_contain_text("Your e-mail address is changed")
