"""A browser that goes to apps behind the site, and the proxies before them, as nginx asks or as Caddy and Traefik do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import httpx2

from webapp.accounts import apps
from webapp.testing.site import Site
from webapp.testing.visitor import Visitor

WIKI, BOARD, FILES = "http://wiki.localhost:9001", "http://board.localhost:9002", "http://files.localhost:9003"
PAGE = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate"}
OURS = ("remote-user", "remote-email", "remote-name", "remote-groups", "keystead-account", "keystead-proof")
Mode = Literal["nginx", "caddy"]


def add(site: Site, name: str = "wiki", *addresses: str, **wishes: Any) -> None:
    """An app, which every process knows."""
    known = {"wiki": WIKI, "board": BOARD, "files": FILES}
    app = apps.new(site.settings, name, addresses or (known[name],), site.account.created_at, **wishes)
    site.call(apps.change, site.context, "add", app)
    site.state["apps"].forget()


def remove(site: Site, name: str = "wiki") -> None:
    """What `keystead app remove` has done once it returns."""
    (app,) = (each for each in site.call(apps.Apps().read, site.backend) if each.name == name)
    site.call(apps.change, site.context, "remove", app)
    site.state["apps"].forget()


@dataclass
class Arrived:
    """Where a browser has got to: the last answer, and the address that it was an answer to."""

    url: str
    answer: httpx2.Response

    @property
    def is_in(self) -> bool:
        """Whether that is a page of an app, which the proxy let it see."""
        return "remote-user" in self.answer.headers


@dataclass
class Browser:
    """Somebody's browser. The site's own pages are read by `visitor`."""

    site: Site
    visitor: Visitor
    mode: Mode = "caddy"

    def check(self, url: str = f"{WIKI}/page?q=1", method: str = "GET", **headers: str) -> httpx2.Response:
        """What the proxy of an app is answered about a request of this browser, with these headers (`_` for `-`)."""
        return self.ask(url, method, PAGE | {name.replace("_", "-"): text for name, text in headers.items()})

    def ask(self, url: str, method: str, headers: Mapping[str, str]) -> httpx2.Response:
        """The same, with these headers and the browser's cookies."""
        given = {**told(self.mode, url, method), "cookie": self.cookies(url), **headers}
        return self.visitor.client.get(self.visitor._under("/check"), headers=given)

    def cookies(self, url: str) -> str:
        """What the browser carries to this address."""
        host = urlsplit(url).hostname
        kept = [each for each in self.visitor.client.cookies.jar if each.domain.removesuffix(".local") == host]
        return "; ".join(f"{each.name}={each.value}" for each in kept)

    def at_app(self, path: str, origin: str = WIKI, **headers: str) -> httpx2.Response:
        """A page of ours at an app's own host."""
        return self.visitor.client.get(origin + path, headers=PAGE | {n.replace("_", "-"): text for n, text in headers.items()})

    def open(self, url: str = f"{WIKI}/page?q=1") -> Arrived:
        """Where the browser gets to from this address, if nobody does anything; browsers follow 20 redirects."""
        for _ in range(20):
            answer = self._fetch(url)
            location = answer.headers.get("location")
            if location is None:
                return Arrived(url, answer)
            url = urljoin(url, location)
        raise AssertionError(f"a loop, at {url}")

    def log_on(self, url: str = f"{WIKI}/page?q=1", **fields: str) -> Arrived:
        """The same for a stranger, who logs on by password on the way."""
        logon = self.open(url)
        assert urlsplit(logon.url).path.endswith("/logon"), logon.url
        answer = self.visitor.submit("/logon", username="zoe", password=self.site.password, **fields)
        return self.follow(answer)

    def follow(self, answer: httpx2.Response) -> Arrived:
        """Where an answer leads."""
        target = answer.headers.get("hx-redirect") or answer.headers.get("location")
        return self.open(urljoin(self.visitor.origin, target)) if target else Arrived(str(answer.request.url), answer)

    def _fetch(self, url: str) -> httpx2.Response:
        if url.startswith(f"{self.visitor.origin}/"):
            return self.visitor._read(self.visitor.client.get(url, headers=PAGE))
        parts = urlsplit(url)
        if parts.path.startswith("/.keystead/"):
            return self.visitor.client.get(url, headers=PAGE)
        return self.check(url)


def told(mode: Mode, url: str, method: str = "GET") -> dict[str, str]:
    """What a proxy says of a request."""
    if mode == "nginx":
        return {"x-original-url": url, "x-original-method": method}
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return {
        "x-forwarded-proto": scheme, "x-forwarded-host": host, "x-forwarded-uri": slash + path, "x-forwarded-method": method,
    }  # fmt: skip


def named(answer: httpx2.Response) -> dict[str, str]:
    """What an app is told of who is there."""
    return {name: text for name, text in answer.headers.items() if name.startswith(("remote-", "keystead-"))}
