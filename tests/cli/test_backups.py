"""Nightly backups: named by their moment, the newest kept, and one restored to be sure that it can be."""

import configparser
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.deployment import PASSWORD, Deployment, anna
from webapp.cli import backups
from webapp.testing.site import running

DEPLOY = Path(__file__).parents[2] / "deploy"
NOW = datetime(2026, 11, 28, 3, 30, 7, tzinfo=UTC)
NAME = re.compile(r"keystead-\d{4}-\d\d-\d\dT\d{6}Z\.jsonl")


@pytest.fixture
def nightly(deployment: Deployment) -> list[str]:
    """What the timer runs, with the folder and the program of this machine."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says to keep case
    unit.read(DEPLOY / "keystead-backup.service")
    folder = deployment.folder / "backups"
    folder.mkdir()
    words = shlex.split(unit["Service"]["ExecStart"].replace("/var/lib/keystead-backups", str(folder)))
    assert words[:3] == ["/opt/keystead/.venv/bin/python", "-m", "webapp"]
    return words[3:]


def test_what_the_timer_writes_can_be_restored_and_logged_on_to(
    deployment: Deployment, nightly: list[str], tmp_path: Path
) -> None:
    deployment.add(anna())
    said = deployment.ok(*nightly)
    assert said == "Written and compared: 1 accounts, 1 events.\n"
    [written] = backups.all_in(deployment.folder / "backups")
    assert written.stat().st_mode & 0o777 == 0o600
    restored = (tmp_path / "new.db").as_uri()
    deployment.ok("backend", "restore", str(written), "--url", restored)
    assert deployment.ok("backend", "check", "--url", restored) == "All is well.\n"
    with running(tmp_path / "site", backend=restored, secret_keys=(deployment.environ["KEYSTEAD_SECRET_KEYS"],)) as site:
        assert site.visitor().submit_password("anna", PASSWORD).headers["location"] == "/logon/key"


def test_the_newest_stay_and_nothing_else_is_touched(deployment: Deployment) -> None:
    folder = deployment.folder / "backups"
    folder.mkdir()
    old = [backups.named(folder, NOW - timedelta(days=days)) for days in (4, 3, 2, 1)]
    others = [folder / name for name in ("notes.jsonl", "keystead-2020.jsonl", "keystead-2020-01-01T000000Z.jsonl.gz")]
    for path in (*old, *others):
        path.write_text("x")
    said = deployment.ok("backend", "backup", "--into", str(folder), "--keep", "3")
    assert said.endswith("Deleted: 2 older backups.\n")
    assert backups.all_in(folder)[:2] == old[2:]
    assert len(backups.all_in(folder)) == 3
    assert all(path.read_text() == "x" for path in others)


def test_without_a_rule_all_stay(deployment: Deployment) -> None:
    backups.named(deployment.folder, NOW).write_text("x")
    deployment.ok("backend", "backup", "--into", str(deployment.folder))
    assert len(backups.all_in(deployment.folder)) == 2


def test_a_backup_that_fails_deletes_none(deployment: Deployment) -> None:
    """Of a store that is not there."""
    kept = backups.named(deployment.folder, NOW)
    kept.write_text("x")
    missing = (deployment.folder / "missing" / "keystead.db").as_uri()
    deployment.refused("backend", "backup", "--into", str(deployment.folder), "--keep", "1", "--url", missing)
    assert backups.all_in(deployment.folder) == [kept]


@pytest.mark.parametrize("words", [(), ("one.jsonl", "--into", "."), ("one.jsonl", "--keep", "3"), ("--keep", "3")])
def test_a_file_or_a_folder_is_named(deployment: Deployment, words: tuple[str, ...]) -> None:
    assert "name either a FILE, or a folder by --into" in deployment.refused("backend", "backup", *words)


def test_names_tell_the_moment_and_sort_by_it(tmp_path: Path) -> None:
    names = [backups.named(tmp_path, NOW + timedelta(hours=hours)).name for hours in range(-30, 30)]
    assert names == sorted(names)
    assert all(NAME.fullmatch(name) for name in names)
    assert backups.named(tmp_path, NOW).name == "keystead-2026-11-28T033007Z.jsonl"


@pytest.mark.parametrize("unit", ["keystead.service", "keystead-backup.service", "keystead-backup.timer"])
def test_systemd_understands_the_units(unit: str, tmp_path: Path) -> None:
    """With our interpreter in the place of one that is not installed here."""
    for path in DEPLOY.glob("keystead*.[st]*"):
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/keystead/.venv/bin/python", sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("SYSTEMD-ANALYZE IS NOT INSTALLED: nobody looked at the units")
    ours = [line for line in done.stderr.splitlines() if "keystead" in line]
    assert ours == []
