"""The mailbox is lost: with the key, a person gives another address."""

from collections.abc import Callable
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
    walk.log_off(page, site)
    page.get_by_role("link", name="Forgotten your username or password?").click()
    page.get_by_label("Username or e-mail address").fill(new.email)
    page.get_by_role("button", name="Send the mail").click()
    page.goto(site.link(new, "/logon/reset"))
    expect(page.get_by_role("heading", name="Set a new password")).to_be_visible()


def test_the_mailbox_is_lost_before_a_key_was_bound_and_the_page_says_who_helps(visit: Visit, serve: Callable[..., Site]) -> None:
    site = serve(KEYSTEAD_HELP="help@example.com")
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    expect(page.get_by_text("You no longer read mail at this address?")).to_be_visible()
    expect(page.get_by_role("link", name="help@example.com")).to_have_attribute("href", "mailto:help@example.com")
    new = replace(person, email=f"new-{person.email}")
    assert site.keystead("account", "email", person.username, new.email).returncode == 0
    page.reload()
    walk.prove_by_code(page, site, new)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
