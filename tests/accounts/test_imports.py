"""Accounts from elsewhere: all is judged before anything is done, and what is here stays as it is."""

from typing import Any

import pytest

from backends.file import FileBackend
from backends.protocol import Unavailable
from backends.records import Account
from tests.accounts.conftest import Stored
from tests.accounts.samples import NOW, account, act
from tests.foreign import MADE, NONE, PASSWORD, WEAK
from webapp.accounts import imports, logon, passwords
from webapp.accounts.context import Context
from webapp.accounts.foreign_accounts import Fault, Row
from webapp.accounts.imports import Newcomer, Plan, Rules

HASH = MADE["bcrypt 2y"]
RULES = Rules()
COSTLY = "pbkdf2_sha256$2147483648$salty$ktixGvL+bGlTO4bK3F1CW8qCb3tVFt/1SjsW1eUxX5g="


def row(line: int = 1, username: str = "anna", email: str = "anna@example.com", hash: str = HASH, active: bool = True) -> Row:
    return Row(line, username, email, hash, active)


def silent(done: int) -> None:
    """Tell nobody."""


async def everybody(ctx: Context) -> dict[str, Account]:
    return {found.username: found async for found in ctx.backend.accounts()}


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_hash_that_can_be_verified_is_kept_as_it_is(made: str) -> None:
    judged = imports.judge(row(hash=made), RULES)
    assert isinstance(judged, Newcomer)
    assert judged.row.hash == made
    decision = imports.made(judged, act(), RULES)
    assert decision.account.password_hash == made
    assert decision.account.notifications == ()
    assert [each.kind for each in decision.events] == ["account imported"]


@pytest.mark.parametrize("hash", [*WEAK, *NONE])
def test_who_has_a_weak_hash_or_none_must_ask_for_a_password_and_is_told(hash: str) -> None:
    judged = imports.judge(row(hash=hash), RULES)
    assert isinstance(judged, Newcomer)
    made = imports.made(judged, act(), RULES).account
    assert made.password_hash == passwords.NOBODYS
    [letter] = made.notifications
    assert (letter.kind, letter.to, letter.due_at) == ("password needed", "anna@example.com", NOW)
    assert imports.made(judged, act(), Rules(tell=False)).account.notifications == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (row(username=""), "no username"),
        (row(username="a" * 65), "username"),
        (row(username="a\nb"), "username"),
        (row(email=""), "no address"),
        (row(email="anna"), "address"),
        (row(email="a@example.com\nBcc: x@example.com"), "address"),
        (row(email=f"{'a' * 400}@example.com"), "address"),
        (row(hash="hunter2"), "unknown"),
        (row(hash="$2b$04$short"), "damaged"),
        (row(hash=COSTLY), "costly"),
    ],
)
def test_a_row_that_could_not_log_on_says_why(given: Row, why: str) -> None:
    assert imports.judge(given, RULES) == why


def test_who_has_no_address_gets_one_at_the_domain_or_of_the_username() -> None:
    rules = Rules(domain="example.org")
    judged = [imports.judge(row(username=name, email=""), rules) for name in ("anna", "anna@example.com")]
    assert [each.row.email for each in judged if isinstance(each, Newcomer)] == ["anna@example.org", "anna@example.com"]
    assert imports.judge(row(username="an na", email=""), rules) == "address"


def test_owners_of_hashes_that_cannot_be_kept_ask_for_a_new_password_where_that_is_asked() -> None:
    for hash in ("hunter2", "$2b$04$short", COSTLY):
        judged = imports.judge(row(hash=hash), Rules(reset_others=True))
        assert isinstance(judged, Newcomer)
        assert (judged.kind, judged.row.hash) == ("", passwords.NOBODYS)


@pytest.mark.anyio
async def test_what_is_here_stays_as_it_is_and_another_of_its_name_is_a_fault(ctx: Context, stored: Stored) -> None:
    here = await stored(username="Anna", email="Anna@example.com")
    planned = await imports.plan(ctx, [row(), row(2, "bert", "b@example.com"), row(3, "ANNA", "x@example.com")], RULES)
    assert (planned.there, [each.row.username for each in planned.new]) == (1, ["bert"])
    assert planned.faults == [Fault(3, "twice", 1)]
    planned = await imports.plan(ctx, [row(email="other@example.com")], RULES)
    assert planned.faults == [Fault(1, "taken")]
    assert await ctx.backend.account(here.id) == here


@pytest.mark.anyio
async def test_faults_come_by_their_lines_and_who_is_not_active_is_left_out(ctx: Context) -> None:
    entries: list[Row | Fault] = [
        Fault(4, "unreadable"),
        row(1, hash="hunter2"),
        row(2, active=False),
        row(3, "anna"),
        row(5, "Anna"),
    ]
    planned = await imports.plan(ctx, entries, RULES)
    assert planned.faults == [Fault(1, "unknown"), Fault(4, "unreadable"), Fault(5, "twice", 3)]
    assert planned.inactive == 1


@pytest.mark.anyio
async def test_who_shares_an_address_is_named(ctx: Context, stored: Stored) -> None:
    await stored(username="zoe", email="zoe@example.com")
    entries = [
        row(1, "anna", "Both@example.com"),
        row(2, "bert", "both@example.com"),
        row(3, "carl", "zoe@example.com"),
        row(4, "dora", "d@x.example"),
    ]
    planned = await imports.plan(ctx, entries, RULES)
    assert sorted(planned.sharing) == ["anna", "bert", "carl"]


@pytest.mark.anyio
async def test_imported_accounts_are_whole_and_in_their_groups(ctx: Context) -> None:
    rules = Rules(groups=("staff",))
    planned = await imports.plan(ctx, [row(number, f"p{number}", f"p{number}@example.com") for number in range(1, 251)], rules)
    assert planned.kinds() == {"bcrypt 4": 250}
    told: list[int] = []
    assert await imports.carry_out(ctx, planned, rules, told.append) == []
    assert told == [100, 200, 250]
    found = await everybody(ctx)
    assert len(found) == 250
    assert {each.groups for each in found.values()} == {("staff",)}
    assert all(each.seal and each.head.seq == 1 for each in found.values())


@pytest.mark.anyio
async def test_an_import_that_was_interrupted_is_done_by_doing_it_again(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [row(number, f"p{number}", f"p{number}@example.com") for number in range(1, 301)]
    planned = await imports.plan(ctx, entries, RULES)
    add, left = FileBackend.add, 150

    async def fails_later(self: FileBackend, *args: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Unavailable
        await add(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(FileBackend, "add", fails_later)
        with pytest.raises(Unavailable):
            await imports.carry_out(ctx, planned, RULES, silent)
    before = await everybody(ctx)
    assert 0 < len(before) < 300
    planned = await imports.plan(ctx, entries, RULES)
    assert (planned.there, planned.faults) == (len(before), [])
    await imports.carry_out(ctx, planned, RULES, silent)
    after = await everybody(ctx)
    assert len(after) == 300
    assert {name: after[name] for name in before} == before


@pytest.mark.anyio
async def test_who_took_a_name_meanwhile_keeps_it(ctx: Context, stored: Stored) -> None:
    planned = Plan(new=[Newcomer(row(7), "bcrypt 4"), Newcomer(row(8, "bert", "b@example.com"), "bcrypt 4")])
    here = await stored(username="anna")
    assert await imports.carry_out(ctx, planned, RULES, silent) == [7]
    assert await ctx.backend.account(here.id) == here
    assert set(await everybody(ctx)) == {"anna", "bert"}


@pytest.mark.anyio
async def test_the_first_right_password_gets_a_hash_of_ours() -> None:
    imported = account(password_hash=HASH)
    assert await passwords.verify(imported.password_hash, PASSWORD)
    now = logon.begin(imported, act(), HASH, "token", stronger=await passwords.hash(PASSWORD)).account
    assert not passwords.outdated(now.password_hash)
    assert await passwords.verify(now.password_hash, PASSWORD)
