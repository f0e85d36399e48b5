"""A few rows of the proof; `python -m tests.proofs.imports` brings 10,000."""

from pathlib import Path

from tests.proofs import imports


def test_everybody_of_six_schemes_logs_on_with_the_old_password_and_has_a_hash_of_ours_then(tmp_path: Path) -> None:
    report = imports.run(60, 48, tmp_path)
    assert report.logged_on == 48
    assert report.kinds["ours"] == 48
    assert report.kinds.total() == 60
    assert len(report.kinds) > 1
