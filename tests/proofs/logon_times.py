"""Whether the time of a refused logon tells a username, or an address, that exists from one that does not: medians, in process.

python -m tests.proofs.logon_times [--logons 200] [--imported]      of each name, in turns

With --imported most accounts still have hashes of other software, which cost several times what ours do. Names that nobody has
are to cost as much as theirs, and as often.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

import bcrypt

from tests.foreign import MADE
from webapp.accounts import limits, passwords
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, Site, running
from webapp.testing.visitor import Visitor

KNOWN, UNKNOWN = ("zoe", "zoe@example.com"), ("nobody", "nobody@example.com")
WARM_UP = 5
SECRET = "decides alike in each run which name is like whom"
PBKDF2 = MADE["django pbkdf2_sha256"].replace("$1000$", "$600000$")


def run(logons: int, folder: Path) -> dict[str, float]:
    """The median for each name, in milliseconds."""
    with running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site:
        return _medians(site, (*KNOWN, *UNKNOWN), logons)


class Times(NamedTuple):
    """The median of each name in milliseconds, by the kind of hash that it is checked against."""

    existing: Mapping[str, Sequence[float]]
    unknown: Mapping[str, Sequence[float]]

    def __str__(self) -> str:
        return "\n".join(self._line(kind) for kind in self.existing)

    def _line(self, kind: str) -> str:
        parts = []
        for what, times in (("accounts", self.existing), ("unknown names", self.unknown)):
            share = len(times.get(kind, ())) / sum(map(len, times.values()))
            median = statistics.median(times.get(kind) or [float("nan")])
            parts.append(f"{share:4.0%} of {what} {median:6.1f} ms")
        return f"{kind:<22} {', '.join(parts)}"


def run_imported(logons: int, unknown: int, folder: Path, cost: int = 11, accounts: int = 12) -> Times:
    """A quarter of the accounts log on for the first time with PBKDF2, half with bcrypt, and a quarter has hashes of ours."""
    imported = [bcrypt.hashpw(b"theirs", bcrypt.gensalt(cost)).decode(), PBKDF2] * (accounts // 4) + [
        bcrypt.hashpw(b"theirs", bcrypt.gensalt(cost)).decode()
    ] * (accounts // 4)
    with running(folder, trusted_proxies=(ip_network(ADDRESS),), secret_keys=(SECRET,)) as site:
        hashes = {f"imported{number}": hash for number, hash in enumerate(imported)}
        made = {name: site.add_account(name, password_hash=hash) for name, hash in hashes.items()}
        ours = {f"ours{number}": site.add_account(f"ours{number}") for number in range(accounts // 4 - 1)} | {"zoe": site.account}
        census = site.state["census"]
        site.call(census.take, site.backend)
        nobody = [f"nobody{number}" for number in range(unknown)]
        medians = _medians(site, (*made, *ours, *nobody), logons)
    kind_of = {name: passwords.kind(account.password_hash) for name, account in (made | ours).items()}
    like = {name: found.kind if (found := census.like(name)) else "ours" for name in nobody}
    return Times(_by_kind(kind_of, medians), _by_kind(like, medians))


def _by_kind(kinds: Mapping[str, str], medians: Mapping[str, float]) -> dict[str, list[float]]:
    return {kind: [medians[name] for name, its in kinds.items() if its == kind] for kind in sorted(set(kinds.values()))}


def _medians(site: Site, names: Sequence[str], logons: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in names}
    stranger = site.visitor()
    with Clock() as clock:
        for number in range(logons + WARM_UP):
            for turn, (name, taken) in enumerate(times.items()):
                stranger.client.headers["x-forwarded-for"] = f"10.{turn}.{number >> 8}.{number & 255}"
                taken.append(_refused(stranger, name))
            if number % limits.STRANGERS.most == 0:
                clock.move(max(limits.STRANGERS_HOUR.window, timedelta(minutes=10)))
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
    parser.add_argument("--imported", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.imported:
            sys.stdout.write(f"{run_imported(asked.logons, 60, Path(folder))}\n")
            return
        medians = run(asked.logons, Path(folder))
    for known, unknown in zip(KNOWN, UNKNOWN, strict=True):
        apart = abs(medians[known] - medians[unknown]) / medians[known]
        sys.stdout.write(f"{known} {medians[known]:.2f} ms, {unknown} {medians[unknown]:.2f} ms: {apart:.1%} apart\n")


if __name__ == "__main__":
    main()
