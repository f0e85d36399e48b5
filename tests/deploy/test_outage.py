"""The backend is away: a plain page that says so, nothing half done, and everything acknowledged is there afterwards."""

import asyncio
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from backends import open_backend
from tests import mongo_server
from tests.browser import live_site
from tests.mongo_server import MongoServer
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor


@pytest.fixture
def database() -> Iterator[MongoServer]:
    server = MongoServer().start()
    with mongo_server.outage():
        yield server
    server.stop()


@pytest.fixture
def site(database: MongoServer, tmp_path: Path) -> Iterator[Site]:
    """On a database of its own, whose absence is noticed within a second."""
    with running(tmp_path, backend=database.url("serverSelectionTimeoutMS=800")) as site:
        yield site


def test_while_the_database_is_away_pages_say_so_and_afterwards_everything_is_there(site: Site, database: MongoServer) -> None:
    visitor, key = site.visitor(), StubKey()
    visitor.log_on("zoe", site.password)
    visitor.bind(key, name="Blue")
    visitor.get("/account/security")
    database.kill()

    page = visitor.client.get("/account")
    assert page.status_code == 503
    assert int(page.headers["retry-after"]) > 0
    assert "does not answer at the moment" in page.text
    assert "</html>" in page.text
    partial = visitor.client.get(f"{U2F}/row", headers={"hx-request": "true"})
    assert partial.status_code == 503
    assert partial.headers["hx-retarget"] == "#refusal"
    assert 'id="refusal"' in partial.text
    assert "</html>" not in partial.text
    assert site.visitor().submit_password("zoe", site.password).status_code == 503
    assert visitor.client.get("/readyz").status_code == 503
    assert visitor.client.get("/healthz").status_code == 200

    database.start()
    ends = time.monotonic() + 20
    while visitor.client.get("/readyz").status_code != 200 and time.monotonic() < ends:
        time.sleep(0.1)
    assert "Blue" in visitor.get("/account/security").text
    visitor.log_off()
    visitor.log_on("zoe", site.password)
    visitor.log_on_with(key)


def bound(site: live_site.Site, name: str) -> list[str]:
    """The names of the keys that this account has, as the backend holds them."""

    async def read() -> list[str]:
        backend = await open_backend(site.environ["KEYSTEAD_BACKEND"])
        try:
            account = await backend.account_named(name)
        finally:
            await backend.close()
        return [key.name for key in account.keys] if account else []

    return asyncio.run(read())


@pytest.mark.parametrize("happens", ["removed", "replaced"])
def test_a_file_that_is_taken_away_from_a_running_server_is_503_a_line_in_the_log_and_no_acknowledgement(
    tmp_path: Path, happens: str
) -> None:
    with live_site.serving(tmp_path) as site, httpx2.Client(base_url=site.url) as client:
        person = site.person("zoe")
        visitor = Visitor(client, mailbox=site.mailbox, email=person.email)
        visitor.log_on("zoe", person.password)
        assert client.get("/readyz").status_code == 200
        file = tmp_path / "keystead.db"
        if happens == "replaced":
            shutil.copy(file, tmp_path / "other.db")
            (tmp_path / "other.db").rename(file)
        else:
            file.unlink()
        visitor.client.cookies.clear()
        assert visitor.submit_password("zoe", person.password).status_code == 503
        assert "was moved, removed or replaced while it was in use" in (tmp_path / "server.log").read_text()
        time.sleep(1.05)
        assert client.get("/readyz").status_code == 503


def test_a_disk_that_is_full_is_503_and_binding_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with live_site.serving(tmp_path) as site, httpx2.Client(base_url=site.url) as client:
        person = site.person("zoe")
        visitor = Visitor(client, mailbox=site.mailbox, email=person.email)
        visitor.log_on("zoe", person.password)
        visitor.send_code()
        visitor.verify(site.code(person))
        visitor.get(U2F)
        visitor.begin_bind("Blue")
        answer = visitor.answer(StubKey())
        unlimited = resource.prlimit(site.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, (1024, unlimited[1]))
        full = visitor.post(f"{U2F}/bind/finish", answer)
        assert full.status_code == 503
        assert "Nothing was changed" in full.text
        assert visitor.client.get("/account").status_code == 200, "what needs no room goes on"
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        resource.prlimit(site.pid, resource.RLIMIT_FSIZE, unlimited)
        assert bound(site, "zoe") == []
        time.sleep(1.05)
        assert client.get("/readyz").status_code == 200
        visitor.get(U2F)
        visitor.begin_bind("Blue")
        assert visitor.finish_bind(StubKey()).status_code == 303
        assert bound(site, "zoe") == ["Blue"]
