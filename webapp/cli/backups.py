"""Backups with dated names in one folder, of which the newest stay. Never deletes a file that it could not have written."""

import re
from datetime import datetime
from pathlib import Path

NAME = "keystead-%Y-%m-%dT%H%M%SZ.jsonl"
_OURS = re.compile(r"keystead-\d{4}-\d\d-\d\dT\d{6}Z\.jsonl")


def named(folder: Path, now: datetime) -> Path:
    """Where a backup of this moment (UTC) is written."""
    return folder / now.strftime(NAME)


def all_in(folder: Path) -> list[Path]:
    """The dated backups in the folder, oldest first."""
    return sorted(path for path in folder.iterdir() if _OURS.fullmatch(path.name))


def expire(folder: Path, keep: int) -> list[Path]:
    """Delete all but the newest `keep` backups; which ones went."""
    old = all_in(folder)[:-keep]
    for path in old:
        path.unlink()
    return old
