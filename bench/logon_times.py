"""Whether the time of a refused logon tells a username that exists from one that does not: medians, in process.

python bench/logon_times.py [LOGONS]      200 by default, of each kind, in turns
"""

import statistics
import sys
import tempfile
import time
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from webapp.testing.site import ADDRESS, running


def run(logons: int, folder: Path) -> tuple[float, float]:
    """The medians, in milliseconds, for a known and an unknown username."""
    times: dict[str, list[float]] = {"zoe": [], "nobody": []}
    with running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site:
        visitor = site.visitor()
        for number in range(logons + 5):
            for username, taken in times.items():
                visitor.client.headers["x-forwarded-for"] = f"10.0.{number >> 8}.{number & 255}"
                begun = time.perf_counter()
                answer = visitor.post("/logon", {"username": username, "password": "not the password"})
                if number >= 5:  # the first ones warm up
                    taken.append((time.perf_counter() - begun) * 1000)
                assert answer.status_code == 401
    return statistics.median(times["zoe"]), statistics.median(times["nobody"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        known, unknown = run(int(sys.argv[1]) if len(sys.argv) > 1 else 200, Path(temporary))
        print(f"known {known:.2f} ms, unknown {unknown:.2f} ms: {abs(known - unknown) / known:.1%} apart")
