from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as some

from backends.records import Session
from webapp import codes

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
KEYS = ("first secret " * 4, "second secret " * 4)
SESSION = Session(
    id="s", token_hash=b"", account_id="a", stage="full", begun_at=NOW, seen_at=NOW, expires_at=NOW, address="", browser=""
)


def test_a_code_is_six_digits_that_match_and_no_others_do() -> None:
    code = codes.new(SESSION, "bind", "alice@example.com", NOW, KEYS)
    digits = codes.digits(code, KEYS)
    assert digits is not None
    assert len(digits) == 6
    assert digits.isdecimal()
    assert codes.matches(code, digits, KEYS)
    assert not codes.matches(code, str((int(digits) + 1) % 10**6).zfill(6), KEYS)


def test_the_same_code_can_be_sent_again_also_after_the_keys_have_rotated() -> None:
    code = codes.new(SESSION, "bind", "alice@example.com", NOW, KEYS)
    digits = codes.digits(code, KEYS)
    assert codes.digits(code, ("a new secret " * 4, *KEYS)) == digits
    assert codes.digits(code, ("a new secret " * 4,)) is None


def test_a_code_answers_nothing_for_another_account_purpose_session_or_address() -> None:
    code = codes.new(SESSION, "bind", "alice@example.com", NOW, KEYS)
    digits = codes.digits(code, KEYS)
    assert digits is not None
    for other in ({"account_id": "b"}, {"purpose": "email"}, {"session_id": "t"}, {"email": "mallory@example.com"}):
        moved = replace(code, **other)  # type: ignore[arg-type]  # each is a text field of the record
        assert not codes.matches(moved, digits, KEYS)
        assert codes.digits(moved, KEYS) is None


def test_what_is_stored_does_not_give_the_digits_away_to_who_has_no_key() -> None:
    code = codes.new(SESSION, "bind", "alice@example.com", NOW, KEYS)
    assert codes.digits(code, ("somebody else's secret " * 2,)) is None


def test_two_codes_for_the_same_session_are_not_the_same() -> None:
    drawn = {codes.digits(codes.new(SESSION, "bind", "alice@example.com", NOW, KEYS), KEYS) for _ in range(50)}
    assert len(drawn) > 40


def test_blanks_and_dashes_in_a_typed_code_are_forgiven() -> None:
    assert codes.tidy(" 012 345\n") == "012345"
    assert codes.tidy("012-345") == "012345"
    assert codes.tidy("٠١٢٣٤٥") == "012345"


@given(some.text())
def test_whatever_is_typed_is_six_digits_or_no_code(text: str) -> None:
    tidied = codes.tidy(text)
    assert tidied is None or (len(tidied) == 6 and tidied.isascii() and tidied.isdecimal())
