"""What every request passes before a view."""

import pytest
from starlette.datastructures import Headers

from webapp.testing.site import Site
from webapp.testing.visitor import Visitor
from webapp.web import middleware

HERE = "https://keys.example.com"
OLD = {
    "Internet Explorer 11": "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko",
    "Chrome 50": "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/50.0.2661.102 Safari/537.36",
    "Firefox 59": "Mozilla/5.0 (X11; Linux x86_64; rv:59.0) Gecko/20100101 Firefox/59.0",
}
PHONE = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"


@pytest.mark.parametrize(
    ("sent", "from_here"),
    [
        ({"origin": HERE}, True),
        ({"origin": "null"}, False),
        ({"origin": "http://keys.example.com"}, False),
        ({"origin": "https://keys.example.com:8443"}, False),
        ({"origin": "https://evil.keys.example.com"}, False),
        ({"origin": "https://evil.example", "sec-fetch-site": "same-origin", "referer": f"{HERE}/logon"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "referer": f"{HERE}/logon"}, False),
        ({"referer": f"{HERE}/logon"}, True),
        ({"referer": f"{HERE}.evil.example/"}, False),
        ({"referer": "https://[broken"}, False),
        ({"referer": "http://["}, False),
        ({}, False),
    ],
)
def test_an_unsafe_method_must_come_from_our_own_origin(sent: dict[str, str], from_here: bool) -> None:
    assert middleware._from_here(Headers(sent), HERE) is from_here


@pytest.mark.parametrize("browser", OLD)
def test_a_browser_that_is_too_old_gets_a_page_that_names_what_works(keystead: Site, browser: str) -> None:
    page = keystead.visitor().client.get("/logon", headers={"user-agent": OLD[browser]})
    assert browser in page.text
    assert "Chrome" in page.text
    assert "Firefox" in page.text
    assert "<script" not in page.text


def test_a_browser_that_lies_still_owes_the_key(half_signed_in: Visitor) -> None:
    for user_agent in (*OLD.values(), PHONE, "", "\x7f"):
        answer = half_signed_in.client.get("/account", headers={"user-agent": user_agent})
        assert "zoe" not in answer.text
