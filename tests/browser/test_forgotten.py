"""Whoever cannot get in asks for a mail: with a new password, or with a link that makes this browser known."""

from collections.abc import Callable

import httpx2
from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site
from webapp.accounts import limits
from webapp.testing.mailbox import text_of


def test_the_password_is_forgotten_and_a_mailed_link_sets_a_new_one(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    walk.log_off(page, site)
    page.get_by_role("link", name="Forgotten your username or password?").click()
    page.get_by_label("Username or e-mail address").fill(person.email)
    page.get_by_role("button", name="Send the mail").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(site.link(person, "/logon/reset"))
    page.get_by_label("New password").fill("password1234")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    page.get_by_label("New password").fill(walk.NEW_PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is set")
    walk.type_password(page, person.username, walk.NEW_PASSWORD)
    walk.touch_to_log_on(page, site)


def test_username_and_password_are_forgotten_and_the_keyboard_alone_is_enough(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    page.goto(f"{site.url}/logon")
    walk.tab_to(page, "Forgotten your username or password?")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Username or e-mail address")).to_be_focused()
    page.keyboard.type(person.email)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(site.link(person, "/logon/reset"))
    assert f"Your username there is {person.username}." in text_of(site.letters(person)[-1])
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type(walk.NEW_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Username or e-mail address")).to_be_focused()
    page.keyboard.type(person.email)
    walk.tab_to(page, "Password")
    page.keyboard.type(walk.NEW_PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/account")


def test_strangers_guess_and_the_owner_gets_in_by_a_mailed_link(visit: Visit, serve: Callable[..., Site]) -> None:
    site = serve(KEYSTEAD_TRUSTED_PROXIES="127.0.0.1")
    page, person = visit.page, site.person()
    _guess(site, person, limits.STRANGERS.most)
    page.goto(f"{site.url}/logon")
    walk.type_password(page, person.username, person.password)
    expect(page.get_by_role("heading", name="Too many attempts")).to_be_visible()
    page.get_by_role("button", name="Mail me a link").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(site.link(person, "/logon/known"))
    page.get_by_role("button", name="Make this browser known").click()
    walk.type_password(page, person.username, person.password)
    expect(page).to_have_url(f"{site.url}/account")


def _guess(site: Site, person: Person, times: int) -> None:
    """Wrong passwords from ever new addresses, which a proxy tells."""
    with httpx2.Client(base_url=site.url, headers={"origin": site.url}) as stranger:
        for number in range(times):
            guess = {"username": person.username, "password": f"guess {number}"}
            answer = stranger.post("/logon", data=guess, headers={"x-forwarded-for": f"203.0.113.{number}"})
            assert answer.status_code == 401
