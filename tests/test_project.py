"""The rules of this repository that a reader would otherwise have to take on trust."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import backends

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    if (ROOT / name).is_file()
]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


def pins(file: str) -> dict[str, str]:
    """Package to version, as pinned."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))


def normal(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_installed_and_built_in_backends_are_the_same() -> None:
    assert PROJECT["project"]["entry-points"][backends.GROUP] == backends.BUILT_IN


def test_a_built_in_backend_is_found_without_a_look_at_what_is_installed() -> None:
    look = "import backends, sys; print(backends._factory('file:x.db').__name__, 'importlib.metadata' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["FileBackend", "False"]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_pins_name_versions_and_hashes_and_nothing_of_where_they_came_from(file: str) -> None:
    for line in (ROOT / file).read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.+!]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|# [^/:]*:?|", line), line


def test_everything_the_project_asks_for_is_pinned() -> None:
    assert {normal(name) for name in PROJECT["project"]["dependencies"]} <= set(pins("requirements.txt"))
    assert {normal(name) for name in PROJECT["project"]["optional-dependencies"]["dev"]} <= set(pins("requirements-dev.txt"))


def test_tests_run_with_what_is_deployed() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


def test_the_server_for_tests_of_mongodb_is_never_deployed() -> None:
    assert "secantusdb" not in pins("requirements.txt")
    assert "secantusdb" in pins("requirements-dev.txt")


def test_a_file_is_named_for_what_it_answers_for() -> None:
    banned = re.compile(r"(utils?|helpers?|common|services?|manager|base|models?|core)\.py")
    assert [str(file) for file in TRACKED if banned.fullmatch(file.name)] == []


def imported(file: Path) -> set[str]:
    """The packages that a file imports of."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [[alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] for node in nodes]
    return {name.partition(".")[0] for each in names for name in each}


def test_measurements_and_tests_know_nothing_of_each_other_but_for_the_tests_of_the_measurements() -> None:
    bench, tests = ROOT / "bench", ROOT / "tests"
    assert [file for file in bench.rglob("*.py") if "tests" in imported(file)] == []
    knowing = [file for file in tests.rglob("*.py") if "bench" in imported(file)]
    assert knowing
    assert [file for file in knowing if not file.is_relative_to(tests / "bench")] == []


def test_the_wheel_brings_all_that_a_browser_is_given(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("keystead-*.whl"))) as wheel:
        inside = set(wheel.namelist())
    shown = [file for file in TRACKED if file.is_relative_to(ROOT / "templates") or file.is_relative_to(ROOT / "static")]
    assert {f"webapp/{file.relative_to(ROOT)}" for file in shown} <= inside
    assert {
        str(file.relative_to(ROOT)) for file in TRACKED if file.suffix == ".py" and file.is_relative_to(ROOT / "webapp")
    } <= inside
    assert not [name for name in inside if name.startswith(("tests/", "bench/", "templates/", "static/"))]


def test_the_procfile_runs_commands_that_exist() -> None:
    from webapp.cli import main

    for line in (ROOT / "Procfile").read_text().splitlines():
        name, command = line.split(": ", 1)
        words = command.split()
        assert name in ("web", "release")
        assert words[:3] == ["python", "-m", "webapp"]
        assert words[3] in main.commands


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_a_template_needs_no_exception_from_the_content_security_policy(template: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
    assert not re.search(r"\son[a-z]+\s*=|javascript:|<script(?![^>]*\ssrc=)|\|\s*safe\b", text, re.IGNORECASE)
    if template.parent.name != "mail":  # mail programs know no style sheets
        assert not re.search(r"\sstyle\s*=|<style", text, re.IGNORECASE)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_a_template_speaks_our_words(template: Path) -> None:
    text = re.sub(r"\{[{%#].*?[}%#]\}|<[^>]*>", " ", template.read_text(), flags=re.DOTALL)
    foreign = re.compile(
        r"\b(log ?ins?|log ?out|sign (in|out|up)|otp|2fa|mfa|enrol\w*|regist\w+|backup codes?|authenticator)\b", re.IGNORECASE
    )
    assert [found[0] for found in foreign.finditer(text)] == []


@pytest.mark.parametrize("panel", [file for file in TEMPLATES if file.name.startswith("_")], ids=lambda file: str(file.name))
def test_a_panel_is_one_element_named_like_its_file(panel: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", panel.read_text(), flags=re.DOTALL).strip()
    opening = re.match(r'<([a-z]+)\s[^>]*?\bid="([a-z-]+)"', text)
    assert opening, "a panel begins with its element"
    assert opening[2] == panel.stem.removeprefix("_")
    assert text.endswith(f"</{opening[1]}>")


def test_every_target_of_htmx_is_an_element_of_a_template() -> None:
    everything = "\n".join(file.read_text() for file in TEMPLATES)
    ids = set(re.findall(r'\bid="([a-z-]+)"', everything))
    targets = {target for target in re.findall(r'hx-target="([^"{]+)"', everything) if target != "this"}
    assert targets
    assert {target.removeprefix("#") for target in targets} <= ids
