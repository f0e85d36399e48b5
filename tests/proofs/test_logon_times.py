"""A few logons of the proof; `python -m tests.proofs.logon_times` makes 200."""

from pathlib import Path

import pytest

from tests.proofs import logon_times


@pytest.mark.clock
def test_the_time_of_a_refused_logon_does_not_tell_whether_there_is_such_an_account(tmp_path: Path) -> None:
    """An account that is not there and costs no hash would be twenty times as fast; a busy machine is no such difference."""
    medians = logon_times.run(15, tmp_path)
    for known, unknown in zip(logon_times.KNOWN, logon_times.UNKNOWN, strict=True):
        assert 0.5 < medians[known] / medians[unknown] < 2, medians
