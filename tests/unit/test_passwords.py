import asyncio
import os
import threading
import time

import pytest

from tests.foreign import MADE
from tests.foreign import PASSWORD as THEIRS
from webapp.accounts import foreign_hashes, passwords, turns

pytestmark = pytest.mark.anyio
CORES = os.cpu_count() or 1
BCRYPT = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"
DEAR = "$argon2id$v=19$m=524288,t=8,p=1$c2FsdHlzYWx0$ktixGvL+bGlTO4bK3F1CW8qCb3tVFt/1SjsW1eUxX5g"


class Untouched(str):
    """A text that nothing may be done with but asking how long it is."""

    __slots__ = ()

    def casefold(self) -> str:
        raise AssertionError

    def encode(self, *_: object) -> bytes:
        raise AssertionError


async def test_a_password_is_verified_by_its_hash_and_no_other_is() -> None:
    hashed = await passwords.hash("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(hashed, "correct horse battery")
    assert not await passwords.verify(hashed, "correct horse batterz")


async def test_each_hash_has_a_salt_of_its_own() -> None:
    assert await passwords.hash("correct horse battery") != await passwords.hash("correct horse battery")


@pytest.mark.parametrize("hashed", MADE.values(), ids=MADE)
async def test_a_hash_of_other_software_is_verified_and_is_one_to_replace(hashed: str) -> None:
    assert await passwords.verify(hashed, THEIRS)
    assert not await passwords.verify(hashed, "correct horse batterz")
    assert passwords.outdated(hashed)


async def test_nobody_can_be_like_somebody_and_is_never_right() -> None:
    somebodys = foreign_hashes.read(MADE["bcrypt 2b"])
    assert not await passwords.verify(None, THEIRS, like=somebodys)


async def test_a_name_that_nobody_has_costs_what_it_is_to_be_like() -> None:
    """bcrypt of cost 12: ten times as much as ours."""
    dear, begun = foreign_hashes.read(BCRYPT), time.process_time()
    await passwords.verify(None, THEIRS, like=dear)
    assert time.process_time() - begun > 0.08


HASHES = [
    None,
    "",
    "-",
    "$2b$12$R9h",
    DEAR,
    "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=",
    "$argon2id$v=19$m=19456,t=2",
    "$argon2id$v=19$ü",
]


@pytest.mark.parametrize("hashed", HASHES)
async def test_what_is_no_hash_of_ours_is_never_right_and_costs_as_much_as_one(hashed: str | None) -> None:
    before = time.process_time()
    assert not await passwords.verify(hashed, "correct horse battery")
    assert 0.005 < time.process_time() - before < 1, "nothing was hashed, or whatever the hash asked for"


async def test_an_account_that_does_not_exist_costs_just_what_others_cost() -> None:
    made = (await passwords.hash("x")).split("$")
    nobodys = passwords._NOBODYS_HASH.split("$")
    assert nobodys[:4] == made[:4]
    assert [len(part) for part in nobodys] == [len(part) for part in made]


async def test_any_text_can_be_a_password() -> None:
    hashed = await passwords.hash("\ud800 is half of something")
    assert await passwords.verify(hashed, "\ud800 is half of something")
    assert not await passwords.verify(hashed, "\ud801 is half of something")


async def test_hashes_are_made_by_as_many_threads_as_there_are_cores_and_these_last() -> None:
    def password_threads() -> set[int | None]:
        return {thread.ident for thread in threading.enumerate() if thread.name.startswith("password")}

    await asyncio.gather(*(passwords.verify(None, "correct horse battery") for _ in range(4 * CORES)))
    first = password_threads()
    assert len(first) == CORES
    await asyncio.gather(*(passwords.hash("correct horse battery") for _ in range(4 * CORES)))
    assert password_threads() == first


async def test_a_monstrous_password_is_wrong_without_being_looked_at() -> None:
    assert not await passwords.verify(None, Untouched("x" * (passwords.MAX_LENGTH + 1)))
    with pytest.raises(AssertionError):
        await passwords.verify(None, Untouched("x" * passwords.MAX_LENGTH))


async def test_a_known_browser_waits_for_no_other() -> None:
    """Each of the others costs 20 ms and more, so that a known one that waited for them would come last."""
    order: list[str] = []

    async def verify(name: str, known: bool) -> None:
        await passwords.verify(None, "correct horse battery", known=known)
        order.append(name)

    await asyncio.gather(*(verify("other", False) for _ in range(6 * CORES)), verify("known", True))
    assert order.index("known") <= 3 * CORES


async def test_too_many_at_once_are_told_so() -> None:
    tasks = [passwords.verify(None, "correct horse battery") for _ in range(CORES + turns.MAX_WAITING + 5)]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers].count(passwords.Busy) == 5
    assert answers.count(False) == CORES + turns.MAX_WAITING


def test_a_hash_that_was_made_otherwise_is_outdated() -> None:
    assert passwords.outdated("$argon2id$v=19$m=1024,t=1,p=1$c29tZXNhbHRzb21l$RdescudvJCsgt3ub+b4dWRWJTmaaJObG")
    assert passwords.outdated(BCRYPT)


async def test_a_hash_of_today_is_not_outdated() -> None:
    assert not passwords.outdated(await passwords.hash("correct horse battery"))


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "too short"),
        ("twelve chars", None),
        ("x" + "correct horse battery " * 46, None),
        ("correct horse battery " * 47, "too long"),
        ("012345678910", "too common"),
        ("01TeleMike01", "too common"),
        ("abcdabcdabcd", "too common"),
        ("abcdeabcdeabcde", None),
        ("Zoe.Blue@Example.com", "is a name"),
        ("ZOE.blue.1990", "is a name"),
        ("keystead of example", "is a name"),
        ("zoe.blue.1990!", None),
    ],
)
def test_a_new_password_is_weak(password: str, why: str | None) -> None:
    names = ("zoe.blue@example.com", "zoe.blue.1990@example.com", "Keystead of Example")
    assert passwords.weakness(password, names) == why


def test_length_is_judged_before_anything_else_is_done_with_a_text() -> None:
    assert passwords.weakness(Untouched("x" * (passwords.MAX_LENGTH + 1))) == "too long"
    assert passwords.weakness(Untouched("x" * (passwords.MIN_LENGTH - 1))) == "too short"
