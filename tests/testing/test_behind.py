"""An application behind a site of the kit: what an integrator can test of it, in process and in a browser."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from webapp.testing.behind import PROXY
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

TOLD = ("remote-user", "remote-email", "remote-name", "remote-groups", "keystead-account", "keystead-proof")


async def echo(request: Request) -> Response:
    """What the application was asked, and by whom."""
    headers = {
        name: request.headers.getlist(name) for name in request.headers if name.startswith(("remote-", "keystead-", "x-f"))
    }
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    said = {"headers": headers, "path": path, "body": (await request.body()).decode(), "started": request.state.started}
    return JSONResponse(said, headers={"x-method": request.method})


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.headers["remote-user"])
    await socket.close()


def wiki(stopped: list[bool] | None = None) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"started": True}
        if stopped is not None:
            stopped.append(True)

    routes = [Route("/talk", lambda _: Response(), methods=["GET"]), WebSocketRoute("/talk", talk)]
    everything = Route("/{path:path}", echo, methods=["GET", "POST"])
    return Starlette(routes=[*routes, everything], lifespan=lifespan)


def me(site: Site) -> tuple[str, str]:
    return site.account.username, site.password


def bound(visitor: Visitor, site: Site, key: StubKey) -> None:
    visitor.log_on(*me(site))
    visitor.bind(key)
    visitor.log_off()


def test_the_sites_own_pages_lead_to_it_at_once(keystead: Site) -> None:
    keystead.behind(wiki(), "wiki")
    visitor = keystead.visitor()
    visitor.log_on(*me(keystead))
    assert "/account/apps" in visitor.page.links


def test_a_stranger_is_led_to_the_logon_and_back_to_the_page(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    assert app.url == "http://wiki.localhost:8000"
    asked = keystead_visitor.open(f"{app.url}/page?q=a%20b")
    assert asked.url.host == "localhost"
    assert keystead_visitor.page.form("/logon")
    arrived = keystead_visitor.log_on(*me(keystead))
    assert str(arrived.url) == f"{app.url}/page?q=a%20b"
    assert arrived.json()["path"] == "/page?q=a%20b"


def test_the_application_sees_who_it_is_and_where_from(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    keystead_visitor.open(app.url)
    said = keystead_visitor.log_on(*me(keystead)).json()
    assert said["started"] is True
    assert said["headers"] == {
        "remote-user": ["zoe"], "remote-email": ["zoe@example.com"], "remote-name": ["zoe"], "remote-groups": ["everyone"],
        "keystead-account": [keystead.account.id], "keystead-proof": ["password"], "x-forwarded-for": [ADDRESS],
        "x-forwarded-proto": ["http"], "x-forwarded-host": ["wiki.localhost:8000"],
    }  # fmt: skip


def test_a_form_of_the_application_is_sent_to_it(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    keystead_visitor.open(app.url)
    keystead_visitor.log_on(*me(keystead))
    sent = keystead_visitor.client.post(f"{app.url}/save", content="a page")
    assert (sent.json()["body"], sent.headers["x-method"]) == ("a page", "POST")


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_who_has_bound_a_key_needs_it(keystead: Site, stub_key: StubKey, htmx: bool) -> None:
    app, visitor = keystead.behind(wiki(), "wiki"), keystead.visitor(htmx=htmx)
    bound(visitor, keystead, stub_key)
    visitor.open(f"{app.url}/page")
    visitor.log_on(*me(keystead))
    assert visitor.page.form("/logon/key/begin")
    assert visitor.client.get(app.url).status_code == 401
    arrived = visitor.log_on_with(stub_key)
    assert str(arrived.url) == f"{app.url}/page"
    assert arrived.json()["headers"]["keystead-proof"] == ["key"]


def test_a_key_that_is_required_must_be_bound(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    app = keystead.behind(wiki(), "console", title="The console", key="required")
    keystead_visitor.log_on(*me(keystead))
    assert keystead_visitor.open(app.url).status_code == 403
    assert "The console needs your security key" in keystead_visitor.page.text


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_fresh_touch_is_asked_for_without_the_password(
    keystead: Site, keystead_clock: Clock, stub_key: StubKey, htmx: bool
) -> None:
    app, visitor = keystead.behind(wiki(), "wiki", fresh=15), keystead.visitor(htmx=htmx)
    bound(visitor, keystead, stub_key)
    visitor.log_on(*me(keystead), stub_key)
    assert visitor.open(app.url).json()["headers"]["keystead-proof"] == ["key"]
    keystead_clock.move(timedelta(minutes=15))
    visitor.open(f"{app.url}/secret")
    assert visitor.page.form("/apps/touch/begin")
    assert str(visitor.touch_for_app(stub_key).url) == f"{app.url}/secret"


def test_a_touch_that_fails_opens_nothing(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock, stub_key: StubKey
) -> None:
    app = keystead.behind(wiki(), "wiki", fresh=1)
    bound(keystead_visitor, keystead, stub_key)
    keystead_visitor.log_on(*me(keystead), stub_key)
    keystead_clock.move(timedelta(minutes=1))
    keystead_visitor.open(app.url)
    assert keystead_visitor.touch_for_app(stub_key, cancel=True).status_code == 422
    assert keystead_visitor.client.get(app.url).status_code == 401


def test_only_a_group_gets_in(keystead: Site) -> None:
    app = keystead.behind(wiki(), "wiki", groups=("writers",))
    ben = keystead.add_account("ben", groups=("writers",))
    for account, status in ((keystead.account, 403), (ben, 200)):
        visitor = keystead.visitor(account)
        visitor.log_on(account.username, keystead.password)
        assert visitor.open(app.url).status_code == status


def test_a_session_that_is_ended_elsewhere_is_ended_here(keystead: Site, keystead_visitor: Visitor) -> None:
    app, other = keystead.behind(wiki(), "wiki"), keystead.visitor()
    keystead_visitor.open(app.url)
    keystead_visitor.log_on(*me(keystead))
    other.log_on(*me(keystead))
    other.get("/account/sessions")
    other.submit("/end-others")
    assert keystead_visitor.client.get(app.url).status_code == 401
    keystead_visitor.open(app.url)
    assert keystead_visitor.page.form("/logon")


def test_a_script_is_told_and_not_led_away(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    refused = keystead_visitor.client.get(f"{app.url}/api")
    assert (refused.status_code, refused.json()["error"]) == (401, "logon")
    keystead_visitor.log_on(*me(keystead))
    keystead_visitor.open(app.url)
    assert keystead_visitor.client.get(f"{app.url}/api").status_code == 200
    assert keystead_visitor.client.get(f"{app.url}/.keystead/whoami").json()["user"] == "zoe"


def test_two_applications_and_the_site_have_cookies_of_their_own(keystead: Site, keystead_visitor: Visitor) -> None:
    apps = [keystead.behind(wiki(), "wiki"), keystead.behind(wiki(), "notes", at="http://notes.localhost:9001")]
    keystead_visitor.log_on(*me(keystead))
    for app in apps:
        assert keystead_visitor.open(app.url).status_code == 200
    cookies = {(cookie.domain, cookie.name): cookie.value for cookie in keystead_visitor.client.cookies.jar}
    assert {("wiki.localhost", "keystead-app"), ("notes.localhost", "keystead-app")} <= cookies.keys()
    request = keystead_visitor.client.build_request("GET", apps[0].url)
    assert request.headers["cookie"] == f"keystead-app={cookies['wiki.localhost', 'keystead-app']}"


@pytest.mark.parametrize("name", ["Remote-User", "remote_user", "Keystead-Proof"])
def test_what_a_client_says_about_itself_gets_nowhere(keystead: Site, keystead_visitor: Visitor, name: str) -> None:
    app = keystead.behind(wiki(), "wiki")
    keystead_visitor.log_on(*me(keystead))
    keystead_visitor.open(app.url)
    assert keystead_visitor.client.get(app.url, headers={name: "root"}).status_code == 403


def test_a_client_cannot_say_which_host_it_asks_for(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    keystead.behind(wiki(), "console", key="required")
    keystead_visitor.log_on(*me(keystead))
    keystead_visitor.open(app.url)
    claims = {
        "X-Forwarded-Host": "console.localhost:8000",
        "X-Original-URL": "http://console.localhost:8000/",
        "Forwarded": "for=1.1.1.1",
    }
    said = keystead_visitor.client.get(app.url, headers=claims).json()["headers"]
    assert said["x-forwarded-host"] == ["wiki.localhost:8000"]


def test_a_websocket_is_asked_about_like_a_page(keystead: Site, keystead_visitor: Visitor) -> None:
    app = keystead.behind(wiki(), "wiki")
    url = app.url.replace("http:", "ws:") + "/talk"
    with pytest.raises(WebSocketDenialResponse) as refused, keystead_visitor.client.websocket_connect(url):  # type: ignore[attr-defined]
        raise AssertionError("it was let in")
    assert (refused.value.status_code, json.loads(refused.value.content)["error"]) == (401, "logon")
    keystead_visitor.log_on(*me(keystead))
    keystead_visitor.open(app.url)
    with keystead_visitor.client.websocket_connect(url) as socket:  # type: ignore[attr-defined]
        assert socket.receive_text() == "zoe"


def test_an_application_that_knows_no_lifespan_stands_behind_it_too(keystead: Site, keystead_visitor: Visitor) -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "it has never heard of anything else"
        await Response(f"from {scope['client'][0]}")(scope, receive, send)

    app = keystead.behind(plain, "plain")
    keystead_visitor.log_on(*me(keystead))
    assert keystead_visitor.open(app.url).text == f"from {PROXY}"


def test_an_application_that_does_not_start_is_named(keystead: Site) -> None:
    @asynccontextmanager
    async def broken(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise LookupError("no database")
        yield

    with pytest.raises(RuntimeError, match="does not start"):
        keystead.behind(Starlette(lifespan=broken), "wiki")


def test_it_is_stopped_with_the_site(tmp_path: Any) -> None:
    stopped: list[bool] = []
    with running(tmp_path) as site:
        site.behind(wiki(stopped), "wiki")
        assert stopped == []
    assert stopped == [True]


def test_the_cookies_of_the_site_do_not_go_to_an_application_below_its_name(tmp_path: Any) -> None:
    with running(tmp_path, public_url="https://house.example") as site:
        app, visitor = site.behind(wiki(), "wiki"), site.visitor()
        visitor.log_on(*me(site))
        visitor.open(app.url)
        assert visitor.client.build_request("GET", app.url).headers["cookie"].count("=") == 1


def test_the_site_may_be_under_a_path_and_have_tls(tmp_path: Any, stub_key: StubKey) -> None:
    with running(tmp_path, public_url="https://house.example/account-center") as site:
        app, visitor = site.behind(wiki(), "wiki", key="required"), site.visitor()
        assert app.url == "https://wiki.house.example"
        bound(visitor, site, stub_key)
        visitor.open(f"{app.url}/page")
        visitor.log_on(*me(site))
        assert str(visitor.log_on_with(stub_key).url) == f"{app.url}/page"


def test_a_real_client_reaches_it_as_well(keystead_served: Site) -> None:
    app = keystead_served.behind(wiki(), "wiki")
    with httpx2.Client(base_url=keystead_served.url) as client:
        # a name that only browsers know to be this machine
        direct = client.get(f"{keystead_served.url}/api", headers={"host": app.url.partition("://")[2]})
    assert (direct.status_code, direct.json()["error"]) == (401, "logon")
