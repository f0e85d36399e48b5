"""Hashes of other software: verified as their makers would, and bounded before they cost anything."""

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.foreign import LONG, MADE, NONE, PASSWORD, WEAK
from webapp.accounts import foreign_hashes
from webapp.accounts.foreign_hashes import NotKept

DIGEST = "ktixGvL+bGlTO4bK3F1CW8qCb3tVFt/1SjsW1eUxX5g"
BCRYPT = MADE["bcrypt 2b"]


def reason(text: str) -> str:
    with pytest.raises(NotKept) as refused:
        foreign_hashes.read(text)
    return refused.value.reason


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_hash_of_the_usual_makers_is_verified_as_they_would(made: str) -> None:
    kept = foreign_hashes.read(made)
    assert kept.is_of(PASSWORD.encode())
    assert not kept.is_of(b"correct horse batterz")
    assert not kept.is_of(b"")


@pytest.mark.parametrize("weak", WEAK)
def test_what_is_guessed_at_by_the_billion_is_not_kept(weak: str) -> None:
    assert reason(weak) == "weak"


@pytest.mark.parametrize("none", NONE)
def test_an_account_without_a_password_has_none_here_either(none: str) -> None:
    assert reason(none) == "none"


@pytest.mark.parametrize("unknown", ["hunter2", "correct horse battery", "$7$abc", "x" * 513, "ü$2b$04$"])
def test_what_is_no_hash_that_is_known_is_not_taken_for_one(unknown: str) -> None:
    assert reason(unknown) == "unknown"


@pytest.mark.parametrize(
    "costly",
    [
        f"$scrypt$ln=22,r=8,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$scrypt$ln=9999999999,r=8,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$scrypt$ln=14,r=9999999999,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$scrypt$ln=10,r=8,p=1000$c2FsdHlzYWx0${DIGEST}",
        f"scrypt$4194304$salty$8$1${DIGEST}",
        f"scrypt:4194304:8:1$salty${'ab' * 32}",
        f"pbkdf2_sha256$2147483648$salty${DIGEST}",
        f"$pbkdf2-sha256$2000001$c2FsdHlzYWx0${DIGEST}",
        f"pbkdf2:sha1:1000001$salty${'ab' * 32}",
        f"$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$argon2id$v=19$m=65536,t=17,p=1$c2FsdHlzYWx0${DIGEST}",
        f"argon2$argon2id$v=19$m=1024,t=9999999999,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$argon2id$v=19$m=65536,t=1,p=64$c2FsdHlzYWx0${DIGEST}",
        BCRYPT.replace("$04$", "$15$"),
        BCRYPT.replace("$04$", "$31$"),
        f"bcrypt_sha256${BCRYPT.replace('$04$', '$20$')}",
    ],
)
def test_a_hash_that_asks_for_too_much_is_refused_before_it_costs_anything(costly: str) -> None:
    before = time.process_time()
    assert reason(costly) == "costly"
    assert time.process_time() - before < 0.05


@pytest.mark.parametrize(
    "damaged",
    [
        f"$scrypt$ln=0,r=8,p=1$c2FsdHlzYWx0${DIGEST}",
        f"scrypt$1000$salty$8$1${DIGEST}",
        f"scrypt$1024$salty$0$1${DIGEST}",
        "$scrypt$ln=10,r=8,p=1$c2FsdHlzYWx0$",
        "pbkdf2_sha256$1000$salty$",
        "pbkdf2_sha256$1000$salty$YWJj",
        f"pbkdf2_sha256$1000$salty${'a' * 128}",
        f"pbkdf2_sha256$1000$\ud800${DIGEST}",
        "pbkdf2_sha256$1000$salty$not base64 at all",
        f"$argon2id$v=19$m=1024,t=0,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$argon2id$v=19$m=4,t=1,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$argon2id$v=19$m=1024,t=1,p=1$c2E${DIGEST}",
        f"$argon2id$v=99$m=1024,t=1,p=1$c2FsdHlzYWx0${DIGEST}",
        f"$argon2id$v=19$m=1024,t=1,p=1$c2FsdHlzYWx0$={DIGEST}",
        BCRYPT.replace("$04$", "$03$"),
        BCRYPT[:-1],
        "$2b$04$ü",
    ],
)
def test_a_hash_that_nothing_belongs_to_is_damaged(damaged: str) -> None:
    assert reason(damaged) == "damaged"


def test_bcrypt_looks_at_72_bytes_as_it_always_did() -> None:
    """Its library raises for longer ones since version 5."""
    kept = foreign_hashes.read(LONG)
    assert kept.is_of(b"x" * 72)
    assert kept.is_of(b"x" * 72 + b"and more")
    assert not kept.is_of(b"x" * 71)
    wrapped = foreign_hashes.read(MADE["django bcrypt_sha256"])
    assert not wrapped.is_of(PASSWORD.encode() + b"x" * 72)


def test_what_a_salt_of_bcrypt_holds_beyond_128_bits_does_not_count() -> None:
    """Some makers left bits there, which the library refuses."""
    before, last, digest = BCRYPT[:28], BCRYPT[28], BCRYPT[29:]
    assert last in ".Oeu"
    kept = foreign_hashes.read(before + chr(ord(last) + 1) + digest if last != "." else f"{before}/{digest}")
    assert kept.is_of(PASSWORD.encode())


def test_without_its_library_bcrypt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert reason(BCRYPT) == "needs bcrypt"


def test_checks_of_one_kind_cost_the_same_and_are_called_alike() -> None:
    kinds = {name: foreign_hashes.read(made).kind for name, made in MADE.items()}
    assert kinds["bcrypt 2a"] == kinds["bcrypt 2y"] == kinds["django bcrypt"] == kinds["django bcrypt_sha256"] == "bcrypt 4"
    assert kinds["django pbkdf2_sha256"] == kinds["passlib pbkdf2_sha256"] == "PBKDF2-sha256 1000"
    assert kinds["passlib scrypt"] == kinds["django scrypt"] == "scrypt N=1024 r=8 p=1"
    odd = MADE["django pbkdf2_sha256"].replace("$1000$", "$29123$")
    assert foreign_hashes.read(odd).kind == "PBKDF2-sha256 29000", "rounds that were varied at random are still a kind"


numbers = st.one_of(st.integers(0, 2000), st.integers(0, 10**10))


@given(
    st.sampled_from(sorted(MADE.values())).flatmap(
        lambda made: st.tuples(st.just(made), st.integers(0, len(made) - 1), st.text(max_size=3))
    )
)
def test_a_hash_with_anything_in_it_is_read_or_refused_with_a_reason(changed: tuple[str, int, str]) -> None:
    made, place, text = changed
    try:
        kept = foreign_hashes.read(made[:place] + text + made[place + 1 :])
    except NotKept:
        return
    assert len(kept.expected) >= foreign_hashes.MIN_DIGEST


@given(n=numbers, r=numbers, p=numbers)
def test_whatever_numbers_a_hash_has_a_check_stays_within_bounds(n: int, r: int, p: int) -> None:
    for text in (f"scrypt${n}$salty${r}${p}${DIGEST}", f"$argon2id$v=19$m={n},t={r},p={p}$c2FsdHlzYWx0${DIGEST}"):
        try:
            foreign_hashes.read(text)
        except NotKept:
            continue
        memory = 128 * n * r if text.startswith("scrypt") else 1024 * n
        assert memory <= foreign_hashes.MAX_MEMORY
