"""How each kind of record is laid out, so that a backend translates values and never writes a record out field by field.

A `Kind` is derived from its dataclass: a field that is added there is a field here. `Codec` turns a record into an
engine's own values and back. It never touches an engine, and it holds no order or identity: those belong to the questions.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from backends.records import Account, Event, Record, RecoveryCode, SecurityKey, Session, Spent, VerificationCode

R = TypeVar("R", bound=Record)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Form(Enum):
    """What a field holds, whatever an engine calls that."""

    TEXT = str
    BYTES = bytes
    NUMBER = int
    FLAG = bool
    TIME = datetime
    TEXTS = tuple


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """A kind of record: its name in tables, collections, backups and counts, and its fields in the dataclass's order."""

    name: str
    record: type[R]
    fields: Mapping[str, Form]


def _form(hint: Any) -> Form:
    if get_origin(hint) in (Literal, Union, UnionType):
        (form,) = {_form(part) for part in get_args(hint) if part is not type(None)}
        return form
    if isinstance(hint, str):
        return Form.TEXT
    return Form(get_origin(hint) or hint)


def _kind(name: str, record: type[R]) -> Kind[R]:
    hints = get_type_hints(record)
    return Kind(name, record, {field.name: _form(hints[field.name]) for field in fields(record)})


ACCOUNTS = _kind("accounts", Account)
KEYS = _kind("keys", SecurityKey)
RECOVERY_CODES = _kind("recovery_codes", RecoveryCode)
EVENTS = _kind("events", Event)
SESSIONS = _kind("sessions", Session)
CODES = _kind("codes", VerificationCode)
SPENT = _kind("spent", Spent)

KINDS: tuple[Kind[Any], ...] = (ACCOUNTS, KEYS, RECOVERY_CODES, EVENTS, SESSIONS, CODES, SPENT)
"""In the order of a dump: what others refer to comes first."""

_KIND_OF: dict[type[Any], Kind[Any]] = {kind.record: kind for kind in KINDS}


def kind_of(record: R) -> Kind[R]:
    return _KIND_OF[type(record)]


Turn = Callable[[Any], Any]
Turns = Mapping[Form, Turn]


class Codec:
    """Records as an engine's own values. `to` and `back` name only the forms that the engine does not hold as they are."""

    def __init__(self, to: Turns, back: Turns) -> None:
        self._to = {kind.record: _steps(kind, to) for kind in KINDS}
        self._back = {kind.record: _steps(kind, back) for kind in KINDS}

    def values(self, record: Record) -> dict[str, Any]:
        """The fields of a record by name, as the engine holds them. None stays None."""
        found = {name: getattr(record, name) for name in kind_of(record).fields}
        return _turned(found, self._to[type(record)])

    def record(self, kind: Kind[R], values: Iterable[Any]) -> R:
        """The record whose fields, in the dataclass's order, are these."""
        return kind.record(**_turned(dict(zip(kind.fields, values, strict=True)), self._back[kind.record]))


def _turned(values: dict[str, Any], steps: tuple[tuple[str, Turn], ...]) -> dict[str, Any]:
    for name, turn in steps:
        if values[name] is not None:
            values[name] = turn(values[name])
    return values


def _steps(kind: Kind[Any], turns: Turns) -> tuple[tuple[str, Turn], ...]:
    """Only the fields that are something else to the engine."""
    return tuple((name, turns[form]) for name, form in kind.fields.items() if form in turns)


def milliseconds(at: datetime) -> int:
    """Since 1970, exactly: a float of seconds would lose the last of them."""
    return (at - EPOCH) // MILLISECOND


def from_milliseconds(number: int) -> datetime:
    return EPOCH + timedelta(milliseconds=number)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_JSON = Codec(
    to={Form.TIME: _text, Form.BYTES: _base64, Form.TEXTS: list},
    back={Form.TIME: datetime.fromisoformat, Form.BYTES: base64.b64decode, Form.TEXTS: tuple},
)


def to_line(record: Record) -> str:
    """A record as one line of JSON, always the same for equal records: `{"keys":{"id":"…","account_id":"…",…}}`."""
    return json.dumps({kind_of(record).name: _JSON.values(record)}, ensure_ascii=False, separators=(",", ":"))


def from_line(name: str, values: Mapping[str, Any]) -> Record:
    """The record of a parsed line; KeyError, TypeError or ValueError when it is none."""
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None or values.keys() != kind.fields.keys():
        raise ValueError(f"not a record of ours: {name}")
    return cast(Record, _JSON.record(kind, (values[field] for field in kind.fields)))
