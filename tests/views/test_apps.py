"""Apps behind the site, over HTTP in process: what a proxy is answered, and the way in and out."""

from typing import Any

import httpx2
import pytest

from webapp.accounts import apps
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

WIKI = "http://wiki.localhost:9001"
PAGE = {"accept": "text/html,application/xhtml+xml"}
PROXY = "192.0.2.1"


@pytest.fixture
def keystead(tmp_path: Any) -> Any:
    from ipaddress import ip_network

    with running(tmp_path, trusted_proxies=(ip_network(PROXY),)) as site:
        yield site


def add(site: Site, name: str = "wiki", *origins: str, **wishes: Any) -> None:
    app = apps.new(site.settings, name, origins or (f"http://{name}.localhost:9001",), site.account.created_at, **wishes)
    site.call(apps.change, site.context, "add", app)
    site.state["apps"].forget()


def check(visitor: Visitor, url: str = f"{WIKI}/page?q=1", method: str = "GET", **headers: str) -> httpx2.Response:
    """What a proxy is answered that forwards as Caddy and Traefik do, about a request of this browser."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    told = {"x-forwarded-proto": scheme, "x-forwarded-host": host, "x-forwarded-uri": slash + path, "x-forwarded-method": method}
    cookie = "; ".join(f"{c.name}={c.value}" for c in visitor.client.cookies.jar if c.domain.removesuffix(".local") in host)
    return visitor.client.get(
        "/check", headers={**PAGE, "cookie": cookie, **told, **{n.replace("_", "-"): t for n, t in headers.items()}}
    )


def open_app(visitor: Visitor, answer: httpx2.Response) -> httpx2.Response:
    """Where a browser gets to from here."""
    for _ in range(8):
        if not (target := answer.headers.get("location")) or (target.startswith(WIKI) and "/.keystead/" not in target):
            return answer
        answer = visitor.client.get(target, headers=PAGE)
    raise AssertionError("a loop")


def test_one_logon_opens_an_app(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    add(keystead)
    visitor = keystead_visitor
    visitor.log_on("zoe", keystead.password)
    stranger = check(visitor)
    assert stranger.status_code == 302, stranger.headers
    assert stranger.headers["location"] == f"{WIKI}/.keystead/begin?back=/page%3Fq%3D1"
    arrived = open_app(visitor, stranger)
    assert arrived.headers["location"] == f"{WIKI}/page?q=1"
    answer = check(visitor)
    assert answer.status_code == 200
    told = {name: text for name, text in answer.headers.items() if name.startswith(("remote-", "keystead-"))}
    assert told == {
        "remote-user": "zoe", "remote-email": "zoe@example.com", "remote-name": "zoe", "remote-groups": "everyone",
        "keystead-account": keystead.account.id, "keystead-proof": "password",
    }  # fmt: skip
