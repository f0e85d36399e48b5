"""Somebody else's backend: a package of its own, installed beside us, found by its entry point, keeping the same contract."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import backends
from backends import open_backend
from backends.protocol import Backend, NotOurs
from backends.specimens import account

pytest.register_assert_rewrite("backends.contract")
from backends.contract import BackendContract  # noqa: E402 - its asserts are rewritten first

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the package was installed, on the path of this process and of those it starts."""
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(HERE)]
    subprocess.run(command, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(target)
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
    with pytest.raises(NotOurs, match=r"postgres.*file, mongodb, mongodb\+srv, shelf"):
        await open_backend("postgres://localhost/keystead")


@pytest.mark.anyio
async def test_a_plug_in_keeps_what_it_acknowledged(backend: Backend, backend_url: str) -> None:
    await backend.add_account(account())
    again = await open_backend(backend_url)
    assert await again.account("alice") == account()
