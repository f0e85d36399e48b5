"""The key is lost, tried as a new user would: a code on paper opens the account, or whoever runs the site unbinds the key."""

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
