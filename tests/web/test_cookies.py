"""Our two cookies."""

import pytest

from tests.web.asked import request, settings
from webapp import signing
from webapp.accounts.context import Device
from webapp.testing.site import Site, running
from webapp.testing.visitor import Visitor
from webapp.web import cookies


def set_by(visitor: Visitor, password: str) -> dict[str, set[str]]:
    """What a logon sets: the cookies by name, and how each is to be kept."""
    answer = visitor.submit_password("zoe", password)
    lines = [line.split("; ") for line in answer.headers.get_list("set-cookie")]
    return {value.partition("=")[0]: set(attributes) for value, *attributes in lines}


def test_over_https_the_cookie_is_bound_to_the_host_and_hsts_is_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), public_url="https://keys.example.com") as site:
        kept = set_by(site.visitor(), site.password)
        assert set(kept) == {"__Host-keystead", "__Host-keystead-browser"}
        assert kept["__Host-keystead"] == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure"}
        headers = site.visitor().get("/logon").headers
        assert headers["strict-transport-security"] == "max-age=31536000"


def test_under_a_path_the_cookie_stays_under_it(mounted: Site) -> None:
    """The applications beside it on the same host do not get it."""
    kept = set_by(mounted.visitor(), mounted.password)
    assert set(kept) == {"__Secure-keystead", "__Secure-keystead-browser"}
    for attributes in kept.values():
        assert {"Path=/account-center", "HttpOnly", "SameSite=Lax", "Secure"} <= attributes


def test_under_a_path_logging_off_takes_the_cookie_away_where_it_is(mounted: Site) -> None:
    visitor = mounted.visitor()
    visitor.log_on("zoe", mounted.password)
    answer = visitor.log_off()
    assert "__Secure-keystead=; Max-Age=0; Path=/account-center" in answer.headers["set-cookie"]
    assert "__Secure-keystead" not in visitor.client.cookies


def test_without_tls_the_cookies_have_plain_names(keystead: Site) -> None:
    kept = set_by(keystead.visitor(), keystead.password)
    assert kept["keystead"] == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert kept["keystead-browser"] == {"Path=/", "HttpOnly", "SameSite=Lax", f"Max-Age={cookies.YEAR}"}


def test_a_cookie_that_we_did_not_sign_is_no_session(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    name, value = "keystead", keystead_visitor.client.cookies["keystead"]
    other = "A" if value[-9] != "A" else "B"
    for forged in (f"{value[:-9]}{other}{value[-8:]}", value.rpartition(".")[0], value.partition(".")[0], "", "é", "a.b.c"):
        visitor = keystead.visitor()
        answer = visitor.client.get("/account", headers=[(b"cookie", f"{name}={forged}".encode())])
        assert answer.status_code == 303


def test_one_of_our_cookies_is_not_taken_for_the_other() -> None:
    of = settings()
    device = signing.sign(of.secret_keys, "cookie-browser", "id.tag")
    assert cookies.device(request(of, {"cookie": f"__Host-keystead-browser={device}"})) == Device("id", ("tag",))
    assert cookies.token(request(of, {"cookie": f"__Host-keystead={device}"})) is None
    session = signing.sign(of.secret_keys, "cookie", "account.token")
    assert cookies.token(request(of, {"cookie": f"__Host-keystead={session}"})) == "account.token"
    assert cookies.device(request(of, {"cookie": f"__Host-keystead-browser={session}"})).id != "account"


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("480", 480),
        ("-210", -210),
        ("0", 0),
        ("", None),
        ("841", None),
        ("+60", None),
        ("6e1", None),
        ("6²", None),
        ("9" * 400, None),
    ],
)
def test_a_clock_that_is_ahead_of_utc_is_believed_where_there_can_be_one(text: str, zone: int | None) -> None:
    asked = request(settings(), {"cookie": f"keystead-zone={text}"})
    assert cookies.zone(asked) == zone
