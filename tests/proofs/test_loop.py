"""A few hundred requests of the proof; `python -m tests.proofs.loop` sends all of them."""

import random
import time
from pathlib import Path

import pytest

from tests.proofs import loop
from webapp.testing.site import running

pytestmark = pytest.mark.clock

ALWAYS = {
    "percent signs in code",
    "marks of many classes in username",
    "marks in the wrong order as the body",
    "escaped quotes in quotes in a cookie",
}


def test_whatever_a_stranger_sends_nobody_waits_longer_than_fifty_milliseconds(tmp_path: Path) -> None:
    requests = list(loop.every())
    worst = [sent for sent in requests if sent.path == "/logon" and sent.name in ALWAYS]
    assert {sent.name for sent in worst} == ALWAYS
    report = loop.run(tmp_path, [*worst, *random.Random(7).sample(requests, 300)])  # noqa: S311 - nothing secret
    assert report.held <= loop.MAX_HELD, report
    assert all(status < 500 for status in report.statuses), report
    assert report.statuses[303] > 50, "they did not get as far as being judged"


def test_a_loop_that_stands_still_is_noticed(tmp_path: Path) -> None:
    async def busy() -> None:
        ends = time.thread_time() + loop.MAX_HELD + 0.01
        while time.thread_time() < ends:
            pass

    with running(tmp_path) as site:
        ticking = loop.Ticking()
        task = site.portal.start_task_soon(ticking.tick)
        site.call(ticking.take)
        site.call(busy)
        assert loop.MAX_HELD < site.call(ticking.take) < 0.2
        task.cancel()
