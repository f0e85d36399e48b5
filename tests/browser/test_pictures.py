"""The README's pictures, from the real pages. KEYSTEAD_PICTURES names the folder that they are written to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import walk
from tests.browser.conftest import NewVisit
from tests.browser.live_site import Site


@pytest.mark.parametrize("browser_name", ["chromium"], indirect=True, scope="session")
def test_the_row_and_the_key_step_can_be_shown(new_visit: NewVisit, serve: Callable[..., Site]) -> None:
    site = serve()
    anna = site.person("anna")
    visit = new_visit(viewport={"width": 1000, "height": 980}, color_scheme="light", reduced_motion="reduce")
    page = visit.page
    visit.keys.add("u2f")
    walk.log_on(page, site, anna)
    walk.bind(page, site, anna, "Blue key")
    page.goto(f"{site.url}/account/security")
    expect(page.locator("#row")).to_contain_text("Blue key")
    picture(page, "row.png")
    page.set_viewport_size({"width": 1000, "height": 880})
    visit.hold_touches()
    walk.log_off(page, site)
    walk.log_on(page, site, anna)
    expect(page.locator("#key form[data-ceremony]")).to_be_visible()
    picture(page, "key-step.png")


def picture(page: Page, name: str) -> None:
    page.mouse.move(0, 0)
    page.evaluate("() => scrollTo(0, 0)")
    data = page.screenshot()
    assert data.startswith(b"\x89PNG")
    folder = os.environ.get("KEYSTEAD_PICTURES")
    if folder:
        (Path(folder) / name).write_bytes(data)
