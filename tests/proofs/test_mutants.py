"""The program that makes mutants says of each what is so. It is tried on a checkout of three lines."""

from pathlib import Path

import pytest

from tests.proofs import mutants
from tests.proofs.mutants import Broken, Copy, Mutant, Outcome

SOURCE = """def is_allowed(who: str) -> bool:
    return who == "alice"
"""
TESTS = """from time import sleep

import pytest

from webapp.door import is_allowed


@pytest.fixture
def mallory() -> str:
    return "mallory" if is_allowed("alice") else 1 / 0


def test_alice_is_let_in() -> None:
    assert is_allowed("alice")


class TestStrangers:
    async def test_nobody_else_is(self) -> None: ...

    def test_mallory_is_not(self, mallory: str) -> None:
        assert not is_allowed(mallory)


def test_mallory_is_kept_waiting() -> None:
    while is_allowed("mallory"):
        sleep(0.1)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    for file, text in {
        "webapp/__init__.py": "",
        "webapp/door.py": SOURCE,
        "webapp/testing/__init__.py": "",
        "webapp/testing/fixtures.py": "",  # what the entry point names must be there
        "tests/test_door.py": TESTS,
    }.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    return Copy(tmp_path)


def outcome(copy: Copy, new: str, *tests: str, old: str = 'who == "alice"') -> tuple[Outcome, str]:
    mutant = Mutant("open-door", "webapp/door.py", old, new, tests)
    verdict = copy.tested(mutant, mutant.nodes(mutants.places(copy.root)))
    assert (copy.root / "webapp/door.py").read_text(encoding="utf-8") == SOURCE, "it is put back"
    return verdict.outcome, verdict.detail


def test_tests_are_found_in_files_and_in_classes(copy: Copy) -> None:
    assert mutants.places(copy.root) == {
        "test_alice_is_let_in": ["tests/test_door.py::test_alice_is_let_in"],
        "test_nobody_else_is": ["tests/test_door.py::TestStrangers::test_nobody_else_is"],
        "test_mallory_is_not": ["tests/test_door.py::TestStrangers::test_mallory_is_not"],
        "test_mallory_is_kept_waiting": ["tests/test_door.py::test_mallory_is_kept_waiting"],
    }


def test_one_case_of_a_test_can_be_named() -> None:
    where = {"test_a": ["a.py::test_a"], "test_b": ["a.py::test_b", "b.py::test_b"]}
    mutant = Mutant("a", "a.py", "a", "b", ("test_b", "test_a[x-y]", "test_c"))
    assert mutant.nodes(where) == ["a.py::test_b", "b.py::test_b", "a.py::test_a[x-y]"]


def test_a_mutant_that_a_test_notices_is_killed_by_it(copy: Copy) -> None:
    said = outcome(copy, "True", "test_alice_is_let_in", "test_mallory_is_not")
    assert said == ("killed", "by test_mallory_is_not")


def test_a_mutant_that_no_test_notices_has_lived(copy: Copy) -> None:
    said = outcome(copy, "True", "test_alice_is_let_in")
    assert said == ("LIVED", "none of test_alice_is_let_in failed")


def test_a_mutant_that_keeps_its_tests_waiting_is_noticed(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be stopped before it has begun to test."""
    monkeypatch.setattr(mutants, "SECONDS", 2)
    assert outcome(copy, "True", "test_mallory_is_kept_waiting") == ("timed out", "after 2 seconds")


def test_a_mutant_whose_text_is_gone_does_not_apply(copy: Copy) -> None:
    assert outcome(copy, "True", "test_alice_is_let_in", old="nowhere")[0] == "does not apply"


@pytest.mark.parametrize(
    ("new", "test"),
    [
        pytest.param("who ==", "test_mallory_is_not", id="it cannot be imported"),
        pytest.param("False", "test_mallory_is_not", id="a fixture fails"),
        pytest.param("True", "test_of_which_there_is_none", id="there is no such test"),
    ],
)
def test_a_mutant_that_proves_nothing_is_broken(copy: Copy, new: str, test: str) -> None:
    assert outcome(copy, new, test)[0] == "broken"


def test_tests_that_fail_by_themselves_prove_nothing(copy: Copy) -> None:
    copy.pass_unchanged(["tests/test_door.py::test_alice_is_let_in"], 1)
    (copy.root / "webapp/door.py").write_text(SOURCE.replace("alice", "bob"), encoding="utf-8")
    with pytest.raises(Broken, match="nothing is taken away"):
        copy.pass_unchanged(["tests/test_door.py::test_alice_is_let_in"], 1)
