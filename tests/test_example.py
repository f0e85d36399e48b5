"""The application in docs/example works, with nothing of this tree but what the wheel ships."""

import ast
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "example"
OFFLINE = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV", "VIRTUAL"))}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment with Keystead and the example from their wheels; what both need is lent to it."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    [site] = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")  # a .pth in there is not followed: nothing editable
    wheels = folder / "wheels"
    pip(["wheel", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT), str(EXAMPLE)])
    pip(["--python", str(python), "install", *(str(wheel) for wheel in wheels.glob("*.whl"))])
    return python


def pip(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "pip", *arguments, *OFFLINE], env=ENVIRON, check=True, timeout=120)


def run(python: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-I", *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=120, check=False)


def test_its_tests_pass_in_an_environment_that_has_keystead_from_the_wheel(clean: Path, tmp_path: Path) -> None:
    for file in ("pyproject.toml", "test_noticeboard.py"):
        (tmp_path / file).write_bytes((EXAMPLE / file).read_bytes())
    where = run(
        clean, "-c", "import webapp, backends, noticeboard; print(webapp.__file__, noticeboard.__file__)", folder=tmp_path
    )
    assert [Path(file).is_relative_to(clean.parents[1]) for file in where.stdout.split()] == [True, True], where.stderr
    speaks = run(clean, "-c", "from webapp import languages; print(languages.of('zh-CN').gettext('Log on'))", folder=tmp_path)
    assert speaks.stdout not in ("", "Log on\n"), "the catalogues are in the wheel"
    tests = run(clean, "-m", "pytest", "-p", "no:cacheprovider", "-ra", folder=tmp_path)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "9 passed" in tests.stdout


@pytest.mark.parametrize("file", sorted(EXAMPLE.glob("*.py")), ids=lambda file: file.name)
def test_it_imports_nothing_of_keystead_but_the_kit(file: Path) -> None:
    imported = [name for node in ast.walk(ast.parse(file.read_text())) for name in modules(node)]
    assert [name for name in imported if name.split(".")[0] in ("webapp", "backends") and name.split(".")[:2] != KIT] == []


KIT = ["webapp", "testing"]


def modules(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
