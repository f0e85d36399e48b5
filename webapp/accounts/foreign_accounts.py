"""Accounts as other software writes them down: CSV, htpasswd, Django's dumpdata, and JSON lines.

Each entry becomes a row that says on which line it stands, or a fault there. Believes nothing: whether a name, an address or a
hash can be used is for `imports` to decide. Never says what a field holds, which could be somebody's password.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, get_args

Format = Literal["csv", "htpasswd", "django", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)
HASHES = ("password", "hash", "password_hash")
"""What fields are called that hold one."""
NO = ("false", "f", "0", "no", "n", "off")
"""What `is_active` says of somebody who could not log on: JSON, databases and spreadsheets each have a word of their own."""
BETWEEN = " \t\r\n,[]"
"""What stands between the entries of a list."""


class Row(NamedTuple):
    """An account elsewhere. `email` may be empty; one that is not `active` could not log on there."""

    line: int
    username: str
    email: str
    hash: str
    active: bool = True


class Fault(NamedTuple):
    """Why the entry on this line cannot be imported, as a word of ours; `of` is the line of another one, where that says more."""

    line: int
    kind: str
    of: int = 0


def guess(text: str) -> Format | None:
    """What a file looks like by how it begins; None if it looks like none of them."""
    first = text.lstrip().partition("\n")[0]
    if first.startswith(("[", "{")):
        return "jsonl" if first.startswith("{") and '"fields"' not in first else "django"
    if "username" in first.casefold() and _delimiter(first) in first:
        return "csv"
    return "htpasswd" if ":" in first or first.startswith("#") else None


def read(text: str, form: Format) -> Iterator[Row | Fault]:
    """Every entry of a file, in its order."""
    return _READERS[form](text)


def _csv(text: str) -> Iterator[Row | Fault]:
    """The first line names the columns: `username`, `email`, and `password` for the hash."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text.partition("\n")[0]), strict=True)
    try:
        columns = [name.strip().casefold() for name in next(reader, [])]
        if "username" not in columns:
            yield Fault(1, "no column username")
            return
        for cells in reader:
            if len(cells) == len(columns):
                yield _row(reader.line_num, dict(zip(columns, cells, strict=True)))
            elif cells:
                yield Fault(reader.line_num, "another number of columns")
    except csv.Error:
        yield Fault(reader.line_num, "unreadable")


def _delimiter(first: str) -> str:
    """What spreadsheets put between columns: a comma, or a semicolon where the comma belongs into numbers."""
    return max(",;\t", key=first.count)


def _htpasswd(text: str) -> Iterator[Row | Fault]:
    for number, line in enumerate(text.split("\n"), start=1):
        name, colon, hash = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        yield Row(number, name.strip(), "", hash.partition(":")[0].strip()) if colon else Fault(number, "unreadable")


def _json_lines(text: str) -> Iterator[Row | Fault]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _row(number, json.loads(line))
            except (ValueError, RecursionError):
                yield Fault(number, "unreadable")


def _django(text: str) -> Iterator[Row | Fault]:
    """`manage.py dumpdata auth.user`, or of a model of one's own; what has no password is another model's, and is left out."""
    if text.lstrip().startswith("[") and not text.rstrip().endswith("]"):
        yield Fault(text.rstrip().count("\n") + 1, "cut off")
    for entry in _entries(text):
        if isinstance(entry, Fault):
            yield entry
            continue
        line, value = entry
        fields = value.get("fields") if isinstance(value, dict) else None
        if not isinstance(fields, dict):
            yield Fault(line, "unreadable")
        elif "password" in fields:
            yield _row(line, fields)


def _entries(text: str) -> Iterator[tuple[int, Any] | Fault]:
    """The values of a list, or of lines, each with the line that it begins on; ends with a fault where it cannot be read."""
    decoder, place, line = json.JSONDecoder(), 0, 1
    while True:
        begin = place
        while begin < len(text) and text[begin] in BETWEEN:
            begin += 1
        line += text.count("\n", place, begin)
        if begin == len(text):
            return
        try:
            value, place = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            yield Fault(line, "unreadable")
            return
        yield line, value
        line += text.count("\n", begin, place)


def _row(line: int, fields: Any) -> Row | Fault:
    """Fields that are no text are a fault; without a username, people log on by their address."""
    if not isinstance(fields, dict):
        return Fault(line, "unreadable")
    hash = next((fields[name] for name in HASHES if fields.get(name) is not None), "")
    username, email = (fields.get(name) or "" for name in ("username", "email"))
    if not (isinstance(username, str) and isinstance(email, str) and isinstance(hash, str)):
        return Fault(line, "unreadable")
    active = str(fields.get("is_active", True)).strip().casefold() not in NO
    return Row(line, username.strip() or email.strip(), email.strip(), hash.strip(), active)


_READERS: dict[Format, Callable[[str], Iterator[Row | Fault]]] = {
    "csv": _csv, "htpasswd": _htpasswd, "django": _django, "jsonl": _json_lines,
}  # fmt: skip
