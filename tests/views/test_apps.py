"""Apps behind the site: what a proxy is answered, the way in and out, and what never opens anything."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pytest

from backends.protocol import Unavailable
from tests import mongo_server
from tests.views.app_walks import BOARD, FILES, OURS, PAGE, WIKI, Browser, Mode, add, named, remove, told
from tests.views.mails import settle
from tests.views.people import bound, recovery_codes
from tests.views.unchanged import nothing_changes
from webapp import clock
from webapp.accounts import groups, identities, keys, links, removal, sessions, tickets
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor, at_once
from webapp.web import forwarded

PROXIES = (ip_network(ADDRESS),)
MINUTE = timedelta(minutes=1)
MODES = pytest.mark.parametrize("mode", ["nginx", "caddy"])


@pytest.fixture
def keystead(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Behind a proxy that is named, on the backend that the test is run on."""
    mongodb = getattr(request, "param", "file") == "mongodb"
    where = {"backend": mongo_server.database(request.getfixturevalue("mongodb"))} if mongodb else {}
    with running(tmp_path, trusted_proxies=PROXIES, **where) as site:
        yield site


@pytest.fixture
def browser(keystead: Site) -> Browser:
    """A stranger's, before the wiki."""
    add(keystead)
    return Browser(keystead, keystead.visitor())


def inside(site: Site, visitor: Visitor | None = None, url: str = f"{WIKI}/page?q=1") -> Browser:
    """Somebody's browser, to whom the wiki is open."""
    browser = Browser(site, visitor or site.visitor())
    if visitor is None:
        browser.visitor.log_on("zoe", site.password)
    arrived = browser.open(url)
    assert arrived.is_in, arrived.answer.text
    return browser


def ticket_of(browser: Browser) -> str:
    """A ticket on its way to the wiki, in a browser that has its nonce and has not used it."""
    begun = browser.at_app("/.keystead/begin?back=/page")
    entered = browser.visitor.client.get(begun.headers["location"], headers=PAGE)
    return entered.headers["location"]


# who gets in, and what an app is told


def log_on_by_code(site: Site, browser: Browser, code: str) -> None:
    """Off, and on again with a recovery code in the place of the key."""
    browser.visitor.log_off()
    browser.visitor.log_on("zoe", site.password)
    browser.visitor.get("/logon/recovery")
    browser.visitor.submit("/logon/recovery", code=code)


@MODES
def test_a_stranger_logs_on_once_and_is_back_at_the_very_page(browser: Browser, mode: Mode) -> None:
    browser.mode = mode
    answer = browser.check(f"{WIKI}/page?q=1&r=a@b%20c")
    assert answer.status_code == {"nginx": 401, "caddy": 302}[mode]
    arrived = browser.log_on(f"{WIKI}/page?q=1&r=a@b%20c")
    assert (arrived.url, arrived.is_in) == (f"{WIKI}/page?q=1&r=a%40b%20c", True)


def test_an_app_is_told_who_is_there_by_headers_that_are_always_all_there(keystead: Site, browser: Browser) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    answer = browser.open().answer
    assert answer.status_code == 200
    assert answer.content == b""
    assert named(answer) == {
        "remote-user": "zoe", "remote-email": "zoe@example.com", "remote-name": "zoe", "remote-groups": "everyone",
        "keystead-account": keystead.account.id, "keystead-proof": "password",
    }  # fmt: skip
    assert set(named(answer)) == set(OURS)


@pytest.mark.parametrize("name", ["Zoë", "朱莉", "zoe, admin", 'a"b;c=d'])
def test_a_name_of_any_alphabet_is_told_in_one_header_as_utf8(keystead: Site, browser: Browser, name: str) -> None:
    account = keystead.add_account(name, email="other@example.com", groups=("staff", "wiki-admins"))
    browser.visitor = keystead.visitor(account)
    browser.visitor.log_on(account.username, keystead.password)
    browser.visitor.client.get(ticket_of(browser), headers=PAGE)
    headers = raw_check(keystead, told("caddy", f"{WIKI}/") | {"cookie": browser.cookies(WIKI)})
    assert headers[b"remote-user"].decode() == account.username
    assert headers[b"remote-groups"] == b"everyone,staff,wiki-admins"


def raw_check(site: Site, headers: dict[str, str]) -> dict[bytes, bytes]:
    """The headers of the answer to a check, as they travel: the client of the tests takes ASCII only."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/check", "query_string": b"", "client": (ADDRESS, 50000), "state": site.state,
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
    }  # fmt: skip
    site.call(site.app, scope, receive, send)
    assert sent[0]["status"] == 200
    return dict(sent[0]["headers"])


@MODES
def test_a_key_a_recovery_code_and_a_password_are_told_apart(
    keystead: Site, browser: Browser, stub_key: StubKey, mode: Mode
) -> None:
    browser.mode = mode
    browser.visitor.log_on("zoe", keystead.password)
    assert browser.open().answer.headers["keystead-proof"] == "password"
    browser.visitor.bind(stub_key)
    codes = recovery_codes(browser.visitor)
    assert browser.open().answer.headers["keystead-proof"] == "key"
    log_on_by_code(keystead, browser, codes[0])
    assert browser.open().answer.headers["keystead-proof"] == "recovery"


def test_three_apps_open_by_one_logon_and_close_by_one_log_off(keystead: Site, browser: Browser) -> None:
    add(keystead, "board")
    add(keystead, "files")
    browser.log_on()
    assert all(browser.open(f"{origin}/").is_in for origin in (WIKI, BOARD, FILES))
    browser.visitor.log_off()
    assert [browser.check(f"{origin}/").status_code for origin in (WIKI, BOARD, FILES)] == [302] * 3


def test_who_owes_the_key_is_let_into_no_app(keystead: Site, browser: Browser, stub_key: StubKey) -> None:
    bound(keystead, stub_key)
    arrived = browser.log_on()
    assert urlsplit(arrived.url).path == "/logon/key"
    assert browser.check().status_code == 302
    browser.visitor.begin_key()
    assert browser.follow(browser.visitor.finish_key(stub_key)).url == f"{WIKI}/page?q=1"


def test_who_is_in_no_group_of_the_app_is_told_so_and_goes_in_no_circle(keystead: Site, browser: Browser) -> None:
    remove(keystead)
    add(keystead, of=("staff",))
    arrived = browser.log_on()
    assert arrived.answer.status_code == 403
    assert "wiki is not open to you" in arrived.answer.text
    keystead.change(keystead.account, groups.set_groups, ("staff",))
    assert browser.open().is_in
    keystead.change(keystead.account, groups.set_groups, ())
    answer = browser.check()
    assert answer.status_code == 403
    assert "location" not in answer.headers


# a key, a fresh one, a code


def test_an_app_that_requires_a_key_has_one_bound_and_opens_by_no_recovery_code(
    keystead: Site, browser: Browser, stub_key: StubKey
) -> None:
    remove(keystead)
    add(keystead, key_required=True)
    arrived = browser.log_on()
    assert arrived.answer.status_code == 403
    assert "Bind a key" in arrived.answer.text
    browser.visitor.bind(stub_key)
    codes = recovery_codes(browser.visitor)
    assert browser.open().answer.headers["keystead-proof"] == "key"
    log_on_by_code(keystead, browser, codes[0])
    assert browser.check(accept="*/*").json()["error"] == "logon"
    arrived = browser.open()
    assert arrived.answer.status_code == 200
    assert "A recovery code is not enough" in arrived.answer.text
    assert not arrived.is_in


def test_a_fresh_touch_leads_to_the_touch_only_and_not_through_the_password(
    keystead: Site, browser: Browser, stub_key: StubKey, keystead_clock: Clock
) -> None:
    add(keystead, "board", fresh=5 * MINUTE)
    browser.visitor = bound(keystead, stub_key)
    assert browser.open().is_in
    assert browser.open(f"{BOARD}/").is_in
    keystead_clock.move(5 * MINUTE)
    assert browser.check().status_code == 200
    assert browser.check(f"{BOARD}/", accept="*/*").json()["error"] == "touch"
    arrived = browser.open(f"{BOARD}/admin?x=1")
    assert urlsplit(arrived.url).path == "/apps/enter"
    assert browser.visitor.page.form("/apps/touch/begin")
    assert "password" not in arrived.answer.text
    browser.visitor.submit("/apps/touch/begin")
    assert browser.follow(browser.visitor.finish(stub_key)).url == f"{BOARD}/admin?x=1"
    assert browser.check(f"{BOARD}/").status_code == 200


def test_a_touch_that_is_refused_opens_nothing_and_can_be_tried_again(
    keystead: Site, browser: Browser, stub_key: StubKey, keystead_clock: Clock
) -> None:
    remove(keystead)
    add(keystead, fresh=MINUTE)
    browser.visitor = bound(keystead, stub_key)
    keystead_clock.move(MINUTE)
    browser.open()
    browser.visitor.submit("/apps/touch/begin")
    assert browser.visitor.finish(stub_key, bad_signature=True).status_code == 422
    assert not browser.open().is_in
    browser.visitor.submit("/apps/touch/begin")
    assert browser.follow(browser.visitor.finish(stub_key)).is_in


def test_a_session_by_password_of_somebody_who_has_a_key_owes_the_touch(
    keystead: Site, tmp_path_factory: pytest.TempPathFactory, stub_key: StubKey
) -> None:
    """Where the preview leaves accounts out, the logon does not ask for the key: an app does."""
    with running(tmp_path_factory.mktemp("listed"), trusted_proxies=PROXIES, preview="listed") as site:
        add(site)
        bound(site, stub_key)
        browser = Browser(site, site.visitor())
        arrived = browser.log_on()
        assert not arrived.is_in
        assert "Touch your key to open" in browser.visitor.page.text
        browser.visitor.submit("/apps/touch/begin")
        assert browser.follow(browser.visitor.finish(stub_key)).answer.headers["keystead-proof"] == "key"


def test_without_a_key_a_fresh_proof_is_a_code_by_mail_and_leads_back(
    keystead: Site, browser: Browser, keystead_clock: Clock
) -> None:
    remove(keystead)
    add(keystead, fresh=MINUTE)
    arrived = browser.log_on()
    assert urlsplit(arrived.url).path == "/account/security/u2f"
    browser.visitor.follow(browser.visitor.send_code())
    answer = browser.visitor.verify(keystead.mailbox.code("zoe@example.com"))
    assert browser.follow(answer).url == f"{WIKI}/page?q=1"
    keystead_clock.move(10 * MINUTE)
    assert browser.check(accept="*/*").json()["error"] == "code"


@pytest.mark.parametrize("path", ["/a" * 750, "/?" + "&" * 498, "/" + "a" * 1499])
def test_a_way_back_that_is_as_long_as_may_be_goes_through_logon_and_code(keystead: Site, browser: Browser, path: str) -> None:
    remove(keystead)
    add(keystead, fresh=MINUTE)
    assert urlsplit(browser.log_on(WIKI + path).url).path == "/account/security/u2f"
    browser.visitor.follow(browser.visitor.send_code())
    assert browser.follow(browser.visitor.verify(keystead.mailbox.code("zoe@example.com"))).url == WIKI + path


def test_where_a_key_is_required_of_everybody_no_app_opens_without_one(
    tmp_path: Path, stub_key: StubKey, keystead_clock: Clock
) -> None:
    required: dict[str, Any] = {"key_required": "everyone", "key_grace": 60 * MINUTE}
    with running(tmp_path / "strict", trusted_proxies=PROXIES, **required) as site:
        add(site)
        browser = inside(site)
        keystead_clock.move(60 * MINUTE)
        assert browser.check(accept="*/*").json()["error"] == "binding"
        assert urlsplit(browser.open().url).path == "/account/security/u2f"
        browser.visitor.bind(stub_key)
        assert browser.open().is_in


def test_who_uses_apps_only_is_given_the_date_from_which_a_key_is_needed(tmp_path: Path, keystead_clock: Clock) -> None:
    with running(tmp_path / "before", trusted_proxies=PROXIES) as site:
        add(site)
        browser = inside(site)
        settings = replace(site.settings, key_required="everyone", key_grace=timedelta())
    with running(
        tmp_path / "before", **{each.name: getattr(settings, each.name) for each in fields(settings) if each.init}
    ) as site:
        visitor = site.visitor()
        visitor.client.cookies.update(browser.visitor.client.cookies)
        browser = Browser(site, visitor)
        assert browser.check().status_code == 200
        keystead_clock.move(MINUTE)
        browser.check()
        settle(site)
        assert browser.check(accept="*/*").json()["error"] == "binding"


# a session that ends


def _off(site: Site, browser: Browser) -> None:
    browser.visitor.log_off()


def _ended_elsewhere(site: Site, browser: Browser) -> None:
    other = site.visitor()
    other.log_on("zoe", site.password)
    other.get("/account/sessions")
    other.submit("/end-others")


def _changed(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[Site, Browser], None]:
    def change(site: Site, browser: Browser) -> None:
        site.change(site.account, operation, *args, **kwargs)

    return change


def _not_me(site: Site, browser: Browser) -> None:
    token = links.make(site.settings, "not me", site.account.id, "0", clock.now()).partition("?token=")[2]
    other = site.visitor()
    other.get(f"/not-me?token={token}")
    other.submit("/not-me")


def _unbound_by_command(site: Site, browser: Browser) -> None:
    site.change(site.account, keys.unbind_all_sessions, [site.read().keys[0].id], by="cli")


def _unbound_in_another_browser(site: Site, browser: Browser) -> None:
    key = KEY_OF[site.account.id]
    other = site.visitor()
    other.log_on("zoe", site.password, key)
    other.unbind(key)


def _bound_in_another_browser(site: Site, browser: Browser) -> None:
    other = site.visitor()
    other.log_on("zoe", site.password, KEY_OF[site.account.id])
    other.bind(StubKey(), prove_with=KEY_OF[site.account.id])


def _password_changed_in_another_browser(site: Site, browser: Browser) -> None:
    other = site.visitor()
    other.log_on("zoe", site.password, KEY_OF[site.account.id])
    other.get("/account/password")
    other.submit("/account/password", old=site.password, new="a new and longer password")


def _app_removed(site: Site, browser: Browser) -> None:
    remove(site)


KEY_OF: dict[str, StubKey] = {}
ENDINGS: dict[str, Callable[[Site, Browser], None]] = {
    "log off": _off,
    "ended on the sessions page of another browser": _ended_elsewhere,
    "this was not me": _not_me,
    "frozen": _changed(identities.freeze),
    "barred": _changed(identities.bar),
    "a new password by whoever runs the site": _changed(identities.set_password, "$new"),
    "a new password in another browser": _password_changed_in_another_browser,
    "the key unbound by the command": _unbound_by_command,
    "the key unbound in another browser": _unbound_in_another_browser,
    "a key bound in another browser": _bound_in_another_browser,
    "the account removed": _changed(removal.remove, keep_events=False),
    "the account removed, its events kept": _changed(removal.remove, keep_events=True),
    "the app removed": _app_removed,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_a_session_that_ends_anywhere_closes_every_app_at_the_next_request(keystead: Site, stub_key: StubKey, how: str) -> None:
    add(keystead)
    add(keystead, "board")
    needs_a_key = how != "ended on the sessions page of another browser"
    browser = inside(keystead, bound(keystead, stub_key) if needs_a_key else None)
    assert browser.open(f"{BOARD}/").is_in
    KEY_OF[keystead.account.id] = stub_key
    ENDINGS[how](keystead, browser)
    assert browser.check(accept="*/*").status_code in (401, 403)
    assert browser.at_app("/.keystead/whoami").status_code in (401, 403, 404)
    if how != "the app removed":
        assert browser.check(f"{BOARD}/", accept="*/*").json()["error"] == "logon"


def test_a_session_that_is_over_by_itself_closes_every_app(keystead: Site, keystead_clock: Clock) -> None:
    add(keystead)
    browser = inside(keystead)
    keystead_clock.move(keystead.settings.session_idle)
    assert browser.check().status_code == 302


def test_a_session_that_is_used_through_apps_only_goes_on_and_one_that_a_script_polls_does_not(
    keystead: Site, keystead_clock: Clock
) -> None:
    add(keystead)
    browser = inside(keystead)
    idle = keystead.settings.session_idle
    for _ in range(4):
        keystead_clock.move(idle / 2)
        assert browser.check().status_code == 200
        settle(keystead)
    polled = []
    for _ in range(2):
        keystead_clock.move(idle / 2)
        polled.append(browser.check(accept="*/*", sec_fetch_mode="cors").status_code)
        settle(keystead)
    assert polled == [200, 401]


def test_a_check_reads_one_record_and_writes_none(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    add(keystead)
    browser, asked = inside(keystead), list[str]()
    settle(keystead)
    backend = keystead.backend
    for name in ("account", "commit", "account_named", "add", "count_attempt", "events_of"):
        query = getattr(backend, name)

        def counted(*args: Any, name: str = name, query: Any = query) -> Any:
            asked.append(name)
            return query(*args)

        monkeypatch.setattr(backend, name, counted)
    assert browser.check().status_code == 200
    assert browser.check(method="POST").status_code == 200
    settle(keystead)
    assert asked == ["account", "account"]


# what is believed


@pytest.mark.parametrize(
    "headers",
    [
        {"remote-user": "admin"}, {"Remote-User": ""}, {"remote_user": "admin"}, {"Remote_Groups": "admins"},
        {"remote.email": "x"},
        {"keystead-proof": "key"}, {"Keystead_Account": "x"}, {"x_forwarded_host": "wiki.localhost:9001"},
        {"x_original_url": f"{WIKI}/"},
        {"X_Original_Method": "GET"}, {"x-forwarded.uri": "/"}, {"remote-anything": "x"},
    ],
)  # fmt: skip
@MODES
def test_a_forged_header_has_the_whole_request_refused(keystead: Site, headers: dict[str, str], mode: Mode) -> None:
    add(keystead)
    browser = inside(keystead)
    browser.mode = mode
    assert browser.check().status_code == 200
    answer = browser.ask(f"{WIKI}/", "GET", PAGE | headers)
    assert answer.status_code == 403
    assert "remote-user" not in answer.headers
    assert answer.content == b""


def test_both_ways_at_once_and_headers_twice_are_refused(keystead: Site) -> None:
    add(keystead)
    browser = inside(keystead)
    caddy, nginx = told("caddy", f"{WIKI}/"), told("nginx", f"{WIKI}/")
    cookie = ("cookie", browser.cookies(WIKI))
    for headers in ([*caddy.items(), *nginx.items()], [*caddy.items(), *caddy.items()], [*nginx.items(), *nginx.items()], []):
        assert browser.visitor.client.get("/check", headers=[*headers, cookie]).status_code == 403
    assert browser.visitor.client.get("/check", headers=[*caddy.items(), cookie]).status_code == 200


@pytest.mark.parametrize("path", ["/.keystead/begin?back=/", "/.keystead/end?ticket=x", "/.keystead/leave", "/.keystead/whoami"])
def test_at_an_apps_host_forged_headers_and_two_hosts_are_refused_too(browser: Browser, path: str) -> None:
    assert browser.at_app(path, Remote_User="admin").status_code == 403
    assert browser.at_app(path, host="evil.example").status_code in (403, 404)
    answer = browser.visitor.client.get(path, headers=[("host", "wiki.localhost:9001"), ("host", "board.localhost:9002")])
    assert answer.status_code in (403, 404)


@pytest.mark.parametrize("path", ["/check", "/.keystead/begin", "/.keystead/end", "/.keystead/leave", "/.keystead/whoami"])
def test_whoever_is_no_named_proxy_is_answered_nothing(keystead: Site, path: str) -> None:
    add(keystead)
    browser = inside(keystead)
    carried = {**told("caddy", f"{WIKI}/"), "cookie": browser.cookies(WIKI), "host": "wiki.localhost:9001"}
    known = keystead.visitor().client.get(path, headers=carried)
    stranger = keystead.visitor(address="198.51.100.7").client.get(path, headers=carried)
    assert known.status_code != 403
    assert stranger.status_code == 403
    assert not {"set-cookie", "location", *OURS} & set(stranger.headers)


def test_without_a_named_proxy_nobody_is_answered_anything(tmp_path: Path) -> None:
    with running(tmp_path / "alone") as site:
        add(site)
        browser = Browser(site, site.visitor())
        browser.visitor.log_on("zoe", site.password)
        assert browser.check().status_code == 403
        assert browser.at_app("/.keystead/begin").status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "WIKI.localhost:9001", "wiki.localhost", "wiki.localhost:9002", "wiki.localhost:9001.", "localhost:8000",
        "evil.example", "",
        "wiki.localhost:9001@evil.example", "a@wiki.localhost:9001", "wiki.localhost:9001,evil.example",
    ],
)  # fmt: skip
@MODES
def test_a_host_that_is_not_exactly_one_of_the_list_is_refused(keystead: Site, host: str, mode: Mode) -> None:
    add(keystead)
    browser = inside(keystead)
    cookie = browser.cookies(WIKI)
    answer = browser.visitor.client.get("/check", headers={**PAGE, **told(mode, f"http://{host}/"), "cookie": cookie})
    assert answer.status_code == 403
    assert "location" not in answer.headers


@pytest.mark.parametrize("asked", ["/.keystead/begin", "/.keystead/end?ticket=x", "/%2ekeystead/leave"])
@MODES
def test_a_proxy_that_asks_about_what_it_is_to_hand_on_is_told_so_and_sends_nobody_in_a_circle(
    browser: Browser, asked: str, mode: Mode
) -> None:
    browser.mode = mode
    answer = browser.check(WIKI + asked)
    assert answer.status_code == 403
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"accept": "*/*"}), ("GET", {"accept": "application/json"}), ("POST", {}), ("PUT", {}), ("DELETE", {}),
        ("PROPFIND", {}),
        ("GET", {"upgrade": "websocket", "connection": "upgrade"}), ("GET", {"x-requested-with": "XMLHttpRequest"}),
        ("GET", {"sec-fetch-mode": "cors"}), ("OPTIONS", {}), ("HEAD", {"accept": ""}),
    ],
)  # fmt: skip
@MODES
def test_scripts_forms_websockets_and_curl_get_a_401_in_json_and_no_redirect(
    browser: Browser, method: str, headers: dict[str, str], mode: Mode
) -> None:
    browser.mode = mode
    answer = browser.ask(f"{WIKI}/api", method, PAGE | headers)
    assert answer.status_code == 401
    assert "location" not in answer.headers
    assert answer.json() == {"error": "logon", "app": "wiki", "begin": f"{WIKI}/.keystead/begin"}


@pytest.mark.parametrize("size", [8_000, 65_536, 1_000_000])
@MODES
def test_headers_of_any_length_are_answered_at_once_and_lead_to_the_root(browser: Browser, size: int, mode: Mode) -> None:
    browser.mode = mode
    answer = browser.check(f"{WIKI}/{'a' * size}", cookie="keystead-app=" + "x" * size, referer="x" * size)
    assert answer.headers["location"] == f"{WIKI}/.keystead/begin?back=/"
    assert browser.at_app(f"/.keystead/end?ticket={'x' * min(size, 60_000)}").status_code == 303
    assert browser.check(method="G" * size).status_code == 401


@MODES
def test_no_cache_keeps_an_answer_of_the_check_for_somebody_else(
    keystead: Site, browser: Browser, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.mode = mode
    answers = [browser.check(), browser.check(method="POST"), browser.check(remote_user="x")]
    browser.visitor.log_on("zoe", keystead.password)
    browser.open()
    answers.append(browser.check())

    async def away(*_: Any) -> Any:
        raise Unavailable("no server")

    monkeypatch.setattr(keystead.backend, "account", away)
    answers.append(browser.check())
    assert [answer.status_code for answer in answers] == [401 if mode == "nginx" else 302, 401, 403, 200, 503]
    assert [answer.headers.get_list("cache-control") for answer in answers] == [["no-store"]] * 5


# the way in


def test_a_ticket_opens_once(keystead: Site, browser: Browser) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    nonce = browser.cookies(WIKI)
    first = browser.visitor.client.get(way, headers=PAGE)
    assert first.headers["location"] == f"{WIKI}/page"
    browser.visitor.client.cookies.delete("keystead-app", domain="wiki.localhost")
    again = browser.visitor.client.get(way, headers={**PAGE, "cookie": nonce})
    assert again.headers["location"] == "http://localhost:8000/account/apps?notice=lost"
    assert "set-cookie" not in again.headers
    assert browser.check().status_code == 302


def test_of_twenty_uses_of_a_ticket_at_once_one_opens(keystead: Site, browser: Browser) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way, cookie = ticket_of(browser), browser.cookies(WIKI)
    answers = at_once([partial(keystead.visitor().client.get, way, headers={**PAGE, "cookie": cookie})] * 20)
    assert sum("keystead-app=" in answer.headers.get("set-cookie", "") for answer in answers) == 1
    assert {answer.headers["location"] for answer in answers if "set-cookie" not in answer.headers} == {
        "http://localhost:8000/account/apps?notice=lost"
    }


def test_neither_tickets_nor_nonces_nor_cookies_stand_in_the_log(
    keystead: Site, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        browser.visitor.log_on("zoe", keystead.password)
        way, nonce = ticket_of(browser), browser.cookies(WIKI)
        browser.visitor.client.get(way, headers=PAGE)
        cookie = browser.cookies(WIKI)
        browser.visitor.client.get(way, headers={**PAGE, "cookie": nonce})
        browser.check()
        browser.check(remote_user="secretly")
        browser.at_app("/.keystead/whoami")
    ours = [record for record in caplog.records if record.name.startswith("keystead")]
    logged = "\n".join(f"{record.getMessage()} {getattr(record, 'fields', '')}" for record in ours)
    assert "app opened" in logged
    assert "no way in" in logged
    assert "not believed" in logged
    for secret in (way.partition("=")[2], nonce.partition("=")[2], cookie.partition("=")[2], "secretly", "zoe@example.com"):
        assert secret not in logged


def test_a_ticket_opens_in_no_other_browser(keystead: Site, browser: Browser) -> None:
    """So nobody is logged on to an app as somebody else by a link (login CSRF)."""
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    victim = Browser(keystead, keystead.visitor())
    assert victim.visitor.client.get(way, headers=PAGE).headers["location"].endswith("/account/apps?notice=lost")
    victim.at_app("/.keystead/begin?back=/page")
    answer = victim.visitor.client.get(way, headers=PAGE)
    assert answer.headers["location"].endswith("/account/apps?notice=lost")
    assert "set-cookie" not in answer.headers
    assert victim.check().status_code == 302


def test_a_ticket_opens_at_no_other_host(keystead: Site, browser: Browser) -> None:
    add(keystead, "board")
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    elsewhere = browser.visitor.client.get(way.replace(WIKI, BOARD), headers={**PAGE, "cookie": browser.cookies(WIKI)})
    assert elsewhere.headers["location"].endswith("/account/apps?notice=lost")
    assert "set-cookie" not in elsewhere.headers
    assert browser.check(f"{BOARD}/").status_code == 302


def test_a_ticket_is_over_after_a_minute(keystead: Site, browser: Browser, keystead_clock: Clock) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    keystead_clock.move(MINUTE)
    answer = browser.visitor.client.get(way, headers=PAGE)
    assert answer.headers["location"].endswith("/account/apps?notice=lost")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("operation", [identities.freeze, partial(removal.remove, keep_events=False)])
def test_a_ticket_of_a_session_that_has_ended_meanwhile_opens_nothing(keystead: Site, browser: Browser, operation: Any) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    keystead.change(keystead.account, operation)
    answer = browser.visitor.client.get(way, headers=PAGE)
    assert answer.headers["location"].endswith("/account/apps?notice=lost")
    assert "set-cookie" not in answer.headers


def test_a_ticket_to_an_app_that_was_removed_opens_nothing(keystead: Site, browser: Browser) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    remove(keystead)
    answer = browser.visitor.client.get(way, headers=PAGE)
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


def test_who_is_in_already_goes_on_with_a_ticket_that_was_used(keystead: Site, browser: Browser) -> None:
    """Two tabs that come at once, and the back button."""
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    for _ in range(2):
        assert browser.visitor.client.get(way, headers=PAGE).headers["location"] == f"{WIKI}/page"


def test_no_app_gets_a_cookie_that_opens_another_one_or_this_site(keystead: Site) -> None:
    add(keystead)
    add(keystead, "board")
    browser = inside(keystead)
    carried = browser.cookies(WIKI)
    assert re.fullmatch(r"keystead-app=[^; ]+", carried)
    assert browser.ask(f"{BOARD}/", "GET", {**PAGE, "cookie": carried}).status_code == 302
    value = carried.partition("=")[2]
    thief = keystead.visitor()
    for name in ("keystead", "keystead-browser", "keystead-app"):
        assert thief.client.get("/account", headers={"cookie": f"{name}={value}"}).status_code == 303
    ours = browser.cookies("http://localhost:8000/")
    assert "keystead=" in ours
    for pair in ours.split("; "):
        forged = f"keystead-app={pair.partition('=')[2]}"
        assert browser.ask(f"{WIKI}/", "GET", {**PAGE, "cookie": forged}).status_code == 302


def test_cookies_in_several_headers_are_read_as_http_2_sends_them(keystead: Site) -> None:
    add(keystead)
    browser = inside(keystead)
    crumbs = [("cookie", "theme=dark"), ("cookie", browser.cookies(WIKI)), ("cookie", "lang=en")]
    headers = [*PAGE.items(), *told("caddy", f"{WIKI}/").items(), *crumbs]
    assert browser.visitor.client.get("/check", headers=headers).status_code == 200


def test_a_cookie_that_a_sibling_site_has_planted_beside_ours_logs_nobody_on_as_somebody_else(keystead: Site) -> None:
    add(keystead)
    zoe = inside(keystead)
    thief = keystead.add_account("thief")
    planted = inside(keystead, visitor_of(keystead, thief)).cookies(WIKI)
    ours = zoe.cookies(WIKI)
    for cookie in (f"{ours}; {planted}", f"{planted}; {ours}"):
        assert zoe.ask(f"{WIKI}/", "GET", {**PAGE, "cookie": cookie}).status_code == 302
    for cookie in (f"{ours}; {ours}", f"{ours}; keystead-app=nonsense", f"keystead-app=; {ours}"):
        assert zoe.ask(f"{WIKI}/", "GET", {**PAGE, "cookie": cookie}).headers["remote-user"] == "zoe"
    crowd = "; ".join(["keystead-app=x"] * 900)
    assert zoe.ask(f"{WIKI}/", "GET", {**PAGE, "cookie": f"{crowd}; {ours}"}).status_code == 302


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\x1f", b"\x0b", b"\x0c"])
def test_a_cookie_whose_name_only_looks_like_ours_is_not_ours(keystead: Site, blank: bytes) -> None:
    """A sibling site cannot set `__Host-…`, but it can set that with a blank of another alphabet in front of it."""
    add(keystead)
    browser = inside(keystead)
    headers = [(n.encode(), v.encode()) for n, v in (PAGE | told("caddy", f"{WIKI}/")).items()]
    planted = blank + browser.cookies(WIKI).encode()
    assert browser.visitor.client.get("/check", headers=[*headers, (b"cookie", planted)]).status_code == 302
    ours = blank + browser.cookies("http://localhost:8000/").encode()
    assert keystead.visitor().client.get("/account", headers=[(b"cookie", ours)]).status_code == 303


def visitor_of(site: Site, account: Any) -> Visitor:
    visitor = site.visitor(account)
    visitor.log_on(account.username, site.password)
    return visitor


WAYS = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example",
    "https://evil.example", "HTTPS://EVIL.EXAMPLE", "http:evil.example", "http:/evil.example", "https:evil.example",
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "evil.example", "@evil.example", "/@evil.example",
    ":80@evil.example/", ".evil.example/", "-evil.example/", "/..//evil.example", "/.//evil.example", "/../evil.example",
    "/a/../../evil.example", "/%2e%2e//evil.example", "/%2e%2e/%2e%2e/", "/.%2e/", "/%2E./", "/%2f/evil.example",
    "/%2fevil.example", "/%5cevil.example", "/%5c%5cevil.example", "/%09/evil.example", "/\t/evil.example", "\t//evil.example",
    " //evil.example", "/ /evil.example", "/\r\nlocation: https://evil.example", "/%0d%0alocation:%20https://evil.example",
    "/%0d%0aset-cookie:%20keystead-app=x", "/\nset-cookie: x=y", "/\u0000", "/%00", "/\u007f", "/\u00e9", "/\u2028",
    "/\u3002evil.example", "//\uff45vil.example", "/\uff0fevil.example", "//evil\u3002example", "//xn--evil.example",
    "/?next=//evil.example", "/#//evil.example", "#@evil.example", "?@evil.example", "/;@evil.example", "/:443@evil.example",
    "//user:pass@evil.example:8443/", "//[::1]/", "//2130706433/", "/" + "a" * 9000, "", "/.keystead/leave",
    "/%2ekeystead/end?ticket=x", "/<script>alert(1)</script>", "/\"><svg onload=x>", "/';x='", "/{{7*7}}", "/%ff", "/%", "/%4",
    "/a|b^c`d",
]  # fmt: skip


def stays(location: str, *origins: str) -> None:
    """Whether a browser that is sent there stays within the list, however it reads the address."""
    assert location.startswith(tuple(f"{origin}/" for origin in origins)), location
    assert not set(location) & set("\r\n\t\\ \0"), location
    assert location.isascii()


@pytest.mark.parametrize("way", WAYS)
def test_no_way_back_leaves_the_list_through_any_of_the_steps(keystead: Site, browser: Browser, way: str) -> None:
    """The check, `begin`, `enter` and `end`, and again with what somebody writes into the address of `enter`."""
    browser.visitor.log_on("zoe", keystead.password)
    asked = browser.check(WIKI + way) if way.startswith("/") and way.isascii() else browser.check()
    if asked.status_code == 302:
        stays(asked.headers["location"], WIKI)
    begun = browser.at_app(f"/.keystead/begin?back={quote(way, safe='')}")
    stays(begun.headers["location"], "http://localhost:8000")
    (to,) = parse_qs(urlsplit(begun.headers["location"]).query)["to"]
    stays(to, WIKI)
    entered = browser.visitor.client.get(begun.headers["location"], headers=PAGE)
    stays(entered.headers["location"], WIKI)
    ended = browser.visitor.client.get(entered.headers["location"], headers=PAGE)
    stays(ended.headers["location"], WIKI)
    assert urlsplit(ended.headers["location"]).netloc == urlsplit(WIKI).netloc
    assert ended.headers.get_list("set-cookie")[0].startswith("keystead-app=")
    for forged in (
        way,
        WIKI + way,
        WIKI.upper() + way,
        f"{WIKI}@evil.example{way}",
        f"{WIKI}.evil.example{way}",
        f"{WIKI}:1{way}",
    ):
        answer = browser.visitor.client.get(
            "/apps/enter", params={"to": forged, "nonce": tickets.hash_nonce("x" * 32)}, headers=PAGE
        )
        if answer.status_code == 303:
            stays(answer.headers["location"], WIKI)
            assert forged == WIKI + forwarded.back(forged.removeprefix(WIKI)), "a path that begin would not have made"
        else:
            assert answer.status_code == 404
            assert "location" not in answer.headers


def test_there_are_sixty_malformed_ways_back() -> None:
    assert len(WAYS) >= 60


@pytest.mark.parametrize("nonce", ["", "x", "A" * 64, "g" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "é" * 64])
def test_a_nonce_that_no_app_gave_leads_nowhere(keystead: Site, browser: Browser, nonce: str) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    answer = browser.visitor.client.get("/apps/enter", params={"to": f"{WIKI}/", "nonce": nonce})
    assert answer.status_code == 404


def test_ways_in_that_are_begun_and_not_ended_leave_one_cookie(browser: Browser) -> None:
    """A page that loads itself anew in a tab that nobody looks at would fill the browser with them, and then nothing opens."""
    for _ in range(40):
        browser.at_app("/.keystead/begin?back=/page")
    assert browser.cookies(WIKI).count("=") == 1
    assert browser.log_on().is_in
    assert browser.cookies(WIKI).startswith("keystead-app=")


def test_two_tabs_that_begin_at_once_both_arrive(keystead: Site, browser: Browser) -> None:
    tabs = [Browser(keystead, keystead.visitor()) for _ in range(2)]
    began = [tab.at_app(f"/.keystead/begin?back=/tab{number}") for number, tab in enumerate(tabs)]
    for tab in tabs:
        browser.visitor.client.cookies.update(tab.visitor.client.cookies)
    browser.visitor.log_on("zoe", keystead.password)
    for number, begun in enumerate(began):
        assert browser.open(begun.headers["location"]).url == f"{WIKI}/tab{number}"


def test_a_browser_that_keeps_no_cookies_for_an_app_is_told_so_and_goes_in_no_circle(keystead: Site, browser: Browser) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    way = ticket_of(browser)
    answer = browser.visitor.client.get(way, headers={**PAGE, "cookie": ""})
    assert answer.headers["location"] == "http://localhost:8000/account/apps?notice=lost"
    assert "your browser keeps no cookies for it" in browser.visitor.get("/account/apps?notice=lost").text


def test_a_proxy_that_keeps_the_cookie_from_us_sends_nobody_in_a_circle(
    keystead: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.visitor.log_on("zoe", keystead.password)
    monkeypatch.setattr(browser, "cookies", lambda url: "")
    assert browser.open().url == "http://localhost:8000/account/apps?notice=lost"


def test_who_is_in_and_follows_a_link_that_begins_anew_is_back_at_the_page(keystead: Site, browser: Browser) -> None:
    """So is whoever was sent there just before another tab came in."""
    browser.visitor.log_on("zoe", keystead.password)
    browser.open()
    assert browser.open(f"{WIKI}/.keystead/begin?back=/page").url == f"{WIKI}/page"


def test_after_a_form_of_ours_a_page_leads_on_because_browsers_let_no_form_do(keystead: Site, browser: Browser) -> None:
    """Chrome stops a redirect to another site that a form has led to (CSP form-action)."""
    browser.visitor.log_on("zoe", keystead.password)
    begun = browser.at_app("/.keystead/begin?back=/page")
    for told_ in ({"sec-fetch-site": "same-origin"}, {"referer": "http://localhost:8000/logon"}):
        page = browser.visitor.client.get(begun.headers["location"], headers=PAGE | told_)
        assert page.status_code == 200
        (way,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
        stays(way, WIKI)
        assert browser.visitor.client.get(way, headers=PAGE).headers["location"] == f"{WIKI}/page"


def test_a_cookie_of_an_app_over_https_is_bound_to_its_host(tmp_path: Path) -> None:
    with running(tmp_path / "tls", public_url="https://keys.example.com", trusted_proxies=PROXIES) as site:
        add(site, "wiki", "https://wiki.example.org")
        browser = Browser(site, site.visitor())
        browser.visitor.log_on("zoe", site.password)
        begun = browser.at_app("/.keystead/begin?back=/page", "https://wiki.example.org")
        way = browser.visitor.client.get(begun.headers["location"], headers=PAGE).headers["location"]
        lines = browser.visitor.client.get(way, headers=PAGE).headers.get_list("set-cookie")
        for line in (*lines, begun.headers["set-cookie"]):
            assert line.startswith("__Host-keystead-app")
            assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(line.split("; "))
            assert "omain" not in line


def test_below_a_path_everything_is_found_as_well(tmp_path: Path) -> None:
    where = "http://localhost:8000/account-center"
    with running(tmp_path / "mounted", public_url=where, trusted_proxies=PROXIES) as site:
        add(site)
        browser = Browser(site, site.visitor())
        begun = browser.check()
        assert begun.headers["location"].startswith(f"{WIKI}/.keystead/begin?")
        assert browser.visitor.client.get("/check", headers={**PAGE, **told("caddy", f"{WIKI}/")}).status_code == 302
        arrived = browser.log_on()
        assert (arrived.url, arrived.is_in) == (f"{WIKI}/page?q=1", True)
        assert browser.at_app("/.keystead/whoami").json()["user"] == "zoe"
        browser.visitor.log_off()
        assert urlsplit(browser.open().url).path == "/account-center/logon"


# the way out, and whoami


def test_a_link_of_an_app_logs_off_everywhere(keystead: Site) -> None:
    add(keystead)
    add(keystead, "board")
    browser = inside(keystead)
    browser.open(f"{BOARD}/")
    answer = browser.at_app("/.keystead/leave", sec_fetch_site="same-origin", sec_fetch_dest="document")
    assert answer.headers["location"] == "http://localhost:8000/logon?notice=off"
    assert answer.headers["set-cookie"].startswith("keystead-app=; Max-Age=0")
    assert browser.check(f"{BOARD}/").status_code == 302
    assert browser.visitor.get("/account").status_code == 303
    assert not keystead.read().sessions


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "same-site", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "none", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "iframe"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "empty"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "document", "sec_purpose": "prefetch;prerender"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "document", "purpose": "prefetch"},
        {"referer": f"{WIKI}/"},
        {},
    ],
)
def test_nobody_is_logged_off_by_a_link_from_elsewhere_a_picture_or_a_page_that_is_loaded_ahead(
    keystead: Site, headers: dict[str, str]
) -> None:
    add(keystead)
    browser = inside(keystead)
    with nothing_changes(keystead):
        answer = browser.at_app("/.keystead/leave", **headers)
    assert answer.headers["location"] == "http://localhost:8000/account"
    assert "set-cookie" not in answer.headers
    assert browser.check().status_code == 200


def test_who_asks_who_is_there_gets_it_as_json_by_the_same_rules(keystead: Site, browser: Browser) -> None:
    assert (browser.at_app("/.keystead/whoami").status_code, browser.at_app("/.keystead/whoami").json()) == (
        401,
        {"error": "logon"},
    )
    browser.visitor.log_on("zoe", keystead.password)
    browser.open()
    answer = browser.at_app("/.keystead/whoami")
    assert answer.json() == {
        "user": "zoe", "email": "zoe@example.com", "name": "zoe", "groups": ["everyone"], "account": keystead.account.id,
        "proof": "password", "app": "wiki",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers
    keystead.change(keystead.account, lambda account, act: sessions.end_others(account, act, ""))
    assert browser.at_app("/.keystead/whoami").json() == {"error": "logon"}


@pytest.mark.parametrize("name", ["site", " site", "\u00a0site", "SITE"])
def test_nobody_logs_on_joins_or_is_mailed_as_the_record_that_apps_stand_on(keystead: Site, browser: Browser, name: str) -> None:
    """It has no password, no address, and a name that is cut off wherever one is typed."""
    visitor = browser.visitor
    for password in ("", " ", keystead.password, "!"):
        assert visitor.submit_password(name, password).status_code in (401, 422)
    unknown = visitor.submit_password("nobody at all", keystead.password)
    assert visitor.submit_password(name, keystead.password).text.replace(name.strip(), "") == unknown.text.replace(
        "nobody at all", ""
    )
    before = len(list(keystead.mailbox.mails()))
    visitor.get("/logon/forgotten")
    assert visitor.follow(visitor.submit("/logon/forgotten", username=name)).status_code == 200
    settle(keystead)
    assert len(list(keystead.mailbox.mails())) == before
    site = keystead.call(keystead.backend.account, identities.SITE)
    assert site
    assert not site.sessions
    assert not site.notifications


# when something is away, and what stands at an app's host


def test_while_the_backend_is_away_nobody_is_let_in_and_afterwards_everybody_is_as_before(
    keystead: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(keystead)
    browser = inside(keystead)

    async def away(*_: Any) -> Any:
        raise Unavailable("no server")

    with monkeypatch.context() as patch:
        patch.setattr(keystead.backend, "account", away)
        for answer in (browser.check(), browser.check(method="POST"), browser.at_app("/.keystead/whoami")):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert "remote-user" not in answer.headers
    assert browser.check().status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/.keystead/"), ("GET", "/.keystead/nothing"), ("POST", "/.keystead/begin"), ("POST", "/.keystead/end")],
)
def test_at_an_apps_host_stands_no_page_of_ours(browser: Browser, method: str, path: str) -> None:
    answer: httpx2.Response = browser.visitor.client.request(method, WIKI + path, headers=PAGE)
    assert answer.status_code in (403, 404, 405)
    assert "<" not in answer.text
    assert "strict-transport-security" not in answer.headers


def test_about_an_apps_host_nothing_is_said_that_would_bind_it(tmp_path: Path) -> None:
    with running(tmp_path / "tls", public_url="https://keys.example.com", trusted_proxies=PROXIES) as site:
        add(site, "wiki", "https://wiki.example.org")
        browser = Browser(site, site.visitor())
        for path in ("/.keystead/begin", "/.keystead/end", "/.keystead/whoami", "/.keystead/nothing"):
            assert "strict-transport-security" not in browser.at_app(path, "https://wiki.example.org").headers
        assert "strict-transport-security" in browser.visitor.get("/logon").headers


def test_the_account_center_lists_the_apps_that_one_may_open(keystead: Site, browser: Browser) -> None:
    add(keystead, "board", title="The <b>Board</b>", key_required=True)
    add(keystead, "files", of=("staff",))
    browser.visitor.log_on("zoe", keystead.password)
    page = browser.visitor.get("/account/apps").text
    assert "wiki" in page
    assert "The &lt;b&gt;Board&lt;/b&gt;" in page
    assert "Opens only with a security key" in page
    assert "files" not in page


def test_who_may_never_open_an_app_is_led_to_where_it_is_said_and_a_script_is_not(keystead: Site, browser: Browser) -> None:
    add_to = ("staff",)
    remove(keystead)
    add(keystead, of=add_to)
    keystead.change(keystead.account, groups.set_groups, add_to)
    browser.log_on()
    assert browser.open().is_in
    keystead.change(keystead.account, groups.set_groups, ())
    page, script = browser.check(), browser.check(accept="application/json")
    assert (page.status_code, script.status_code) == (403, 403)
    assert f'content="0; url={WIKI}/.keystead/begin?back=' in page.text
    assert script.text == ""
