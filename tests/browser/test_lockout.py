"""Locked out, tried as a new user would: each way ends logged on, or with a page that says what to do."""

import re
from dataclasses import replace

from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Site


def test_the_key_is_lost_and_a_recovery_code_opens_the_account(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    key = visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.get_by_role("button", name="Get recovery codes").click()
    expect(page.get_by_role("heading", name="Write these down now")).to_be_visible()
    codes = page.locator("#codes code").all_text_contents()
    assert len(set(codes)) == 10
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    page.get_by_label("Type one of them").fill(codes[0])
    page.get_by_role("button", name="I have written them down").click()
    expect(page.get_by_role("status")).to_contain_text("in force")
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill("AAAA-AAAA-AAAA-AAAA")
    page.get_by_role("button", name="Log on").click()
    expect(page.get_by_role("alert")).to_contain_text("not one of your recovery codes")
    page.get_by_label("Recovery code").fill(codes[4].lower().replace("-", ""))
    page.get_by_role("button", name="Log on").click()
    expect(page.get_by_role("status")).to_contain_text("bind another one")
    page.get_by_role("link", name="Unbind").click()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_text("Not bound")).to_be_visible()


def test_the_key_is_lost_without_codes_and_the_deployer_unbinds_it(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    key = visit.keys.add("u2f")
    walk.bind(page, site, person)
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_text("ask whoever runs Keystead")).to_be_visible()
    assert site.keystead("key", "unbind", person.username, "--yes").returncode == 0
    page.get_by_role("button", name="Log on as somebody else").click()
    walk.log_on(page, site, person)
    expect(page).to_have_url(f"{site.url}/account")


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


def test_the_password_is_forgotten_and_a_mailed_link_sets_a_new_one(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    walk.log_off(page, site)
    page.get_by_role("link", name="Forgotten your password?").click()
    page.get_by_label("Username").fill(person.username)
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(site.link(person, "/logon/reset"))
    page.get_by_label("New password").fill("password1234")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    page.get_by_label("New password").fill("seven brass keys in a row")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is set")
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password", exact=True).fill("seven brass keys in a row")
    page.get_by_role("button", name="Log on").click()
    expect(page).to_have_url(re.compile("/logon/key"))
    walk.touch_to_log_on(page, site)


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
    page.get_by_label("Username").fill(person.username)
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Log on").click()
    expect(page.get_by_role("alert")).to_contain_text("This account is frozen")
