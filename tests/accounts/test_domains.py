"""Keys of an earlier domain: which are asked for, and whose answer is taken: by the domain that each is bound to."""

import json
from datetime import timedelta
from typing import Any, Literal

import pytest
from fido2.utils import websafe_decode
from msgspec.structs import replace

from backends.records import Account, Session
from tests.accounts.samples import NOW, ORIGIN, SETTINGS, account, act, bound, key, logged_on, settings
from webapp.accounts import ceremonies, domains, keys, logon, proving, sessions
from webapp.accounts.ceremonies import Answer, Failed
from webapp.accounts.decision import Refused
from webapp.testing.stub_key import StubKey

HERE, OLD, OLDER, ELSEWHERE = "account.example.com", "account.old.example", "older.example", "elsewhere.example"
MOVED = settings(moved_from=(OLD, OLDER))


def bound_at(domain: str, was: Account | None = None) -> tuple[Account, StubKey]:
    """The account with a key that was bound at this domain, by a ceremony there."""
    was, stub, there = was or account(), StubKey(), settings(public_url=f"https://{domain}")
    with_session, session, _ = logged_on(was, "code")
    ceremony = ceremonies.begin_bind(there, with_session, session.id)
    answer = Answer(ceremony.token, stub.create(ceremony.options, there.origin), "")
    (*_, made) = keys.bind(with_session, act(settings=there), session.id, answer, "", "token").account.keys
    return replace(was, keys=(*was.keys, made)), stub


def touched(was: Account, session: Session, stub: StubKey, purpose: Literal["logon", "prove"] = "logon", **faults: Any) -> Answer:
    """A touch at the new address, in a browser that was told by the old one that this is right."""
    ceremony = ceremonies.begin_use(MOVED, purpose, was, session.id, was.keys)
    return Answer(ceremony.token, stub.get(ceremony.options, ORIGIN, related=True, **faults), "")


def test_keys_of_this_domain_are_asked_for_first_and_the_others_are_offered() -> None:
    of = [key(b"1", rp_id=OLDER), key(b"2", rp_id=OLD), key(b"3", rp_id=HERE), key(b"4", rp_id=OLD)]
    chosen = domains.choose(MOVED, of)
    assert (chosen.domain, chosen.keys, chosen.others, chosen.is_earlier) == (HERE, (of[2],), (OLD, OLDER), False)


def test_a_domain_that_is_wanted_is_asked_for() -> None:
    of = [key(b"1", rp_id=OLDER), key(b"2", rp_id=OLD), key(b"3", rp_id=HERE), key(b"4", rp_id=OLD)]
    chosen = domains.choose(MOVED, of, OLD)
    assert (chosen.domain, chosen.keys, chosen.others, chosen.is_earlier) == (OLD, (of[1], of[3]), (HERE, OLDER), True)


def test_where_only_old_keys_are_bound_they_are_asked_for_at_once() -> None:
    old = key(rp_id=OLD)
    assert domains.choose(MOVED, [old]) == (OLD, (old,), (), True)


@pytest.mark.parametrize("wanted", ["", ELSEWHERE, HERE])
def test_no_key_of_another_domain_is_ever_asked_for(wanted: str) -> None:
    foreign, old = key(b"1", rp_id=ELSEWHERE), key(b"2", rp_id=OLD)
    assert domains.choose(MOVED, [foreign, old], wanted).keys == (old,)
    assert domains.choose(MOVED, [foreign], wanted).keys == ()
    assert domains.choose(SETTINGS, [old], OLD).keys == ()


def test_an_account_whose_keys_can_not_be_asked_for_is_not_opened_by_its_password() -> None:
    was = account(keys=(key(rp_id=ELSEWHERE),))
    session = logon.begin(was, act(settings=MOVED), was.password_hash, "token").account.sessions[0]
    assert session.stage == "password_only"
    with pytest.raises(Failed, match="elsewhere"):
        ceremonies.begin_use(MOVED, "logon", was, session.id, was.keys)


@pytest.mark.parametrize("domain", [HERE, OLD, OLDER])
def test_each_key_opens_the_account_by_the_domain_that_it_is_bound_to(domain: str) -> None:
    was, stub = bound_at(domain)
    was, session, _ = logged_on(was, stage="password_only")
    decision = logon.with_key(was, act(settings=MOVED), session.id, touched(was, session, stub), "token")
    assert decision.account.sessions[0].stage == "authenticated"
    assert keys.last_used(decision.account) == decision.account.keys[0] != was.keys[0]


def test_an_old_key_proves_who_it_is() -> None:
    was, stub = bound_at(OLD)
    was, session, _ = logged_on(was)
    now = proving.by_key(was, act(settings=MOVED), session.id, touched(was, session, stub, "prove"), "token").account
    assert sessions.is_proven(now, now.sessions[0], act().now, timedelta(minutes=1))


@pytest.mark.parametrize("signs_for", [HERE, OLDER, ELSEWHERE])
def test_an_old_key_that_signs_for_another_domain_is_refused(signs_for: str) -> None:
    was, stub = bound_at(OLD)
    was, session, _ = logged_on(was, stage="password_only")
    with pytest.raises(Failed, match="refused"):
        logon.with_key(was, act(settings=MOVED), session.id, touched(was, session, stub, wrong_rp=signs_for), "token")


def test_a_key_of_a_domain_that_is_not_listed_any_more_is_refused() -> None:
    was, stub = bound_at(OLD)
    was, session, _ = logged_on(was, stage="password_only")
    answer = touched(was, session, stub)
    with pytest.raises(Failed, match="refused"):
        logon.with_key(was, act(settings=SETTINGS), session.id, answer, "token")


def test_the_key_of_another_domain_than_was_asked_for_is_refused() -> None:
    was, old = bound_at(OLD)
    was, _ = bound(was)
    was, session, _ = logged_on(was, stage="password_only")
    ceremony = ceremonies.begin_use(MOVED, "logon", was, session.id, was.keys)
    other = ceremonies.begin_use(MOVED, "logon", was, session.id, was.keys, OLD)
    asked = websafe_decode(json.loads(ceremony.options)["challenge"])
    answer = old.get(other.options, ORIGIN, related=True, wrong_challenge=asked)
    with pytest.raises(Failed, match="not yours"):
        logon.with_key(was, act(settings=MOVED), session.id, Answer(ceremony.token, answer, ""), "token")


def test_the_same_key_is_bound_here_too() -> None:
    was, stub = bound_at(OLD)
    was, session, _ = logged_on(was, "key")
    ceremony = ceremonies.begin_bind(MOVED, was, session.id)
    answer = Answer(ceremony.token, stub.create(ceremony.options, ORIGIN), "")
    now = keys.bind(was, act(settings=MOVED), session.id, answer, "Blue", "token").account
    assert [each.rp_id for each in now.keys] == [OLD, HERE]
    assert domains.choose(MOVED, now.keys).domain == HERE


def test_old_keys_are_unbound_once_a_key_is_bound_here_and_its_owner_is_told() -> None:
    was = account(keys=(key(b"1", rp_id=OLD), key(b"2", rp_id=HERE), key(b"3", rp_id=OLDER)))
    was, session, _ = logged_on(was)
    now, events = keys.unbind_earlier(was, act(settings=MOVED), OLD, by="whoever runs it")
    assert [each.rp_id for each in now.keys] == [HERE, OLDER]
    assert now.sessions == (session,)
    assert [event.kind for event in events] == [letter.kind for letter in now.notifications] == ["key unbound"]


@pytest.mark.parametrize(
    ("domain", "changes"),
    [
        (OLD, {"keys": (key(rp_id=OLD),)}),
        (OLD, {"keys": (key(b"1", rp_id=OLD), key(b"2", rp_id=HERE, suspended_at=NOW))}),
        (OLD, {"keys": (key(b"1", rp_id=OLD), key(b"2", rp_id=OLDER))}),
        (OLD, {"keys": (key(b"1", rp_id=OLD), key(b"2", rp_id=HERE)), "frozen_at": NOW}),
        (HERE, {"keys": (key(b"1", rp_id=OLD), key(b"2", rp_id=HERE))}),
    ],
)
def test_a_key_that_keeps_the_account_closed_is_not_unbound_for_its_domain(domain: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="needed"):
        keys.unbind_earlier(account(**changes), act(settings=MOVED), domain, by="whoever runs it")


@pytest.mark.parametrize(("domain", "says"), [(OLD, "moved"), (HERE, "insecure")])
def test_why_a_browser_does_not_ask_depends_on_whose_keys_were_asked_for(domain: str, says: str) -> None:
    was, _ = bound_at(domain)
    was, session, _ = logged_on(was, stage="password_only")
    ceremony = ceremonies.begin_use(MOVED, "logon", was, session.id, was.keys)
    with pytest.raises(Failed, match=says):
        logon.with_key(was, act(settings=MOVED), session.id, Answer(ceremony.token, "", "SecurityError"), "token")
