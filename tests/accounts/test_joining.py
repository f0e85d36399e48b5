"""Invitations: one at each address, found by nobody, used once; and who has joined by one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from backends.protocol import MAX_NAME, Backend, Damaged, Unavailable
from backends.records import Account
from tests.accounts.conftest import Stored
from tests.accounts.samples import DAY, MILLISECOND, NOW, SETTINGS, act, settings
from webapp import clock
from webapp.accounts import commits, identities, joining, owed, passwords, required, sessions
from webapp.accounts.context import Claim, Context
from webapp.accounts.decision import Refused

pytestmark = pytest.mark.anyio

ANNA = "anna@example.com"
WEEK = timedelta(days=7)


async def invited(ctx: Context, email: str = ANNA, groups: tuple[str, ...] | None = ("staff",)) -> Account:
    found = await joining.invite(ctx, email, groups)
    assert found is not None
    return found


def joined(was: Account, after: timedelta = timedelta(), given: object = SETTINGS) -> Account:
    return joining.join(was, act(after, settings=given), "anna", "$annas", "token").account


def later(monkeypatch: pytest.MonkeyPatch, after: timedelta) -> None:
    monkeypatch.setattr(clock, "source", lambda: NOW + after)


# who is invited


async def test_whoever_joins_while_they_are_invited_again_has_an_account(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    was = await invited(ctx)

    async def find(backend: Backend, email: str) -> Account:
        await commits.change(ctx, was, joining.join, "anna", "$annas", "token")
        return was

    monkeypatch.setattr(joining, "find", find)
    assert await joining.invite(ctx, ANNA, ("staff",)) is None


async def test_an_invitation_is_an_account_of_nobody_that_no_name_or_address_finds(ctx: Context, backend: Backend) -> None:
    was = await invited(ctx)
    assert (was.password_hash, was.sessions, was.groups) == (passwords.NOBODYS, (), ("staff",))
    assert was.invitation
    assert (was.invitation.email, was.invitation.ends_at) == (ANNA, NOW + WEEK)
    for typed in (ANNA, "anna", "", was.username.strip(), was.email.strip()):
        assert await backend.account_named(typed) is None
    assert not identities.is_username(was.username), "so that nobody can choose it"


async def test_the_letter_goes_to_the_address_and_is_owed_by_the_same_commit(ctx: Context) -> None:
    was = await invited(ctx)
    assert [(each.kind, each.to) for each in was.notifications] == [("invitation", ANNA)]


async def test_the_letter_of_an_account_that_is_added_is_sent_at_once(ctx: Context) -> None:
    told: list[str] = []
    await invited(replace_owes(ctx, told))
    assert told == ["invitation"]


def replace_owes(ctx: Context, told: list[str]) -> Context:
    return Context(ctx.settings, ctx.backend, ctx.metrics, owes=lambda _, letters: told.extend(each.kind for each in letters))


async def test_an_address_is_invited_once_however_it_is_spelled(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await invited(ctx)
    later(monkeypatch, DAY)
    again = await invited(ctx, "ANNA@EXAMPLE.COM", ("admins",))
    assert (again.id, again.groups) == (first.id, ("admins",))
    assert again.invitation
    assert again.invitation.ends_at == NOW + DAY + WEEK
    assert len(again.notifications) == 1
    assert [each.id async for each in joining.invitations(ctx.backend)] == [first.id]


async def test_an_invitation_that_is_damaged_keeps_no_other_from_being_purged(
    ctx: Context, damage: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for email in ("a@example.com", "b@example.com", "c@example.com"):
        await invited(ctx, email)
    first, *_ = [each.id async for each in joining.invitations(ctx.backend)]
    damage(first)
    later(monkeypatch, 3 * WEEK)
    await joining.purge(ctx.backend, clock.now())
    left = list[Damaged]()
    assert [each.id async for each in joining.invitations(ctx.backend, left.append)] == []
    assert [found.account_id for found in left] == [first]


async def test_an_invitation_that_cannot_be_removed_keeps_no_other_from_being_purged(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for email in ("a@example.com", "b@example.com", "c@example.com"):
        await invited(ctx, email)
    first, second, _ = [each.id async for each in joining.invitations(ctx.backend)]
    remove, later_on = ctx.backend.remove, {first: Unavailable("not this one"), second: Damaged("damaged meanwhile", second)}

    async def refuse(account: Account) -> bool:
        if account.id in later_on:
            raise later_on[account.id]
        return await remove(account)

    monkeypatch.setattr(ctx.backend, "remove", refuse)
    later(monkeypatch, 3 * WEEK)
    await joining.purge(ctx.backend, clock.now())
    assert [each.id async for each in joining.invitations(ctx.backend)] == [first, second]
    named = [(record.message, {name: str(fact) for name, fact in record.__dict__["fields"].items()}) for record in caplog.records]
    assert named == [
        ("invitation not purged", {"account": first, "reason": "not this one"}),
        ("damaged (run: keystead doctor)", {"account": second, "reason": "damaged meanwhile"}),
    ]


async def test_while_the_backend_is_away_no_second_invitation_is_tried(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for email in ("a@example.com", "b@example.com"):
        await invited(ctx, email)
    tried: list[str] = []

    async def away(account: Account | None = None) -> bool:
        tried.append(account.id if account else "ready")
        raise Unavailable("away")

    for query in ("remove", "ready"):
        monkeypatch.setattr(ctx.backend, query, away)
    later(monkeypatch, 3 * WEEK)
    with pytest.raises(Unavailable):
        await joining.purge(ctx.backend, clock.now())
    assert len(tried) == 2
    assert tried[1] == "ready"


async def test_who_has_an_account_is_not_invited(ctx: Context, stored: Stored) -> None:
    await stored()
    assert await joining.invite(ctx, "Alice@example.com", ()) is None
    assert [each async for each in joining.invitations(ctx.backend)] == []


async def test_an_address_as_long_as_it_may_be_is_invited(ctx: Context) -> None:
    await invited(ctx, f"{'a' * 64}@{'b' * (MAX_NAME - 65)}")


async def test_who_asks_again_gets_the_letter_and_no_longer_time(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await invited(ctx)
    later(monkeypatch, DAY)
    again = await invited(ctx, groups=None)
    assert (again.invitation, again.groups) == (first.invitation, ("staff",))
    assert [each.at for each in again.notifications] == [NOW + DAY]


async def test_who_asks_once_an_invitation_is_over_gets_none_of_its_groups(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    await invited(ctx)
    later(monkeypatch, WEEK)
    again = await invited(ctx, groups=None)
    assert again.groups == ()
    assert again.invitation
    assert again.invitation.ends_at == NOW + 2 * WEEK


async def test_invitations_are_listed_without_looking_at_accounts(ctx: Context, stored: Stored) -> None:
    await stored()
    emails = {f"{name}@example.com" for name in "abc"}
    for email in emails:
        await invited(ctx, email)
    assert {each.invitation.email async for each in joining.invitations(ctx.backend) if each.invitation} == emails


async def test_what_has_been_over_for_a_week_is_deleted(ctx: Context, stored: Stored) -> None:
    await stored()
    await invited(ctx)
    await joining.purge(ctx.backend, NOW + WEEK + WEEK - MILLISECOND)
    assert await joining.find(ctx.backend, ANNA)
    await joining.purge(ctx.backend, NOW + WEEK + WEEK)
    assert await joining.find(ctx.backend, ANNA) is None
    assert await ctx.backend.account_named("alice")


# joining


async def test_who_joins_has_the_account_and_the_invitation_is_used_up(ctx: Context, backend: Backend) -> None:
    was = await invited(ctx)
    now = await commits.change(ctx, was, joining.join, "Anna", "$annas", "token")
    assert (now.id, now.username, now.email, now.password_hash, now.groups) == (was.id, "Anna", ANNA, "$annas", ("staff",))
    assert now.invitation is None
    assert not [each for each in now.notifications if each.kind == "invitation"]
    assert await backend.account_named(ANNA) == await backend.account_named("anna") == now
    assert [each.kind for each in await backend.events_of(was.id, 9)] == ["invited", "joined"]
    with pytest.raises(Refused):
        await commits.change(ctx, was, joining.join, "Bert", "$berts", "another")
    assert await backend.account_named("bert") is None


async def test_who_joins_is_logged_on_and_has_shown_to_be_the_person(ctx: Context) -> None:
    now = joined(await invited(ctx))
    sessions.require(now, Claim(sessions.hash_token("token"), "proven"), NOW, SETTINGS)


async def test_an_invitation_that_is_over_cannot_be_used(ctx: Context) -> None:
    was = await invited(ctx)
    assert joining.is_open(was, NOW + WEEK - MILLISECOND)
    assert joined(was, WEEK - MILLISECOND).username == "anna"
    assert not joining.is_open(was, NOW + WEEK)
    with pytest.raises(Refused):
        joined(was, WEEK)


async def test_where_a_key_is_required_who_joins_binds_one_before_anything_else(ctx: Context) -> None:
    was = await invited(ctx)
    staff = settings(key_required=("staff",), key_grace=14 * DAY)
    assert sessions.owes_binding(joined(was, given=staff), NOW, staff)
    assert required.since(joined(was, given=settings(key_required=("admins",))), settings(key_required=("admins",))) is None


async def test_the_letter_of_an_invitation_that_was_used_is_not_renewed(ctx: Context) -> None:
    now = joined(await invited(ctx))
    with pytest.raises(Refused):
        joining.renew(now, act(), ())


async def test_a_letter_that_was_given_up_is_forgotten_with_the_next(ctx: Context) -> None:
    was = replace(await invited(ctx), notified_at={owed.GIVEN_UP: NOW})
    assert joining.renew(was, act(), ()).account.notified_at == {}


@pytest.mark.parametrize("name", ["", " anna", "a" * 65, "bert@example.com", "bert\uff20example.com", "bert\ufe6bx", "a\u202eb"])
def test_nobody_joins_under_a_name_that_could_be_somebody_elses_address(name: str) -> None:
    assert not joining.may_be_called(name)


def test_other_names_are_free_to_choose() -> None:
    for name in ("anna", "Anna B.", "Ånna", "安娜", "a" * 64):
        assert joining.may_be_called(name)


@pytest.mark.parametrize(
    ("email", "may"),
    [
        ("anna@example.com", True),
        ("Anna@EXAMPLE.com", True),
        ("anna@mail.example.com", False),
        ("anna@example.com.evil.example", False),
        ("anna@evil-example.com", False),
        ("anna@ex\uff41mple.com", False),
        ("anna@evil.example@example.com", False),
        ("anna", False),
        ("@example.com", False),
        ("anna@example.com\nBcc: x@example.com", False),
        ("a" * 400 + "@example.com", False),
    ],
)
def test_only_people_of_the_domain_may_invite_themselves(email: str, may: bool) -> None:
    assert joining.may_ask(email, settings(join=("example.com",))) == may
    assert not joining.may_ask(email, settings())
