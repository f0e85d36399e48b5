"""*This was not me*: the account is frozen, and opens for whoever has the mailbox and a key, not for whoever has the mailbox."""

from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Site


def test_this_was_not_me_freezes_the_account_and_says_how_to_open_it(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    walk.log_off(page, site)
    link = site.link(person, "/not-me")
    page.goto(link)
    expect(page.get_by_role("heading", name="This was not you?")).to_be_visible()
    page.get_by_role("button", name="Freeze my account").click()
    expect(page.get_by_role("heading", name="Your account is frozen")).to_be_visible()
    page.goto(link)
    page.get_by_role("button", name="Freeze my account").click()
    expect(page.get_by_role("heading", name="This link is over")).to_be_visible()
    page.goto(f"{site.url}/logon")
    walk.type_password(page, person.username, person.password)
    expect(page.get_by_role("alert")).to_contain_text("This account is frozen")


def test_a_frozen_account_opens_with_a_new_password_and_its_suspended_key(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(site.link(person, "/not-me"))
    page.get_by_role("button", name="Freeze my account").click()
    page.get_by_role("link", name="Set a new password").click()
    page.get_by_label("Username or e-mail address").fill(person.username)
    page.get_by_role("button", name="Send the mail").click()
    page.goto(site.link(person, "/logon/reset"))
    page.get_by_label("New password").fill(walk.NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    walk.type_password(page, person.username, walk.NEW_PASSWORD)
    walk.touch_to_log_on(page, site)
    page.goto(f"{site.url}/account/security")
    expect(page.locator(".key")).not_to_contain_text("Suspended")
    walk.log_off(page, site)
    walk.type_password(page, person.username, walk.NEW_PASSWORD)
    walk.touch_to_log_on(page, site)
