"""What a page does for whoever reads it: times of their own, and what is said read aloud by a region that was there before."""

import re

from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Site

READ = """(moments) => moments.map(([ago, ahead]) => {
  const time = document.createElement("time");
  time.setAttribute("datetime", new Date(Date.now() - ago * 1000).toISOString());
  if (ahead) time.setAttribute("data-ahead", "");
  time.textContent = "as it came";
  document.getElementById("main").appendChild(time);
  return time;
}) && document.dispatchEvent(new CustomEvent("htmx:after:process"))"""
HEARD = """document.addEventListener("htmx:after:process", (event) => {
  const root = event.target;
  if (root === document.body || !root.querySelectorAll) return;
  setTimeout(() => {
    const focused = (document.querySelector("dialog[open]") || root).contains(document.activeElement);
    const heard = focused || document.getElementById("live").textContent || root.querySelector("[role=alert]:not([hidden])");
    sessionStorage[heard ? "heard" : "unheard"] = (sessionStorage[heard ? "heard" : "unheard"] || "") + " " + root.id;
  }, 400);
})"""
"""Notes of each swap whether whoever only listens learns of it: by the focus, an alert, or the region."""
UTC = re.compile(r"^\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC$")


def test_times_are_the_readers_and_their_title_is_in_utc(new_visit: NewVisit, site: Site) -> None:
    page = new_visit(timezone_id="Asia/Kathmandu", locale="en-GB").page
    walk.log_on(page, site, site.person())
    page.goto(f"{site.url}/account/sessions")
    since = page.locator("time").first
    expect(since).to_have_text("now")
    expect(since).to_have_attribute("title", UTC)
    shown = read(page, (-30, False), (125, False), (-125, True), (-600, False), (40 * 86400, False), (800 * 86400, False))
    assert shown[:4] == ["now", "2 minutes ago", "in 2 minutes", "now"], "a clock that is late makes no future of the past"
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]+( \d{4})?, \d\d:\d\d", shown[4]), shown[4]
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]+ \d{4}, \d\d:\d\d", shown[5]), shown[5]
    midnight = page.evaluate("() => (Date.now() - new Date().setHours(0, 0, 0, 0)) / 1000")
    assert read(page, (midnight + 3600, False)) == ["yesterday, 23:00"], "days are the reader's, not those of UTC"


def test_times_are_written_as_the_reader_writes_them(new_visit: NewVisit, site: Site) -> None:
    page = new_visit(timezone_id="America/New_York", locale="en-US").page
    page.goto(f"{site.url}/logon")
    midnight = page.evaluate("() => (Date.now() - new Date().setHours(0, 0, 0, 0)) / 1000")
    (shown,) = read(page, (midnight + 3600, False))
    assert re.fullmatch(r"yesterday, 11:00\sPM", shown)


def test_times_are_written_as_chinese_readers_do(new_visit: NewVisit, site: Site) -> None:
    page = new_visit(timezone_id="Asia/Shanghai", locale="zh-CN").page
    page.goto(f"{site.url}/logon")
    midnight = page.evaluate("() => (Date.now() - new Date().setHours(0, 0, 0, 0)) / 1000")
    *near, day = read(page, (0, False), (125, False), (-125, True), (midnight + 3600, False), (800 * 86400, False))
    assert near == ["现在", "2分钟前", "2分钟后", "昨天 23:00"]
    assert re.fullmatch(r"\d{4}年\d{1,2}月\d{1,2}日 \d\d:\d\d", day), day


def test_without_scripts_times_are_in_utc(new_visit: NewVisit, site: Site) -> None:
    visit = new_visit(java_script_enabled=False)
    if visit.firefox:
        visit.context.route("**/static/*.js*", lambda route: route.fulfill(body="", content_type="text/javascript"))
    walk.log_on(visit.page, site, site.person())
    visit.page.goto(f"{site.url}/account/sessions")
    expect(visit.page.locator("time").first).to_have_text(UTC)


def test_what_a_page_says_is_read_aloud_by_a_region_that_was_there_before(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    walk.log_off(page, site)
    expect(page.locator("#live")).to_have_text("You are logged off.")
    assert 'id="live" aria-live="polite"></p>' in page.request.get(page.url).text(), "it comes without words"
    walk.type_password(page, person.username, "wrong")
    expect(page.locator("#live")).to_contain_text("is wrong")


def test_what_a_swap_brings_is_read_aloud(visit: Visit, site: Site) -> None:
    page, _ = visit.page, walk.fresh(visit, site)
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    expect(page.get_by_label("Verification code")).to_be_focused()
    expect(page.locator("#live")).to_have_text("A code is on its way to you.")


def test_of_no_swap_whoever_only_listens_learns_nothing(visit: Visit, site: Site) -> None:
    visit.context.add_init_script(HEARD)
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    page.goto(site.url + walk.U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    heard(page, "verify")
    page.get_by_label("Verification code").fill("12345")
    page.get_by_role("button", name="Submit for verification").click()
    heard(page, "verify", times=2)
    page.get_by_label("Verification code").fill(site.code(person))
    page.get_by_role("button", name="Submit for verification").click()
    heard(page, "bind")
    walk.touch_to_bind(page, "Blue")
    expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Unbind").click()
    heard(page, "unbind")
    page.goto(f"{site.url}/account/password")
    page.get_by_label("Old password").fill("wrong")
    page.get_by_label("New password").fill(walk.NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    heard(page, "weak")
    assert page.evaluate("() => sessionStorage.unheard") is None


def heard(page: Page, root: str, times: int = 1) -> None:
    """Wait until so many swaps of this panel were noted."""
    for _ in range(100):
        noted = page.evaluate("() => (sessionStorage.heard || '') + (sessionStorage.unheard || '')")
        if noted.split().count(root) >= times:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{root} was not brought")


def read(page: Page, *moments: tuple[float, bool]) -> list[str]:
    """How the page writes moments of so many seconds ago; `True` for one that may lie in the future."""
    page.evaluate(READ, [list(moment) for moment in moments])
    return page.locator("time").all_text_contents()[-len(moments) :]
