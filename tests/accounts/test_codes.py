"""Verification codes: six digits for one place, five guesses, one mail a minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from backends.records import Account
from tests.accounts.samples import MINUTE, NOW, SECOND, SETTINGS, account, act
from webapp.accounts import codes
from webapp.accounts.codes import Purpose, TooSoon, Wrong

KEYS = ("first secret " * 4, "second secret " * 4)
CODE = codes.new("a", "s", "bind", "alice@example.com", NOW, KEYS[0])


def prepared(was: Account | None = None, after: int = 0) -> tuple[Account, str]:
    """An account with a code for session `s`, and its digits."""
    made = codes.prepare(was or account(), act(after * SECOND), "s", "bind", "alice@example.com").account
    digits = codes.digits(made.id, made.codes[-1], SETTINGS.secret_keys)
    assert digits is not None
    return made, digits


def wrong(digits: str) -> str:
    return str((int(digits) + 1) % 10**6).zfill(6)


def test_a_code_is_six_digits_that_match_and_no_others_do() -> None:
    digits = codes.digits("a", CODE, KEYS)
    assert digits is not None
    assert len(digits) == 6
    assert digits.isdecimal()
    assert codes.matches("a", CODE, digits, KEYS)
    assert not codes.matches("a", CODE, wrong(digits), KEYS)


def test_the_same_code_can_be_sent_again_also_after_the_keys_have_rotated() -> None:
    digits = codes.digits("a", CODE, KEYS)
    assert codes.digits("a", CODE, ("a new secret " * 4, *KEYS)) == digits
    assert codes.digits("a", CODE, ("a new secret " * 4,)) is None


def test_a_code_answers_nothing_for_another_account_purpose_session_or_address() -> None:
    digits = codes.digits("a", CODE, KEYS)
    assert digits is not None
    assert not codes.matches("b", CODE, digits, KEYS)
    for moved in (
        replace(CODE, purpose="email"),
        replace(CODE, session_id="t"),
        replace(CODE, email="mallory@example.com"),
        replace(CODE, salt=bytes(16)),
    ):
        assert not codes.matches("a", moved, digits, KEYS)
        assert codes.digits("a", moved, KEYS) is None


def test_what_is_stored_does_not_give_the_digits_away_to_who_has_no_key() -> None:
    assert codes.digits("a", CODE, ("somebody else's secret " * 2,)) is None


def test_two_codes_for_the_same_session_are_not_the_same() -> None:
    drawn = {codes.digits("a", codes.new("a", "s", "bind", "e", NOW, KEYS[0]), KEYS) for _ in range(50)}
    assert len(drawn) > 40


def test_blanks_and_dashes_in_a_typed_code_are_forgiven() -> None:
    assert codes.normalise(" 012 345\n") == "012345"
    assert codes.normalise("012-345") == "012345"
    assert codes.normalise("٠١٢٣٤٥") == "012345"


@given(some.text())
def test_whatever_is_typed_is_six_digits_or_no_code(text: str) -> None:
    plain = codes.normalise(text)
    assert plain is None or (len(plain) == 6 and plain.isascii() and plain.isdecimal())


def test_only_the_beginning_of_a_long_text_is_looked_at() -> None:
    assert codes.normalise("123456" + " " * 10**6) == "123456"
    assert codes.normalise(" " * 10**6 + "123456") is None


def test_a_right_code_is_used_up() -> None:
    was, digits = prepared()
    now, code = codes.consume(was, act(), "s", "bind", digits)
    assert code.email == "alice@example.com"
    with pytest.raises(Wrong, match="none waiting"):
        codes.consume(now, act(), "s", "bind", digits)


def test_a_code_lives_for_ten_minutes() -> None:
    was, digits = prepared()
    assert codes.consume(was, act(10 * MINUTE - SECOND), "s", "bind", digits)
    with pytest.raises(Wrong, match="expired") as caught:
        codes.consume(was, act(10 * MINUTE), "s", "bind", digits)
    assert caught.value.trace is None


@pytest.mark.parametrize(
    ("session_id", "purpose", "email"), [("t", "bind", None), ("s", "email", None), ("s", "bind", "bob@example.com")]
)
def test_a_code_waits_only_in_the_session_for_the_purpose_and_at_the_address(
    session_id: str, purpose: Purpose, email: str | None
) -> None:
    was, digits = prepared()
    with pytest.raises(Wrong, match="none waiting") as caught:
        codes.consume(was, act(), session_id, purpose, digits, email)
    assert caught.value.trace is None


def test_a_wrong_guess_leaves_a_try_less_and_the_sixth_is_not_judged() -> None:
    was, digits = prepared()
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(Wrong, match="wrong") as caught:
            codes.consume(was, act(), "s", "bind", wrong(digits))
        assert caught.value.tries_left == left
        assert caught.value.trace
        was = caught.value.trace.account
    with pytest.raises(Wrong, match="no tries left"):
        codes.consume(was, act(), "s", "bind", digits)


def test_what_is_no_code_costs_no_try() -> None:
    was, _ = prepared()
    with pytest.raises(Wrong, match="malformed") as caught:
        codes.consume(was, act(), "s", "bind", "12345")
    assert caught.value.trace is None


def test_another_mail_leaves_a_minute_later_with_the_same_code() -> None:
    was, digits = prepared()
    with pytest.raises(TooSoon) as caught:
        prepared(was, after=59)
    assert caught.value.seconds == 1
    again, same = prepared(was, after=60)
    assert same == digits
    assert again.codes[-1].expires_at == was.codes[-1].expires_at


def test_a_code_without_tries_is_replaced_at_once() -> None:
    was, _ = prepared()
    spent = replace(was, codes=(replace(was.codes[0], tries_left=0),))
    now, _ = prepared(spent)
    assert len(now.codes) == 1
    assert now.codes[0].tries_left == codes.MAX_TRIES
    assert now.codes[0].digest != was.codes[0].digest


def test_a_code_that_has_expired_is_replaced_and_only_its_session_is_told() -> None:
    was, _ = prepared()
    late = act(10 * MINUTE).now
    assert codes.expired(was, "s", "bind", late) is was.codes[0]
    assert codes.expired(was, "t", "bind", late) is codes.expired(was, "s", "email", late) is None
    assert codes.again_in(was, "bind", late) == 0
    now, _ = prepared(was, after=600)
    assert codes.expired(now, "s", "bind", late) is None


def test_the_code_of_another_session_is_replaced_but_not_within_a_minute() -> None:
    was, _ = prepared()
    with pytest.raises(TooSoon):
        codes.prepare(was, act(), "t", "bind", "alice@example.com")
    now = codes.prepare(was, act(MINUTE), "t", "bind", "alice@example.com").account
    assert [code.session_id for code in now.codes] == ["t"]


def test_a_code_that_never_left_is_forgotten_and_may_be_asked_for_at_once() -> None:
    was, _ = prepared()
    now = codes.not_sent(was, act(), "bind", was.codes[0].digest).account
    assert now.codes == ()
    assert prepared(now)


def test_a_code_that_was_guessed_at_before_its_mail_failed_keeps_its_tries() -> None:
    """Forgetting it would give five more, as often as the mail server fails."""
    was, digits = prepared()
    with pytest.raises(Wrong) as caught:
        codes.consume(was, act(), "s", "bind", wrong(digits))
    assert caught.value.trace
    now = codes.not_sent(caught.value.trace.account, act(), "bind", was.codes[0].digest).account
    assert [code.tries_left for code in now.codes] == [4]
    again, same = prepared(now)
    assert (same, again.codes[0].tries_left) == (digits, 4)


def test_a_code_that_left_before_can_be_typed_though_its_second_mail_failed() -> None:
    was, digits = prepared()
    again, _ = prepared(was, after=61)
    now = codes.not_sent(again, act(61 * SECOND), "bind", again.codes[0].digest).account
    assert codes.consume(now, act(62 * SECOND), "s", "bind", digits)
    assert prepared(now, after=61)


def test_that_a_mail_failed_says_nothing_of_another_code() -> None:
    was, _ = prepared()
    assert codes.not_sent(was, act(), "bind", b"another").account is was
    assert codes.not_sent(was, act(), "email", was.codes[0].digest).account is was
