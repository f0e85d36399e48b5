"""Somebody without an account is invited, or invites themselves, and ends with a key bound; without one nothing else opens."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.keys import KeyProtocol
from tests.browser.live_site import Person, Site

BERT = Person("bert", "bert@example.com", walk.NEW_PASSWORD)


@pytest.mark.parametrize("kind", ["u2f", "ctap2"])
def test_an_invited_stranger_ends_with_an_account_and_a_bound_key(
    visit: Visit, serve: Callable[..., Site], kind: KeyProtocol
) -> None:
    site, page = serve(KEYSTEAD_KEY_REQUIRED="staff"), visit.page
    assert site.keystead("account", "invite", BERT.email, "--group", "staff").returncode == 0
    visit.keys.add(kind)
    page.goto(site.link(BERT, "/join/account"))
    expect(page.get_by_label("Username")).to_be_focused()
    page.get_by_label("Username").fill(BERT.username)
    page.get_by_label("Password", exact=True).fill("password1234")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    expect(page.get_by_label("Username")).to_have_value(BERT.username)
    page.get_by_label("Password", exact=True).fill(BERT.password)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="Bind your key")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("Your account is ready")
    page.goto(f"{site.url}/account/sessions")
    expect(page).to_have_url(site.url + walk.U2F)
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    walk.log_off(page, site)
    walk.type_password(page, BERT.username, BERT.password)
    walk.touch_to_log_on(page, site)


def test_who_is_of_the_mail_domain_joins_from_the_logon_page(visit: Visit, serve: Callable[..., Site]) -> None:
    site, page = serve(KEYSTEAD_JOIN="example.com"), visit.page
    page.goto(f"{site.url}/logon")
    page.get_by_role("link", name="Join Keystead").click()
    page.get_by_label("E-mail address").fill("bert@elsewhere.example")
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("alert")).to_contain_text("not an address at example.com")
    page.wait_for_load_state()
    expect(page.get_by_label("E-mail address")).to_be_focused()
    page.get_by_label("E-mail address").clear()  # where Firefox gives the focus late, what is typed stands behind what was there
    expect(page.get_by_label("E-mail address")).to_have_value("")
    page.get_by_label("E-mail address").fill(BERT.email)
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("status")).to_contain_text("A mail is on its way to bert@example.com")
    page.goto(site.link(BERT, "/join/account"))
    page.get_by_label("Username").fill(BERT.username)
    page.get_by_label("Password", exact=True).fill(BERT.password)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="Bind your key")).to_be_visible()
    page.get_by_role("link", name="Back to Security Settings").click()
    expect(page.get_by_role("heading", name="Security Settings")).to_be_visible()


def test_a_member_of_a_required_group_without_a_key_gets_nowhere_but_to_the_bind_page(
    visit: Visit, serve: Callable[..., Site]
) -> None:
    site, page = serve(KEYSTEAD_KEY_REQUIRED="everyone", KEYSTEAD_KEY_GRACE="none"), visit.page
    person = walk.fresh(visit, site)
    for path in ("/account", "/account/security", "/account/activity", "/logon", "/"):
        page.goto(site.url + path)
        expect(page).to_have_url(re.compile(f"{re.escape(walk.U2F)}$"))
    expect(page.get_by_text("Keystead requires a security key for your account. Bind one to go on.")).to_be_visible()
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    expect(page.get_by_role("heading", name="Security Settings")).to_be_visible()


def test_until_then_the_pages_say_when(visit: Visit, serve: Callable[..., Site]) -> None:
    site, page = serve(KEYSTEAD_KEY_REQUIRED="everyone"), visit.page
    walk.fresh(visit, site)
    page.goto(f"{site.url}/account")
    note = page.get_by_role("note")
    expect(note).to_contain_text("Keystead requires a security key for your account from")
    note.get_by_role("link", name="Bind one now").click()
    expect(page).to_have_url(site.url + walk.U2F)
