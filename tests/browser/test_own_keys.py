"""What people do with the keys that they have: try one, ask which one it is, mislay one and find it, or not."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from playwright.sync_api import expect

from backends import open_backend
from backends.records import Account
from tests.browser import live_site, walk
from tests.browser.conftest import NewVisit, Visit
from tests.browser.live_site import Person, Site
from webapp import clock


def test_a_key_that_is_tried_says_its_name_and_proves_nothing(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    blue = visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Try this key").click()
    expect(page.get_by_role("status")).to_have_text("This is Blue, and it works.")
    expect(page.get_by_role("status")).to_be_focused()
    expect(page.locator(".key.lit")).to_contain_text("Last used")
    visit.keys.remove(blue)
    visit.keys.add("u2f")
    page.get_by_role("link", name="Try this key").click()
    expect(page.get_by_role("alert")).to_contain_text("It did not answer")
    page.get_by_role("link", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("Another USB port")
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("link", name="Try this key")).to_be_focused()


def test_a_key_in_question_lights_up_or_is_not_bound_here(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    one = visit.keys.add("u2f")
    walk.bind(page, site, person, "One")
    stored = visit.keys.stored(one)[0]
    visit.keys.remove(one)
    two = visit.keys.add("ctap2")
    page.goto(site.url + walk.U2F)
    walk.touch_to_bind(page, "Two")
    expect(page.get_by_role("heading", name="Two is bound")).to_be_visible()
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Which key is this?").click()
    expect(page.locator(".key.lit")).to_contain_text("This is Two, and it works.")
    visit.keys.remove(two)
    visit.keys.load(visit.keys.add("u2f"), stored)
    page.get_by_role("link", name="Which key is this?").click()
    expect(page.locator(".key.lit")).to_contain_text("This is One, and it works.")
    visit.keys.clear()
    visit.keys.add("u2f")
    page.get_by_role("link", name="Which key is this?").click()
    expect(page.get_by_role("alert")).to_contain_text("Not bound here")
    expect(page.locator(".key.lit")).to_have_count(0)


def test_a_mislaid_key_is_found_in_the_settings_and_at_the_logon(visit: Visit, site: Site) -> None:
    page, person = visit.page, walk.fresh(visit, site)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    for at_the_logon in (False, True):
        mislay(visit, site)
        if at_the_logon:
            walk.log_off(page, site)
            walk.log_on(page, site, person)
            walk.touch_to_log_on(page, site)
        else:
            page.get_by_role("link", name="I have found it").click()
            expect(page.locator(".key.lit")).to_contain_text("This is Blue, and it works.")
        page.goto(f"{site.url}/account/security")
        expect(page.locator("#row .state").first).to_have_text("Bound")
    assert told(site, person) == ["A security key is mislaid", "A mislaid security key is back"] * 2


def test_a_mislaid_key_that_nobody_finds_is_unbound(visit: Visit, tmp_path: Path) -> None:
    """As the server finds it when it looks seven days later."""
    page = visit.page
    with live_site.serving(tmp_path) as site:
        person = site.person()
        visit.keys.add("u2f")
        walk.log_on(page, site, person)
        walk.bind(page, site, person)
        mislay(visit, site)
        port, secret = site.environ["PORT"], site.environ["KEYSTEAD_SECRET_KEYS"]
    in_a_thread(lambda: a_week_later(site, person))
    with live_site.serving(tmp_path, PORT=port, KEYSTEAD_SECRET_KEYS=secret) as site:
        expect_letter(visit, site, person, "A security key was unbound from your account")
        page.goto(f"{site.url}/account/security")
        expect(page.get_by_text("Not bound")).to_be_visible()
        walk.log_off(page, site)
        walk.log_on(page, site, person)
        expect(page).to_have_url(f"{site.url}/account")


def test_a_double_click_on_bind_opens_one_page(visit: Visit, site: Site) -> None:
    page = visit.page
    walk.fresh(visit, site)
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Bind").dblclick()
    page.bring_to_front()
    expect(page.get_by_role("dialog")).to_contain_text("Finish binding in the new page")
    page.wait_for_timeout(500)
    assert len(visit.context.pages) == 2


def test_a_browser_without_webauthn_is_told_in_the_row_and_before_a_code_is_mailed(visit: Visit, site: Site) -> None:
    page = visit.page
    walk.fresh(visit, site)
    visit.context.add_init_script("delete window.PublicKeyCredential")
    page.goto(f"{site.url}/account/security")
    expect(page.get_by_role("alert")).to_contain_text("This browser cannot use security keys")
    expect(page.get_by_role("link", name="Bind")).to_be_hidden()
    page.goto(site.url + walk.U2F)
    expect(page.get_by_role("alert")).to_contain_text("This browser cannot use security keys")


def test_bound_and_not_bound_look_different_in_colours_of_ones_own(new_visit: NewVisit, site: Site, person: Person) -> None:
    visit = new_visit(forced_colors="active")
    page = visit.page
    walk.log_on(page, site, person)
    page.goto(f"{site.url}/account/security")
    marks = [mark(visit)]
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    marks.append(mark(visit))
    mislay(visit, site)
    marks.append(mark(visit))
    assert len(set(marks)) == 3, marks


def test_in_colours_of_ones_own_words_to_press_have_no_frames_that_meet_and_what_runs_can_be_seen(
    new_visit: NewVisit, site: Site, person: Person
) -> None:
    visit = new_visit(forced_colors="active")
    page = visit.page
    walk.log_on(page, site, person)
    visit.keys.add("u2f")
    walk.bind(page, site, person)
    page.goto(f"{site.url}/account/security")
    canvas, *frames = page.evaluate(FRAMES)
    assert len(frames) == 5
    assert set(frames) == {canvas}
    assert page.evaluate(SPINNER), "it is painted as disabled words are"


FRAMES = """() => [getComputedStyle(document.body).backgroundColor].concat(
  Array.from(document.querySelectorAll(".keys .button.plain")).map((words) => getComputedStyle(words).borderTopColor))"""
SPINNER = """() => {
  const button = document.querySelector("#bind-link");
  button.setAttribute("aria-busy", "true");
  const probe = document.body.appendChild(document.createElement("p"));
  probe.style.color = "GrayText";
  return getComputedStyle(button, "::before").borderTopColor === getComputedStyle(probe).color;
}"""


def mark(visit: Visit) -> str:
    """How the sign in front of the row's state is painted."""
    script = "() => { const s = getComputedStyle(document.querySelector('#row .state'), '::before'); return s.background; }"
    return str(visit.page.evaluate(script))


def mislay(visit: Visit, site: Site) -> None:
    """Say that the only key is mislaid, by a touch of just now."""
    page = visit.page
    page.goto(f"{site.url}/account/security")
    page.get_by_role("link", name="Mislaid?").click()
    expect(page.get_by_text("It is your only key")).to_be_visible()
    page.get_by_role("button", name="It is mislaid").click()
    expect(page.get_by_role("status")).to_contain_text("as soon as you have found it")


def told(site: Site, person: Person) -> list[str]:
    """The subjects of the letters about mislaid keys, oldest first."""
    subjects = [str(letter["Subject"]).partition(": ")[2] for letter in site.letters(person)]
    return [subject for subject in subjects if "mislaid" in subject]


def expect_letter(visit: Visit, site: Site, person: Person, subject: str) -> None:
    for _ in range(100):
        if any(subject in str(letter["Subject"]) for letter in site.letters(person)):
            return
        visit.page.wait_for_timeout(100)
    raise AssertionError(f"no letter: {subject}")


def in_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Playwright holds an event loop in this one."""
    running = threading.Thread(target=lambda: asyncio.run(work()))
    running.start()
    running.join()


async def a_week_later(site: Site, person: Person) -> None:
    """As if what is to be done in seven days were due now."""
    backend = await open_backend(site.environ["KEYSTEAD_BACKEND"])
    was = await backend.account_named(person.username)
    assert was
    keys = tuple(replace(key, mislaid_until=clock.now() - timedelta(seconds=1)) for key in was.keys)
    now: Account = replace(was, keys=keys, version=was.version + 1)
    assert await backend.commit(was, now)
    await backend.close()
