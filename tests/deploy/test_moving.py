"""A site moves to another domain, in real browsers: keys of the old one open it, are bound anew, and need it no more."""

import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser import keys as virtual
from tests.browser import live_site, walk
from tests.browser.conftest import Visit
from tests.browser.keys import BrowserName, KeyProtocol
from tests.browser.live_site import Person, Site
from tests.browser.test_accessible import _findings, _overflow
from tests.deploy.conftest import fingerprint
from tests.deploy.proxies import PROGRAMS, ROOT, Place, ProxyName, proxy, replaced
from tests.deploy.tunnel import tunnel
from webapp.testing.mailbox import free_port

OLD, NEW = "account.old-example.test", "account.new-example.test"
FROM_OLD = f"My key is from {OLD}"
SECONDS = 15
PROXIES: dict[BrowserName, ProxyName] = {"chromium": "nginx", "firefox": "caddy"}
"""Each proxy's files are tried with one browser; what the browser gets from them is the same."""


class Move:
    """One deployment that is at the old address first, and then at the new one. Browsers reach both at port 443."""

    def __init__(self, name: ProxyName, folder: Path, certificate: Path) -> None:
        self.name, self.folder, self.certificate = name, folder, certificate
        self.file = folder / "webauthn.json"
        self.port = free_port()
        self.secret = secrets.token_urlsafe(32)

    @contextmanager
    def at(self, host: str, **settings: str) -> Iterator[Site]:
        """The site at this host; the other one is served as the file for it in deploy/ says."""
        place = Place(
            host=host, other_host="www.example.test", http=free_port(), https=self.port, keystead=free_port(),
            certificate=self.certificate,
        )  # fmt: skip
        settings |= {
            "PORT": str(place.keystead),
            "KEYSTEAD_PUBLIC_URL": f"https://{host}",
            "KEYSTEAD_SECRET_KEYS": self.secret,
            "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1",
        }
        with (
            live_site.serving(self.folder / "site", **settings) as site,
            proxy(self.name, self.folder / host, place, self._with_the_old_host if host == NEW else str),
        ):
            yield replace(site, url=f"https://{host}")

    def _with_the_old_host(self, text: str) -> str:
        """The proxy's file with that for a host that was moved from behind it."""
        folder, port = str(self.file.parent), self.port
        if self.name == "nginx":
            return text + replaced(
                (ROOT / "deploy" / "nginx.moved.conf").read_text(),
                {
                    "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                    "/etc/letsencrypt/live/account.old.example.com/fullchain.pem": str(self.certificate),
                    "/etc/letsencrypt/live/account.old.example.com/privkey.pem": str(self.certificate),
                    "account.old.example.com": OLD,
                    "account.example.com": NEW,
                    "/var/www/keystead-moved": folder,
                },
            )
        return text + replaced(
            (ROOT / "deploy" / "Caddyfile.moved").read_text(),
            {
                "account.old.example.com {": f"https://{OLD} {{\n\ttls {self.certificate} {self.certificate}",
                "account.example.com": NEW,
                "/var/www/keystead-moved": folder,
            },
        )


@pytest.fixture(params=list(virtual.PROGRAMS))
def browser_name(request: pytest.FixtureRequest) -> BrowserName:
    name: BrowserName = request.param
    if virtual.PROGRAMS[name] is None:
        pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested in it")
    if PROGRAMS[PROXIES[name]] is None:
        pytest.skip(f"{PROXIES[name]} IS NOT INSTALLED: nothing was tested behind it")
    return name


@pytest.fixture
def move(browser_name: BrowserName, tmp_path: Path, certificate: Path) -> Move:
    return Move(PROXIES[browser_name], tmp_path, certificate)


@pytest.fixture
def visit(move: Move, browser_name: BrowserName, certificate: Path) -> Iterator[Visit]:
    """Somebody at a browser that takes the test's certificate as any other, and finds both hosts."""
    with ExitStack() as stack:
        through = stack.enter_context(tunnel({OLD: move.port, NEW: move.port}))
        playwright = stack.enter_context(sync_playwright())
        spki = fingerprint(certificate)
        context, keys_of = stack.enter_context(
            virtual.launch_behind(playwright, browser_name, through, spki, move.folder / "profile")
        )
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        yield Visit(browser_name, context, page, keys_of(page), keys_of)


def unfit(page: Page) -> list[str]:
    """What axe finds on this page at 320 px, and how much wider it is than that."""
    page.set_viewport_size({"width": 320, "height": 700})
    wider = _overflow(page)
    return [*_findings(page), *([f"{wider} px wider"] if wider else [])]


LOG_ON = "([username, password]) => fetch('/logon', {method: 'POST', body: new URLSearchParams({username, password})})"


def log_on(page: Page, site: Site, person: Person, button: str = "Use my key") -> None:
    """The password, and then this button of the key step: which is asked at once only behind the page of the password."""
    page.context.clear_cookies()
    page.goto(f"{site.url}/logon")
    page.evaluate(LOG_ON, [person.username, person.password])
    page.goto(f"{site.url}/logon/key")
    page.get_by_role("button", name=button).click()


@pytest.mark.parametrize("protocol", ["u2f", "ctap2"])
def test_a_key_is_bound_at_the_old_address_opens_the_new_one_and_is_bound_there(
    move: Move, visit: Visit, protocol: KeyProtocol
) -> None:
    page = visit.page
    visit.keys.add(protocol)
    with move.at(OLD) as site:
        person = site.person()
        walk.log_on(page, site, person)
        walk.bind(page, site, person, "Blue")
    with move.at(NEW, KEYSTEAD_MOVED_FROM=OLD) as site:
        log_on(page, site, person)
        expect(page.get_by_role("alert")).to_contain_text("This browser may not ask for that key")
        expect(page.locator("a[href='/logon/recovery']")).to_be_visible()
        assert unfit(page) == []

        move.file.write_text(site.keystead("moved-file").stdout)
        page.goto(f"https://{OLD}/logon")  # a bookmark
        expect(page).to_have_url(re.compile(f"^https://{NEW}/"))
        log_on(page, site, person)
        expect(page.get_by_role("heading", name="Bind Blue here too")).to_be_visible()
        assert unfit(page) == []
        page.get_by_role("button", name="Bind it here too").click()
        expect(page.get_by_role("heading", name="Blue is bound")).to_be_visible()

        log_on(page, site, person)
        expect(page).to_have_url(f"{site.url}/account")
        log_on(page, site, person, FROM_OLD)
        expect(page).to_have_url(f"{site.url}/account")

        page.goto(f"{site.url}/account/security")
        expect(page.get_by_text(f"It belongs to {OLD}")).to_be_visible()
        assert unfit(page) == []

        move.file.unlink()
        log_on(page, site, person)
        expect(page).to_have_url(f"{site.url}/account")
