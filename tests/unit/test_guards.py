import pytest
from hypothesis import given
from hypothesis import strategies as some
from starlette.datastructures import Headers

from webapp import guards, limits

HERE = "https://keys.example.com"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
        "/a\r\nSet-Cookie: x=1",
        "javascript:alert(1)", "account", "", "/@evil.example", "/a\x00", "/\x7f", "/ä", " /account", "/" + "a" * 3000,
    ],
)  # fmt: skip
def test_next_takes_no_path_that_a_browser_could_take_for_another_site(path: str) -> None:
    assert guards.local_path(path, "/account") == "/account"


def test_next_takes_a_path_of_ours() -> None:
    assert guards.local_path("/account/security?notice=renamed", "/account") == "/account/security?notice=renamed"


@given(some.text())
def test_next_is_always_one_slash_and_plain_characters(text: str) -> None:
    path = guards.local_path(text, "/account")
    assert path.startswith("/")
    assert not path.startswith("//")
    assert path.isascii()
    assert path.isprintable()


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
        ({}, False),
    ],
)
def test_an_unsafe_method_must_come_from_our_own_origin(sent: dict[str, str], from_here: bool) -> None:
    assert guards._from_here(Headers(sent), HERE) is from_here


def test_ipv6_is_counted_by_its_64_and_mapped_ipv4_as_ipv4() -> None:
    assert limits.neighbourhood("2001:db8:1:2:3:4:5:6") == limits.neighbourhood("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert limits.neighbourhood("::ffff:192.0.2.1") == "192.0.2.1"
    assert limits.neighbourhood("192.0.2.1") == "192.0.2.1"
    assert limits.neighbourhood("not an address") == "not an address"


def test_a_monstrous_claim_of_an_address_is_none_and_is_not_remembered() -> None:
    before = limits._parsed.cache_info()
    assert limits.neighbourhood("f" * 10_000) == "f" * 10_000
    assert limits._parsed.cache_info() == before
