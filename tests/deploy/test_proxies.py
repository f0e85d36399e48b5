"""Keystead behind the real nginx and the real Caddy, set up by the files in deploy/: on a host of its own, and under a path."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from tests.browser import live_site, walk
from tests.browser.conftest import Visit
from tests.browser.live_site import Site
from tests.deploy.proxies import PROGRAMS, Place, ProxyName, proxy
from webapp.testing.mailbox import free_port
from webapp.web import probe

PROXIES: tuple[ProxyName, ...] = ("nginx", "caddy")
MOUNTS = {"a host": "", "a path": "/account-center"}
VISITOR = "127.0.0.5"
"""Where a visitor comes from: this machine has many addresses."""


class Answer(NamedTuple):
    """What a visitor gets."""

    status: int
    headers: http.client.HTTPMessage
    text: str


class Deployment(NamedTuple):
    """Keystead, and the proxy before it. `site.url` is the public URL."""

    site: Site
    place: Place

    def get(self, path: str, **headers: str) -> Answer:
        """What a visitor gets over https."""
        context = ssl.create_default_context(cafile=str(self.place.certificate))
        plain = socket.create_connection(("127.0.0.1", self.place.https), 10, source_address=(VISITOR, 0))
        return _get(context.wrap_socket(plain, server_hostname="localhost"), f"localhost:{self.place.https}", path, headers)

    def get_over_http(self, path: str) -> Answer:
        """What a visitor gets over http."""
        return _get(socket.create_connection(("127.0.0.1", self.place.http), 10), "localhost", path, {})

    def doctor(self, **changes: str) -> list[str]:
        """What doctor finds wrong."""
        environ = self.site.environ | {"SSL_CERT_FILE": str(self.place.certificate)} | changes
        command = [sys.executable, "-m", "webapp", "doctor", "--json"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        findings = json.loads(done.stdout)["findings"]
        assert [finding["check"] for finding in findings if finding["state"] == "unchecked"] == []
        return [f"{finding['text']} {finding['todo']}" for finding in findings if finding["state"] == "wrong"]


def _get(connected: socket.socket, host: str, path: str, headers: dict[str, str]) -> Answer:
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.sock = connected
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())


def place(prefix: str, certificate: Path) -> Place:
    """The site under test is at localhost; the file's other one is where nobody looks."""
    host, other = ("keys.example.test", "localhost") if prefix else ("localhost", "www.example.test")
    ports = free_port(), free_port(), free_port()
    return Place(host=host, other_host=other, http=ports[0], https=ports[1], keystead=ports[2], certificate=certificate)


@contextmanager
def deployed(
    name: ProxyName,
    prefix: str,
    folder: Path,
    certificate: Path,
    *,
    change: Callable[[str], str] = str,
    trusted: str = "127.0.0.1",
) -> Iterator[Deployment]:
    """Keystead behind a proxy that is set up by our file, and by what the deployer did to it."""
    if PROGRAMS[name] is None:
        pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested behind it")
    where = place(prefix, certificate)
    url = f"https://localhost:{where.https}{prefix}"
    settings = {"PORT": str(where.keystead), "KEYSTEAD_PUBLIC_URL": url, "KEYSTEAD_TRUSTED_PROXIES": trusted}
    with live_site.serving(folder / "site", **settings) as site, proxy(name, folder / name, where, change):
        site.person("somebody")
        yield Deployment(replace(site, url=url), where)


@pytest.fixture(scope="module", params=MOUNTS, ids=lambda mount: f"on {mount}")
def prefix(request: pytest.FixtureRequest) -> str:
    return MOUNTS[request.param]


@pytest.fixture(scope="module", params=PROXIES)
def deployment(
    request: pytest.FixtureRequest, prefix: str, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with deployed(request.param, prefix, tmp_path_factory.mktemp("deployment"), certificate) as deployment:
        yield deployment


def test_a_person_binds_a_key_and_logs_on_with_it(deployment: Deployment, visit: Visit) -> None:
    site, page = deployment.site, visit.page
    person = site.person()
    visit.keys.add("u2f")
    walk.log_on(page, site, person)
    walk.bind(page, site, person)
    walk.log_off(page, site)
    walk.log_on(page, site, person)
    walk.touch_to_log_on(page, site)
    expect(page.get_by_role("button", name="Log off")).to_be_visible()


def test_the_address_is_that_of_the_visitor_whatever_the_visitor_says(deployment: Deployment) -> None:
    asked = {probe.HEADER: probe.question([deployment.site.environ["KEYSTEAD_SECRET_KEYS"]])}
    for claim in ({}, {"X-Forwarded-For": probe.CLAIM}, {"Forwarded": f"for={probe.CLAIM}"}, {"X-Real-IP": probe.CLAIM}):
        answer = deployment.get(f"{_prefix(deployment)}/healthz", **asked, **claim)
        told = json.loads(answer.text)
        assert (told["address"], told["peer"], told["trusted"]) == (VISITOR, "127.0.0.1", True)


def test_our_headers_arrive_and_name_no_server_of_ours(deployment: Deployment) -> None:
    answer = deployment.get(f"{_prefix(deployment)}/logon", **{"Accept-Encoding": "identity"})
    assert answer.status == 200
    assert answer.headers.get_all("strict-transport-security") == ["max-age=31536000"]
    assert answer.headers.get_all("cache-control") == ["no-store"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert not re.search("uvicorn|starlette|python|keystead", str(answer.headers.get("server")), re.IGNORECASE)
    port = deployment.site.environ["PORT"]
    behind = _get(socket.create_connection(("127.0.0.1", int(port)), 10), "localhost", "/logon", {})
    assert "server" not in behind.headers


def test_every_address_on_a_page_is_one_that_the_proxy_serves(deployment: Deployment) -> None:
    page = deployment.get(f"{_prefix(deployment)}/logon").text
    paths = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert len(paths) > 2
    for path in paths:
        assert deployment.get(path).status == 200, path


def test_the_way_in_leads_to_the_logon(deployment: Deployment) -> None:
    prefix = _prefix(deployment)
    if prefix:
        bare = deployment.get(prefix)
        assert (bare.status, bare.headers["location"]) == (308, f"{deployment.site.url}/")
    assert deployment.get(f"{prefix}/").headers["location"] == f"{prefix}/logon"


def test_http_leads_to_https(deployment: Deployment) -> None:
    if _prefix(deployment):
        return  # that other site's own matter
    answer = deployment.get_over_http("/logon?next=/account")
    assert answer.status == 308
    assert answer.headers["location"] in (f"{deployment.site.url}/logon?next=/account", "https://localhost/logon?next=/account")


def test_doctor_finds_nothing(deployment: Deployment) -> None:
    assert deployment.doctor() == []


def _prefix(deployment: Deployment) -> str:
    return "/account-center" if deployment.site.url.endswith("/account-center") else ""


# what a deployer may get wrong


@pytest.mark.parametrize("name", PROXIES)
def test_doctor_finds_a_proxy_that_is_not_trusted(name: ProxyName, certificate: Path, tmp_path: Path) -> None:
    with deployed(name, "", tmp_path, certificate, trusted="") as deployment:
        [fault] = deployment.doctor()
    assert "The proxy at 127.0.0.1 is not trusted: all visitors count as one" in fault
    assert "KEYSTEAD_TRUSTED_PROXIES=127.0.0.1" in fault


MISTAKES = {
    "Any visitor can pretend to come from any address": ("X-Forwarded-For $remote_addr", "X-Unread $remote_addr"),
    "The proxy at 127.0.0.1 does not say who asks": ("X-Forwarded-For $remote_addr", 'X-Forwarded-For ""'),
    "The proxy changes the Origin header": ("proxy_set_header Host $host;", 'proxy_set_header Origin "";'),
    "The proxy takes cookies away": ("proxy_set_header Host $host;", 'proxy_set_header Cookie "";'),
    "The proxy takes Strict-Transport-Security away": ("server_tokens off;", "proxy_hide_header Strict-Transport-Security;"),
    "Something else than Keystead answers": ("proxy_pass http://keystead;", "return 404;"),
}


def test_doctor_finds_what_the_proxy_does_not_do(certificate: Path, tmp_path: Path) -> None:
    where = place("", certificate)
    url = f"https://localhost:{where.https}"
    if PROGRAMS["nginx"] is None:
        pytest.skip("nginx IS NOT INSTALLED: no mistake was made with it")
    settings = {"PORT": str(where.keystead), "KEYSTEAD_PUBLIC_URL": url, "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1"}
    with live_site.serving(tmp_path / "site", **settings) as site:
        for number, (says, (right, mistaken)) in enumerate(MISTAKES.items()):
            with proxy("nginx", tmp_path / str(number), where, partial(_changed, right, mistaken)):
                faults = Deployment(replace(site, url=url), where).doctor()
            assert [fault for fault in faults if says in fault], (says, faults)


def _changed(right: str, mistaken: str, text: str) -> str:
    assert right in text
    return text.replace(right, mistaken)


def test_doctor_finds_a_certificate_that_nobody_trusts(certificate: Path, tmp_path: Path) -> None:
    with deployed("nginx", "", tmp_path, certificate) as deployment:
        [fault] = deployment.doctor(SSL_CERT_FILE="")
    assert "Browsers will not trust" in fault
    assert "SSL_CERT_FILE" in fault
