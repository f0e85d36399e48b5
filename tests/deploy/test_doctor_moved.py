"""`keystead doctor` fetches the file of a domain that the site moved from, and says what browsers would not take."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from backends import migrate, open_backend
from backends.contract.samples import account, key
from tests.deploy.test_doctor import SECRET
from webapp.doctor import moved, records
from webapp.doctor.finding import Context, Finding, Options
from webapp.doctor.moved import Answer
from webapp.settings import Settings
from webapp.webauthn import related_origins

OLD, ORIGIN = "account.old-example.test", "https://account.new-example.test"
GOOD = Answer(200, "application/json", json.dumps({"origins": [ORIGIN]}).encode())
OTHERS = [f"https://www.example.{name}" for name in ("com", "de", "fr", "it", "nl")]


def settings(**changes: Any) -> Settings:
    given = {"public_url": ORIGIN, "secret_keys": (SECRET,), "backend": "", "mail": "", "mail_from": "", "moved_from": (OLD,)}
    return Settings(**given | changes)


def found(**changes: Any) -> list[Finding]:
    return asyncio.run(moved.domains(Context(settings(**changes), Options())))


@pytest.fixture
def old_host(monkeypatch: pytest.MonkeyPatch, certificate: Path) -> Iterator[Callable[[Answer], None]]:
    """The old host, on loopback, which answers what it is told to; and a machine that finds it."""
    answers = [GOOD]

    class Host(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers[-1] if self.path == related_origins.PATH else Answer(404, "text/html", b"")
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Host) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        connect = socket.create_connection
        ports = {(OLD, 443): server.server_address[1]}
        monkeypatch.setattr(socket, "create_connection", lambda to, *more: connect(("127.0.0.1", ports[to]), *more))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield answers.append
        server.shutdown()


def test_a_file_that_names_us_is_found_and_taken(old_host: Callable[[Answer], None]) -> None:
    [finding] = found()
    assert (finding.state, "lets keys of account.old-example.test be used here" in finding.text) == ("ok", True)


def test_a_file_that_is_not_served_is_named_with_what_to_do(old_host: Callable[[Answer], None]) -> None:
    old_host(Answer(404, "text/html", b"There is no such page."))
    [finding] = found()
    assert finding.state == "wrong"
    assert "answers with status 404" in finding.text
    assert "`keystead moved-file`" in finding.todo


def test_a_certificate_that_browsers_do_not_trust_is_named(
    old_host: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    [finding] = found()
    assert finding.state == "wrong"
    assert "Browsers will not trust https://account.old-example.test/.well-known/webauthn" in finding.text


def test_a_host_that_cannot_be_reached_from_here_is_no_fault_and_is_said() -> None:
    [finding] = found(moved_from=("old.example.invalid",))
    assert (finding.state, "cannot be reached from here" in finding.text) == ("unchecked", True)


def test_where_the_site_never_moved_or_only_to_a_sub_domain_nothing_is_looked_at() -> None:
    assert found(moved_from=()) == found(moved_from=("new-example.test",)) == []
    assert related_origins.needed(settings(moved_from=("w-example.test", OLD))) == ["w-example.test", OLD]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (GOOD, ""),
        (GOOD._replace(body=json.dumps({"origins": [*OTHERS[:4], ORIGIN]}).encode()), ""),
        (GOOD._replace(body=json.dumps({"origins": [*OTHERS, ORIGIN]}).encode()), "behind 5 others"),
        (GOOD._replace(status=308), "status 308"),
        (GOOD._replace(kind="text/html"), "application/json only"),
        (GOOD._replace(kind=""), "application/json only"),
        (GOOD._replace(kind="x" * 1000), "'xxx"),
        (GOOD._replace(body=b""), "is not the file"),
        (GOOD._replace(body=b"[" * 100_000), "is not the file"),
        (GOOD._replace(body=b'["origins"]'), "is not the file"),
        (GOOD._replace(body=b'{"origins": "https://account.new-example.test"}'), "is not the file"),
        (GOOD._replace(body=GOOD.body + b" " * moved.LARGEST), "is not the file"),
        (GOOD._replace(body=b'{"origins": ["https://account.new-example.test/"]}'), "does not name"),
        (GOOD._replace(body=b'{"origins": [7, "https://account.new-example.test:8443"]}'), "does not name"),
    ],
)
def test_what_browsers_would_not_take_is_said(answer: Answer, says: str) -> None:
    fault = moved.judge(answer, ORIGIN)
    assert says in fault
    assert bool(says) == bool(fault)
    assert len(fault) < 200


def store(folder: Path, domain: str) -> str:
    """The address of a store in which a key is bound to this domain."""
    url = (folder / "keystead.db").as_uri()

    async def fill() -> None:
        await migrate(url)
        backend = await open_backend(url)
        await backend.add(account(keys=(key(rp_id=domain),)))
        await backend.close()

    asyncio.run(fill())
    return url


@pytest.mark.parametrize("bound_to", [OLD, "account.new-example.test"])
def test_a_domain_that_no_key_is_bound_to_any_more_is_named(tmp_path: Path, bound_to: str) -> None:
    findings = asyncio.run(records.keys(Context(settings(backend=store(tmp_path, bound_to)), Options())))
    said = " ".join(finding.text for finding in findings if finding.state == "ok")
    assert ("take it out of KEYSTEAD_MOVED_FROM" in said) == (bound_to != OLD)
