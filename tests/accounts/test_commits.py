"""The shell on a real file: races, outages, and sessions that end while a request is held back."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace as with_
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from backends import transfer
from backends.protocol import Backend, KeyTaken, Unavailable, UsernameTaken
from backends.records import Account, Notification, Opening
from tests.accounts.conftest import Stored
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SETTINGS, account, act, answered, bound, key, logged_on, touched
from webapp import clock
from webapp.accounts import ceremonies, codes, commits, identities, keys, links, logon, opening, owed, recovery, sessions
from webapp.accounts.ceremonies import Failed
from webapp.accounts.codes import Wrong
from webapp.accounts.commits import Uncertain
from webapp.accounts.context import Act, Claim, Context
from webapp.accounts.decision import AccountGone, Decision, Refused
from webapp.accounts.events import Happened, Verifier
from webapp.accounts.sessions import KeyOwed, NotProven, NotSignedIn
from webapp.testing.stub_key import StubKey

pytestmark = pytest.mark.anyio


class Failing:
    """A backend that stops answering at a chosen query: before it is done, or behind it."""

    def __init__(self, backend: Backend, *, before: Sequence[str] = (), behind: Sequence[str] = ()) -> None:
        self._backend, self._before, self._behind = backend, before, behind
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        query = getattr(self._backend, name)

        async def ask(*args: Any, **more: Any) -> Any:
            self.asked.append(name)
            if name in self._before:
                raise Unavailable("no answer")
            result = await query(*args, **more)
            if name in self._behind:
                raise Unavailable("no answer")
            return result

        return ask


def note(account: Account, act: Act, text: str) -> Decision:
    """An operation whose every effect can be counted."""
    return Decision(replace(account, email=account.email + text), [Happened("e-mail changed", text)])


def on(ctx: Context, backend: Any) -> Context:
    return with_(ctx, backend=backend)


async def at_once(calls: Sequence[Awaitable[Any]]) -> tuple[int, list[BaseException]]:
    """How many were done, and how the others ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    return len(results) - len(refused), refused


async def now_of(ctx: Context) -> Account:
    found = await ctx.backend.account("alices-id")
    assert found
    return found


async def is_whole(ctx: Context) -> bool:
    return [fault async for fault in transfer.check(ctx.backend, Verifier(SETTINGS.secret_keys))] == []


# races


async def test_of_fifty_changes_at_once_every_one_is_done_and_the_chain_has_no_gap(stored: Stored, ctx: Context) -> None:
    was = await stored(email="")
    done, _ = await at_once([commits.change(ctx, was, note, f"{number:02} ") for number in range(50)])
    now = await now_of(ctx)
    assert done == 50
    assert sorted(now.email.split()) == [f"{number:02}" for number in range(50)]
    assert now.version == was.version + 50
    assert [each.seq for each in await ctx.backend.events_of(was.id, 100)] == list(range(1, 51))
    assert await is_whole(ctx)


async def test_whoever_was_not_first_decides_anew(stored: Stored, ctx: Context) -> None:
    was = await stored()
    await commits.change(ctx, was, identities.list_for_preview, True)
    seen: list[int] = []

    def operation(account: Account, act: Act) -> Decision:
        seen.append(account.version)
        return note(account, act, "x") if account.listed else identities.list_for_preview(account, act, True)

    now = await commits.change(ctx, was, operation)
    assert seen == [1, 2]
    assert now.email.endswith("x")


async def test_a_refusal_is_decided_anew_as_well(stored: Stored, ctx: Context) -> None:
    """What somebody else has just made good is not refused."""
    was = await stored(recovery_codes=())
    await commits.change(ctx, was, note, "x")

    def operation(account: Account, act: Act) -> Decision:
        if account.version == was.version:
            raise Refused("too early", trace=note(account, act, "trace"))
        return Decision(account)

    assert (await commits.change(ctx, was, operation)).email.endswith("x")


async def test_of_fifty_guesses_at_a_code_five_are_judged(stored: Stored, ctx: Context) -> None:
    was, session, _ = logged_on(account())
    was = await stored(codes.prepare(was, act(), session.id, "bind", was.email).account)
    right = int(codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or "")
    guesses = [str((right + number) % 10**6).zfill(6) for number in range(1, 51)]

    def guess(account: Account, act: Act, typed: str) -> Decision:
        return Decision(codes.consume(account, act, session.id, "bind", typed)[0])

    done, refused = await at_once([commits.change(ctx, was, guess, typed) for typed in guesses])
    kinds = [error.kind for error in refused if isinstance(error, Wrong)]
    assert (done, kinds.count("wrong"), kinds.count("no tries left")) == (0, 5, 45)
    assert (await now_of(ctx)).codes[0].tries_left == 0
    with pytest.raises(Wrong, match="no tries left"):
        await commits.change(ctx, was, guess, str(right).zfill(6))


async def test_of_fifty_uses_of_one_code_one_wins(stored: Stored, ctx: Context) -> None:
    was, session, _ = logged_on(account(), "key")
    was = await stored(codes.prepare(was, act(), session.id, "email", "new@example.org").account)
    typed = codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""
    done, _ = await at_once(
        [commits.change(ctx, was, identities.change_email, session.id, typed, f"token {n}") for n in range(50)]
    )
    assert done == 1
    assert [each.kind for each in await ctx.backend.events_of(was.id, 99)] == ["e-mail changed"]


async def test_of_fifty_uses_of_one_recovery_code_one_wins(stored: Stored, ctx: Context) -> None:
    was, session, _ = logged_on(account(keys=(key(),)), stage="password_only")
    offer = recovery.offer(SETTINGS, was.id, session.id, NOW)
    codes = recovery.offered(SETTINGS, was.id, session.id, offer, NOW).codes
    was = await stored(recovery.make(was, act(), session.id, offer).account)
    done, _ = await at_once(
        [commits.change(ctx, was, logon.with_recovery_code, session.id, codes[1], f"token {n}") for n in range(50)]
    )
    now = await now_of(ctx)
    assert done == 1
    assert recovery.left(now) == 9
    assert [each.stage for each in now.sessions] == ["authenticated"]


async def test_a_reset_link_works_once_and_of_fifty_uses_one_wins(stored: Stored, ctx: Context) -> None:
    was = await stored()
    link = links.Link("id", was.id, links.fingerprint(was), NOW + MINUTE)
    done, _ = await at_once([commits.change(ctx, was, identities.reset_password, link, f"$new {n}") for n in range(50)])
    assert done == 1
    assert [each.kind for each in await ctx.backend.events_of(was.id, 99)] == ["password reset"]


async def test_of_fifty_presses_of_one_not_me_link_one_wins(stored: Stored, ctx: Context) -> None:
    was = await stored()
    link = links.Link("id", was.id, str(round(NOW.timestamp() * 1000)), NOW + MINUTE)
    done, _ = await at_once([commits.change(ctx, was, identities.not_me, link) for _ in range(50)])
    assert done == 1
    assert [each.kind for each in await ctx.backend.events_of(was.id, 99)] == ["frozen"]


async def test_of_many_finishes_of_one_ceremony_one_wins(stored: Stored, ctx: Context) -> None:
    was, stub = bound(account())
    was, session, _ = logged_on(was, stage="password_only")
    was = await stored(was)
    answer = touched(was, session, stub)
    done, refused = await at_once([commits.change(ctx, was, logon.with_key, session.id, answer, f"token {n}") for n in range(20)])
    assert done == 1
    assert {error.kind for error in refused if isinstance(error, Failed)} == {"over"}
    now = await now_of(ctx)
    assert (len(now.nonces), now.keys[0].sign_count) == (1, was.keys[0].sign_count + 1)


async def test_of_many_refused_answers_to_one_ceremony_one_is_recorded(stored: Stored, ctx: Context) -> None:
    was, stub = bound(account())
    was, session, _ = logged_on(was, stage="password_only")
    was = await stored(was)
    answer = touched(was, session, stub, bad_signature=True)
    done, _ = await at_once([commits.change(ctx, was, logon.with_key, session.id, answer, f"token {n}") for n in range(20)])
    assert done == 0
    assert [each.kind for each in await ctx.backend.events_of(was.id, 99)] == ["key refused"]


async def test_of_two_keys_with_one_credential_id_one_is_bound(stored: Stored, ctx: Context) -> None:
    alices, here, _ = logged_on(account(), "code")
    bobs, there, _ = logged_on(account(id="bobs-id", username="bob", email="bob@example.com"), "code")
    await stored(alices)
    await stored(bobs)
    calls = []
    for id, session in ((alices.id, here), (bobs.id, there)):
        was = await ctx.backend.account(id)
        assert was
        answer = answered(ceremonies.begin_bind(SETTINGS, was, session.id), StubKey(), credential_id=b"one for both")
        calls.append(commits.change(ctx, was, keys.bind, session.id, answer, "", "token"))
    done, refused = await at_once(calls)
    assert done == 1
    assert [type(error) for error in refused] == [KeyTaken]
    assert await is_whole(ctx)


async def test_a_logon_that_races_with_a_binding_never_ends_up_inside_without_the_key(stored: Stored, ctx: Context) -> None:
    was, session, _ = logged_on(account(), "code")
    was = await stored(was)
    answer = answered(ceremonies.begin_bind(SETTINGS, was, session.id), StubKey())
    logons = [commits.change(ctx, was, logon.begin, was.password_hash, f"token {n}") for n in range(10)]
    done, _ = await at_once([*logons[:5], commits.change(ctx, was, keys.bind, session.id, answer, "", "bound"), *logons[5:]])
    now = await now_of(ctx)
    assert done == 11
    assert now.keys
    inside = [each.id for each in now.sessions if each.stage == "authenticated"]
    assert inside == [session.id], "who was in before was logged off, who came behind owes the key"


# somebody's session


def claiming(ctx: Context, token: str, level: Any = "authenticated") -> Context:
    return with_(ctx, claim=Claim(sessions.hash_token(token), level))


async def test_a_request_that_was_held_back_finds_its_session_ended(stored: Stored, ctx: Context) -> None:
    was, _, token = logged_on(account(), "key")
    was, other, _ = logged_on(was, "key")
    was = await stored(was)
    ends = (
        partial(sessions.end_others, session_id=other.id),
        identities.freeze,
        partial(identities.set_password, new_hash="$new"),
    )
    for end in ends:
        await commits.change(ctx, was, end)
        with pytest.raises(NotSignedIn):
            await commits.change(claiming(ctx, token), was, note, "x")
        assert not (await now_of(ctx)).email.endswith("x")


async def test_the_session_is_judged_by_what_it_claims(stored: Stored, ctx: Context) -> None:
    was, _, owing = logged_on(account(keys=(key(),)), stage="password_only")
    was, _, unproven = logged_on(was)
    was, _, proven = logged_on(was, "key")
    was = await stored(was)
    for token, level, error in (
        (owing, "authenticated", KeyOwed),
        (unproven, "proven", NotProven),
        ("", "authenticated", NotSignedIn),
    ):
        with pytest.raises(error):
            await commits.change(claiming(ctx, token, level), was, note, "x")
    assert (await commits.change(claiming(ctx, proven, "fresh"), was, note, "x")).email.endswith("x")


async def test_a_proof_that_grew_old_while_the_request_was_held_back_is_none(
    stored: Stored, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, _, token = logged_on(account(keys=(key(),)), "key")
    was = await stored(was)
    monkeypatch.setattr(clock, "source", lambda: NOW + 10 * MINUTE)
    with pytest.raises(NotProven):
        await commits.change(claiming(ctx, token, "proven"), was, note, "x")


# outages


async def test_a_commit_that_was_not_done_is_unavailable_and_has_changed_nothing(stored: Stored, ctx: Context) -> None:
    was = await stored()
    with pytest.raises(Unavailable):
        await commits.change(on(ctx, Failing(ctx.backend, before=["commit"])), was, note, "x")
    assert await now_of(ctx) == was
    assert await ctx.backend.events_of(was.id, 9) == []


async def test_a_commit_whose_answer_was_lost_is_done_and_told(stored: Stored, ctx: Context) -> None:
    was, told = await stored(), []
    ctx = with_(ctx, owes=lambda account, notifications: told.append(notifications))
    now = await commits.change(on(ctx, Failing(ctx.backend, behind=["commit"])), was, identities.set_email, "new@example.com")
    assert now == await now_of(ctx)
    assert [len(each) for each in told] == [1]


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_a_commit_of_which_nobody_can_say_is_uncertain(stored: Stored, ctx: Context, when: str) -> None:
    was = await stored()
    failing = Failing(ctx.backend, **{"before": ["account"], when: ["commit", "account"]})
    with pytest.raises(Uncertain):
        await commits.change(on(ctx, failing), was, note, "x")
    assert (await now_of(ctx) == was) is (when == "before")


async def test_a_commit_that_others_have_built_upon_meanwhile_is_uncertain(stored: Stored, ctx: Context) -> None:
    was = await stored()

    class Overtaken(Failing):
        def __getattr__(self, name: str) -> Any:
            query = super().__getattr__(name)

            async def ask(*args: Any) -> Any:
                if name == "account":
                    await commits.change(ctx, await now_of(ctx), note, "y")
                return await query(*args)

            return ask

    with pytest.raises(Uncertain):
        await commits.change(on(ctx, Overtaken(ctx.backend, behind=["commit"])), was, note, "x")


async def test_an_outage_while_deciding_anew_is_unavailable(stored: Stored, ctx: Context) -> None:
    was = await stored()
    await commits.change(ctx, was, note, "y")
    with pytest.raises(Unavailable):
        await commits.change(on(ctx, Failing(ctx.backend, before=["account"])), was, note, "x")


async def test_a_refusal_is_told_once_its_trace_is_committed(stored: Stored, ctx: Context) -> None:
    was, session, _ = logged_on(account())
    was = await stored(codes.prepare(was, act(), session.id, "bind", was.email).account)
    right = codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""
    wrong = str((int(right) + 1) % 10**6).zfill(6)

    def guess(account: Account, act: Act) -> Decision:
        return Decision(codes.consume(account, act, session.id, "bind", wrong)[0])

    with pytest.raises(Unavailable):
        await commits.change(on(ctx, Failing(ctx.backend, before=["commit"])), was, guess)
    assert (await now_of(ctx)).codes[0].tries_left == 5
    with pytest.raises(Wrong) as caught:
        await commits.change(on(ctx, Failing(ctx.backend, behind=["commit"])), was, guess)
    assert (await now_of(ctx)).codes[0].tries_left == 4
    assert caught.value.account == await now_of(ctx)


async def test_what_changes_nothing_asks_the_backend_nothing(stored: Stored, ctx: Context) -> None:
    was = await stored()
    failing = Failing(ctx.backend)
    assert await commits.change(on(ctx, failing), was, identities.unfreeze) is was
    with pytest.raises(Refused):
        await commits.change(on(ctx, failing), was, opening.ask)
    assert failing.asked == []


async def test_an_account_that_was_removed_is_gone(stored: Stored, ctx: Context) -> None:
    was = await stored()
    assert await ctx.backend.remove(was)
    with pytest.raises(AccountGone):
        await commits.change(ctx, was, note, "x")


async def test_who_is_never_first_gives_up_and_says_so(stored: Stored, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MAX_ROUNDS", 3)
    was = await stored()

    def operation(account: Account, act: Act) -> Decision:
        return Decision(replace(account, version=account.version, email=account.email + "x"))

    class Ahead(Failing):
        def __getattr__(self, name: str) -> Any:
            query = super().__getattr__(name)

            async def ask(*args: Any) -> Any:
                if name == "commit":
                    await commits.change(ctx, await now_of(ctx), note, "y")
                return await query(*args)

            return ask

    with pytest.raises(Unavailable, match="Too many others"):
        await commits.change(on(ctx, Ahead(ctx.backend)), was, operation)
    assert (await now_of(ctx)).email.endswith("yyy")


# what goes with a commit


async def test_a_name_that_is_taken_is_not_added(stored: Stored, ctx: Context) -> None:
    await stored()
    with pytest.raises(UsernameTaken):
        await stored(id="another", username="ALICE")


async def test_what_expired_is_left_out(stored: Stored, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    was, _, _ = logged_on(account(), stage="password_only")
    was, here, _ = logged_on(was)
    was = codes.prepare(was, act(), here.id, "bind", was.email).account
    was = await stored(links.consume(was, NOW, links.Link("id", was.id, "", NOW + MINUTE)))
    monkeypatch.setattr(clock, "source", lambda: NOW + 2 * HOUR)
    now = await commits.change(ctx, was, note, "x")
    assert (now.sessions, now.codes, now.nonces) == ((here,), (), ())
    assert now == await now_of(ctx)


async def test_letters_are_handed_over_once_they_are_committed_and_only_new_ones(stored: Stored, ctx: Context) -> None:
    was, told = await stored(), list[tuple[str, bool]]()

    def owes(account: Account, notifications: Sequence[Notification]) -> None:
        told.extend((each.kind, each in account.notifications) for each in notifications)

    ctx = with_(ctx, owes=owes)
    was = await commits.change(ctx, was, identities.owe_reset)
    was = await commits.change(ctx, was, identities.set_password, "$new")
    with pytest.raises(Refused):
        await commits.change(ctx, was, told_refusal)
    await commits.change(ctx, await now_of(ctx), note, "x")
    assert told == [("reset", True), ("password changed", True), ("key refused", True)]


def told_refusal(account: Account, act: Act) -> Decision:
    raise Refused("no", trace=Decision(owed.owe(account, act, "key refused")))


async def test_two_letters_of_one_kind_from_two_changes_at_once_are_both_owed(stored: Stored, ctx: Context) -> None:
    was = await stored(keys=(key(b"1"), key(b"2")))
    await at_once([commits.change(ctx, was, keys.unbind, [id]) for id in (b"1", b"2")])
    assert len({each.id for each in (await now_of(ctx)).notifications}) == 2


async def test_an_account_comes_back_as_it_was_committed(stored: Stored, ctx: Context) -> None:
    """`_did_commit` compares the two."""
    was, _ = bound(account(opening=Opening(asked_at=NOW, opens_at=NOW + DAY), devices_at=NOW))
    was, _, _ = logged_on(was, "key")
    was = await stored(was)
    now = await commits.change(ctx, was, identities.not_me, links.Link("id", was.id, "0", NOW + MINUTE))
    assert now == await now_of(ctx)
    assert now.keys[0].suspended_at


async def test_an_event_is_of_the_moment_the_address_and_the_browser_of_whoever_acts(stored: Stored, ctx: Context) -> None:
    await commits.change(ctx, await stored(), note, "x")
    (event,) = await ctx.backend.events_of("alices-id", 9)
    assert (event.at, event.address, event.browser) == (NOW, "192.0.2.1", "Firefox 156 on Linux")
