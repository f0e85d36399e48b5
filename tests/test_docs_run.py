"""Whatever a page tells people to type can be typed: blocks are run by a shell as they stand, and what is named exists.

docs/testing.md and the module of docs/backends.md have tests of their own (test_docs.py, tests/plugin).
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from msgspec.structs import replace

from backends.records import Account
from tests.browser import live_site
from tests.cli.deployment import PLAIN, Deployment, anna
from tests.command import KEYSTEAD
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.cli import backups, main
from webapp.testing.mailbox import free_port

ROOT = Path(__file__).parents[1]
CHINESE = ROOT / "README.zh-CN.md"
PAGES = [ROOT / "README.md", CHINESE, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
MADE = "keystead-2026-11-28T033007Z.jsonl"
"""The name of a backup, as an example."""

ELSEWHERE = {
    "make demo": "tests/cli/test_demo.py",
    "make test": "is what runs this",
    "make quick": "is a part of make test",
    "make check": "make test begins with it",
    "make pythons": "repeats make test",
    "make bench": "a quarter of an hour; tests/bench looks at its page",
    "python -m bench.": "the same",
    "python3 -m venv .venv": "every environment begins so",
    "pip install --require-hashes": "as make demo does it",
}
"""Commands that are not run here, by how they begin, and why that is no gap."""


def commands(page: Path) -> list[str]:
    """Each line of a block that is typed into a shell, without its comment."""
    lines = [line.split("   #")[0].strip() for _, block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    return [line for line in lines if re.match(r"(keystead|make|python3?|pip|\.venv/bin/\S+) ", line) and "[" not in line]


def is_elsewhere(command: str) -> bool:
    return any(command.removeprefix(".venv/bin/").startswith(begin) for begin in ELSEWHERE)


# blocks


@pytest.fixture
def shell(tmp_path: Path) -> Deployment:
    """A deployment with an account, an empty ./FOLDER, and `keystead` on the path."""
    deployment = Deployment(tmp_path)
    deployment.add(anna())
    program = deployment.folder / "bin" / "keystead"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(KEYSTEAD)} "$@"\n')
    program.chmod(0o755)
    deployment.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    deployment.environ["PYTHONPATH"] = str(ROOT)
    (deployment.folder / "FOLDER").mkdir()
    return deployment


def typed(shell: Deployment, line: str) -> subprocess.CompletedProcess[str]:
    """As it stands, but for folders of this machine and the name of the backup that there is."""
    line = re.sub(r"file:///(var/lib/keystead|tmp)/", f"{shell.folder.as_uri()}/", line)
    if MADE in line:
        line = line.replace(MADE, backups.all_in(shell.folder / "FOLDER")[-1].name)
    return subprocess.run(
        ["sh", "-c", line], cwd=shell.folder, env=shell.environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_upgrading_and_going_back_work_as_the_page_says(shell: Deployment) -> None:
    """The commands of its list and of its paragraphs, in their order, then those of its blocks."""
    page = ROOT / "docs" / "upgrading.md"
    inline = [line for line in re.findall(r"`(keystead [^`]+)`", page.read_text()) if "heads" not in line]
    assert len(inline) >= 3
    blocks = commands(page)
    assert len(blocks) == 3
    for line in [*inline, *blocks]:
        done = typed(shell, line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert {path.name for path in shell.folder.glob("*.db")} == {"keystead.db", "back.db", "rehearsal.db"}


def test_moving_to_another_domain_works_as_the_page_says(shell: Deployment) -> None:
    """Its settings, then its commands in their order. One of anna's keys was bound at the old domain, the other is bound here."""
    page = ROOT / "docs" / "moving-domain.md"
    settings = dict(re.findall(r"^ +(KEYSTEAD_\w+)=(\S+)$", page.read_text(), re.MULTILINE))
    old, here = settings["KEYSTEAD_MOVED_FROM"], shell.environ["KEYSTEAD_PUBLIC_URL"]
    assert settings["KEYSTEAD_PUBLIC_URL"] == here
    shell.change(as_if_bound_at, "Blue key", old)
    assert "docs/moving-domain.md" in shell.refused("serve")
    shell.environ |= settings
    said = [typed(shell, line) for line in commands(page)]
    moved_file, doctor, earlier, unbound = said
    assert [done.returncode for done in (moved_file, earlier, unbound)] == [0, 0, 0]
    assert json.loads((shell.folder / "webauthn.json").read_text()) == {"origins": [here]}
    assert f"https://{old}/.well-known/webauthn" in moved_file.stderr
    assert f"https://{old}/.well-known/webauthn cannot be reached from here" in " ".join(doctor.stdout.split())
    assert "Blue key" in earlier.stdout
    assert [key.name for key in shell.read().keys] == ["Spare key"]
    assert "No key is bound" in unbound.stdout
    assert shell.ask(lambda ctx: ctx.backend.rp_ids()) == ["account.example.com"], "it starts without KEYSTEAD_MOVED_FROM"


def as_if_bound_at(account: Account, _: Act, name: str, domain: str) -> Decision:
    changed = [replace(key, rp_id=domain) if key.name == name else key for key in account.keys]
    return Decision(replace(account, keys=tuple(changed)))


def test_accounts_are_imported_as_the_page_says(shell: Deployment) -> None:
    (shell.folder / "people.csv").write_text("username,email,password\nbert,bert@example.com,\n")
    first, second = commands(ROOT / "docs" / "importing.md")
    assert "Nothing was done." in typed(shell, first).stdout
    assert "Imported 1 account." in typed(shell, f"echo y | {second}").stdout


# what is named


def named() -> Iterator[tuple[str, str]]:
    """Each `keystead …` that a page names, in code or in a block, with the page's name."""
    for page in PAGES:
        text = page.read_text()
        spans = re.findall(r"`(?:\.venv/bin/)?(?:keystead|python -m webapp) ([^`]+)`", text)
        blocks = [line for _, block in BLOCK.findall(text) for line in block.splitlines()]
        lines = [match[1] for line in blocks if (match := re.match(r"\s*(?:keystead|\S*python -m webapp) (.+)", line))]
        yield from ((page.name, words.split("   ")[0].rstrip(")")) for words in (*spans, *lines))


@pytest.mark.parametrize(("page", "words"), sorted(set(named())))
def test_a_command_that_a_page_names_is_there_with_its_options(page: str, words: str) -> None:
    command, options = found(words)
    known = {option for one in command for param in one.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}
    assert set(options) <= known, f"{page}: {words}"


def found(words: str) -> tuple[list[click.Command], list[str]]:
    """The commands (several, where the page writes `list|show`) and the options that these words are."""
    options = re.findall(r"--[a-z-]+", words)
    group: list[click.Command] = [main]
    for word in re.split(r"\s+", words.replace(r"\|", "|")):
        if not all(isinstance(one, click.Group) for one in group):
            break
        choices = word.split("|")
        group = [one.commands[choice] for one in group if isinstance(one, click.Group) for choice in choices]
    return group, options


# the README's way from nothing to a running server


RUN_IT = "test -e environment ||"


def test_the_way_from_nothing_to_a_server_is_typed_as_the_readme_has_it(tmp_path: Path) -> None:
    """Its packages are those of this environment. Typed twice, because people do: the secret stays as it was."""
    [block] = [text for _, text in BLOCK.findall((ROOT / "README.md").read_text()) if RUN_IT in text]
    lines = block.splitlines()
    assert [is_elsewhere(line) for line in lines] == [True] * 2 + [False] * (len(lines) - 2)
    assert lines[-1] == ".venv/bin/python -m webapp serve"
    for name in ("webapp", "backends", "templates", "static"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = "set -e\n" + "\n".join(lines[2:-2]) + "\n"
    secrets = set()
    for password in ("correct horse battery\n" * 2,) * 2:
        done = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=PLAIN, input=password, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or "There is an account anna already" in done.stderr, done.stdout + done.stderr
        secrets.add((tmp_path / "environment").read_text())
    assert len(secrets) == 1
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600
    serve = f"set -a; . ./environment; set +a; exec {lines[-1]}"
    port = free_port()
    with subprocess.Popen(["sh", "-c", serve], cwd=tmp_path, env=PLAIN | {"PORT": str(port)}, stderr=subprocess.PIPE) as server:
        try:
            assert live_site.wait_for(port, server)
        finally:
            server.terminate()


def test_doctor_is_the_step_before_the_last() -> None:
    """It names what this example cannot have: a mail server of that name."""
    [block] = [text for _, text in BLOCK.findall((ROOT / "README.md").read_text()) if RUN_IT in text]
    assert block.splitlines()[-2] == ".venv/bin/python -m webapp doctor"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_a_block_is_run_by_a_test(page: Path) -> None:
    ours = {"upgrading.md", "moving-domain.md", "README.md", CHINESE.name}
    assert (
        page.name in ours
        or [line for line in commands(page) if not line.startswith("keystead ") and not is_elsewhere(line)] == []
    )


def test_the_chinese_readme_has_commands_of_the_english_one_and_leads_to_what_is_there() -> None:
    english, chinese = (ROOT / "README.md").read_text(), CHINESE.read_text()
    [block] = [text for _, text in BLOCK.findall(chinese) if RUN_IT in text]
    assert block in english
    assert set(commands(CHINESE)) <= set(commands(ROOT / "README.md"))
    headings = {
        re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in re.findall(r"^#+ (.+)$", chinese, re.MULTILINE)
    }
    for path, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", chinese):
        assert (ROOT / path).exists(), path
        assert not anchor or anchor in headings


def test_the_two_readmes_have_the_same_sections_tables_links_and_names() -> None:
    """Whatever is added to one of them is missed in the other."""
    english, chinese = (outline((ROOT / name).read_text()) for name in ("README.md", CHINESE.name))
    assert english == chinese


def outline(text: str) -> tuple[list[str], list[list[str]], set[str], set[str]]:
    """What a README has in any language: levels of headings, names and defaults of rows, files it leads to, what it names."""
    prose = BLOCK.sub("", text)
    rows = re.findall(r"^\| `(.*?)` \|(?: (`.*?`)? \|)?", prose, re.MULTILINE)
    links = set(re.findall(r"\]\(([^)#]+)[^)]*\)", prose)) - {"README.md", CHINESE.name}
    return re.findall(r"^#+", prose, re.MULTILINE), [list(row) for row in rows], links, set(re.findall(r"`([^`\n]+)`", prose))
