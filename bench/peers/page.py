"""What was measured, written into docs/speed.md between its two marks, with how, where and when it was measured."""

import os
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.peers.measure import Round
from bench.peers.peer import ROOT, Installed, Peer
from bench.peers.table import COLUMNS
from webapp import __version__

PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- what python -m bench.peers --write measured -->\n", "<!-- as far as here -->\n"


def write(found: Sequence[Round], peers: Sequence[Peer], missing: Sequence[str], rounds: int, small: bool) -> None:
    """Put these rounds in the place of whatever was measured before."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    _, mark, tail = rest.partition(END)
    assert mark, f"{PAGE} has lost its marks"
    PAGE.write_text(f"{head}{BEGIN}\n{_how(peers, missing, rounds, small)}\n\n{_table(found)}\n\n{END}{tail}")


def _table(found: Sequence[Round]) -> str:
    """One column for each peer: a page is higher than it is wide."""
    names = list(dict.fromkeys(one.peer for one in found))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for title, value, style in COLUMNS:
        cells = (style.format(statistics.median(value(one) for one in found if one.peer == name)) for name in names)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _how(peers: Sequence[Peer], missing: Sequence[str], rounds: int, small: bool) -> str:
    effort = "a **small run** of a few logons, to see whether it works: no figures to rely on" if small else "a whole run"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {effort}. Rounds: {rounds}, medians. Cores: {os.cpu_count()}, {_processor()}. Versions:",
        "; ".join(f"{peer.name} {_version(peer)}" for peer in peers) + ".",
    ]
    return "\n".join([*lines, f"Not measured: {', '.join(missing)}."] if missing else lines)


def _version(peer: Peer) -> str:
    look = [peer.python(), "-c", "import platform; print(platform.python_version())"]
    python = subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip()
    packages = peer.packages if isinstance(peer, Installed) else (f"Keystead=={__version__}",)
    return f"{packages[0].partition('==')[2]} on Python {python}"


def _processor() -> str:
    told = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    return next((value.strip() for name, _, value in told if name.strip() == "model name"), "of unknown make")
