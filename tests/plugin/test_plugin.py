"""Somebody else's backend: a package of its own, installed beside us, found by its entry point, keeping the same contract."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import backends
from backends import open_backend
from backends.contract import BackendContract, durability
from backends.contract.samples import account, all_of
from backends.protocol import Backend, IncompatibleStore

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "backends.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the package was installed, on the path of this process and of those it starts."""
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(HERE)]
    subprocess.run(command, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target)
        patch.delitem(sys.modules, "keystead_shelf", raising=False)  # another test may have had it from its source
        patch.setenv("PYTHONPATH", os.pathsep.join([str(target), str(Path(backends.__file__).parents[1])]))
        yield target


@pytest.fixture
def backend_url(installed: Path, tmp_path: Path) -> str:
    return f"shelf://{tmp_path}/shelf"


@pytest.fixture
async def backend(backend_url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(backend_url)
    yield backend
    await backend.close()


class TestShelfBackend(BackendContract):
    """Every promise of the protocol."""


def test_two_hundred_lines_are_enough_for_a_backend() -> None:
    assert len((HERE / "keystead_shelf.py").read_text().splitlines()) <= 200


@pytest.mark.anyio
async def test_a_plug_in_is_found_by_the_scheme_of_its_entry_point(backend: Backend, installed: Path) -> None:
    assert "shelf" in entry_points(group="keystead.backends").names
    source = sys.modules[type(backend).__module__].__file__
    assert source == str(installed / "keystead_shelf.py"), "it is the installed one that runs"


@pytest.mark.anyio
async def test_a_plug_in_without_migrations_needs_none(backend_url: str) -> None:
    assert await backends.migrate(backend_url) == []


@pytest.mark.anyio
async def test_a_scheme_that_nobody_installed_is_refused_and_the_installed_ones_named(installed: Path) -> None:
    with pytest.raises(IncompatibleStore, match=r"postgres.*file, mongodb, mongodb\+srv, shelf"):
        await open_backend("postgres://localhost/keystead")


@pytest.mark.anyio
async def test_a_plug_in_keeps_what_it_acknowledged(backend: Backend, backend_url: str) -> None:
    await backend.add(account())
    again = await open_backend(backend_url)
    assert await again.account("alice") == account()


@pytest.mark.anyio
async def test_what_a_plug_in_acknowledged_survives_kill_9(backend: Backend, backend_url: str) -> None:
    assert await durability.prove(backend_url, rounds=2, people=4) > 0
    assert await all_of(backend.dump()) == []


def test_the_module_in_the_documentation_runs_the_contract_as_it_stands(installed: Path, tmp_path: Path) -> None:
    [module] = re.findall(r"^ *```python\n(.*?)^ *```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "test_shelf.py").write_text(textwrap.dedent(module))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "error",
        "-k",
        "comes_back_as_it_was or another_process",
        ".",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE), done.stdout
