"""python -m bench.peers [--rounds N] [--only NAME …] [--small] [--write]: the table, medians of the rounds.

The peers take turns, so that noise of the machine falls on all of them. What cannot be measured here is said aloud.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.peers import measure, page, table
from bench.peers.allauth import Allauth
from bench.peers.flask_security import FlaskSecurity
from bench.peers.floor import Floor
from bench.peers.keystead import Keystead, NewBrowsers
from bench.peers.measure import CROWD, Effort, Round
from bench.peers.peer import Missing, Peer
from bench.peers.person import Person
from bench.peers.tinysesam import TinySesam

PEERS: tuple[type[Peer], ...] = (Keystead, Floor, TinySesam, FlaskSecurity, Allauth)
BESIDE: tuple[type[Peer], ...] = (NewBrowsers,)
"""Measured when they are named, and no part of the table."""
SMALL = Effort(alone=16, together=32, storm=16)


def main() -> None:
    asked = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS + BESIDE])
    asked.add_argument("--small", action="store_true", help="a few logons only: to see whether it works")
    asked.add_argument("--write", action="store_true", help="write the table into docs/speed.md")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="keystead-bench-") as folder:
        ready = _ready(
            [peer() for peer in PEERS + BESIDE if peer.name in (options.only or [one.name for one in PEERS])], Path(folder)
        )
        found: list[Round] = []
        for number in range(1, options.rounds + 1):
            for peer, people, seeded in ready:
                print(f"round {number} of {options.rounds}: {peer.name} ...", file=sys.stderr, flush=True)
                found.append(measure.run(peer, people, seeded, SMALL if options.small else Effort()))
    print(table.markdown(found))
    if options.write:
        missing = [peer.name for peer in PEERS if peer.name not in {one.peer for one in found}]
        page.write(found, [peer for peer, _, _ in ready], missing, options.rounds, options.small)
    print(f"\n{options.rounds} rounds, {os.cpu_count()} cores, Python {sys.version.split()[0]}")


def _ready(peers: list[Peer], folder: Path) -> list[tuple[Peer, list[Person], Path]]:
    """Those that can be measured here, each with people and records: those who use their keys, and those who storm."""
    ready = []
    for peer in peers:
        people, seeded = peer.people(2 * CROWD), folder / peer.name
        seeded.mkdir()
        try:
            peer.python()
            peer.seed(seeded, people)
            ready.append((peer, people, seeded))
        except Missing as missing:
            print(f"\n*** NOT MEASURED: {peer.name}: {missing} ***\n", file=sys.stderr)
    return ready


if __name__ == "__main__":
    main()
