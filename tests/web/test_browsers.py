import pytest
from hypothesis import given
from hypothesis import strategies as some

from webapp.web import browsers

KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
CHROME = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {KIT} Chrome/{{}}.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        (CHROME.format(140), "Chrome on Windows"),
        (FIREFOX.format(140), "Firefox on Linux"),
        (CHROME.format(140) + " Edg/140.0.0.0", "Edge on Windows"),
        (CHROME.format(140) + " OPR/120.0.0.0", "Opera on Windows"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {KIT} Version/17.4 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows"),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1)", "Internet Explorer on Windows"),
        (
            f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) {KIT} CriOS/120.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
        ),
        ("curl/8.5.0", "An unknown browser"),
        ("", "An unknown browser"),
    ],
)
def test_a_browser_is_named_as_people_would(user_agent: str, said: str) -> None:
    assert str(browsers.parse(user_agent)) == said


@pytest.mark.parametrize(
    ("user_agent", "too_old"),
    [
        (CHROME.format(50), True),
        (CHROME.format(51), False),
        (FIREFOX.format(59), True),
        (FIREFOX.format(60), False),
        ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", True),
        ("", False),
    ],
)
def test_internet_explorer_chrome_before_51_and_firefox_before_60_are_too_old(user_agent: str, too_old: bool) -> None:
    assert browsers.parse(user_agent).too_old is too_old


def test_a_browser_without_webauthn_is_told_which_version_has_it() -> None:
    assert str(browsers.parse(CHROME.format(66)).no_webauthn).startswith("Chrome has it from version 67 on.")
    assert browsers.parse(CHROME.format(67)).no_webauthn is None
    assert browsers.parse("something new").no_webauthn is None


def test_phones_and_tablets_are_seen() -> None:
    assert browsers.parse("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/140.0 Mobile Safari/537.36").phone
    assert browsers.parse("Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) Version/12.1 Safari/604.1").phone
    assert not browsers.parse(FIREFOX.format(140)).phone


@given(some.text())
def test_any_header_is_accepted(text: str) -> None:
    assert str(browsers.parse(text))
