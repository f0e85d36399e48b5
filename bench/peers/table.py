"""The table: medians of the rounds, one row for each that was measured."""

import statistics
from collections.abc import Callable, Sequence

from bench.peers.measure import CROWD, STORM, Round

Column = tuple[str, Callable[[Round], float], str]

COLUMNS: tuple[Column, ...] = (
    ("key logon, CPU ms (1)", lambda r: r.steps["alone"].cpu, "{:.2f}"),
    (f"CPU ms ({CROWD})", lambda r: r.steps["together"].cpu, "{:.2f}"),
    ("per s (1)", lambda r: r.steps["alone"].per_second, "{:.0f}"),
    (f"per s ({CROWD})", lambda r: r.steps["together"].per_second, "{:.0f}"),
    ("p50 ms (1)", lambda r: r.steps["alone"].p50, "{:.1f}"),
    ("p99 (1)", lambda r: r.steps["alone"].p99, "{:.1f}"),
    (f"p50 ({CROWD})", lambda r: r.steps["together"].p50, "{:.1f}"),
    (f"p99 ({CROWD})", lambda r: r.steps["together"].p99, "{:.1f}"),
    ("password, CPU ms", lambda r: r.steps["password"].cpu, "{:.1f}"),
    (f"key p50 in a storm of {STORM}", lambda r: r.steps["storm"].p50, "{:.1f}"),
    ("start ms", lambda r: r.started_in, "{:.0f}"),
    ("worker RSS MB, first page", lambda r: r.fresh, "{:.0f}"),
    ("worker RSS MB", lambda r: r.resident, "{:.0f}"),
    ("PSS MB", lambda r: r.proportional, "{:.0f}"),
    ("page requests", lambda r: len(r.page), "{:.0f}"),
    ("page kB", lambda r: sum(answer.size for answer in r.page) / 1000, "{:.1f}"),
    ("load", lambda r: r.load, "{:.1f}"),
)


def markdown(rounds: Sequence[Round]) -> str:
    """One row for each peer, in the order in which they were first measured."""
    names = list(dict.fromkeys(found.peer for found in rounds))
    lines = ["| | " + " | ".join(title for title, _, _ in COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name in names:
        of_it = [found for found in rounds if found.peer == name]
        cells = [style.format(statistics.median(map(value, of_it))) for _, value, style in COLUMNS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
