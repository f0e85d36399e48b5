"""Whether the time of a refused logon tells a username, or an address, that exists from one that does not: medians, in process.

python -m tests.proofs.logon_times [--logons 200]      of each name, in turns
"""

import argparse
import statistics
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

from webapp.accounts import limits
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, running
from webapp.testing.visitor import Visitor

KNOWN, UNKNOWN = ("zoe", "zoe@example.com"), ("nobody", "nobody@example.com")
WARM_UP = 5


def run(logons: int, folder: Path) -> dict[str, float]:
    """The median for each name, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in (*KNOWN, *UNKNOWN)}
    with running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site, Clock() as clock:
        stranger = site.visitor()
        for number in range(logons + WARM_UP):
            stranger.client.headers["x-forwarded-for"] = f"10.0.{number >> 8}.{number & 255}"
            for name, taken in times.items():
                taken.append(_refused(stranger, name))
            if number % limits.STRANGERS.most == 0:
                clock.move(limits.STRANGERS_HOUR.window)
    return {name: statistics.median(taken[WARM_UP:]) for name, taken in times.items()}


def _refused(visitor: Visitor, name: str) -> float:
    """How long a wrong password for this name takes."""
    begun = time.perf_counter()
    answer = visitor.post("/logon", {"username": name, "password": "not the password"})
    taken = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 401
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logons", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        medians = run(asked.logons, Path(folder))
    for known, unknown in zip(KNOWN, UNKNOWN, strict=True):
        apart = abs(medians[known] - medians[unknown]) / medians[known]
        sys.stdout.write(f"{known} {medians[known]:.2f} ms, {unknown} {medians[unknown]:.2f} ms: {apart:.1%} apart\n")


if __name__ == "__main__":
    main()
