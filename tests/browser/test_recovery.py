"""The losses, each to its end: the key, the key and the codes; and what is done before, so that neither costs the account."""

import asyncio
import re
import threading
from collections.abc import Callable
from datetime import timedelta

from msgspec.structs import replace
from playwright.sync_api import Page, expect

from backends import open_backend
from backends.records import Account
from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site
from webapp.accounts import commits
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision
from webapp.metrics import Metrics
from webapp.settings import Settings

CATCH = """() => {
  const make = URL.createObjectURL;
  URL.createObjectURL = (blob) => { window.__file = blob.text(); return make(blob); };
}"""
"""What is put into a file: stock Firefox tells no test of a download."""
PRINT = """() => {
  for (const sheet of document.styleSheets)
    for (const rule of sheet.cssRules)
      if (rule.media && rule.media.mediaText === "print") rule.media.mediaText = "all";
}"""
"""The page as it is printed, in every browser."""
LINK = re.compile("I have put them away")


def bound(visit: Visit, site: Site) -> tuple[Person, str]:
    """Somebody on the page that says that the key is bound, and the key."""
    person = walk.fresh(visit, site)
    key = visit.keys.add("u2f")
    walk.bind(visit.page, site, person)
    return person, key


def put_away(page: Page) -> None:
    page.get_by_role("link", name=LINK).click()
    expect(page.get_by_role("status")).to_contain_text("in force")


# the codes


def test_codes_that_were_shown_once_open_the_account_when_the_key_is_lost(visit: Visit, site: Site) -> None:
    page = visit.page
    person, key = bound(visit, site)
    codes = walk.get_codes(page)
    put_away(page)
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    walk.use_code(page, codes[4].lower().replace("-", ""))
    expect(page.get_by_role("status")).to_contain_text("bind another one")
    page.get_by_role("link", name="Unbind").click()
    page.get_by_role("button", name="OK").click()
    expect(page.get_by_text("Not bound")).to_be_visible()


def test_a_typo_at_the_logon_says_what_it_is_and_keeps_what_was_typed(visit: Visit, site: Site) -> None:
    page = visit.page
    person, key = bound(visit, site)
    codes = walk.get_codes(page)
    put_away(page)
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    for typed, said in ((codes[0][:-1], "16 letters and digits"), ("AAAA-BBBB-CCCC-DDDD", "none of your recovery codes")):
        if page.get_by_role("link", name="Use a recovery code").is_visible():
            walk.use_code(page, typed)
        else:
            page.get_by_label("Recovery code").fill(typed)
            page.get_by_role("button", name="Log on").click()
        expect(page.get_by_role("alert")).to_contain_text(said)
        expect(page.get_by_label("Recovery code")).to_have_value(typed)
        expect(page.get_by_label("Recovery code")).to_be_focused()
    assert not [letter for letter in site.letters(person) if "password was used" in str(letter["subject"])]
    page.get_by_label("Recovery code").fill(codes[0])
    page.get_by_role("button", name="Log on").click()
    expect(page.get_by_role("status")).to_contain_text("bind another one")


def test_a_reload_and_a_typo_show_the_same_ten_again(visit: Visit, site: Site) -> None:
    page = visit.page
    bound(visit, site)
    first = walk.get_codes(page)
    if not visit.firefox:  # which asks whether to send the form again in a way that only a person can answer
        page.on("dialog", lambda dialog: dialog.accept())
        page.reload()
        assert page.locator("#codes code").all_text_contents() == first
    put_away(page)
    page.goto(f"{site.url}/account/recovery")
    page.get_by_role("button", name="Make new codes").click()
    expect(page.get_by_text("Your 10 codes from before stay in force")).to_be_visible()
    second = page.locator("#codes code").all_text_contents()
    page.get_by_label("Type one of them").fill(second[3][:-1])
    page.get_by_role("button", name=LINK).click()
    expect(page.get_by_role("alert")).to_contain_text("They are still the same")
    assert page.locator("#codes code").all_text_contents() == second
    page.get_by_label("Type one of them").fill(second[3])
    page.get_by_role("button", name=LINK).click()
    expect(page.get_by_role("status")).to_contain_text("in force")


def test_whoever_leaves_without_keeping_the_codes_is_told_once(visit: Visit, site: Site) -> None:
    page = visit.page
    bound(visit, site)
    walk.get_codes(page)
    page.get_by_role("link", name="Back to Security Settings").click()
    expect(page.get_by_role("alert")).to_contain_text("You have not printed, downloaded or copied the codes")
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("link", name="Back to Security Settings").click()
    expect(page).to_have_url(f"{site.url}/account/security")


def test_whoever_closes_the_page_without_keeping_the_codes_is_asked(visit: Visit, site: Site) -> None:
    bound(visit, site)
    page = visit.context.new_page()
    page.goto(site.url + walk.U2F + "/done")
    walk.get_codes(page)
    page.locator("#codes").click()  # browsers ask only who has done something on the page
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    with page.expect_event("close"):
        asked.value.accept()


def test_a_downloaded_sheet_says_whose_it_is_and_how_to_use_it(visit: Visit, site: Site) -> None:
    page = visit.page
    person, _ = bound(visit, site)
    codes = walk.get_codes(page)
    page.evaluate(CATCH)
    page.get_by_role("button", name="Download").click()
    text = page.evaluate("() => window.__file")
    assert all(code in text for code in codes)
    assert site.url in text
    assert "Use a recovery code" in text
    assert person.email not in text
    page.get_by_role("link", name="Back to Security Settings").click()
    expect(page).to_have_url(f"{site.url}/account/security")


def test_the_printed_sheet_is_one_page_with_nothing_else_on_it(new_visit: NewVisit, site: Site) -> None:
    visit = new_visit(color_scheme="dark")
    page = visit.page
    bound(visit, site)
    codes = walk.get_codes(page)
    page.evaluate(PRINT)
    page.set_viewport_size({"width": 657, "height": 986})  # what A4 has within its margins, at 96 dpi
    expect(page.get_by_role("heading", name="Keystead: recovery sheet")).to_be_visible()
    for code in codes:
        expect(page.locator(".sheet-codes").get_by_text(code)).to_be_visible()
    expect(page.get_by_text("My second key lies here").first).to_be_visible()
    expect(page.get_by_role("link", name="Back to Security Settings")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollHeight") <= 986
    assert page.locator(".sheet").evaluate("sheet => getComputedStyle(sheet).color") == "rgb(0, 0, 0)"


# the rehearsal


def test_a_rehearsal_shows_the_real_page_and_uses_nothing_up(visit: Visit, site: Site) -> None:
    page = visit.page
    bound(visit, site)
    codes = walk.get_codes(page)
    put_away(page)
    page.goto(f"{site.url}/account")
    expect(page.get_by_role("heading", name="Ways back in: 1 (10 codes)")).to_be_visible()
    page.get_by_role("link", name="Pretend that my key is gone").click()
    expect(page.get_by_role("heading", name="Use a recovery code")).to_be_visible()
    page.get_by_label("Recovery code").fill("AAAA-BBBB-CCCC-DDDD")
    page.get_by_role("button", name="Check this code").click()
    expect(page.get_by_role("alert")).to_contain_text("none of your recovery codes")
    page.get_by_label("Recovery code").fill(codes[9])
    page.get_by_role("button", name="Check this code").click()
    expect(page.get_by_role("status")).to_contain_text("You would get in")
    page.get_by_role("link", name="End the rehearsal").click()
    expect(page.get_by_role("heading", name="Ways back in: 1 (10 codes)")).to_be_visible()


def test_a_rehearsal_without_codes_leads_to_getting_some(visit: Visit, site: Site) -> None:
    page = visit.page
    bound(visit, site)
    page.goto(f"{site.url}/account/recovery/rehearsal")
    expect(page.get_by_role("alert")).to_contain_text("you would not get in by yourself")
    page.get_by_role("link", name="Get recovery codes").click()
    walk.get_codes(page)


# key and codes


def test_key_and_codes_are_lost_and_whoever_runs_the_site_unbinds_the_key(visit: Visit, serve: Callable[..., Site]) -> None:
    site = serve(KEYSTEAD_HELP="help@example.com")
    page = visit.page
    person, key = bound(visit, site)
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    expect(page.get_by_role("link", name="help@example.com")).to_have_attribute("href", "mailto:help@example.com")
    page.get_by_role("link", name="There are no recovery codes").click()
    expect(page.get_by_text("No codes were ever made for this account")).to_be_visible()
    expect(page.get_by_role("link", name="help@example.com")).to_be_visible()
    assert site.keystead("key", "unbind", person.username, "--yes").returncode == 0
    walk.log_on(page, site, person)
    expect(page).to_have_url(f"{site.url}/account")


def test_key_and_codes_are_lost_and_the_wait_opens_the_account(visit: Visit, serve: Callable[..., Site]) -> None:
    site = serve(KEYSTEAD_WAIT="72h")
    page = visit.page
    person, key = bound(visit, site)
    visit.keys.remove(key)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    page.get_by_role("link", name="There are no recovery codes").click()
    page.get_by_role("link", name="Or have the account opened after a wait").click()
    page.get_by_role("button", name="Begin the wait").click()
    expect(page.get_by_text("Come back then")).to_be_visible()
    later(site, person, timedelta(hours=73))
    page.goto(f"{site.url}/logon/wait")
    page.get_by_role("button", name="Open my account").click()
    expect(page.get_by_role("status")).to_contain_text("You are logged on without a key")


def later(site: Site, person: Person, wait: timedelta) -> None:
    """As if the wait had begun so much earlier."""

    def begun_earlier(account: Account, act: Act) -> Decision:
        assert account.opening
        moments = {name: getattr(account.opening, name) - wait for name in ("asked_at", "opens_at")}
        return Decision(replace(account, opening=replace(account.opening, **moments)))

    async def change() -> None:
        settings = Settings.from_environ(site.environ)
        backend = await open_backend(settings.backend)
        try:
            account = await backend.account_named(person.username)
            assert account
            await commits.change(Context(settings, backend, Metrics()), account, begun_earlier)
        finally:
            await backend.close()

    changing = threading.Thread(target=lambda: asyncio.run(change()))
    changing.start()
    changing.join()
