"""An hour of the proof; `python -m tests.proofs.guesses` takes a day."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.proofs import guesses
from webapp.accounts import codes, limits


@pytest.mark.parametrize("addresses", [1, 10_000])
def test_guesses_at_a_code_are_few_from_however_many_addresses_and_the_owner_gets_in(tmp_path: Path, addresses: int) -> None:
    outcome = guesses.run(addresses, tmp_path, timedelta(hours=1))
    assert outcome.sent > 400
    assert 0 < outcome.judged <= limits.CODES.most * codes.MAX_TRIES
    assert outcome.owner_got_in
