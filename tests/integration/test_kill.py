from pathlib import Path

from bench import kill_bound


def test_a_binding_that_was_answered_survives_kill_9(tmp_path: Path) -> None:
    assert kill_bound.run(3, tmp_path) == 0
