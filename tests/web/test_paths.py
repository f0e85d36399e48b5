"""Paths that a request names, to go on to: `next=`, `then=` and `Referer`."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.views.people import bound
from tests.web.asked import request, settings
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.web import paths

ROOT = settings()
MOUNTED = settings(public_url="https://example.com/account-center")


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
        "/a\r\nSet-Cookie: x=1", "javascript:alert(1)", "account", "", "/@evil.example", "/a\x00", "/\x7f", "/ä", " /account",
        "/" + "a" * 3000, "/./account", "/account/..//evil.example", "/%2e%2e/account", "/.%2E/account",
    ],
)  # fmt: skip
def test_next_takes_no_path_that_a_browser_could_take_for_another_site(path: str) -> None:
    assert paths.local(request(ROOT), path, "/account") == "/account"


@pytest.mark.parametrize("path", ["/account/security?notice=renamed", "/account?x=../..", "/account#../x", "/account/..."])
def test_next_takes_a_path_of_ours(path: str) -> None:
    assert paths.local(request(ROOT), path, "/account") == path


@pytest.mark.parametrize(
    "path",
    [
        "/", "/account", "/wiki/admin", "/account-center/../wiki", "/account-center/%2e%2e/wiki", "/account-center/.%2e/wiki",
        "/account-center/x/../../wiki", "/account-center/..", "/account-centerfold", "/account-center.example",
        "/Account-Center/x", "/account-center%2f..%2fwiki", "//account-center/x", "https://example.com/account-center/account",
    ],
)  # fmt: skip
def test_next_does_not_leave_the_path_that_we_are_mounted_under(path: str) -> None:
    assert paths.local(request(MOUNTED), path, "/account-center/account") == "/account-center/account"


@pytest.mark.parametrize("path", ["/account-center", "/account-center/", "/account-center/account?x=/wiki", "/account-center?x"])
def test_next_takes_a_path_under_the_mount(path: str) -> None:
    assert paths.local(request(MOUNTED), path) == path


@given(some.text())
def test_next_is_always_one_slash_and_plain_characters(text: str) -> None:
    path = paths.local(request(ROOT), text, "/account")
    assert path.startswith("/")
    assert not path.startswith("//")
    assert path.isascii()
    assert path.isprintable()


@pytest.mark.parametrize("referer", ["http://[", "https://[::1", "http://]/", "//[x", "\\", "é", "https://keys.example.com:x/"])
def test_a_referer_that_is_no_address_names_no_path(referer: str) -> None:
    assert paths.referred(request(ROOT, {"referer": referer})) in ("", "/")


def test_a_form_with_a_referer_that_is_no_address_is_answered(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    """It was a mistake of ours: 500, for whoever owed a proof."""
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=10))
    visitor.client.headers["referer"] = "http://["
    assert (
        visitor.post(f"/account/security/u2f/keys/{stub_key.slug}/reinstate").headers["location"]
        == "/account/security/u2f?notice=late"
    )


@pytest.mark.parametrize(
    ("page", "nearest"),
    [
        ("/account/email?x=1", "/account/email?x=1"), ("/account/email/verify?x=1", "/account/email"), ("/logoff", ""),
        ("/account/security/u2f/keys/AA/name", "/account/security/u2f"), ("/" + "a/" * 1000, ""), ("", ""),
    ],
)  # fmt: skip
def test_a_page_that_does_not_open_is_left_for_the_nearest_above_that_does(mounted: Site, page: str, nearest: str) -> None:
    prefix, asks = "/account-center", request(mounted.settings)
    asks.scope["app"] = mounted.app
    assert paths.nearest(asks, prefix + page) == (prefix + nearest if nearest else "")


def test_the_logon_goes_on_to_nothing_beside_the_mount(mounted: Site) -> None:
    for wanted in ("/wiki", "/account-center/../wiki", "//evil.example"):
        visitor = mounted.visitor()
        answer = visitor.submit_password("zoe", mounted.password, next=wanted)
        assert answer.headers["location"] == "/account-center/account"
    answer = mounted.visitor().submit_password("zoe", mounted.password, next="/account-center/account/sessions")
    assert answer.headers["location"] == "/account-center/account/sessions"
