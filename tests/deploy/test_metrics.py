"""What Prometheus reads: true counts, no person in them, only for whoever has the secret, and cheap enough to leave on."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from backends import migrate, open_backend
from backends.contract.samples import MINUTE, NOW, account, all_of
from backends.protocol import Backend, Unavailable
from backends.records import Attempts
from tests.browser import live_site
from webapp.metrics import QUERIES, Counted
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

SECRET = "r7vQm2Lx9TdKpWn4ZsBc6HgYj8FaUe3o"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path / "site", metrics=SECRET) as site:
        yield site


def read(site: Site) -> str:
    answer = site.visitor().client.get("/metrics", headers={"authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def value(text: str, name: str, **labels: str) -> float:
    """The sum over what has these labels, whatever its others are."""
    found = 0.0
    for line in re.findall(rf"^{name}(?:{{.*}})? \S+$", text, re.MULTILINE):
        given = dict(re.findall(r'(\w+)="([^"]*)"', line))
        if labels.items() <= given.items():
            found += float(line.rpartition(" ")[2])
    return found


def walked(site: Site) -> tuple[Visitor, StubKey]:
    """Somebody who bound a key, mistyping the code first, and logged on with it."""
    visitor, key = site.visitor(), StubKey()
    visitor.log_on(site.account.username, site.password)
    visitor.send_code()
    code = site.mailbox.code(site.account.email)
    visitor.verify("000000" if code != "000000" else "000001")
    visitor.follow(visitor.verify(code))
    visitor.bind(key)
    visitor.follow(visitor.log_off())
    visitor.submit_password(site.account.username, site.password)
    visitor.begin_key()
    visitor.finish_key(key, cancel=True)
    visitor.log_on_with(key)
    return visitor, key


def test_what_people_do_is_counted(site: Site) -> None:
    walked(site)
    text = read(site)
    assert value(text, "keystead_codes_sent_total", purpose="bind", outcome="sent") == 1
    assert value(text, "keystead_codes_tried_total", purpose="bind", outcome="wrong") == 1
    assert value(text, "keystead_codes_tried_total", purpose="bind", outcome="right") == 1
    assert value(text, "keystead_ceremonies_total", purpose="bind", outcome="begun") == 1
    assert value(text, "keystead_ceremonies_total", purpose="bind", outcome="accepted") == 1
    assert value(text, "keystead_ceremonies_total", purpose="logon", outcome="begun") == 2
    assert value(text, "keystead_ceremonies_total", purpose="logon", outcome="no key") == 1
    assert value(text, "keystead_ceremonies_total", purpose="logon", outcome="accepted") == 1
    assert value(text, "keystead_events_total", kind="key bound") == 1
    assert value(text, "keystead_build_info") == 1


def test_letters_are_counted_once_they_have_left(site: Site) -> None:
    walked(site)
    site.call(site.state["sender"].settle)
    assert value(read(site), "keystead_letters_total", kind="key bound", outcome="sent") == 1


def test_requests_are_counted_by_route_and_status(site: Site) -> None:
    visitor = site.visitor()
    visitor.submit_password("zoe", "wrong")
    visitor.client.get("/nowhere/at/all")
    visitor.client.get("/static/app.css")
    visitor.client.request("BREW", "/logon", headers={"origin": site.settings.origin})
    visitor.confirm_unbind("some-key")
    text = read(site)
    assert value(text, "keystead_requests_total", method="GET", route="/logon", status="200") == 1
    assert value(text, "keystead_requests_total", method="POST", route="/logon", status="401") == 1
    assert value(text, "keystead_requests_total", method="GET", route="none", status="404") == 1
    assert value(text, "keystead_requests_total", method="GET", route="/static", status="200") == 1
    assert value(text, "keystead_requests_total", method="other", route="/logon", status="405") == 1
    assert value(text, "keystead_requests_total", route="/account/security/u2f/keys/{key}/unbind", status="303") == 1
    assert value(text, "keystead_request_seconds_count", method="POST", route="/logon") == 1
    assert 0.001 < value(text, "keystead_request_seconds_sum", method="POST", route="/logon") < 10


def test_the_backends_time_is_counted_by_query(site: Site) -> None:
    site.visitor().submit_password("zoe", site.password)
    text = read(site)
    assert value(text, "keystead_backend_seconds_count", query="account_named") == 1
    assert value(text, "keystead_backend_seconds_count", query="commit") == 1
    assert 0 < value(text, "keystead_backend_seconds_sum", query="commit") < 5


def test_a_limit_that_is_hit_is_counted(site: Site) -> None:
    visitor = site.visitor()
    statuses = [visitor.submit_password("zoe", "wrong").status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert value(read(site), "keystead_limits_hit_total", limit="logon") == 1


def test_nothing_of_a_person_is_counted(site: Site) -> None:
    _, key = walked(site)
    text = read(site)
    person = site.account
    cookie = "keystead="
    for secret in (person.username, person.id, "example.com", key.slug, key.slug[:12], "192.0.2.", "Chrome", cookie, SECRET):
        assert secret not in text.replace("keystead_", "")
    labels = {label for labels in re.findall(r"\{(.*)\}", text) for label in re.findall(r'(\w+)="', labels)}
    assert labels == {"method", "route", "status", "purpose", "outcome", "kind", "query", "version", "python", "le"}


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", f"Bearer {SECRET}x", f"Basic {SECRET}", f"bearer{SECRET}", "Bearer ü"]
)
def test_without_the_secret_there_is_nothing_to_read(site: Site, header: str | None) -> None:
    headers = {} if header is None else {b"authorization": header.encode()}
    answer = site.visitor().client.get("/metrics", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "keystead_" not in answer.text


def test_unless_the_deployer_wants_it_there_is_no_such_page(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        for headers in ({}, {"authorization": "Bearer "}):
            assert site.visitor().client.get("/metrics", headers=headers).status_code == 404


def test_several_workers_add_up_also_when_one_of_them_dies(tmp_path: Path) -> None:
    with live_site.serving(tmp_path, KEYSTEAD_METRICS=SECRET, WEB_CONCURRENCY="2", TMPDIR=str(tmp_path)) as server:
        for _ in range(20):
            assert httpx2.get(f"{server.url}/logon").status_code == 200
        counted = re.compile(r'^keystead_requests_total{.*route="/logon".*} 20.0$', re.MULTILINE)
        assert all(counted.search(_metrics_of(server)) for _ in range(6)), "whichever worker answers"
        [folder] = tmp_path.glob("keystead-metrics-*")
        workers = {int(found[0]) for file in folder.iterdir() if (found := re.findall(r"_(\d+)\.db$", file.name))}
        assert len(workers) == 2
        os.kill(workers.pop(), signal.SIGKILL)
        _until_answered(server)
        assert counted.search(_metrics_of(server)), "what the dead one counted stays counted"
    assert list(tmp_path.glob("keystead-metrics-*")) == []


def _metrics_of(server: live_site.Site) -> str:
    return httpx2.get(f"{server.url}/metrics", headers={"authorization": f"Bearer {SECRET}"}).text


def _until_answered(server: live_site.Site) -> None:
    for _ in range(100):
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{server.url}/healthz").status_code == 200:
                return
        time.sleep(0.1)


def test_every_query_of_the_protocol_is_timed() -> None:
    streams = {"accounts", "dump"}
    assert set(QUERIES) | streams == {name for name in vars(Backend) if not name.startswith("_")}


@pytest.mark.clock
@pytest.mark.anyio
async def test_timing_a_query_costs_microseconds(tmp_path: Path) -> None:
    class Instant:
        async def rp_ids(self) -> list[str]:
            return []

        def __getattr__(self, name: str) -> object:
            return self.rp_ids

    async def cost(backend: Backend) -> float:
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            for _ in range(2000):
                await backend.rp_ids()
            times.append((time.perf_counter() - begun) / 2000)
        return min(times)

    plain: Backend = Instant()  # type: ignore[assignment]  # it answers everything
    assert await cost(Counted().timed(plain)) - await cost(plain) < 10e-6, "three times what it takes on a quiet machine"


@pytest.mark.anyio
async def test_a_timed_backend_answers_as_the_backend_does(tmp_path: Path) -> None:
    await migrate(f"file://{tmp_path}/keystead.db")
    backend = await open_backend(f"file://{tmp_path}/keystead.db")
    timed = Counted().timed(backend)
    await timed.add(account())
    assert await timed.account("alice") == await backend.account("alice") == account()
    assert await all_of(timed.accounts()) == [account()]
    assert await timed.count_attempt("bucket", NOW, MINUTE, cost=3) == Attempts(count=3, resets_at=NOW + MINUTE)
    await timed.close()
    with pytest.raises(Unavailable):
        await timed.account("alice")
