"""Apps behind the real proxies, set up by the files in deploy/: who gets in, what the app is told, and what no visitor can make
it believe. Three apps on three unrelated domains, one Keystead; each proxy stands before all of them.
"""

import asyncio
import dataclasses
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
import pytest
from msgspec.structs import replace
from playwright.sync_api import expect, sync_playwright

from backends import open_backend
from backends.records import Account
from tests.browser import keys as virtual
from tests.browser import live_site, walk
from tests.browser.conftest import Visit
from tests.browser.keys import BrowserName
from tests.browser.live_site import Person, Site
from tests.deploy import mirror
from tests.deploy.conftest import SECONDS, fingerprint
from tests.deploy.proxies import PROGRAMS, ROOT, Place, ProxyName, proxy
from tests.deploy.tunnel import tunnel
from webapp import clock
from webapp.accounts import apps, commits
from webapp.accounts.context import Act, Context
from webapp.accounts.decision import Decision
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.mailbox import free_port
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

ACCOUNT, WIKI, CONSOLE, PAYROLL = "account.example.com", "wiki.example.com", "console.example.net", "payroll.example.org"
PROXIES = [name for name in PROGRAMS if name != "traefik" or PROGRAMS[name]]
"""Traefik comes by no package: where it is not installed, there are no tests of it."""
OLD_TOUCH = timedelta(minutes=20)
PAGE = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
SOCKET = [
    ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]  # fmt: skip
OURS = ("remote", "keystead")
Headers = Sequence[tuple[str, str]]
T = TypeVar("T")


class Answer(NamedTuple):
    """What a visitor gets. `seen` is what the app says that it saw, if it was the app that answered."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def seen(self) -> mirror.Seen | None:
        found: mirror.Seen | None = json.loads(self.text) if self.text.startswith('{"method"') else None
        return found

    @property
    def told(self) -> dict[str, str] | None:
        """The headers that the app would believe: those that could be taken for ours, in any spelling."""
        return told(self.seen["headers"]) if self.seen else None


def told(headers: Headers) -> dict[str, str]:
    """Of these headers those that an app could take for ours; none may be there twice."""
    ours = [(name.lower(), value) for name, value in headers if name.lower().startswith(OURS)]
    assert len(dict(ours)) == len(ours), ours
    return dict(ours)


@dataclass(frozen=True, slots=True)
class Someone:
    """A person with a browser, logged on at Keystead: `visitor` walks there, `jar` is the browser's."""

    person: Person
    visitor: Visitor
    jar: CookieJar
    account: Account
    key: StubKey | None

    def told(self, proof: str, *groups: str) -> dict[str, str]:
        """What an app is told of this person."""
        name = self.person.username
        return {
            "remote-user": name, "remote-email": self.person.email, "remote-name": name,
            "remote-groups": ",".join(("everyone", *groups)), "keystead-account": self.account.id, "keystead-proof": proof,
        }  # fmt: skip

    def forget(self, host: str) -> None:
        """The browser has no cookies of this host any more."""
        with suppress(KeyError):
            self.jar.clear(host)

    def cookie(self, host: str) -> str:
        """The Cookie header that this browser sends to the host, beside a cookie of the app itself."""
        return "; ".join(["theme=dark", *(f"{each.name}={each.value}" for each in self.jar if each.domain == host)])


@dataclass(frozen=True, slots=True)
class World:
    """Keystead, three apps, and whoever is logged on. `leads` is where the hosts are: behind the proxy that is looked at."""

    site: Site
    certificate: Path
    trusting: ssl.SSLContext
    mirror: int
    leads: dict[str, int]
    way: int
    stack: ExitStack
    people: dict[str, Someone] = field(default_factory=dict)

    def place(self, *hosts: str, keystead: int = 0) -> Place:
        """Where another proxy can listen, before these apps (or all), and before Keystead or what is in its place."""
        return Place(
            host=ACCOUNT, other_host="www.example.test", http=free_port(), https=free_port(),
            keystead=keystead or int(self.site.environ["PORT"]), certificate=self.certificate,
            apps=dict.fromkeys(hosts or (WIKI, CONSOLE, PAYROLL), self.mirror),
        )  # fmt: skip

    def browser(self, jar: CookieJar) -> httpx2.Client:
        """A browser that finds all hosts behind the proxy."""
        way, unkept = f"http://127.0.0.1:{self.way}", httpx2.Limits(max_keepalive_connections=0)
        client = httpx2.Client(base_url=f"https://{ACCOUNT}", verify=self.trusting, proxy=way, limits=unkept, cookies=jar)
        return self.stack.enter_context(client)

    def someone(self, name: str, *groups: str, key: StubKey | None = None) -> Someone:
        """Somebody who has logged on, with the key if there is one."""
        person, jar = self.site.person(name), CookieJar()
        visitor = Visitor(self.browser(jar), mailbox=self.site.mailbox, email=person.email)
        self.change(name, lambda account, act: Decision(replace(account, groups=groups)))
        visitor.log_on(name, person.password)
        if key:
            visitor.bind(key)
        self.people[name] = found = Someone(person, visitor, jar, self.change(name, _unchanged), key)
        return found

    def change(self, name: str, operation: Callable[[Account, Act], Decision]) -> Account:
        """The account once this is committed."""

        async def work(ctx: Context) -> Account:
            account = await ctx.backend.account_named(name)
            assert account
            return await commits.change(ctx, account, operation)

        return self.run(work)

    def age(self, name: str, by: timedelta) -> None:
        """The touches of this account are so much older than they were."""

        def aged(account: Account, act: Act) -> Decision:
            older = tuple(replace(each, proven_at=each.proven_at and each.proven_at - by) for each in account.sessions)
            return Decision(replace(account, sessions=older))

        self.change(name, aged)

    def run(self, work: Callable[[Context], Coroutine[Any, Any, T]]) -> T:
        """What this does beside the server, as a command does; in a thread of its own, where no other event loop is."""

        async def connected() -> None:
            settings = Settings.from_environ(self.site.environ)
            backend = await open_backend(settings.backend)
            try:
                results.append(await work(Context(settings, backend, Metrics())))
            finally:
                await backend.close()

        results: list[T] = []
        working = threading.Thread(target=lambda: asyncio.run(connected()))
        working.start()
        working.join()
        return results[0]


def _unchanged(account: Account, act: Act) -> Decision:
    return Decision(account)


@dataclass(frozen=True, slots=True)
class Behind:
    """The world behind one proxy."""

    name: ProxyName
    place: Place
    world: World

    def ask(self, host: str, path: str = "/", *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> Answer:
        """What comes at once. A header may be sent twice, and under any name."""
        with closing(http.client.HTTPConnection(host)) as connection:
            connection.sock = self.connect(host)
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host=True)
            for name, value in (("Host", host), *headers):
                if (name, value) != ("Host", host) or "Host" not in dict(headers):
                    connection.putheader(name, value)
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())

    def connect(self, host: str) -> ssl.SSLSocket:
        """A connection to the proxy."""
        plain = socket.create_connection(("127.0.0.1", self.place.https), 10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else it waits 40 ms for an acknowledgement
        return self.world.trusting.wrap_socket(plain, server_hostname=host)

    def open(self, jar: CookieJar, address: str) -> httpx2.Response:
        """Where a browser ends up that opens this page; at most eight redirects."""
        client = self.world.browser(jar)
        client.max_redirects = 8
        return client.get(address, headers=dict(PAGE), follow_redirects=True)

    def enter(self, who: Someone, host: str) -> dict[str, str] | None:
        """What the app is told of this person, who opens it; None if the person does not get there."""
        last = self.open(who.jar, f"https://{host}/")
        return told(last.json()["headers"]) if last.url.host == host else None


# the world


@pytest.fixture(scope="module")
def world(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    port, leads = free_port(), dict[str, int]()
    environ = {"KEYSTEAD_PUBLIC_URL": f"https://{ACCOUNT}", "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1"}
    with ExitStack() as stack:
        site = stack.enter_context(live_site.serving(tmp_path_factory.mktemp("apps"), **environ))
        app = subprocess.Popen([sys.executable, str(ROOT / "tests" / "deploy" / "mirror.py"), str(port)])
        stack.callback(app.wait)
        stack.callback(app.terminate)
        way = stack.enter_context(tunnel(leads))
        trusting = ssl.create_default_context(cafile=str(certificate))
        world = World(site, certificate, trusting, port, leads, way, stack)
        world.run(_add_apps)
        known_at = time.monotonic() + apps.LEASE
        with proxy("nginx", tmp_path_factory.mktemp("logons"), place := world.place()):
            leads.update(dict.fromkeys((ACCOUNT, *place.apps), place.https))
            paula = world.someone("paula")
            world.someone("keith", key=StubKey())
            fresca = world.someone("fresca", "staff", key=StubKey())
            leaver = world.someone("leah", "staff", key=StubKey())
            time.sleep(max(known_at - time.monotonic(), 0))
            behind = Behind("nginx", place, world)
            assert behind.enter(leaver, PAYROLL) == leaver.told("key", "staff")
            assert behind.enter(paula, WIKI)
            assert behind.enter(fresca, WIKI)
            assert behind.enter(fresca, PAYROLL)
            world.change("leah", lambda account, act: Decision(replace(account, groups=())))
        yield world


async def _add_apps(ctx: Context) -> None:
    wishes: dict[str, dict[str, Any]] = {
        WIKI: {}, CONSOLE: {"key_required": True, "fresh": timedelta(minutes=15)}, PAYROLL: {"of": ["staff"]},
    }  # fmt: skip
    for host, wanted in wishes.items():
        made = apps.new(ctx.settings, host.partition(".")[0], [f"https://{host}"], clock.now(), **wanted)
        await apps.change(ctx, "add", made)


@pytest.fixture(scope="module", params=PROXIES)
def behind(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    name: ProxyName = request.param
    if PROGRAMS[name] is None:
        pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested behind it")
    with proxy(name, tmp_path_factory.mktemp(name), place := world.place()):
        world.leads.update(dict.fromkeys((ACCOUNT, *place.apps), place.https))
        yield Behind(name, place, world)


# who gets in


def test_a_stranger_who_opens_a_page_is_led_to_the_logon(behind: Behind) -> None:
    answer = behind.ask(WIKI, "/page?q=1&r=%2f", *PAGE)
    assert answer.status == 302
    assert answer.headers["location"] == f"https://{WIKI}/.keystead/begin?back=/page%3Fq%3D1%26r%3D%252f"
    last = behind.open(CookieJar(), f"https://{WIKI}/page?q=1&r=%2f")
    assert (last.status_code, last.url.host, last.url.path) == (200, ACCOUNT, "/logon")


STRANGERS: dict[str, tuple[str, Headers, bytes]] = {
    "curl": ("GET", [("Accept", "*/*")], b""),
    "a script": ("GET", [("Accept", "application/json"), ("X-Requested-With", "XMLHttpRequest")], b""),
    "a script that takes pages": ("GET", [*PAGE, ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")], b""),
    "a form": ("POST", [*PAGE, ("Content-Type", "application/x-www-form-urlencoded")], b"a=b"),
    "a form without a body": ("POST", PAGE, b""),
    "a method of another kind": ("DELETE", PAGE, b""),
    "a websocket": ("GET", SOCKET, b""),
    "a websocket that takes pages": ("GET", [*SOCKET, *PAGE], b""),
}


@pytest.mark.parametrize("who", STRANGERS)
def test_who_opens_no_page_is_told_why_not_in_json(behind: Behind, who: str) -> None:
    method, headers, body = STRANGERS[who]
    answer = behind.ask(WIKI, "/api.html?q=1", *headers, method=method, body=body)
    assert (answer.status, answer.headers["location"]) == (401, None)
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.text)["error"] == "logon"


def test_who_has_only_a_password_opens_what_asks_for_no_key(behind: Behind) -> None:
    paula = behind.world.people["paula"]
    paula.forget(WIKI)
    assert behind.enter(paula, WIKI) == paula.told("password")
    assert behind.ask(WIKI, "/api", ("Cookie", paula.cookie(WIKI))).told == paula.told("password")
    for host, says in ((CONSOLE, "needs your security key"), (PAYROLL, "is not open to you")):
        last = behind.open(paula.jar, f"https://{host}/")
        assert (last.status_code, last.url.host, last.url.path) == (403, ACCOUNT, "/apps/enter")
        assert says in last.text
        assert behind.ask(host, "/api", ("Cookie", paula.cookie(host))).status == 401


def test_who_touched_a_key_just_now_opens_all(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    for host in (WIKI, CONSOLE, PAYROLL):
        fresca.forget(host)
        assert behind.enter(fresca, host) == fresca.told("key", "staff"), host
        assert behind.ask(host, "/api", ("Cookie", fresca.cookie(host))).told == fresca.told("key", "staff"), host


def test_a_key_that_was_touched_long_ago_is_touched_again_and_nothing_else_is_asked(behind: Behind) -> None:
    world, keith = behind.world, behind.world.people["keith"]
    assert behind.enter(keith, CONSOLE) == keith.told("key")
    world.age("keith", OLD_TOUCH)
    assert behind.enter(keith, WIKI) == keith.told("key")
    refused = behind.ask(CONSOLE, "/api", ("Cookie", keith.cookie(CONSOLE)))
    assert (refused.status, json.loads(refused.text)["error"], refused.headers["location"]) == (401, "touch", None)
    last = behind.open(keith.jar, f"https://{CONSOLE}/deep?er=1")
    assert (last.status_code, last.url.host, last.url.path) == (200, ACCOUNT, "/apps/enter")
    assert "password" not in last.text.lower()
    assert keith.key
    keith.visitor.get(last.url.raw_path.decode())
    keith.visitor.submit("/touch/begin")
    arrived = keith.visitor.follow(keith.visitor.finish(keith.key))
    assert str(arrived.url) == f"https://{CONSOLE}/deep?er=1"
    assert told(arrived.json()["headers"]) == keith.told("key")
    assert behind.ask(WIKI, "/api", ("Cookie", keith.cookie(WIKI))).told == keith.told("key")


def test_who_is_no_longer_in_the_group_is_refused_at_once(behind: Behind) -> None:
    leah = behind.world.people["leah"]
    cookie = ("Cookie", leah.cookie(PAYROLL))
    refused = behind.ask(PAYROLL, "/", cookie)
    assert (refused.status, refused.headers["location"], refused.seen) == (403, None, None)
    assert refused.text == ('{"error": "group"}' if behind.name == "nginx" else "")


def test_whoever_opens_a_page_of_an_app_that_is_none_of_theirs_is_led_to_where_it_is_said(behind: Behind) -> None:
    leah = behind.world.people["leah"]
    refused = behind.ask(PAYROLL, "/deep?er=1", *PAGE, ("Cookie", leah.cookie(PAYROLL)))
    way = f"https://{PAYROLL}/.keystead/begin?back=/deep%3Fer%3D1"
    if behind.name == "nginx":
        assert (refused.status, refused.headers["location"], refused.seen) == (302, way, None)
    else:
        assert (refused.status, refused.headers["location"], refused.seen) == (403, None, None)
        assert f'content="0; url={way}"' in refused.text


def test_the_cookie_of_one_app_opens_no_other_one(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    [cookie] = [each for each in fresca.jar if each.domain == WIKI]
    assert cookie.name == "__Host-keystead-app"
    answer = behind.ask(CONSOLE, "/api", ("Cookie", f"{cookie.name}={cookie.value}"))
    assert (answer.status, json.loads(answer.text)["error"]) == (401, "logon")


def test_whoami_says_the_same_to_the_scripts_of_the_app(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    answer = behind.ask(WIKI, "/.keystead/whoami", ("Cookie", fresca.cookie(WIKI)))
    said = json.loads(answer.text)
    assert (answer.status, said["user"], said["groups"], said["proof"]) == (200, "fresca", ["everyone", "staff"], "key")
    assert behind.ask(WIKI, "/.keystead/whoami").status == 401


def test_nobody_but_the_proxy_is_told_what_the_check_says(behind: Behind) -> None:
    cookie = ("Cookie", behind.world.people["fresca"].cookie(WIKI))
    for path in ("/.keystead/check", "/.keystead/check/", "/.keystead/../check", "/check"):
        answer = behind.ask(WIKI, path, cookie)
        assert answer.status in (403, 404) or answer.seen
        assert told(answer.headers.items()).keys() <= {"keystead-reason"}


def test_leaving_one_app_shuts_all(behind: Behind) -> None:
    name = f"les-{behind.name.replace('.', '-')}"
    les = behind.world.someone(name)
    assert behind.enter(les, WIKI)
    link = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")]
    leave = behind.ask(WIKI, "/.keystead/leave", *PAGE, *link, ("Cookie", les.cookie(WIKI)))
    assert (leave.status, leave.headers["location"].partition("?")[0]) == (303, f"https://{ACCOUNT}/logon")
    assert behind.ask(WIKI, "/api", ("Cookie", les.cookie(WIKI))).status == 401
    assert les.visitor.get("/account").status_code == 303


# what the app sees


def test_the_app_gets_a_body_whole_and_the_question_none_of_it(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    answer = behind.ask(WIKI, "/form?q=%2f", ("Cookie", fresca.cookie(WIKI)), method="POST", body=b"x" * 900_000)
    assert answer.seen
    assert (answer.seen["method"], answer.seen["path"], answer.seen["body"]) == ("POST", "/form?q=%2f", 900_000)


def test_the_app_keeps_its_host_and_its_own_cookies_only(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    own = fresca.cookie(WIKI)
    first, last = f"{own}; lang=de", "; ".join(reversed(f"{own}; lang=de".split("; ")))
    for cookie in (own, first, last):
        answer = behind.ask(WIKI, "/", ("Cookie", cookie))
        assert answer.seen, answer
        seen = {name.lower(): value for name, value in answer.seen["headers"]}
        assert (seen["host"], seen["x-forwarded-proto"]) == (WIKI, "https")
        assert "theme=dark" in seen["cookie"]
        assert ("keystead" in seen["cookie"]) == (behind.name == "traefik"), seen["cookie"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_what_the_app_answers_itself_arrives_as_it_is(behind: Behind, status: int) -> None:
    fresca = behind.world.people["fresca"]
    answer = behind.ask(WIKI, f"/says/{status}", *PAGE, ("Cookie", fresca.cookie(WIKI)))
    assert (answer.status, answer.told) == (status, fresca.told("key", "staff"))


def test_a_websocket_opens_and_the_app_knows_whose_it_is(behind: Behind) -> None:
    fresca = behind.world.people["fresca"]
    lines = [f"{name}: {value}" for name, value in (("Host", WIKI), *SOCKET, ("Cookie", fresca.cookie(WIKI)))]
    with behind.connect(WIKI) as connection, connection.makefile("rwb") as stream:
        stream.write("\r\n".join(["GET /socket HTTP/1.1", *lines, "", ""]).encode())
        stream.flush()
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline().strip():
            pass
        assert told(json.loads(stream.readline())) == fresca.told("key", "staff")
        stream.write(b"hello\n")
        stream.flush()
        assert stream.readline() == b"hello\n"


@pytest.mark.parametrize("protocol", ["h2c", "H2C", "h2c, websocket", "websocket, h2c", "x"])
@pytest.mark.parametrize("settings", [[], [("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]], ids=["", "with settings"])
def test_a_connection_becomes_nothing_but_a_websocket(behind: Behind, protocol: str, settings: Headers) -> None:
    """On one that had become HTTP/2, a visitor would talk to the app past every question (h2c smuggling)."""
    paula = behind.world.people["paula"]
    upgrade = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", protocol), *settings]
    answer = behind.ask(WIKI, "/", *upgrade, ("Cookie", paula.cookie(WIKI)))
    if answer.seen is None:
        assert answer.status == 403
        return
    assert answer.told == paula.told("password")
    upgrades = [value for name, value in answer.seen["headers"] if name.lower() == "upgrade" and value]
    assert upgrades == (["x"] if (behind.name, protocol) == ("traefik", "x") else [])


def test_nothing_that_stands_behind_a_body_becomes_a_header(behind: Behind) -> None:
    paula = behind.world.people["paula"]
    lies = "".join(f"{name}: evil\r\n" for name in (*paula.told("password"), "Remote_User"))
    named = ", ".join((*paula.told("password"), "Remote_User"))
    heads = [("Host", WIKI), ("Connection", "close"), ("Cookie", paula.cookie(WIKI)), ("Transfer-Encoding", "chunked")]
    for more in ([], [("Trailer", named)], [("TE", "trailers"), ("Trailer", named)]):
        lines = "\r\n".join(f"{name}: {value}" for name, value in (*heads, *more))
        answer = _said(behind, f"POST / HTTP/1.1\r\n{lines}\r\n\r\n3\r\nabc\r\n0\r\n{lies}\r\n".encode())
        assert told(json.loads(answer[answer.index(b'{"method"') :])["headers"]) == paula.told("password"), more


FORGED: dict[str, Headers] = {
    "a user": [("Remote-User", "evil")],
    "a user in lower case": [("remote-user", "evil")],
    "a user in capitals": [("REMOTE-USER", "evil")],
    "a user with an underscore": [("Remote_User", "evil")],
    "a user as CGI writes it": [("HTTP_REMOTE_USER", "evil"), ("REMOTE_USER", "evil")],
    "a user with a dot": [("Remote.User", "evil")],
    "groups": [("remote-groups", "admin")],
    "no groups": [("Remote-Groups", "")],
    "no user": [("Remote-User", "")],
    "empty ones with an underscore": [("Remote_User", ""), ("Remote_Groups", "")],
    "two users": [("Remote-User", "evil"), ("Remote-User", "worse")],
    "a proof": [("Keystead-Proof", "key")],
    "a proof with an underscore": [("keystead_proof", "key")],
    "another account": [("Keystead-Account", "AAAAAAAAAAAAAAAAAAAAAA")],
    "what is not there yet": [("Remote-Role", "admin"), ("Keystead-Role", "admin")],
    "another host": [("X-Forwarded-Host", PAYROLL), ("X-Forwarded-Uri", "/"), ("X-Forwarded-Method", "GET")],
    "another host with underscores": [("X_Forwarded_Host", PAYROLL), ("X_Forwarded_Uri", "/"), ("X_Forwarded_Method", "GET")],
    "another address": [("X-Original-URL", f"https://{PAYROLL}/"), ("X-Original-Method", "GET")],
    "another address with underscores": [("X_Original_URL", f"https://{PAYROLL}/"), ("X_Original_Method", "GET")],
    "two hosts": [("X-Forwarded-Host", WIKI), ("X-Forwarded-Host", PAYROLL)],
    "a rewritten address": [("X-Rewrite-URL", "/.keystead/whoami"), ("X-Forwarded-Prefix", "/.keystead")],
    "a user of one hop only": [("Connection", "Remote-User"), ("Remote-User", "evil")],
    "a user with an underscore, of one hop only": [("Connection", "Remote_User"), ("Remote_User", "evil")],
    "a user with a dot, of one hop only": [("Connection", "Remote.User"), ("Remote.User", "evil")],
    "a proof with an underscore, of one hop only": [("Connection", "Keystead_Proof"), ("Keystead_Proof", "key")],
    "a proof with a dot, of one hop only": [("Connection", "Keystead.Proof"), ("Keystead.Proof", "key")],
    "what is asked with, as of one hop only": [("Connection", "X-Forwarded-Host, X-Forwarded-Uri, X-Original-URL, Forwarded")],
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_the_app_believes_nothing_that_a_visitor_sends(behind: Behind, what: str) -> None:
    """Refused, or let through without it: never believed, neither from who is in nor from a stranger."""
    paula = behind.world.people["paula"]
    answer = behind.ask(WIKI, "/", *FORGED[what], *PAGE, ("Cookie", paula.cookie(WIKI)))
    assert answer.status in (200, 403), answer
    assert answer.told == (paula.told("password") if answer.status == 200 else None)
    if answer.seen:
        values = dict.fromkeys(value for name, value in answer.seen["headers"] if name.lower().startswith(("x", "http")))
        assert not {"evil", "admin", PAYROLL} & set(values) or what == "another address"
    stranger = behind.ask(WIKI, "/", *FORGED[what], *PAGE)
    assert stranger.status in (302, 401, 403)
    assert stranger.seen is None
    if stranger.status == 302:
        assert stranger.headers["location"].startswith(f"https://{WIKI}/.keystead/begin?back=")


@pytest.mark.parametrize(
    "connection", ["close, Remote-User, Remote-Groups", "Keystead-Proof", "upgrade,remote-groups", "Upgrade"]
)
def test_an_app_gets_all_six_headers_or_is_not_asked(behind: Behind, connection: str) -> None:
    """A header that is named in Connection is for the next hop only (RFC 9110 §7.6.1): what a visitor names is not ours."""
    paula = behind.world.people["paula"]
    answer = behind.ask(WIKI, "/", ("Connection", connection), ("Connection", "Remote-Name"), ("Cookie", paula.cookie(WIKI)))
    assert (answer.status, answer.told) == (200, paula.told("password"))


ANOTHER_NAME: dict[ProxyName, tuple[str, str]] = {
    "nginx": ("nginx.apps.conf", "    include /etc/nginx/keystead-guard.conf;\n"),
    "caddy": ("Caddyfile.apps", "\t\theader_up -Forwarded\n\t}\n}"),
}
"""The file that says how an app gets another header, and the text of it where the line belongs."""


@pytest.mark.parametrize("name", ANOTHER_NAME)
def test_an_app_that_believes_another_name_gets_it_from_keystead_only(name: ProxyName, world: World, tmp_path: Path) -> None:
    if PROGRAMS[name] is None:
        pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested behind it")
    file, where = ANOTHER_NAME[name]
    [line] = re.findall(r"^#   (\S+ X-Remote-User .*)$", (ROOT / "deploy" / file).read_text(), re.MULTILINE)
    first, _, rest = where.partition("\n")
    place = dataclasses.replace(world.place(WIKI), change_apps=lambda text: text.replace(where, f"{first}\n    {line}\n{rest}"))
    with proxy(name, tmp_path, place):
        paula, behind = world.people["paula"], Behind(name, place, world)
        for said in ([], [("X-Remote-User", "evil")], [("Connection", "X-Remote-User")]):
            answer = behind.ask(WIKI, "/", *said, ("Cookie", paula.cookie(WIKI)))
            assert answer.seen
            named = [value for header, value in answer.seen["headers"] if header.lower() == "x-remote-user"]
            assert (named, answer.told) == (["paula"], paula.told("password"))


def test_where_nginx_asks_nobody_everybody_is_nobody(world: World, tmp_path: Path) -> None:
    if PROGRAMS["nginx"] is None:
        pytest.skip("nginx IS NOT INSTALLED: nothing was for everybody behind it")
    public = "location /public { auth_request off; proxy_pass http://127.0.0.1:3000; }\n\n    location / {"
    place = dataclasses.replace(world.place(WIKI), change_apps=lambda text: text.replace("location / {", public))
    with proxy("nginx", tmp_path, place):
        paula, behind = world.people["paula"], Behind("nginx", place, world)
        lies = [(name, "evil") for name in paula.told("password")]
        for cookie in ("", paula.cookie(WIKI)):
            assert behind.ask(WIKI, "/public", *lies, ("Cookie", cookie)).told == {}
        assert behind.ask(WIKI, "/", ("Cookie", paula.cookie(WIKI))).told == paula.told("password")
        assert behind.ask(WIKI, "/").status == 401


HOSTS = (ACCOUNT, PAYROLL, CONSOLE, "other.example.com", WIKI.upper(), f"{WIKI}:443", f"{WIKI}.", f"{PAYROLL}:443")


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_never_leads_to_an_app_that_is_shut(behind: Behind, host: str) -> None:
    """Over a connection to one app, another's name is asked for: with the cookies of one who may open the first only."""
    paula = behind.world.people["paula"]
    for path in ("/", f"https://{PAYROLL}/"):
        answer = behind.ask(WIKI, path, ("Host", host), *PAGE, ("Cookie", paula.cookie(WIKI)))
        assert answer.status < 500, answer
        if answer.seen:
            seen = dict(answer.seen["headers"])
            assert (answer.told, seen["Host"].lower().partition(":")[0].rstrip(".")) == (paula.told("password"), WIKI)


def test_nginx_asks_about_the_app_of_its_server_whatever_host_a_visitor_names(world: World, tmp_path: Path) -> None:
    """Where the first server is an app's, nginx hands it every host that it does not know: another app's, for instance, by one
    who may open that.
    """
    if PROGRAMS["nginx"] is None:
        pytest.skip("nginx IS NOT INSTALLED: nobody named another host to it")
    place = world.place(WIKI)
    with proxy("nginx", tmp_path, place, lambda text: text.partition("server {")[0]):
        fresca, behind = world.people["fresca"], Behind("nginx", place, world)
        assert behind.ask(WIKI, "/", ("Cookie", fresca.cookie(WIKI))).seen
        assert behind.ask(WIKI, "/", ("Host", PAYROLL), ("Cookie", fresca.cookie(PAYROLL))).status == 401


ODD_PATHS = (
    "/.keystead", "/.keystead/", "/.keystead/check", "/.keystead/../", "/.keystead/../.keystead/begin", "/.keystead/..%2f",
    "/.KEYSTEAD/begin", "/%2ekeystead/begin", "/%2Ekeystead/../x", "//.keystead/begin", "/.keystead%2fbegin", "/.keystead;/begin",
    "/x/..;/.keystead/begin", "/.keystead/%2e%2e/x", "/check", "/.keystead/begin/../../x", "/\\..\\.keystead/begin",
    "/.keystead/\\..\\..\\x", "/.keystead//../../x", "/?.keystead/", "/x%00.keystead/", "/x%0d%0aRemote-User:%20evil",
    "/\xc3\xa4?\xff", "/" + "a" * 4000,
)  # fmt: skip


def test_no_path_leads_a_stranger_to_the_app(behind: Behind) -> None:
    for path in ODD_PATHS:
        for headers in (PAGE, ()):
            answer = _raw(behind, path, headers)
            assert b'{"method"' not in answer, path
            assert not answer.startswith(b"HTTP/1.1 5"), (path, answer)


def _raw(behind: Behind, path: str, headers: Headers) -> bytes:
    lines = [f"{name}: {value}" for name, value in (("Host", WIKI), ("Connection", "close"), *headers)]
    return _said(behind, "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1"))


def _said(behind: Behind, request: bytes) -> bytes:
    """All that comes where these bytes are sent."""
    with behind.connect(WIKI) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


# what the proxy asks, and what becomes of an answer that is none


@pytest.fixture(scope="module")
def alone(behind: Behind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """The same proxy before a Keystead that is not there: another may stand in its place."""
    with proxy(behind.name, tmp_path_factory.mktemp("alone"), place := behind.world.place(WIKI, keystead=free_port())):
        yield Behind(behind.name, place, behind.world)


def test_the_question_is_about_what_the_visitor_asked_and_has_no_body(alone: Behind) -> None:
    sent = [
        ("Remote-User", "evil"), ("Remote_User", "evil"), ("Keystead_Proof", "evil"), ("Forwarded", "for=192.0.2.9"),
        ("X-Forwarded-For", "192.0.2.9"), ("Cookie", "a=b"), *FORGED["another address"], *FORGED["another host"],
    ]  # fmt: skip
    with mirror.answering(alone.place.keystead, lambda seen: (200, ALICE)) as asked:
        through = alone.ask(WIKI, "/form?q=1", *sent, method="POST", body=b"x" * 70_000)
    assert through.told == {name.lower(): value for name, value in ALICE.items()}
    [question] = asked
    assert (question["method"], question["path"], question["body"]) == ("GET", "/check", 0)
    headers = {name.lower(): value for name, value in question["headers"]}
    assert (headers["remote-user"], headers["cookie"], headers["x-forwarded-for"]) == ("evil", "a=b", "127.0.0.1")
    assert not {"content-length", "transfer-encoding", "forwarded"} & set(headers)
    judged = ("x-original", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-method")
    assert {name: value for name, value in headers.items() if name.startswith(judged)} == (
        {"x-original-url": f"https://{WIKI}/form?q=1", "x-original-method": "POST"}
        if alone.name == "nginx"
        else {"x-forwarded-host": WIKI, "x-forwarded-uri": "/form?q=1", "x-forwarded-method": "POST"}
    )


def test_the_question_about_a_websocket_is_none_itself(alone: Behind) -> None:
    with mirror.answering(alone.place.keystead, lambda seen: (401, {})) as asked:
        assert alone.ask(WIKI, "/socket", *SOCKET).status == 401
    [headers] = [{name.lower(): value for name, value in question["headers"]} for question in asked]
    assert "sec-websocket-key" in headers
    assert (headers.get("upgrade"), headers.get("connection", "close")) == (None, "close")


@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_an_answer_that_is_none_opens_nothing(alone: Behind, status: int) -> None:
    with mirror.answering(alone.place.keystead, lambda seen: (status, ALICE)):
        shut = alone.ask(WIKI, "/", *PAGE)
    assert (shut.seen, shut.status) == (None, 503 if alone.name == "nginx" else status)


def test_while_keystead_is_gone_nobody_gets_in(alone: Behind) -> None:
    gone = alone.ask(WIKI, "/", *PAGE)
    assert (gone.seen, gone.status) == (None, {"nginx": 503, "traefik": 500}.get(alone.name, 502))


ALICE = {
    "Remote-User": "älice".encode().decode("latin-1"), "Remote-Email": "alice@example.com", "Remote-Name": "{env.HOME} $host",
    "Remote-Groups": "everyone", "Keystead-Account": "A1", "Keystead-Proof": "key",
}  # fmt: skip


# in a browser


BROWSERS: dict[BrowserName, ProxyName] = {"chromium": "caddy-2.11.7", "firefox": "nginx"}


@pytest.fixture(params=BROWSERS)
def visit(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[Visit]:
    """Somebody at a browser that finds all hosts behind a proxy; with Chromium it speaks HTTP/2."""
    name: BrowserName = request.param
    if missing := [each for each in (name, BROWSERS[name]) if not (virtual.PROGRAMS | PROGRAMS)[each]]:
        pytest.skip(f"{' AND '.join(missing)} IS NOT INSTALLED: nothing was tested in a browser")
    with ExitStack() as stack:
        stack.enter_context(proxy(BROWSERS[name], tmp_path / "proxy", place := world.place()))
        world.leads.update(dict.fromkeys((ACCOUNT, *place.apps), place.https))
        playwright = stack.enter_context(sync_playwright())
        context, keys_of = stack.enter_context(
            virtual.launch_behind(playwright, name, world.way, fingerprint(world.certificate), tmp_path / "profile")
        )
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        yield Visit(name, context, page, keys_of(page), keys_of)


def test_one_logon_with_the_key_opens_three_domains_and_one_log_off_shuts_them(world: World, visit: Visit) -> None:
    page, site, name = visit.page, dataclasses.replace(world.site, url=f"https://{ACCOUNT}"), f"bea-{visit.browser_name}"
    person = site.person(name)
    world.change(name, lambda account, act: Decision(replace(account, groups=("staff",))))
    visit.keys.add("u2f")
    walk.log_on(page, site, person)
    walk.bind(page, site, person)
    walk.log_off(page, site)

    page.goto(f"https://{CONSOLE}/deep?er=1")
    expect(page).to_have_url(re.compile(f"^https://{ACCOUNT}/logon"))
    walk.type_password(page, name, person.password)
    expect(page).to_have_url(f"https://{CONSOLE}/deep?er=1")
    for host in (CONSOLE, WIKI, PAYROLL):
        if host != CONSOLE:
            page.goto(f"https://{host}/")
            expect(page).to_have_url(f"https://{host}/")
        seen = json.loads(page.inner_text("body"))["headers"]
        assert (told(seen)["remote-user"], told(seen)["keystead-proof"]) == (name, "key")
        assert "keystead" not in dict(seen).get("Cookie", "")
    tab = visit.context.new_page()
    tab.goto(f"https://{WIKI}/")
    asks = "() => fetch('/api', {redirect: 'manual'}).then((answer) => answer.status)"
    assert tab.evaluate(asks) == 200

    page.evaluate("() => location.assign('/.keystead/leave')")
    expect(page).to_have_url(re.compile(f"^https://{ACCOUNT}/logon"))
    expect(page.get_by_role("status")).to_have_text("You are logged off.")
    assert tab.evaluate(asks) == 401
    for host in (CONSOLE, WIKI, PAYROLL):
        page.goto(f"https://{host}/")
        expect(page).to_have_url(re.compile(f"^https://{ACCOUNT}/logon"))


def test_a_touch_that_is_too_old_is_all_that_is_asked_for_and_a_picture_logs_nobody_off(world: World, visit: Visit) -> None:
    page, site, name = visit.page, dataclasses.replace(world.site, url=f"https://{ACCOUNT}"), f"ben-{visit.browser_name}"
    person = site.person(name)
    visit.keys.add("u2f")
    walk.log_on(page, site, person)
    walk.bind(page, site, person)
    page.goto(f"https://{WIKI}/")
    page.evaluate(
        "() => new Promise((done) => { const it = new Image(); it.onload = it.onerror = done; it.src = '/.keystead/leave'; })"
    )
    page.goto(f"https://{WIKI}/still/here")
    expect(page).to_have_url(f"https://{WIKI}/still/here")

    world.age(name, OLD_TOUCH)
    page.goto(f"https://{CONSOLE}/deep?er=1")
    expect(page).to_have_url(re.compile(f"^https://{ACCOUNT}/apps/enter"))
    page.get_by_role("button", name="Use my key").click()
    expect(page).to_have_url(f"https://{CONSOLE}/deep?er=1")
    assert told(json.loads(page.inner_text("body"))["headers"])["keystead-proof"] == "key"
