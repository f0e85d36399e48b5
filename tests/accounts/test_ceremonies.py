"""Ceremonies: a challenge of ours, for one purpose, account and session, answered once, by a key that signs."""

from datetime import timedelta
from typing import Literal

import pytest
from msgspec.structs import replace

from backends.records import Account, Session
from tests.accounts.samples import (
    MILLISECOND,
    MINUTE,
    SETTINGS,
    account,
    act,
    answered,
    bound,
    logged_on,
    settings,
    touched,
)
from webapp.accounts import ceremonies, nonces
from webapp.accounts.ceremonies import Answer, Failed
from webapp.testing.stub_key import StubKey


def somebody() -> tuple[Account, Session, StubKey]:
    """An account with a key, its session, and the key."""
    was, stub = bound(account())
    was, session, _ = logged_on(was)
    return was, session, stub


def use(
    was: Account,
    session: Session,
    answer: Answer,
    after: timedelta = timedelta(),
    purpose: Literal["logon", "prove"] = "logon",
) -> Account:
    now, _ = ceremonies.use(was, act(after), purpose, session.id, was.keys, answer)
    return now


def refused(was: Account, session: Session, answer: Answer, after: timedelta = timedelta()) -> Failed:
    with pytest.raises(Failed) as caught:
        use(was, session, answer, after)
    return caught.value


def test_a_touch_is_recorded_with_its_key() -> None:
    was, session, stub = somebody()
    now = use(was, session, touched(was, session, stub), MINUTE)
    assert now.keys[0].used_at == act(MINUTE).now
    assert now.keys[0].sign_count == was.keys[0].sign_count + 1
    assert len(now.nonces) == 1


def test_beginning_stores_nothing() -> None:
    was, session, _ = somebody()
    first, second = (ceremonies.begin_use(SETTINGS, "logon", was, session.id, was.keys) for _ in range(2))
    assert first.options != second.options
    assert first.token != second.token


def test_a_challenge_is_answered_once() -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub)
    failed = refused(use(was, session, answer), session, answer)
    assert failed.kind == "over"
    assert failed.trace is None


def test_a_challenge_is_used_up_by_an_answer_that_is_refused() -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub, bad_signature=True)
    failed = refused(was, session, answer)
    assert (failed.kind, failed.refused) == ("refused", True)
    assert failed.trace
    assert refused(failed.trace.account, session, answer).kind == "over"


def test_a_challenge_of_another_session_is_refused() -> None:
    was, session, stub = somebody()
    was, other, _ = logged_on(was)
    assert refused(was, other, touched(was, session, stub)).kind == "over"


def test_a_challenge_of_another_purpose_is_refused() -> None:
    was, session, stub = somebody()
    assert refused(was, session, touched(was, session, stub, "prove")).kind == "over"
    use(was, session, touched(was, session, stub, "prove"), purpose="prove")


def test_a_challenge_of_another_account_is_refused() -> None:
    was, session, stub = somebody()
    others = replace(was, id="bobs-id")
    assert refused(was, session, touched(others, session, stub)).kind == "over"


def test_a_challenge_older_than_five_minutes_is_refused() -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub)
    assert refused(was, session, answer, 5 * MINUTE).kind == "over"
    use(was, session, answer, 5 * MINUTE - MILLISECOND)


def test_a_challenge_that_we_did_not_sign_is_refused() -> None:
    was, session, stub = somebody()
    theirs = settings(secret_keys=("somebody else's secret " * 2,))
    answer = answered(ceremonies.begin_use(theirs, "logon", was, session.id, was.keys), stub)
    for token in (answer.token, "", "x", "\ud800"):
        failed = refused(was, session, answer._replace(token=token))
        assert failed.kind == "over"
        assert failed.trace is None


def test_a_challenge_is_remembered_for_as_long_as_it_could_be_answered() -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub)
    now = use(was, session, answer)
    assert now.nonces[0].expires_at == act(5 * MINUTE).now


def test_the_key_of_another_account_is_refused() -> None:
    was, session, _ = somebody()
    theirs, stub = bound(account(id="bobs-id"))
    ceremony = ceremonies.begin_use(SETTINGS, "logon", was, session.id, theirs.keys)
    failed = refused(was, session, answered(ceremony, stub))
    assert (failed.kind, failed.refused) == ("not yours", True)


@pytest.mark.parametrize("count", [0, 1])
def test_a_counter_not_above_the_stored_one_is_refused_and_told(count: int) -> None:
    was, session, stub = somebody()
    was = use(was, session, touched(was, session, stub))
    failed = refused(was, session, touched(was, session, stub, counter_back=count))
    assert failed.kind == "clone"
    assert failed.trace
    assert [each.kind for each in failed.trace.events] == ["clone suspected"]
    assert [each.kind for each in failed.trace.account.notifications] == ["clone suspected"]
    assert failed.trace.account.keys == was.keys


def test_a_key_that_never_counts_is_taken_again_and_again() -> None:
    was, stub = bound(account(), StubKey(counts=False))
    was, session, _ = logged_on(was)
    for _ in range(3):
        was = use(was, session, touched(was, session, stub))
    assert was.keys[0].sign_count == 0


def test_a_key_that_stops_counting_is_refused() -> None:
    was, session, stub = somebody()
    was = use(was, session, touched(was, session, stub))
    assert refused(was, session, touched(was, session, stub, counter=0)).kind == "clone"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("NotAllowedError", "no key"),
        ("InvalidStateError", "not yours"),
        ("", "not asked"),
        ("TimeoutError", "timed out"),
        ("<b>", "unknown"),
    ],
)
def test_why_there_is_no_answer_is_a_word_of_ours(failure: str, kind: str) -> None:
    was, session, _ = somebody()
    failed = refused(was, session, Answer("", "", failure))
    assert (failed.kind, failed.refused, failed.trace) == (kind, False, None)


def test_where_no_key_answers_while_binding_it_is_not_said_to_be_a_wrong_one() -> None:
    was, session, _ = somebody()
    for failure, kind in (("NotAllowedError", "no answer"), ("InvalidStateError", "already bound")):
        with pytest.raises(Failed, match=kind):
            ceremonies.register(was, act(), session.id, Answer("", "", failure))


def test_more_ceremonies_than_a_person_could_answer_have_to_wait() -> None:
    was, session, stub = somebody()
    for number in range(nonces.MAX_NONCES):
        was = nonces.consume(was, act().now, f"ceremony {number}", act(5 * MINUTE).now)
    with pytest.raises(nonces.TooMany):
        use(was, session, touched(was, session, stub))


def test_nothing_of_an_answer_that_is_refused_stands_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    was, session, stub = somebody()
    answer = touched(was, session, stub, wrong_origin="https://evil.example")
    refused(was, session, answer)
    said = " ".join(str(getattr(record, "fields", "")) + record.getMessage() for record in caplog.records)
    assert "answer rejected" in said
    assert "evil.example" not in said
    assert answer.token not in said
