"""*Was this you?*: each row names what happened, and takes back just that. Letters tell of it by the clock of that browser."""

from playwright.sync_api import expect

from tests.browser import walk
from tests.browser.conftest import NewVisit
from tests.browser.live_site import Site
from webapp.testing.mailbox import text_of


def test_a_logon_that_was_not_mine_is_ended_by_its_row_and_a_key_unbound_by_its_own(new_visit: NewVisit, site: Site) -> None:
    visit, person = new_visit(timezone_id="Asia/Shanghai"), site.person()
    page = visit.page
    walk.log_on(page, site, person)
    visit.keys.add("u2f")
    walk.bind(page, site, person, "Blue")
    told = text_of(next(letter for letter in reversed(site.letters(person)) if "was bound" in str(letter["Subject"])))
    assert "(UTC+8)" in told
    page.goto(f"{site.url}/account/activity")
    bound = page.locator(".happened li", has_text="A security key was bound")
    bound.get_by_role("link", name="Was this you?").click()
    expect(page.locator(".facts")).to_contain_text("A security key was bound: Blue")
    page.get_by_role("link", name="Unbind Blue").click()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_text("Not bound")).to_be_visible()

    thief = new_visit().page
    walk.log_on(thief, site, person)
    page.bring_to_front()
    page.goto(f"{site.url}/account/activity")
    page.locator(".happened li").first.get_by_role("link", name="Was this you?").click()
    page.get_by_role("button", name="End that session").click()
    expect(page.get_by_role("status")).to_have_text("That session is ended.")
    thief.goto(f"{site.url}/account")
    expect(thief.get_by_label("Password", exact=True)).to_be_visible()
    page.goto(f"{site.url}/account")
    expect(page.get_by_role("heading", name="Account Center")).to_be_visible()


def test_the_page_behind_this_was_not_me_names_what_it_is_about(new_visit: NewVisit, site: Site) -> None:
    visit, person = new_visit(), site.person()
    walk.log_on(visit.page, site, person)
    visit.keys.add("u2f")
    walk.bind(visit.page, site, person, "Blue")
    page = new_visit().page
    page.goto(site.link(person, "/not-me"))
    expect(page.locator(".facts")).to_contain_text("A security key was bound: Blue")
    expect(page.get_by_text(f"p•••{person.username[-1]}@example.com")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text(person.username)
