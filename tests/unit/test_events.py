from dataclasses import replace
from datetime import UTC, datetime

from backends.records import Event
from webapp import events

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EVENT = Event(account_id="a", seq=0, kind="key bound", at=NOW, address="192.0.2.1", browser="Firefox", detail="Blue", mac=b"")


def test_events_are_numbered_without_gaps_and_sealed_to_the_one_before() -> None:
    first = events.sealed(EVENT, None, "secret")
    second = events.sealed(EVENT, first, "secret")
    assert (first.seq, second.seq) == (1, 2)
    assert events.sealed(EVENT, first, "secret").mac == second.mac
    assert events.sealed(EVENT, replace(first, mac=b"another"), "secret").mac != second.mac


def test_every_field_and_the_key_are_under_the_seal() -> None:
    sealed = events.sealed(EVENT, None, "secret").mac
    for change in ({"account_id": "b"}, {"kind": "key unbound"}, {"address": "::1"}, {"browser": "x"}, {"detail": "Red"}):
        assert events.sealed(replace(EVENT, **change), None, "secret").mac != sealed  # type: ignore[arg-type]  # text fields
    assert events.sealed(EVENT, None, "another secret").mac != sealed
