"""A few kills of the proof; `python -m tests.proofs.letters_kill` makes a hundred."""

from pathlib import Path

import pytest

from tests.proofs import letters_kill


@pytest.mark.parametrize("kind", ["file", "mongodb"])
def test_what_was_answered_and_every_letter_survives_kill_9(tmp_path: Path, kind: str) -> None:
    with letters_kill.records(kind, tmp_path) as backend:
        report = letters_kill.run(4, 4, tmp_path, backend)
    assert report.acknowledged > 8
    assert report.letters > 2
