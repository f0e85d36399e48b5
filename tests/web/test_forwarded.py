"""What a proxy says that it was asked for: what is believed, and what never is."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as some

from webapp.web import forwarded
from webapp.web.forwarded import Asked, Unbelievable

Headers = list[tuple[bytes, bytes]]
BY_NGINX = {"x-original-url": "https://wiki.example.com/page?q=1", "x-original-method": "GET"}
BY_CADDY = {
    "x-forwarded-method": "GET", "x-forwarded-proto": "https", "x-forwarded-host": "wiki.example.com",
    "x-forwarded-uri": "/page?q=1",
}  # fmt: skip
MODES = pytest.mark.parametrize("told", [BY_NGINX, BY_CADDY], ids=["nginx", "caddy"])
PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def raw(*given: dict[str, str]) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for headers in given for name, value in headers.items()]


@MODES
def test_host_and_path_are_read_as_the_proxy_says(told: dict[str, str]) -> None:
    asked = forwarded.read(raw(told, PAGE))
    assert asked == Asked("wiki.example.com", "/page?q=1", is_page=True, is_use=True, by_nginx=told is BY_NGINX)


def test_what_caddy_and_nginx_say_at_once_is_not_believed() -> None:
    with pytest.raises(Unbelievable, match="both"):
        forwarded.read(raw(BY_NGINX, BY_CADDY))


@pytest.mark.parametrize("name", ["x-forwarded-host", "x-forwarded-uri", "x-forwarded-method"])
def test_one_header_of_the_other_way_is_enough_for_nothing_to_be_believed(name: str) -> None:
    with pytest.raises(Unbelievable, match="some"):
        forwarded.read(raw(BY_NGINX, {name: BY_CADDY[name]}))


@pytest.mark.parametrize("name", BY_NGINX)
def test_one_header_of_nginx_is_enough_for_nothing_of_caddy_to_be_believed(name: str) -> None:
    with pytest.raises(Unbelievable, match="some"):
        forwarded.read(raw(BY_CADDY, {name: BY_NGINX[name]}))


def test_nginx_may_say_the_scheme_as_it_does_to_every_upstream() -> None:
    assert forwarded.read(raw(BY_NGINX, {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"})).by_nginx


def test_a_header_that_a_proxy_has_emptied_is_not_there() -> None:
    assert forwarded.read(
        raw(BY_NGINX, dict.fromkeys(("x-forwarded-host", "x-forwarded-uri", "x-forwarded-method"), ""))
    ).by_nginx


@MODES
@pytest.mark.parametrize(
    "upgrade", [{"upgrade": "h2c"}, {"upgrade": "websocket, h2c"}, {"http2-settings": "AAMAAABk"}, {"upgrade": ""}]
)
def test_a_connection_that_would_become_something_else_than_a_websocket_is_not_believed(
    told: dict[str, str], upgrade: dict[str, str]
) -> None:
    """Whatever comes on it later, nobody would be asked about (h2c smuggling)."""
    assert not forwarded.read(raw(told, PAGE, {"upgrade": "WebSocket"})).is_page
    with pytest.raises(Unbelievable, match="become"):
        forwarded.read(raw(told, upgrade))
    with pytest.raises(Unbelievable, match="become"):
        forwarded.read([*raw(told, upgrade), *raw({"upgrade": "websocket"})])


def test_nothing_at_all_is_not_believed() -> None:
    with pytest.raises(Unbelievable, match="neither"):
        forwarded.read(raw(PAGE))


@MODES
def test_what_is_said_in_part_is_not_believed(told: dict[str, str]) -> None:
    for missing in set(told) - {"x-forwarded-proto"}:
        with pytest.raises(Unbelievable):
            forwarded.read(raw({name: value for name, value in told.items() if name != missing}))


@MODES
def test_a_header_that_is_there_twice_is_not_believed(told: dict[str, str]) -> None:
    for name, value in told.items():
        for second in (value, "evil.example", ""):
            with pytest.raises(Unbelievable, match="twice"):
                forwarded.read(raw(told) + raw({name: second}))


@pytest.mark.parametrize(("sign", "signs"), [("_", 9), (".", 9), ("_", 1)])
@MODES
def test_a_header_under_another_spelling_is_not_believed(told: dict[str, str], sign: str, signs: int) -> None:
    """Servers make CGI and WSGI variables of names, in which all of these are one (Traefik GHSA-5m6w-wvh7-57vm)."""
    for name, value in told.items():
        for others in (told, {each: text for each, text in told.items() if each != name}):
            with pytest.raises(Unbelievable):
                forwarded.read(raw(others, {name.replace("-", sign, signs): value}))
            with pytest.raises(Unbelievable):
                forwarded.read(raw(others, {name.replace("-", sign, signs): ""}))


@pytest.mark.parametrize(
    "name",
    [
        "remote-user", "Remote-User", "REMOTE-USER", "remote_user", "Remote_Groups", "remote.user", "remote~user", "remote-",
        "remote-anything",
        "remote!email", "remote'name", "keystead-account", "Keystead-Proof", "keystead_proof", "Keystead.Account",
        "keystead-reason",
        "remote\xe9user",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["admin", ""])
@MODES
def test_a_header_that_only_we_may_set_is_not_believed_however_it_is_spelled(told: dict[str, str], name: str, value: str) -> None:
    """Refused even where it is empty: Caddy 2.10 hands the client's own on if ours is."""
    with pytest.raises(Unbelievable, match="only we may set"):
        forwarded.read(raw(told, {name: value}))
    with pytest.raises(Unbelievable, match="only we may set"):
        forwarded.refuse_ours(raw({name: value}))


@pytest.mark.parametrize(
    "name", ["x-remote-user", "remoteuser", "user", "x-keystead", "cookie", "x-real-ip", "x-forwarded-for", "x-forwarded-port"]
)
@MODES
def test_other_headers_are_nothing_to_us(told: dict[str, str], name: str) -> None:
    assert forwarded.read(raw(told, {name: "x"})).host == "wiki.example.com"
    forwarded.refuse_ours(raw({name: "x"}))


@given(some.binary(min_size=1, max_size=30), some.binary(max_size=30))
def test_whatever_a_header_is_called_it_is_judged_and_nothing_else_happens(name: bytes, value: bytes) -> None:
    with suppress(Unbelievable):
        assert forwarded.read([*raw(BY_CADDY), (name, value)]).host == "wiki.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "wiki.example.com/", "ftp://wiki.example.com/", "//wiki.example.com/", "https:/wiki.example.com/",
        "HTTPS://wiki.example.com/", "javascript://wiki.example.com/",
    ],
)  # fmt: skip
def test_an_original_url_that_is_no_address_is_not_believed(url: str) -> None:
    with pytest.raises(Unbelievable, match="no address"):
        forwarded.read(raw(BY_NGINX | {"x-original-url": url}))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://wiki.example.com", "wiki.example.com", "/"),
        ("https://wiki.example.com?x=/", "wiki.example.com?x=", "/"),
        ("https://wiki.example.com@evil.example/", "wiki.example.com@evil.example", "/"),
        ("https://evil.example\\@wiki.example.com/", "evil.example\\@wiki.example.com", "/"),
        ("https://wiki.example.com:443/", "wiki.example.com:443", "/"),
        ("https://wiki.example.com//evil.example/", "wiki.example.com", "//evil.example/"),
        ("https:///wiki.example.com/", "", "/wiki.example.com/"),
    ],
)
def test_a_host_is_what_stands_before_the_first_slash_and_nothing_is_made_of_it(url: str, host: str, path: str) -> None:
    """It is then looked up as it stands, so that whatever a parser could make of it is not on the list."""
    asked = forwarded.read(raw(BY_NGINX | {"x-original-url": url}))
    assert (asked.host, asked.path) == (host, path)


@pytest.mark.parametrize(
    "given",
    [
        {"accept": "*/*"}, {"accept": "application/json"}, {}, {**PAGE, "x-requested-with": "XMLHttpRequest"},
        {**PAGE, "upgrade": "websocket"}, {**PAGE, "sec-fetch-mode": "cors"}, {**PAGE, "sec-fetch-mode": "no-cors"},
        {**PAGE, "sec-fetch-mode": "websocket"}, {**PAGE, "sec-fetch-mode": "same-origin"},
    ],
)  # fmt: skip
@MODES
def test_a_script_a_websocket_and_curl_ask_for_no_page(told: dict[str, str], given: dict[str, str]) -> None:
    asked = forwarded.read(raw(told, given))
    assert not asked.is_page
    assert not asked.is_use, "a script that looks for news again and again is nobody who does something"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get", "GET ", "G"])
@MODES
def test_only_get_and_head_ask_for_a_page_and_whoever_writes_does_something(told: dict[str, str], method: str) -> None:
    name = next(name for name in told if name.endswith("method"))
    asked = forwarded.read(raw(told | {name: method}, PAGE))
    assert not asked.is_page
    assert asked.is_use
    assert not forwarded.read(raw(told | {name: "OPTIONS"}, PAGE)).is_use
    assert forwarded.read(raw(told | {name: "HEAD"}, PAGE)).is_page


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/page?q=1&r=%2F", "/page?q=1&r=%2F"),
        ("/a@b", "/a%40b"),
        ("/page?to=https://evil.example", "/page?to=https://evil.example"),
        ("/%0d%0aset-cookie:%20x", "/%0d%0aset-cookie:%20x"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a/../b", "/"),
        ("/%2e%2e/b", "/"),
        ("/page\r\nset-cookie: x", "/"),
        ("/ä", "/"),
        ("https://evil.example/", "/"),
        ("", "/"),
        ("/" + "a" * 1499, "/" + "a" * 1499),
        ("/" + "a" * 1500, "/"),
        ("/?" + "=" * 600, "/"),
        ("/.keystead", "/"),
        ("/.keystead/leave", "/"),
        ("/%2Ekeystead/leave", "/"),
        ("/.keystea%64%2fleave", "/"),
        ("/.keystead/begin?back=/.keystead/begin", "/"),
        ("/.keysteads", "/.keysteads"),
        ("/.well-known/x", "/.well-known/x"),
    ],
)
def test_the_way_back_is_a_path_of_the_app_or_its_root(path: str, back: str) -> None:
    assert forwarded.back(path) == back


@given(some.text(max_size=200))
def test_whatever_a_path_is_the_way_back_is_one_that_stays(path: str) -> None:
    back = forwarded.back(path)
    assert back.startswith("/")
    assert not back.startswith(("//", "/\\"))
    assert back.isascii()
    assert not set(back) & set("\\@\r\n\t \0")
    assert forwarded.back(back) == back, "what it makes is what it takes"
