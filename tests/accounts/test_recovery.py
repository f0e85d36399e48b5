"""Recovery codes: shown once, in force when one was typed back, used once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from backends.records import Account, RecoveryCode, Session
from tests.accounts.samples import HOUR, MINUTE, NOW, SECOND, SETTINGS, account, act, key, logged_on, settings
from webapp.accounts import nonces, recovery
from webapp.accounts.decision import Refused
from webapp.accounts.recovery import Shown


def shown() -> tuple[Account, Session, Shown]:
    was, session, _ = logged_on(account(keys=(key(),), recovery_codes=(RecoveryCode(digest=b"old", made_at=NOW),)), "key")
    return was, session, recovery.new(SETTINGS, was.id, session.id, NOW)


def confirmed() -> tuple[Account, list[str]]:
    was, session, made = shown()
    return recovery.confirm(was, act(), session.id, made.token, made.codes[3]).account, made.codes


def test_ten_codes_of_eighty_random_bits() -> None:
    _, _, made = shown()
    assert len(set(made.codes)) == recovery.HOW_MANY
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", code) for code in made.codes)
    assert not any(code in made.token for code in made.codes)


def test_a_set_counts_once_one_of_its_codes_was_typed_back() -> None:
    was, session, made = shown()
    decision = recovery.confirm(was, act(), session.id, made.token, made.codes[9].lower())
    assert recovery.left(decision.account) == 10
    assert b"old" not in {code.digest for code in decision.account.recovery_codes}
    assert [each.kind for each in decision.events] == ["recovery codes made"]
    assert [each.kind for each in decision.account.notifications] == ["recovery codes made"]


def test_what_was_not_shown_leaves_the_set_of_before_in_force() -> None:
    was, session, made = shown()
    with pytest.raises(Refused, match="not of it") as caught:
        recovery.confirm(was, act(), session.id, made.token, "AAAA-AAAA-AAAA-AAAA")
    assert caught.value.trace is None
    assert recovery.confirm(was, act(), session.id, made.token, made.codes[0]), "a typo does not kill the others"


def test_a_set_is_confirmed_once_within_an_hour_and_where_it_was_shown() -> None:
    was, session, made = shown()
    assert recovery.confirm(was, act(HOUR - SECOND), session.id, made.token, made.codes[0])
    for after, asking in ((HOUR, session.id), (0 * HOUR, "another session")):
        with pytest.raises(Refused, match="over"):
            recovery.confirm(was, act(after), asking, made.token, made.codes[0])
    now = recovery.confirm(was, act(), session.id, made.token, made.codes[0]).account
    with pytest.raises(Refused, match="over"):
        recovery.confirm(now, act(), session.id, made.token, made.codes[0])


def test_a_set_of_another_account_or_of_nobody_is_not_confirmed() -> None:
    was, session, made = shown()
    theirs = recovery.new(SETTINGS, "bobs-id", session.id, NOW)
    forged = recovery.new(settings(secret_keys=("somebody else's " * 3,)), was.id, session.id, NOW)
    for token, code in ((theirs.token, theirs.codes[0]), (forged.token, forged.codes[0]), ("", made.codes[0]), ("\ud800", "")):
        with pytest.raises(Refused, match="over"):
            recovery.confirm(was, act(), session.id, token, code)


def test_an_account_that_asks_for_no_key_has_nothing_to_recover() -> None:
    was, session, made = shown()
    for without in (replace(was, keys=()), replace(was, keys=(key(suspended_at=NOW),), opened_at=NOW)):
        with pytest.raises(Refused, match="over"):
            recovery.confirm(without, act(), session.id, made.token, made.codes[0])


def test_an_account_that_cannot_remember_more_says_that_the_set_is_over() -> None:
    was, session, made = shown()
    for number in range(nonces.MAX_NONCES):
        was = nonces.consume(was, NOW, str(number), NOW + MINUTE)
    with pytest.raises(Refused, match="over"):
        recovery.confirm(was, act(), session.id, made.token, made.codes[0])


def test_each_code_is_spent_once_and_the_others_stay() -> None:
    was, codes = confirmed()
    now = recovery.spend(was, act(MINUTE), codes[0])
    assert recovery.left(now) == 9
    assert now.recovery_codes[0].spent_at == NOW + MINUTE
    with pytest.raises(Refused, match="not a code"):
        recovery.spend(now, act(), codes[0])
    assert recovery.left(recovery.spend(now, act(), codes[9])) == 8


@pytest.mark.parametrize("typed", ["", "-", "AAAA", "\ud800", "\x00", "A" * 10**6, "ﬁ" * 64])
def test_whatever_else_is_typed_is_no_code(typed: str) -> None:
    was, _ = confirmed()
    with pytest.raises(Refused, match="not a code"):
        recovery.spend(was, act(), typed)


def test_a_code_is_read_however_it_is_typed() -> None:
    was, (code, *_) = confirmed()
    for typed in (code.lower(), code.replace("-", ""), f"  {code} ", code.replace("O", "0").replace("I", "1").replace("B", "8")):
        assert recovery.left(recovery.spend(was, act(), typed)) == 9


def test_a_code_of_another_account_is_none() -> None:
    was, (code, *_) = confirmed()
    with pytest.raises(Refused, match="not a code"):
        recovery.spend(replace(was, id="bobs-id"), act(), code)


@given(some.text())
def test_a_digest_of_any_text_has_32_bytes(text: str) -> None:
    assert len(recovery.digest("id", text)) == 32


def test_a_set_that_is_void_says_so_only_if_a_code_was_left() -> None:
    was, codes = confirmed()
    now, events = recovery.void(was)
    assert now.recovery_codes == ()
    assert [each.kind for each in events] == ["recovery codes void"]
    for code in codes:
        was = recovery.spend(was, act(), code)
    now, events = recovery.void(was)
    assert now.recovery_codes == ()
    assert not events
