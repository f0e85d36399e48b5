"""What docs/scaling.md says is so: its counts are those of real requests, its sums those of the figures that were kept."""

import json
import subprocess
import sys

from bench import scaling
from tests import mongo_server


def test_requests_ask_the_backend_what_the_page_says() -> None:
    with mongo_server.running() as address:
        command = [sys.executable, "-m", "bench.scaling", "count", "--mongodb", address]
        done = subprocess.run(command, cwd=scaling.ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    kept = json.loads(scaling.FIGURES.read_text())["requests"]
    expected = {name: {what: cost[what] for what in scaling.Cost._fields} for name, cost in kept.items()}
    assert json.loads(done.stdout) == expected, "python -m bench.scaling measure"


def test_the_tables_are_those_of_the_figures() -> None:
    page = scaling.PAGE.read_text()
    for table in scaling.tables(json.loads(scaling.FIGURES.read_text())):
        assert table in page, "python -m bench.scaling tables"


def test_figures_are_rounded_to_what_they_are_worth() -> None:
    assert [scaling._rounded(number) for number in (0.5556, 5.0, 55.56, 2111, 471)] == ["0.56", "5", "56", "2,100", "470"]
    assert [scaling._size_of(size) for size in (1.5e8, 4.44e9, 4.5e12)] == ["150 MB", "4.4 GB", "4.5 TB"]
