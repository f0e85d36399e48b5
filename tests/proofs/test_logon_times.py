"""A few logons of the proof; `python -m tests.proofs.logon_times` makes 200."""

from pathlib import Path
from statistics import median

import pytest

from tests.proofs import logon_times


@pytest.mark.clock
def test_the_time_of_a_refused_logon_does_not_tell_whether_there_is_such_an_account(tmp_path: Path) -> None:
    """An account that is not there and costs no hash would be twenty times as fast; a busy machine is no such difference."""
    medians = logon_times.run(15, tmp_path)
    for known, unknown in zip(logon_times.KNOWN, logon_times.UNKNOWN, strict=True):
        assert 0.5 < medians[known] / medians[unknown] < 2, medians


@pytest.mark.clock
def test_the_time_of_a_refused_logon_tells_of_a_name_that_nobody_has_what_it_tells_of_somebodys(tmp_path: Path) -> None:
    """Among imported accounts that cost four times as much as ours: names that nobody has are of each kind that there is."""
    times = logon_times.run_imported(2, 12, tmp_path)
    assert set(times.unknown) == set(times.existing), (
        "with a secret of its own each run draws anew: one in a hundred misses a kind"
    )
    for kind, existing in times.existing.items():
        for unknown in times.unknown[kind]:
            assert 0.5 < unknown / median(existing) < 2, times
