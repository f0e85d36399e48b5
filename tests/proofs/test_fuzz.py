"""Some hundred bodies of the proof; `python -m tests.proofs.fuzz` sends 100,000."""

from pathlib import Path

from tests.proofs import fuzz


def test_hostile_bodies_get_no_5xx_change_nothing_and_leave_no_secret_in_a_log(tmp_path: Path) -> None:
    outcomes = fuzz.run(600, tmp_path)
    assert outcomes.total() == 600
    assert outcomes["422"] > 200, "the answers did not get as far as being judged"
