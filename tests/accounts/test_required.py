"""A key that is required: of whom, from when on, and what a session may do that owes one."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from tests.accounts.samples import DAY, MINUTE, NOW, account, act, bound, key, logged_on, settings, touched
from webapp.accounts import keys, logon, preview, required, sessions
from webapp.accounts.context import Claim, Level
from webapp.accounts.decision import Decision
from webapp.accounts.sessions import BindingOwed, KeyOwed

STAFF = settings(key_required=("admins", "staff"))
EVERYONE = settings(key_required="everyone", key_grace=timedelta())
MEMBER = account(groups=("staff",))


def kinds(decision: Decision) -> list[str]:
    return [each.kind for each in decision.events]


@pytest.mark.parametrize(
    ("given", "groups", "is_required"),
    [
        (settings(), ("staff",), False),
        (STAFF, (), False),
        (STAFF, ("staffs", "admin"), False),
        (STAFF, ("interns", "staff"), True),
        (EVERYONE, (), True),
    ],
)
def test_a_key_is_required_of_nobody_of_groups_or_of_everyone(given: Any, groups: tuple[str, ...], is_required: bool) -> None:
    assert required.of(account(groups=groups), given) == is_required


def test_the_date_is_set_by_the_first_logon_since_and_stays() -> None:
    first = logon.begin(MEMBER, act(settings=STAFF), MEMBER.password_hash, "1")
    assert kinds(first) == ["logged on", "key required"]
    assert first.events[-1].detail == "from 2026-12-08 03:00 UTC on"
    assert first.account.key_due_at == NOW + 14 * DAY
    second = logon.begin(first.account, act(3 * DAY, settings=STAFF), MEMBER.password_hash, "2")
    assert kinds(second) == ["logged on"]
    assert second.account.key_due_at == NOW + 14 * DAY


def test_the_date_is_set_by_a_session_that_is_there_already() -> None:
    was, session, _ = logged_on(MEMBER)
    seen = sessions.seen(was, act(MINUTE, settings=STAFF), session.id)
    assert kinds(seen) == ["key required"]
    assert seen.account.key_due_at == NOW + MINUTE + 14 * DAY
    assert kinds(sessions.seen(seen.account, act(2 * MINUTE, settings=STAFF), session.id)) == []


def test_the_date_goes_once_none_is_required() -> None:
    was = replace(MEMBER, key_due_at=NOW)
    assert required.since(was, settings()) is None
    now, session, _ = logged_on(was)
    assert sessions.seen(now, act(MINUTE), session.id).account.key_due_at is None
    assert logon.begin(was, act(), was.password_hash, "1").account.key_due_at is None
    assert required.noted(MEMBER, act()) == (MEMBER, [])


def test_before_the_date_everything_is_open_and_from_it_on_nothing_but_binding() -> None:
    was, session, _ = logged_on(replace(MEMBER, key_due_at=NOW + DAY), "code", after=DAY)
    assert sessions.binding_due_at(was, STAFF) == NOW + DAY
    levels: tuple[Level, ...] = ("authenticated", "proven", "fresh")
    for level in levels:
        sessions.require(was, Claim(session.token_hash, level), NOW + DAY - MINUTE, STAFF)
        with pytest.raises(BindingOwed):
            sessions.require(was, Claim(session.token_hash, level), NOW + DAY, STAFF)
        sessions.require(was, Claim(session.token_hash, level, to_bind=True), NOW + DAY, STAFF)
        sessions.require(was, Claim(session.token_hash, level), NOW + DAY, settings())


def test_who_has_bound_a_key_owes_none() -> None:
    was, session, _ = logged_on(replace(MEMBER, key_due_at=NOW, keys=(key(),)))
    sessions.require(was, Claim(session.token_hash, "authenticated"), NOW, STAFF)
    assert sessions.binding_due_at(was, STAFF) is None


def test_who_owes_the_key_at_logon_reaches_binding_no_more_than_before() -> None:
    was, session, _ = logged_on(replace(MEMBER, key_due_at=NOW, keys=(key(),)), stage="password_only")
    with pytest.raises(KeyOwed):
        sessions.require(was, Claim(session.token_hash, "authenticated", to_bind=True), NOW, STAFF)


def test_an_account_that_a_wait_has_opened_must_bind_another_key() -> None:
    was = replace(MEMBER, key_due_at=NOW, keys=(key(suspended_at=NOW),))
    assert not sessions.owes_binding(was, NOW, STAFF)
    assert sessions.owes_binding(replace(was, opened_at=NOW), NOW, STAFF)


def test_who_unbinds_the_last_key_owes_another_at_once() -> None:
    was = replace(MEMBER, key_due_at=NOW, keys=(key(b"1"), key(b"2")))
    one = keys.unbind(was, act(settings=STAFF), [b"1"]).account
    assert not sessions.owes_binding(one, NOW, STAFF)
    assert sessions.owes_binding(keys.unbind(one, act(settings=STAFF), [b"2"]).account, NOW, STAFF)


def test_a_key_that_is_required_is_asked_for_outside_the_preview_too() -> None:
    nobody = settings(preview="listed", key_required=("staff",))
    assert preview.includes(nobody, MEMBER)
    assert not preview.includes(nobody, account())


def test_a_logon_with_a_key_notes_the_date_as_well() -> None:
    was, stub = bound(MEMBER)
    was, session, _ = logged_on(was, stage="password_only")
    decision = logon.with_key(was, act(settings=STAFF), session.id, touched(was, session, stub), "token")
    assert decision.account.key_due_at == NOW + 14 * DAY
