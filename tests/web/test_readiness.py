"""Whether the backend answers is asked at most once a second, however many ask us."""

import time
from pathlib import Path

import pytest

from backends.protocol import Unavailable
from webapp.testing.site import Site
from webapp.web import readiness
from webapp.web.readiness import Readiness


class Slow:
    """A backend's `ready` that counts how often it is asked."""

    def __init__(self, answers: list[Exception | None]) -> None:
        self.answers, self.asked = answers, 0

    async def __call__(self) -> None:
        self.asked += 1
        if (trouble := self.answers.pop(0)) is not None:
            raise trouble


@pytest.mark.anyio
async def test_readiness_is_remembered_for_a_second_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ready = Slow([None, Unavailable("the disk is full"), None])
    readiness = Readiness(ready)
    await readiness.ask()
    now += 0.9
    await readiness.ask()
    assert ready.asked == 1
    now += 0.2
    for _ in range(3):
        with pytest.raises(Unavailable, match="the disk is full"):
            await readiness.ask()
    assert ready.asked == 2
    now += 1.1
    await readiness.ask()
    assert ready.asked == 3


class ReadOnly:
    """A backend that answers, on a disk that takes nothing."""

    async def ready(self) -> None: ...

    async def count_attempt(self, *_: object) -> None:
        raise Unavailable("attempt to write a readonly database")


@pytest.mark.anyio
async def test_what_answers_and_takes_no_write_is_not_ready() -> None:
    with pytest.raises(Unavailable, match="readonly"):
        await readiness.of(ReadOnly()).ask()  # type: ignore[arg-type]  # it is asked nothing else


def test_readiness_asks_the_backend(keystead: Site) -> None:
    client = keystead.visitor().client
    assert client.get("/readyz").status_code == 200
    Path(keystead.folder / "keystead.db").rename(keystead.folder / "elsewhere.db")
    assert client.get("/readyz").status_code == 200, "within the second"
    time.sleep(1.05)
    assert client.get("/readyz").status_code == 503
