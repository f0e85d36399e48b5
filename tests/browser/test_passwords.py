"""Passwords: looked at while they are typed; a refused one stays, and the field that is wrong has the focus."""

from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Person, Site

WEAK = "qwertyuiop123"


def change_password(page: Page, site: Site, person: Person) -> None:
    """At the form, proven by a code."""
    page.goto(f"{site.url}/account/password")
    page.get_by_role("button", name="Send verification code to email").click()
    page.get_by_label("Verification code").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").click()
    expect(page.get_by_label("Old password")).to_be_focused()


def test_a_refused_password_stays_and_the_right_field_has_the_focus(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    change_password(page, site, person)
    old, new = page.get_by_label("Old password"), page.get_by_label("New password")
    old.fill(person.password)
    new.fill(WEAK)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    expect(new).to_be_focused()
    expect(new).to_have_attribute("aria-invalid", "true")
    expect(new).to_have_attribute("aria-describedby", "weak-said new-hint")
    expect(new).to_have_value(WEAK)
    expect(old).to_have_value(person.password)
    new.fill(walk.NEW_PASSWORD)
    old.fill("something else")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("The old password is wrong")
    expect(old).to_be_focused()
    expect(new).not_to_have_attribute("aria-invalid", "true")
    expect(new).to_have_value(walk.NEW_PASSWORD)
    old.fill(person.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")


def test_a_refused_password_stays_where_a_mailed_link_sets_it(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    page.goto(f"{site.url}/logon/forgotten")
    page.get_by_label("Username or e-mail address").fill(person.username)
    page.get_by_role("button", name="Send the mail").click()
    page.goto(site.link(person, "/logon/reset"))
    new = page.get_by_label("New password")
    expect(new).to_be_focused()
    new.fill(WEAK)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("tried first")
    expect(new).to_be_focused()
    expect(new).to_have_value(WEAK)
    page.keyboard.press("End")
    page.keyboard.type(" and more of it")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Your password is set")
    walk.type_password(page, person.username, f"{WEAK} and more of it")
    expect(page).to_have_url(f"{site.url}/account")


def test_a_password_can_be_looked_at_and_is_hidden_when_it_is_sent(visit: Visit, site: Site, person: Person) -> None:
    page = visit.page
    page.goto(f"{site.url}/logon")
    page.get_by_label("Username or e-mail address").fill(person.username)
    field, show = page.get_by_label("Password", exact=True), page.get_by_role("button", name="Show Password")
    field.fill(person.password)
    expect(field).to_have_attribute("type", "password")
    walk.tab_to(page, "Show")
    page.keyboard.press("Space")
    expect(field).to_have_attribute("type", "text")
    expect(show).to_have_attribute("aria-pressed", "true")
    page.evaluate("""() => addEventListener("submit", (event) => {
      event.preventDefault();
      document.title = document.getElementById("password").type;
    })""")
    page.get_by_role("button", name="Log on").click()
    expect(page).to_have_title("password")
