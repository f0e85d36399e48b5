"""docs/security.md says what is so: every row names tests and mutants that there are, and every mutant can be made.

That the tests notice their mutants takes some minutes, and is `make mutants`.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.proofs import mutants
from tests.proofs.mutants import Mutant

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
MUTANTS = mutants.load()
TESTS = frozenset(mutants.places())


class Row(NamedTuple):
    """A threat, the names of the tests that prove its answer, and of the mutants that take it away."""

    threat: str
    tests: frozenset[str]
    mutants: tuple[str, ...]


def _row(line: str) -> Row:
    threat, _, tests, names = (cell.strip() for cell in line.strip().strip("|").split(" | "))
    return Row(threat, frozenset(re.findall(r"`(test_\w+)`", tests)), tuple(re.findall(r"`([a-z0-9-]+)`", names)))


ROWS = [_row(line) for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| threat")]


def test_the_page_has_its_rows() -> None:
    assert len(ROWS) > 45
    assert len({row.threat for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat)
def test_a_row_names_tests_and_mutants_that_there_are(row: Row) -> None:
    assert row.tests
    assert row.mutants
    assert row.tests - TESTS == set()
    assert set(row.mutants) - set(MUTANTS) == set()


def test_every_mutant_belongs_to_one_row() -> None:
    named = [name for row in ROWS for name in row.mutants]
    assert sorted(named) == sorted(MUTANTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.threat)
def test_the_tests_of_a_row_are_those_that_are_run_for_its_mutants(row: Row) -> None:
    assert row.tests == {test.partition("[")[0] for name in row.mutants for test in MUTANTS[name].tests}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_changes_something(mutant: Mutant) -> None:
    changed = mutants.mutated(mutant)
    assert changed != (ROOT / mutant.file).read_text(encoding="utf-8")
    if mutant.file.endswith(".py"):
        compile(changed, mutant.file, "exec")


def test_a_mutant_whose_text_is_gone_or_stands_twice_does_not_apply() -> None:
    for old in ("this stands nowhere in it", "import"):
        with pytest.raises(mutants.DoesNotApply, match="no longer applies"):
            mutants.mutated(Mutant("a", "webapp/accounts/sessions.py", old, "", ("test_a",)))
    with pytest.raises(mutants.DoesNotApply):
        mutants.mutated(Mutant("a", "webapp/gone.py", "import", "", ("test_a",)))
