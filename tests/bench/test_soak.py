"""What the soak calls wrong, and what it lets pass. The quarter of an hour itself is no test: `python -m bench.soak`."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from bench.soak import COST, GROWTH, SLOWING, Crowd, Minute, Postman, Proxy, judge_minutes, unusual

USUAL = "2026-11-24T12:00:00.000Z INFO    [7bc19e6b] request method=GET route=/account status=200 ms=1.0"
WARNING = "2026-11-24T12:00:01.000Z WARNING [-] not swept: MongoDB does not answer now (AutoReconnect)."
ERROR = "2026-11-24T12:00:02.000Z ERROR   [7bc19e6b] wrong\nTraceback (most recent call last):\nValueError: 1"
MINUTE = Minute(walks=10, took=[10.0] * 200, seconds=60, resident=[50.0, 50.0], size=1, events=60, cores=(0.5, 0, 0), work=2)


def faults(folder: Path, last: Minute) -> list[str]:
    crowd = Crowd(Proxy(1, 1), Postman(folder), deque(), pause=0)
    judge_minutes([MINUTE, MINUTE, MINUTE, last], crowd)
    return [fault.split(" (")[0].split(",")[0] for fault in crowd.faults]


def times(most: float) -> dict[str, Minute]:
    """Last minutes that cost so many times as much as the first one, each in one way."""
    return {
        "memory of the workers": replace(MINUTE, resident=[50.0 * most] * 2),
        "CPU for a request": replace(MINUTE, cores=(0.5 * most, 0, 0)),
        "p99": replace(MINUTE, took=[10.0] * 190 + [10.0 * most] * 10),
    }


@pytest.mark.parametrize(("what", "most"), [("memory of the workers", GROWTH), ("CPU for a request", COST), ("p99", SLOWING)])
def test_a_last_minute_that_costs_more_than_it_may_is_wrong(tmp_path: Path, what: str, most: float) -> None:
    assert faults(tmp_path, times(most * 0.99)[what]) == []
    assert faults(tmp_path, times(most * 1.01)[what]) == [what]


def test_a_machine_that_became_slow_excuses_nothing(tmp_path: Path) -> None:
    assert faults(tmp_path, replace(times(2)["p99"], work=4)) == ["p99"]


def test_each_line_of_the_log_that_is_more_than_information_is_wrong() -> None:
    first, second = unusual(f"{USUAL}\n{WARNING}\n{USUAL}\n{ERROR}\n{USUAL}\n")
    assert first == WARNING
    assert second.endswith("wrong … ValueError: 1")
    assert list(unusual(f"{USUAL}\n" * 3)) == []
    assert list(unusual("printed\n")) == ["printed"]
