"""What machines ask."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from threading import Event

import pytest

from backends.file import FileBackend
from webapp import app
from webapp.notifications.sender import Sender
from webapp.testing.site import Site, running
from webapp.web import probe


def test_health_and_readiness(keystead: Site) -> None:
    client = keystead.visitor().client
    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").text == "ok\n"


def test_what_only_doctor_is_told_is_told_to_nobody_else(keystead: Site) -> None:
    client = keystead.visitor().client
    for asked in ("", "x", "MTIz.x"):
        assert client.get("/healthz", headers={"keystead-doctor": asked}).text == "ok\n"


def test_the_question_of_another_versions_doctor_is_answered_as_any(keystead: Site) -> None:
    client = keystead.visitor().client
    for asked in ({"at": 1}, "now", None, [1]):
        question = probe._serializer(keystead.settings.secret_keys).dumps(asked)
        assert client.get("/healthz", headers={"keystead-doctor": str(question)}).text == "ok\n"


def test_a_mistake_of_ours_beside_the_requests_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The letters of one account, say. It was a server that closed its backend, and went on to answer 503."""
    begun, told = Event(), list[str]()

    async def run(sender: Sender) -> AsyncGenerator[float, None]:
        if not told:
            told.append("once")
            raise TypeError("somebody's letter")
        begun.set()
        yield 60.0

    monkeypatch.setattr(Sender, "run", run)
    monkeypatch.setattr(app, "RETRY_EVERY", 0.01)
    with running(tmp_path) as site:
        assert begun.wait(5)
        assert site.visitor().client.get("/readyz").text == "ok\n"
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (error.message, "somebody's letter" in str(error.exc_info)) == ("what goes on beside the requests begins anew", True)


@pytest.mark.parametrize(("takes", "grace", "end"), [(0.2, app.GRACE, "ended"), (60.0, 0.05, "cut off")])
def test_what_goes_on_beside_the_requests_has_some_seconds_to_end_what_it_is_at_when_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float, grace: float, end: str
) -> None:
    """It was cut off in the middle of a query, and the driver of MongoDB lost the connection that it was opening."""
    begun, ends = Event(), list[str]()

    async def size(backend: FileBackend) -> int:
        begun.set()
        try:
            await asyncio.sleep(takes)
            ends.append("ended")
        except asyncio.CancelledError:
            ends.append("cut off")
            raise
        return 1

    monkeypatch.setattr(FileBackend, "size", size)
    monkeypatch.setattr(app, "GRACE", grace)
    with running(tmp_path):
        assert begun.wait(5)
        assert ends == []
    assert set(ends) == {end}


def test_what_goes_on_beside_the_requests_takes_no_time_from_letters_when_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, sent = Event(), Event()

    async def letter() -> None:
        begun.set()
        await asyncio.sleep(0.3)
        sent.set()

    async def run(sender: Sender) -> AsyncGenerator[float, None]:
        sender.later(letter)
        yield 60.0

    monkeypatch.setattr(Sender, "run", run)
    monkeypatch.setattr(app, "GRACE", 0.05)
    with running(tmp_path):
        assert begun.wait(5)
    assert sent.is_set()


def test_there_is_no_page_of_counts_unless_the_deployer_set_its_secret(keystead: Site) -> None:
    assert keystead.visitor().client.get("/metrics").status_code == 404
