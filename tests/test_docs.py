"""What docs/testing.md tells integrators is so: every example runs, and every row of its tables is what the code does."""

import ast
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from webapp.testing import fixtures
from webapp.testing.site import Site, running
from webapp.testing.stub_key import Faults, StubKey
from webapp.testing.visitor import Visitor

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
TESTS = {name: number for number, block in enumerate(BLOCKS) for name in re.findall(r"^def (test_\w+)", block, re.MULTILINE)}

CONFTEST = """
import pytest
from playwright.sync_api import sync_playwright
from tests.browser.keys import PROGRAMS, launch

@pytest.fixture
def page():  # as pytest-playwright's
    if PROGRAMS["chromium"] is None:
        pytest.skip("CHROMIUM IS NOT INSTALLED: nothing was tested in it")
    with sync_playwright() as playwright, launch(playwright, "chromium") as (browser, _):
        yield browser.new_page()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ElementTree.Element]:
    """All examples, each in a file of its own, run by a pytest that finds the kit as an integrator's would."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "conftest.py").write_text(CONFTEST)
    for number, block in enumerate(BLOCKS):
        (folder / f"test_block_{number}.py").write_text(block)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "--junit-xml", "said.xml", "."]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert (folder / "said.xml").exists(), done.stdout + done.stderr
    cases = ElementTree.parse(folder / "said.xml").iter("testcase")  # noqa: S314 - pytest wrote it
    return {case.get("name", ""): case for case in cases}


@pytest.mark.parametrize("name", TESTS)
def test_an_example_runs(outcomes: dict[str, ElementTree.Element], name: str) -> None:
    assert name in outcomes, f"it was not run; these were: {list(outcomes)}"
    for wrong in outcomes[name]:
        if wrong.tag == "skipped":
            pytest.skip(wrong.get("message", ""))
        assert wrong.tag not in ("failure", "error"), wrong.text


def test_every_example_holds_a_test_and_the_first_has_at_most_ten_lines() -> None:
    assert sorted(set(TESTS.values())) == list(range(len(BLOCKS)))
    assert len(BLOCKS[0].splitlines()) <= 10


def test_every_example_imports_nothing_of_keystead_but_the_kit() -> None:
    imported = re.findall(r"^\s*(?:from|import) ((?:webapp|backends)\S*)", "\n".join(BLOCKS), re.MULTILINE)
    assert imported
    assert [module for module in imported if not module.startswith("webapp.testing")] == []


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose first column is called like this, without its head."""
    [rows] = re.findall(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows.splitlines()]


def test_every_fixture_is_in_its_table() -> None:
    known = set(re.findall(r"^@pytest\.fixture\ndef (\w+)", inspect.getsource(fixtures), re.MULTILINE))
    assert {row[0].strip("`") for row in table("fixture")} == known != set()


def test_every_argument_of_a_key_is_in_its_table_and_makes_one() -> None:
    rows = [keywords(row[0]) for row in table("argument")]
    assert {name for row in rows for name in row} == {field.name for field in fields(StubKey)} - {"credentials"}
    for row in rows:
        StubKey(**row)


# the table of faults


class Row(NamedTuple):
    """A row, as it stands there."""

    name: str
    example: Faults
    meaning: str
    binding: str
    logon: str


def keywords(cell: str) -> Any:
    """The keyword that a cell shows, with its value."""
    call = ast.parse(f"f({cell.strip('`')})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def faults() -> list[Row]:
    found = []
    for cell, meaning, binding, logon in table("fault"):
        example = keywords(cell)
        [name] = example
        found.append(Row(name, example, meaning, binding, logon))
    return found


def documented() -> dict[str, str]:
    """Every fault that the code knows, and what its docstring says."""
    [cls] = ast.parse(textwrap.dedent(inspect.getsource(Faults))).body
    assert isinstance(cls, ast.ClassDef)
    body = cls.body[1:]
    found = {}
    for field, words in zip(body[::2], body[1::2], strict=True):
        assert isinstance(field, ast.AnnAssign)
        assert isinstance(field.target, ast.Name)
        assert isinstance(words, ast.Expr)
        found[field.target.id] = str(ast.literal_eval(words.value))
    return found


def test_the_table_of_faults_has_every_fault_in_the_words_of_the_code() -> None:
    assert list(documented()) == list(Faults.__annotations__)
    assert [(row.name, row.meaning) for row in faults()] == list(documented().items())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def key(site: Site) -> StubKey:
    """The key that the account has bound."""
    visitor, key = site.visitor(), StubKey()
    visitor.log_on(site.account.username, site.password)
    visitor.bind(key)
    return key


@pytest.fixture(scope="module")
def strange_key(site: Site) -> StubKey:
    """A key that somebody else has bound at the same site."""
    other, key = site.add_account("other"), StubKey()
    visitor = site.visitor(other)
    visitor.log_on(other.username, site.password)
    visitor.bind(key)
    return key


@pytest.fixture(scope="module")
def inside(site: Site, key: StubKey) -> Visitor:
    """The owner, who has just touched the key."""
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    return visitor


@pytest.fixture(scope="module")
def outside(site: Site, key: StubKey) -> Visitor:
    """The owner at another browser, who comes no further than the key step, or is asked to begin again."""
    return site.visitor()


STATUS = {"refused": 422, "accepted": 303, "no matter": 303}


@pytest.mark.parametrize("row", faults(), ids=lambda row: row.name)
def test_keystead_does_with_a_fault_at_binding_what_the_table_says(inside: Visitor, key: StubKey, row: Row) -> None:
    inside.get("/account/security/u2f")
    inside.begin_bind()
    answer = inside.finish_bind(key if row.name == "unlisted" else StubKey(), **row.example)
    assert answer.status_code == STATUS[row.binding]


@pytest.mark.parametrize("row", faults(), ids=lambda row: row.name)
def test_keystead_does_with_a_fault_at_logon_what_the_table_says(
    site: Site, outside: Visitor, key: StubKey, strange_key: StubKey, row: Row
) -> None:
    if outside.get("/logon/key").status_code != 200:
        outside.client.cookies.clear()
        outside.submit_password(site.account.username, site.password)
    outside.begin_key()
    answer = outside.finish_key(strange_key if row.name == "unlisted" else key, **row.example)
    assert answer.status_code == STATUS[row.logon]
