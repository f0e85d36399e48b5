"""How often is too often: for a browser, for an account, for an address. Counted on a real file."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from backends.protocol import Backend
from tests.accounts.samples import HOUR, MINUTE, NOW, SECOND, SETTINGS, account
from webapp import clock
from webapp.accounts import devices, limits
from webapp.accounts.context import Context
from webapp.accounts.limits import Limit, TooOften
from webapp.metrics import Metrics

pytestmark = pytest.mark.anyio

A_FEW = Limit("a-few", 3, 10 * MINUTE)
NAMES = [f"name-{number}" for number in range(500)]
KNOWN = devices.known_to(None, account())


def here(backend: Backend, address: str = "192.0.2.1") -> Context:
    return Context(SETTINGS, backend, Metrics(), address=address, device=KNOWN)


async def guess(
    backend: Backend, address: str = "192.0.2.1", name: str = "alice", *, known: bool = False, right: bool = False
) -> None:
    """One attempt to log on, judged. TooOften otherwise."""
    ctx = here(backend, address)
    await limits.logon(ctx, name, known=known)
    await limits.logon_was(ctx, name, known=known, right=right)


async def guesses(backend: Backend, addresses: Sequence[str], name: str = "alice", *, names: Iterable[str] = ()) -> int:
    """How many of these, made at the same time, are judged; each for a name of its own if names are given."""
    of_each = names or [name] * len(addresses)
    attempts = (guess(backend, address, each) for address, each in zip(addresses, of_each, strict=False))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(result is None or isinstance(result, TooOften) for result in results)
    return sum(result is None for result in results)


def move(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(clock, "source", lambda: NOW + by)


async def test_a_limit_is_reached_and_says_when_to_come_back(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await limits.count(here(backend), A_FEW, "alice")
    move(monkeypatch, MINUTE)
    with pytest.raises(TooOften) as caught:
        await limits.count(here(backend), A_FEW, "alice")
    assert (caught.value.limit, caught.value.seconds) == ("a-few", 9 * 60)
    await limits.count(here(backend), A_FEW, "bob")
    move(monkeypatch, 10 * MINUTE)
    await limits.count(here(backend), A_FEW, "alice")


async def test_an_attempt_that_was_none_is_taken_back(backend: Backend) -> None:
    for _ in range(10):
        await limits.count(here(backend), A_FEW, "alice")
        await limits.take_back(here(backend), A_FEW, "alice")
    await limits.take_back(here(backend), A_FEW, "alice")
    for _ in range(3):
        await limits.count(here(backend), A_FEW, "alice")
    with pytest.raises(TooOften):
        await limits.count(here(backend), A_FEW, "alice")


async def test_looking_counts_nothing(backend: Backend) -> None:
    for _ in range(5):
        await limits.look(here(backend), A_FEW, "alice")
    for _ in range(3):
        await limits.count(here(backend), A_FEW, "alice")
    with pytest.raises(TooOften):
        await limits.look(here(backend), A_FEW, "alice")


async def test_who_a_limit_is_for_is_not_joined_to_somebody_else(backend: Backend) -> None:
    for _ in range(3):
        await limits.count(here(backend), A_FEW, "a", "bc")
    await limits.count(here(backend), A_FEW, "ab", "c")


async def test_ten_wrong_passwords_for_one_name_from_one_address(backend: Backend) -> None:
    assert await guesses(backend, ["192.0.2.1"] * 12) == 10
    assert await guesses(backend, ["192.0.2.1"], "bob") == 1
    assert await guesses(backend, ["192.0.2.2"]) == 1


async def test_all_strangers_to_a_name_share_fifteen_guesses(backend: Backend) -> None:
    assert await guesses(backend, [f"192.0.2.{number}" for number in range(40)]) == 15


async def test_however_many_addresses_guess_forty_five_an_hour_are_verified(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    for minutes in range(0, 60, 10):
        move(monkeypatch, minutes * MINUTE)
        judged += await guesses(backend, [f"198.51.{minutes}.{number}" for number in range(31)])
    assert judged == 45


async def test_a_strangers_attempts_do_not_keep_the_person_out(backend: Backend) -> None:
    assert await guesses(backend, [f"192.0.2.{number}" for number in range(40)]) == 15
    with pytest.raises(TooOften):
        await guess(backend, "192.0.2.77", right=True)
    await guess(backend, "192.0.2.77", known=True, right=True)


async def test_a_known_browser_has_ten_guesses_and_begins_anew_with_a_right_password(backend: Backend) -> None:
    for _ in range(9):
        await guess(backend, known=True)
    await guess(backend, known=True, right=True)
    for _ in range(10):
        await guess(backend, known=True)
    with pytest.raises(TooOften):
        await guess(backend, known=True, right=True)
    await guess(backend)


async def test_right_passwords_use_nothing_up(backend: Backend) -> None:
    for _ in range(4):
        await asyncio.gather(*(guess(backend, right=True) for _ in range(8)))
    assert await guesses(backend, ["192.0.2.1"] * 12) == 10


async def test_a_right_password_for_one_name_gives_no_guesses_at_another(backend: Backend) -> None:
    assert await guesses(backend, ["192.0.2.1"] * 10) == 10
    await guess(backend, name="mallory", right=True)
    assert await guesses(backend, ["192.0.2.1"]) == 0


@pytest.mark.parametrize("name", ["Alice", "ALICE", "\uff41lice"])
async def test_every_spelling_of_a_name_is_that_name(backend: Backend, name: str) -> None:
    assert await guesses(backend, ["192.0.2.1"] * 10) == 10
    assert await guesses(backend, ["192.0.2.1"], name) == 0


async def test_names_that_are_too_long_are_counted_together_and_at_once(backend: Backend) -> None:
    assert await guesses(backend, ["192.0.2.1"] * 5, "\u0301\u0327" * 10**6) == 5
    assert await guesses(backend, ["192.0.2.1"] * 10, "x" * 321) == 5


async def test_one_address_has_a_hundred_guesses_at_whatever_names(backend: Backend) -> None:
    assert await guesses(backend, ["192.0.2.1"] * 110, names=NAMES) == 100


async def test_under_attack_an_address_has_ten(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGON_WHOLE", Limit("logon-whole", 16, 10 * MINUTE))
    for number in range(3):
        await guess(backend, name=f"name {number}")
    assert await guesses(backend, ["192.0.2.1"] * 20, names=NAMES) == 7


@pytest.mark.parametrize(("accounts", "most"), [(0, 2000), (200_000, 2000), (1_000_000, 10_000)])
async def test_what_is_an_attack_on_the_whole_follows_from_how_many_accounts_there_are(
    backend: Backend, accounts: int, most: int
) -> None:
    """Among a million people, honest mistakes alone are more than the 2,000 of a small installation."""
    crowd = replace(here(backend), accounts=accounts)
    limit, address = limits._slice(crowd)
    for wrong, judged in ((most // limits.SLICES, 11), (1, 10)):
        await backend.count_attempt(limits._bucket(limit, (address,)), NOW, limits.WINDOW, cost=wrong)
        await backend.forget_attempts(limits._bucket(Limit("logon-32", 100, limits.WINDOW), ("192.0.2.1",)))
        passed = [name for name in NAMES[:11] if await is_judged(crowd, f"{name} {wrong}")]
        assert len(passed) == judged


async def is_judged(ctx: Context, name: str) -> bool:
    try:
        await limits.logon(ctx, name, known=False)
    except TooOften:
        return False
    return True


def test_ipv6_is_counted_by_its_64_and_mapped_ipv4_as_ipv4() -> None:
    assert limits.prefixes("2001:db8:1:2:3:4:5:6") == [(64, "2001:db8:1:2::"), (56, "2001:db8:1::"), (48, "2001:db8:1::")]
    assert limits.prefixes("2001:db8:1:ff02::1")[1] == (56, "2001:db8:1:ff00::")
    assert limits.prefixes("::ffff:192.0.2.1") == limits.prefixes("192.0.2.1") == [(32, "192.0.2.1")]


@pytest.mark.parametrize("address", ["", "unix:", "testclient", "1" * 10**6, "\ud800"])
def test_what_is_no_address_is_one_of_its_own(address: str) -> None:
    assert limits.prefixes(address) == [(32, address)]


async def test_many_networks_of_one_customer_share_an_allowance(backend: Backend) -> None:
    """2,600 guesses came through from one /48 in version 0.1."""
    of_a_56 = [f"2001:db8:1:{number % 8:x}::1" for number in range(8 * 60)]
    assert await guesses(backend, of_a_56, names=NAMES) == 200
    of_a_48 = [f"2001:db8:2:{number % 8:x}00::1" for number in range(8 * 60)]
    assert await guesses(backend, of_a_48, names=NAMES) == 400


def test_a_wait_is_told_in_whole_seconds_and_never_as_none() -> None:
    assert [TooOften("x", wait).seconds for wait in (timedelta(), SECOND / 2, 1.5 * SECOND, HOUR)] == [1, 1, 2, 3600]
