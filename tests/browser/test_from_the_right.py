"""Pages that are read from right to left, in words a third longer: nothing sticks out, and everything begins at the right."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import live_site
from tests.browser.conftest import NewVisit
from tests.browser.live_site import Site
from tests.pseudo import FROM_RIGHT, PSEUDO, Pseudo

pytestmark = pytest.mark.chromium_is_enough
PAGES = ("/account", "/account/security", "/account/security/u2f", "/account/recovery", "/account/sessions", "/account/activity")
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with live_site.serving(
        tmp_path_factory.mktemp("pseudo"), "tests.pseudo", KEYSTEAD_TERMS="https://example.com/terms"
    ) as running:
        yield running


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("language", [PSEUDO, FROM_RIGHT], ids=lambda language: language.direction)
def test_nothing_sticks_out(new_visit: NewVisit, site: Site, width: int, language: Pseudo) -> None:
    page, person = new_visit(viewport={"width": width, "height": 800}).page, site.person()
    page.goto(f"{site.url}/logon")
    page.locator(f"button[value={language.code}]").click()
    expect(page.locator("html")).to_have_attribute("lang", language.code)
    assert page.evaluate("getComputedStyle(document.body).direction") == language.direction
    assert page.evaluate(STICKS_OUT) == 0
    page.locator("#username").fill(person.username)
    page.locator("#password").fill(person.password)
    page.locator("form[action='/logon'] button[type=submit]").click()
    expect(page).to_have_url(re.compile("/account$"))
    for path in PAGES:
        page.goto(site.url + path)
        assert page.evaluate(STICKS_OUT) == 0, path


def test_the_eye_begins_at_the_right(new_visit: NewVisit, site: Site) -> None:
    page, person = new_visit(viewport={"width": 1280, "height": 800}).page, site.person()
    page.goto(f"{site.url}/logon")
    page.locator(f"button[value={FROM_RIGHT.code}]").click()
    field, show = page.locator("#password").bounding_box(), page.locator("[data-peek]").bounding_box()
    assert field
    assert show
    assert show["x"] - field["x"] < 8, "the button in the field is at its end, which is the left"
    page.locator("#username").fill(person.username)
    page.locator("#password").fill(person.password)
    page.locator("form[action='/logon'] button[type=submit]").click()
    expect(page).to_have_url(re.compile("/account$"))
    tile, words = page.locator(".tile").first.bounding_box(), page.locator(".row-words").first.bounding_box()
    assert tile
    assert words
    assert tile["x"] >= words["x"] + words["width"] + 15
