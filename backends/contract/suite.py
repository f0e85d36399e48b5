"""What any backend promises, each promise a test. It never asks what backend it got, and looks at nothing but answers.

Users import `BackendContract` from `backends.contract`, which has these asserts rewritten first.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backends.contract import races
from backends.contract.races import RACES
from backends.contract.samples import (
    KEY_IDS,
    MILLISECOND,
    MINUTE,
    NAMES,
    NOW,
    TEXTS,
    Interrupted,
    account,
    after,
    all_of,
    begun,
    change,
    code,
    dump_of,
    event,
    fill,
    filled,
    given,
    given_half,
    key,
    mac,
    notification,
    session,
)
from backends.protocol import MAX_NAME, Backend, Damaged, KeyTaken, NotEmpty, UsernameTaken, fold
from backends.records import Account, Attempts, ChainLink, Event, Nonce, Record, RecoveryCode

CALLERS = 50
EVERY = 10_000
SPELLINGS = [
    ("alice", "ALICE"),
    ("Straße", "STRASSE"),
    ("ﬁn", "FIN"),
    ("\uff21lice", "alice"),
    ("\u00e9", "e\u0301"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
]


async def seqs(backend: Backend, account_id: str = "alice") -> list[int]:
    return [found.seq for found in await backend.events_of(account_id, EVERY)]


async def must_be_chained(backend: Backend, account_id: str = "alice") -> Account:
    """The account, whose events lead from its checkpoint to its head, or beyond: somebody may have committed meanwhile."""
    found = await backend.account(account_id)
    assert found is not None
    before = found.checkpoint
    for each in await backend.events_of(account_id, EVERY):
        assert (each.seq, each.mac) == (before.seq + 1, mac(before, each))
        before = ChainLink(seq=each.seq, mac=each.mac)
        if each.seq == found.head.seq:
            assert before == found.head
    assert before.seq >= found.head.seq
    return found


class BackendContract:
    """What any backend promises."""

    pytestmark = pytest.mark.anyio

    # accounts

    async def test_an_account_comes_back_as_it_was(self, backend: Backend) -> None:
        there, events = filled(1)
        await backend.add(there, events)
        assert await backend.account(there.id) == there
        assert await backend.account_named(there.username) == there
        assert await backend.events_of(there.id, EVERY) == events

    async def test_an_unknown_account_is_none(self, backend: Backend) -> None:
        await backend.add(account("alice"))
        assert await backend.account("Alice") is None
        assert await backend.account("") is None
        assert await backend.account_named("bob") is None
        assert await backend.events_of("bob", EVERY) == []

    @pytest.mark.parametrize(("name", "other"), SPELLINGS)
    async def test_a_username_is_taken_and_found_in_every_spelling(self, backend: Backend, name: str, other: str) -> None:
        there = account("1", username=name)
        await backend.add(there)
        with pytest.raises(UsernameTaken):
            await backend.add(account("2", username=other))
        assert await backend.account("2") is None
        assert await backend.account_named(other) == there

    async def test_names_that_only_look_alike_are_two(self, backend: Backend) -> None:
        names = ["alice", "alice ", "alic\u0435"]  # a Cyrillic letter
        for number, name in enumerate(names):
            await backend.add(account(str(number), username=name))
        for number, name in enumerate(names):
            assert await backend.account_named(name) == account(str(number), username=name)

    async def test_an_id_is_taken_whatever_its_username(self, backend: Backend) -> None:
        await backend.add(account())
        with pytest.raises(UsernameTaken):
            await backend.add(account(username="other"), [event()])
        assert await backend.account("alice") == account()
        assert await backend.account_named("other") is None
        assert await seqs(backend) == []

    async def test_an_account_is_found_by_an_address_that_is_only_its_own(self, backend: Backend) -> None:
        there = account("1", username="alice", email="Alice@Straße.example")
        await backend.add(there)
        assert await backend.account_named("alice@STRASSE.example") == there
        there = await change(backend, there, email="new@example.com")
        assert await backend.account_named("alice@STRASSE.example") is None
        assert await backend.account_named("new@example.com") == there

    async def test_an_address_that_two_accounts_share_finds_neither(self, backend: Backend) -> None:
        alice, bob = account("alice", email="us@example.com"), account("bob", email="US@example.com")
        await backend.add(alice)
        assert await backend.account_named("us@example.com") == alice
        await backend.add(bob)
        assert await backend.account_named("us@example.com") is None
        assert await backend.account_named("alice") == alice
        bob = await change(backend, bob, email="bob@example.com")
        assert await backend.account_named("us@example.com") == alice
        await change(backend, bob, email="us@example.com")
        assert await backend.account_named("us@example.com") is None
        assert await backend.remove(alice)
        found = await backend.account_named("us@example.com")
        assert found is not None
        assert found.id == "bob"

    async def test_a_username_goes_before_somebody_elses_address(self, backend: Backend) -> None:
        alice = account("1", username="alice@example.com", email="alice@elsewhere.example")
        await backend.add(account("2", username="bob", email="alice@example.com"))
        await backend.add(alice)
        await backend.add(account("3", username="carol", email="carol@example.com"))
        await backend.add(account("4", username="carol@example.com", email="carol@example.com"))
        assert await backend.account_named("ALICE@example.com") == alice
        found = await backend.account_named("carol@example.com")
        assert found is not None
        assert found.id == "4"

    @pytest.mark.parametrize("name", NAMES, ids=[f"name {number}" for number in range(len(NAMES))])
    async def test_a_name_may_be_any_text(self, backend: Backend, name: str) -> None:
        there = account("1", username=name, email=name)
        await backend.add(there)
        assert await backend.account_named(name) == there
        assert await all_of(backend.accounts()) == [there]
        with pytest.raises(UsernameTaken):
            await backend.add(account("2", username=name))
        there = await change(backend, there, username="alice")
        assert await backend.account_named(name) == there, "by its address"

    async def test_a_name_that_is_too_long_is_nobodys(self, backend: Backend) -> None:
        await backend.add(account(username="a" * MAX_NAME, email="b" * MAX_NAME))
        assert await backend.account_named("A" * MAX_NAME) is not None
        assert await backend.account_named("B" * MAX_NAME) is not None
        for length in (MAX_NAME + 1, 1_000_000):
            assert await backend.account_named("a" * length) is None

    async def test_accounts_come_by_their_folded_usernames(self, backend: Backend) -> None:
        names = ["Z", "b", "A", "Straße", "strasse a", "é", "日本", "🔑"]
        for number, name in enumerate(names):
            await backend.add(account(str(number), username=name))
        expected = sorted(names, key=fold)
        assert [found.username for found in await all_of(backend.accounts())] == expected
        for number, name in enumerate(expected):
            assert [found.username for found in await all_of(backend.accounts(after=name))] == expected[number + 1 :]
        assert [found.username for found in await all_of(backend.accounts("STRASSE"))] == expected[expected.index("Straße") + 1 :]

    async def test_accounts_that_are_many_come_each_once(self, backend: Backend) -> None:
        many = [account(f"{number:04}") for number in range(1203)]  # more than any page
        await backend.load(given(many))
        assert await all_of(backend.accounts()) == many
        assert await all_of(backend.accounts("0999")) == many[1000:]

    async def test_who_asks_for_many_may_say_what_is_done_about_damaged_ones(self, backend: Backend) -> None:
        there, damaged = account(notifications=(notification(due_at=NOW),)), list[Damaged]()
        await backend.add(there)
        assert await all_of(backend.accounts(damaged=damaged.append)) == [there]
        assert await backend.owing(NOW, 1, damaged=damaged.append) == [there]
        assert await all_of(backend.dump(damaged=damaged.append)) == [there]
        assert damaged == []

    async def test_accounts_may_be_changed_while_they_are_read(self, backend: Backend) -> None:
        for id in ("a", "b", "c"):
            await backend.add(account(id))
        async for found in backend.accounts():
            await change(backend, found, listed=True)
        assert [(found.id, found.listed) for found in await all_of(backend.accounts())] == [(id, True) for id in "abc"]

    # commits

    async def test_a_commit_stores_the_account_and_appends_its_events(self, backend: Backend) -> None:
        was, events = begun(account(), "first")
        await backend.add(was, events)
        now, more = after(was, "second", "third", email="new@example.com", sessions=(session(),), frozen_at=NOW)
        assert await backend.commit(was, now, more)
        assert await backend.account("alice") == now
        assert await backend.account_named("new@example.com") == now
        assert await backend.events_of("alice", EVERY) == [*events, *more]

    async def test_a_commit_from_another_version_changes_nothing(self, backend: Backend) -> None:
        await backend.add(account())
        there = await change(backend, account(), "first", keys=(key(b"1"),))
        stale = after(account(), "mine", username="other", keys=(key(b"2"),))
        early = after(replace(there, version=3), "mine", username="other", keys=(key(b"2"),))
        assert not await backend.commit(account(), *stale)
        assert not await backend.commit(replace(there, version=3), *early)
        assert await backend.account("alice") == there
        assert await seqs(backend) == [1]
        await backend.add(account("bob", username="other", keys=(key(b"2"),)))

    async def test_a_commit_to_an_account_that_is_not_there_changes_nothing(self, backend: Backend) -> None:
        assert not await backend.commit(account(), *after(account(), "first", keys=(key(),)))
        assert await backend.account("alice") is None
        assert await backend.account_named("alice") is None
        assert await all_of(backend.dump()) == []
        await backend.add(account("bob", username="alice", keys=(key(),)))

    async def test_a_commit_of_the_same_content_is_a_commit(self, backend: Backend) -> None:
        await backend.add(account())
        now = await change(backend, account())
        assert not await backend.commit(account(), now)
        assert await backend.account("alice") == replace(account(), version=2)

    async def test_a_commit_that_is_refused_changes_nothing(self, backend: Backend) -> None:
        was = account("1", username="alice", keys=(key(b"1"),))
        await backend.add(was)
        await backend.add(account("2", username="bob", keys=(key(b"2"),)))
        renamed = after(was, "renamed", username="BOB", keys=(key(b"3"),))
        bound = after(was, "bound", username="carol", keys=(key(b"3"), key(b"2")))
        for refusal, refused in ((UsernameTaken, renamed), (KeyTaken, bound)):
            with pytest.raises(refusal):
                await backend.commit(was, *refused)
            assert await backend.account("1") == was
            assert await backend.account_named("alice") == was
            assert await backend.account_named("carol") is None
            assert await seqs(backend, "1") == []
        assert await backend.commit(was, *after(was, "accepted"))

    async def test_what_was_refused_takes_no_name_and_no_key(self, backend: Backend) -> None:
        was = account("1", username="alice")
        await backend.add(was)
        await backend.add(account("2", username="bob", keys=(key(b"2"),)))
        with pytest.raises(KeyTaken):
            await backend.commit(was, *after(was, username="carol", keys=(key(b"3"), key(b"2"))))
        with pytest.raises(UsernameTaken):
            await backend.commit(was, *after(was, username="bob", keys=(key(b"4"),)))
        with pytest.raises(KeyTaken):
            await backend.add(account("3", username="dave", keys=(key(b"5"), key(b"2"))))
        with pytest.raises(UsernameTaken):
            await backend.add(account("3", username="bob", keys=(key(b"6"),)))
        assert await backend.account("3") is None
        await backend.add(account("4", username="carol", keys=(key(b"3"), key(b"4"))))
        await backend.add(account("3", username="dave", keys=(key(b"5"), key(b"6"))))

    async def test_a_new_username_frees_the_old_one(self, backend: Backend) -> None:
        await backend.add(account())
        now = await change(backend, account(), username="Alicia")
        assert await backend.account_named("alice") is None
        assert await backend.account_named("ALICIA") == now
        with pytest.raises(UsernameTaken):
            await backend.add(account("2", username="alicia"))
        await backend.add(account("2", username="alice"))
        with pytest.raises(UsernameTaken):
            await backend.commit(now, *after(now, username="Alice"))

    async def test_a_username_may_change_its_spelling(self, backend: Backend) -> None:
        await backend.add(account("1", username="strasse"))
        now = await change(backend, account("1", username="strasse"), username="Straße")
        assert await backend.account_named("STRASSE") == now
        with pytest.raises(UsernameTaken):
            await backend.add(account("2", username="strasse"))

    # keys

    async def test_a_credential_id_is_bound_once_over_all_accounts(self, backend: Backend) -> None:
        alice, bob = account("alice", keys=(key(),)), account("bob")
        await backend.add(alice)
        await backend.add(bob)
        with pytest.raises(KeyTaken):
            await backend.commit(bob, *after(bob, keys=(key(name="Mine"),)))
        with pytest.raises(KeyTaken):
            await backend.add(account("carol", keys=(key(),)))
        assert await backend.account("bob") == bob
        assert await backend.account("carol") is None
        alice = await change(backend, alice, keys=(key(name="Red key"), key(b"other")))
        assert await backend.account("alice") == alice

    async def test_a_key_that_was_unbound_can_be_bound_again(self, backend: Backend) -> None:
        alice, bob = account("alice", keys=(key(), key(b"other"))), account("bob")
        await backend.add(alice)
        await backend.add(bob)
        alice = await change(backend, alice, keys=(key(b"other"),))
        bob = await change(backend, bob, keys=(key(),))
        with pytest.raises(KeyTaken):
            await backend.commit(alice, *after(alice, keys=(key(b"other"), key())))
        bob = await change(backend, bob, keys=())
        await change(backend, alice, keys=(key(),))

    @pytest.mark.parametrize("id", KEY_IDS, ids=[f"{len(id)} bytes, {id[0]:02x}…" for id in KEY_IDS])
    async def test_an_id_of_a_key_may_be_any_bytes(self, backend: Backend, id: bytes) -> None:
        near = [(id + b"\x00")[:1023], bytes([id[0] ^ 1]) + id[1:], id[:-1] + bytes([id[-1] ^ 1])]
        others = tuple(key(other) for other in dict.fromkeys(near) if other != id)
        await backend.add(account("alice", keys=(key(id),)))
        await backend.add(account("bob", keys=others))
        with pytest.raises(KeyTaken):
            await backend.add(account("carol", keys=(key(id),)))
        assert await backend.account("alice") == account("alice", keys=(key(id),))
        await change(backend, account("alice", keys=(key(id),)), keys=())
        await backend.add(account("carol", keys=(key(id),)))

    async def test_ids_of_which_one_begins_with_the_other_are_two(self, backend: Backend) -> None:
        ids = [b"\x01" * length for length in (1, 2, 3, 63, 64, 65, 1022, 1023)]
        for number, id in enumerate(ids):
            await backend.add(account(str(number), keys=(key(id),)))
        for id in ids:
            with pytest.raises(KeyTaken):
                await backend.add(account(keys=(key(id),)))

    async def test_each_domain_that_a_key_is_bound_to_is_named_once(self, backend: Backend) -> None:
        assert await backend.rp_ids() == []
        alice = account("alice", keys=(key(b"1", rp_id="b.example"), key(b"2", rp_id="a.example"), key(b"3", rp_id="b.example")))
        bob = account("bob", keys=(key(b"4", rp_id="a.example"), key(b"5", rp_id="a.b.example")))
        await backend.add(alice)
        await backend.add(bob)
        assert await backend.rp_ids() == ["a.b.example", "a.example", "b.example"]
        await change(backend, bob, keys=bob.keys[:1])
        assert await backend.rp_ids() == ["a.example", "b.example"]
        await backend.remove(alice)
        assert await backend.rp_ids() == ["a.example"]

    async def test_about_how_many_accounts_there_are_is_known(self, backend: Backend) -> None:
        assert await backend.size() == 0
        await fill(backend, 30)
        assert 25 <= await backend.size() <= 35

    # events

    async def test_events_are_of_one_account(self, backend: Backend) -> None:
        for id in ("alice", "bob"):
            await backend.add(*begun(account(id), id, "second"))
        for id in ("alice", "bob"):
            assert [(found.seq, found.detail) for found in await backend.events_of(id, EVERY)] == [(1, id), (2, "second")]

    async def test_the_newest_events_come_in_pages(self, backend: Backend) -> None:
        there = account()
        await backend.add(there)
        for number in range(7):
            there = await change(backend, there, str(number))
        assert [found.seq for found in await backend.events_of("alice", 3)] == [5, 6, 7]
        assert [found.seq for found in await backend.events_of("alice", 3, before=5)] == [2, 3, 4]
        assert [found.seq for found in await backend.events_of("alice", 3, before=2)] == [1]
        assert await backend.events_of("alice", 3, before=1) == []

    async def test_a_checkpoint_deletes_the_events_before_it(self, backend: Backend) -> None:
        there, events = begun(account(), *"12345")
        await backend.add(there, events)
        there = await change(backend, there, "6", checkpoint=ChainLink(seq=3, mac=events[2].mac))
        assert await seqs(backend) == [4, 5, 6]
        assert [found.seq for found in await backend.events_of("alice", 10, before=6)] == [4, 5]
        assert await backend.events_of("alice", 10, before=4) == []
        await must_be_chained(backend)
        there = await change(backend, there, checkpoint=there.head)
        assert await seqs(backend) == []
        await change(backend, there, "7")
        assert await seqs(backend) == [7]
        await must_be_chained(backend)

    async def test_a_commit_that_is_not_accepted_deletes_no_events(self, backend: Backend) -> None:
        there, events = begun(account(), *"123")
        await backend.add(there, events)
        await backend.add(account("bob"))
        stale = replace(there, version=7)
        assert not await backend.commit(stale, *after(stale, checkpoint=there.head))
        with pytest.raises(UsernameTaken):
            await backend.commit(there, *after(there, username="bob", checkpoint=there.head))
        assert await seqs(backend) == [1, 2, 3]

    # removal

    async def test_an_account_is_removed_with_all_that_it_holds(self, backend: Backend) -> None:
        there, events = begun(account(keys=(key(),), notifications=(notification(),)), "first", "second")
        await backend.add(there, events)
        await backend.add(account("bob"))
        assert await backend.remove(there)
        assert not await backend.remove(there)
        assert await backend.account("alice") is None
        assert await backend.account_named("alice") is None
        assert await backend.account_named("alice@example.com") is None
        assert await backend.owing(NOW, 10) == []
        assert await all_of(backend.dump()) == [account("bob")]
        assert not await backend.commit(there, *after(there))

    async def test_what_was_removed_is_free_again(self, backend: Backend) -> None:
        there, events = begun(account(keys=(key(),)), "first", "second")
        await backend.add(there, events)
        await backend.remove(there)
        await backend.add(account("2", username="ALICE", keys=(key(),)))
        again, events = begun(account(username="other"), "begun anew")
        await backend.add(again, events)
        assert await backend.events_of("alice", EVERY) == events

    async def test_an_account_that_changed_meanwhile_is_not_removed(self, backend: Backend) -> None:
        await backend.add(account())
        now = await change(backend, account(), "first", keys=(key(),))
        assert not await backend.remove(account())
        assert not await backend.remove(replace(now, version=3))
        assert await backend.account("alice") == now
        assert await seqs(backend) == [1]
        with pytest.raises(KeyTaken):
            await backend.add(account("bob", keys=(key(),)))

    # notifications

    async def test_accounts_that_owe_a_notification_come_longest_due_first(self, backend: Backend) -> None:
        for id, wait in (("a", 2), ("b", 0), ("c", 1), ("d", 3)):
            later = notification("later", due_at=NOW + 10 * MINUTE)
            await backend.add(account(id, notifications=(later, notification(due_at=NOW + wait * MINUTE))))
        await backend.add(account("e"))
        assert [found.id for found in await backend.owing(NOW + 2 * MINUTE, 10)] == ["b", "c", "a"]
        assert [found.id for found in await backend.owing(NOW + 2 * MINUTE, 2)] == ["b", "c"]
        assert [found.id for found in await backend.owing(NOW + MINUTE - MILLISECOND, 10)] == ["b"]
        assert await backend.owing(NOW - MILLISECOND, 10) == []

    async def test_a_notification_that_is_moved_ahead_or_sent_is_not_owed(self, backend: Backend) -> None:
        there = account(notifications=(notification("1"), notification("2", due_at=NOW + MINUTE)))
        await backend.add(there)
        assert await backend.owing(NOW, 10) == [there]
        moved = notification("1", due_at=NOW + 2 * MINUTE, attempts=1)
        there = await change(backend, there, notifications=(moved, there.notifications[1]))
        assert await backend.owing(NOW, 10) == []
        assert await backend.owing(NOW + MINUTE, 10) == [there]
        there = await change(backend, there, notifications=(moved,))
        assert await backend.owing(NOW + MINUTE, 10) == []
        there = await change(backend, there, notifications=())
        assert await backend.owing(NOW + 10 * MINUTE, 10) == []
        there = await change(backend, there, notifications=(notification("3"),))
        assert await backend.owing(NOW, 10) == [there]

    async def test_an_account_whose_mislaid_key_is_to_be_unbound_is_due(self, backend: Backend) -> None:
        there = account(keys=(key(b"1", suspended_at=NOW, mislaid_until=NOW + MINUTE), key(b"2")))
        await backend.add(there)
        assert await backend.owing(NOW, 10) == []
        assert await backend.owing(NOW + MINUTE, 10) == [there]
        there = await change(backend, there, keys=(key(b"1"), key(b"2")))
        assert await backend.owing(NOW + MINUTE, 10) == []

    # attempts

    async def test_attempts_are_counted_until_the_window_ends(self, backend: Backend) -> None:
        end = NOW + MINUTE
        assert await backend.count_attempt("a", NOW, MINUTE) == Attempts(count=1, resets_at=end)
        assert await backend.count_attempt("a", NOW + MINUTE / 2, 5 * MINUTE) == Attempts(count=2, resets_at=end)
        assert await backend.count_attempt("a", end - MILLISECOND, MINUTE, cost=3) == Attempts(count=5, resets_at=end)
        assert await backend.count_attempt("a", end, MINUTE, cost=2) == Attempts(count=2, resets_at=end + MINUTE)
        assert await backend.count_attempt("b", NOW, MINUTE) == Attempts(count=1, resets_at=end)

    async def test_looking_counts_nothing_and_begins_no_window(self, backend: Backend) -> None:
        assert await backend.count_attempt("a", NOW, MINUTE, cost=0) == Attempts(count=0, resets_at=NOW)
        await backend.count_attempt("a", NOW + MINUTE, MINUTE)
        expected = Attempts(count=1, resets_at=NOW + 2 * MINUTE)
        assert await backend.count_attempt("a", NOW + MINUTE, 5 * MINUTE, cost=0) == expected
        later = NOW + 2 * MINUTE
        assert await backend.count_attempt("a", later, MINUTE, cost=0) == Attempts(count=0, resets_at=later)

    async def test_an_attempt_can_be_taken_back_but_not_below_zero(self, backend: Backend) -> None:
        assert await backend.count_attempt("a", NOW, MINUTE, cost=-1) == Attempts(count=0, resets_at=NOW)
        end = NOW + MINUTE
        await backend.count_attempt("a", NOW, MINUTE, cost=2)
        counts = [await backend.count_attempt("a", NOW, MINUTE, cost=-1) for _ in range(3)]
        assert counts == [Attempts(count=count, resets_at=end) for count in (1, 0, 0)]
        assert await backend.count_attempt("a", NOW, MINUTE) == Attempts(count=1, resets_at=end)
        assert await backend.count_attempt("a", end, MINUTE, cost=-1) == Attempts(count=0, resets_at=end)

    async def test_a_forgotten_bucket_begins_anew(self, backend: Backend) -> None:
        await backend.count_attempt("a", NOW, MINUTE)
        await backend.count_attempt("b", NOW, MINUTE)
        await backend.forget_attempts("a")
        await backend.forget_attempts("unknown")
        anew = Attempts(count=1, resets_at=NOW + MINUTE + MILLISECOND)
        assert await backend.count_attempt("a", NOW + MILLISECOND, MINUTE) == anew
        assert (await backend.count_attempt("b", NOW, MINUTE)).count == 2

    async def test_only_windows_that_have_ended_are_purged(self, backend: Backend) -> None:
        for bucket, end in (("old", NOW), ("older", NOW - MINUTE), ("new", NOW + MILLISECOND)):
            await backend.count_attempt(bucket, end - MINUTE, MINUTE)
        await fill(backend)
        before = await all_of(backend.dump())
        assert await backend.purge(NOW) == 2
        assert await backend.purge(NOW) == 0
        assert (await backend.count_attempt("new", NOW, MINUTE, cost=0)).count == 1
        assert await all_of(backend.dump()) == before

    # texts and times

    @pytest.mark.parametrize("text", TEXTS, ids=[f"text {number}" for number in range(len(TEXTS))])
    async def test_any_text_comes_back_as_it_was(self, backend: Backend, text: str) -> None:
        id = f"id{text}"
        there = account(
            id, username="alice", email="alice@example.com", password_hash=text, notified_at={text: NOW},
            keys=(key(name=text, attestation=text, rp_id=text, transports=(text, text)),),
            sessions=(session(text, address=text, browser=text),),
            codes=(code(text, session_id=text, email=text),),
            nonces=(Nonce(id=text, expires_at=NOW),),
            notifications=(notification(text, kind=text, to=text, facts={text: text}, address=text, browser=text),),
        )  # fmt: skip
        there = replace(there, head=ChainLink(seq=1, mac=b"mac"))
        first = event(id, detail=text, kind=text, mac=b"mac", address=text, browser=text)
        await backend.add(there, [first])
        assert await backend.account(id) == there
        assert await backend.events_of(id, 1) == [first]
        assert await backend.owing(NOW, 1) == [there]
        assert await backend.rp_ids() == [text]
        assert await all_of(backend.dump()) == [there, first]
        assert [(await backend.count_attempt(id, NOW, MINUTE)).count for _ in range(2)] == [1, 2]

    async def test_any_bytes_come_back_as_they_were(self, backend: Backend) -> None:
        any_bytes = bytes(range(256))
        for number, value in enumerate((b"", b"\x00", any_bytes)):
            there = account(
                str(number), seal=value, recovery_codes=(RecoveryCode(digest=value, made_at=NOW),),
                keys=(key(bytes([number]), public_key=value, aaguid=value, sign_count=2**32 - 1),),
                sessions=(session(token_hash=value),), codes=(code(salt=value, digest=value),),
                head=ChainLink(seq=1, mac=value),
            )  # fmt: skip
            first = event(there.id, mac=value, state=value)
            await backend.add(there, [first])
            assert await backend.account(there.id) == there
            assert await backend.events_of(there.id, 1) == [first]

    @pytest.mark.parametrize(
        "at",
        [
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
            datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
            datetime(2999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
        ],
        ids=str,
    )
    async def test_times_come_back_to_the_millisecond_and_in_utc(self, backend: Backend, at: datetime) -> None:
        there = account(created_at=at, frozen_at=at, notified_at={"kind": at}, notifications=(notification(due_at=at),))
        await backend.add(there, [event(at=at)])
        (found,) = await backend.owing(at, 1)
        assert found == there
        assert await backend.owing(at - MILLISECOND, 1) == []
        assert (await backend.events_of("alice", 1))[0].at == at
        assert found.created_at.utcoffset() == timedelta(0)

    async def test_the_engine_tells_its_time_if_it_has_one_of_its_own(self, backend: Backend) -> None:
        told = await backend.engine_time()
        assert told is None or abs(told - datetime.now(UTC)) < MINUTE

    # the whole

    async def test_a_backend_that_answers_is_ready(self, backend: Backend) -> None:
        await backend.ready()

    async def test_a_dump_holds_accounts_by_id_each_followed_by_its_events(self, backend: Backend) -> None:
        assert await all_of(backend.dump()) == []
        await fill(backend, 3)
        await backend.count_attempt("bucket", NOW, MINUTE)
        assert await all_of(backend.dump()) == dump_of(3)

    async def test_a_dump_is_ordered_by_the_bytes_of_ids(self, backend: Backend) -> None:
        ids = ["A", "Z", "a", "aa", "b", "é", "\uff5e", "🔑"]  # in UTF-16 the last two would be the other way round
        for number, id in enumerate(reversed(ids)):
            await backend.add(*begun(account(id, username=str(number)), *map(str, range(11))))
        dumped = await all_of(backend.dump())
        assert [record.id for record in dumped if isinstance(record, Account)] == ids
        events = [(record.account_id, record.seq) for record in dumped if isinstance(record, Event)]
        assert events == [(id, seq) for id in ids for seq in range(1, 12)]

    async def test_what_was_dumped_is_loaded_as_it_was(self, backend: Backend) -> None:
        records = dump_of(3)
        assert await backend.load(given(records)) == len(records)
        assert await all_of(backend.dump()) == records
        await backend.ready()
        first, events = filled(0)
        assert await backend.account_named("ACCOUNT-00000") == first
        assert await backend.account_named(first.email) == first
        assert await backend.events_of(first.id, EVERY) == events
        assert len(await backend.owing(NOW, 10)) == 3
        assert await backend.rp_ids() == ["b.example", "example.com"]
        with pytest.raises(KeyTaken):
            await backend.add(account(keys=(key(first.keys[0].id),)))
        with pytest.raises(UsernameTaken):
            await backend.add(account(username="Account-00001"))
        await change(backend, first, "third")

    async def test_events_of_nobody_and_checkpoints_are_loaded_and_dumped_in_their_places(self, backend: Backend) -> None:
        there, events = begun(account("c"), *"1234")
        there = replace(there, checkpoint=ChainLink(seq=2, mac=events[1].mac))
        records: list[Record] = [event("a"), account("b"), event("bb"), there, *events[2:], event("d")]
        assert await backend.load(given(records)) == len(records)
        assert await all_of(backend.dump()) == records
        assert await seqs(backend, "c") == [3, 4]

    async def test_nothing_is_loaded_into_a_backend_that_holds_records(self, backend: Backend) -> None:
        await backend.add(account("something"))
        with pytest.raises(NotEmpty):
            await backend.load(given(dump_of(2)))
        assert await all_of(backend.dump()) == [account("something")]
        await backend.ready()

    async def test_an_interrupted_load_can_be_done_again(self, backend: Backend) -> None:
        records = dump_of(900)
        with pytest.raises(Interrupted):
            await backend.load(given_half(records))
        assert await backend.load(given(records)) == len(records)
        assert await all_of(backend.dump()) == records

    async def test_loading_nothing_is_fine(self, backend: Backend) -> None:
        assert await backend.load(given([])) == 0
        assert await backend.load(given(dump_of(2))) == len(dump_of(2))

    # races

    @pytest.mark.parametrize("name", RACES)
    async def test_a_race_of_many_tasks_is_fair(self, backend: Backend, name: str) -> None:
        race = RACES[name]
        await race.prepare(backend)
        answers = await races.run(backend, race, [str(number) for number in range(CALLERS)])
        assert race.fair(answers), answers

    @pytest.mark.parametrize("name", RACES)
    async def test_a_race_of_two_processes_is_fair(self, backend: Backend, backend_url: str, name: str) -> None:
        await RACES[name].prepare(backend)
        answers = await races.run_with_another_process(backend, backend_url, name, CALLERS)
        assert len(answers) == CALLERS
        assert RACES[name].fair(answers), answers

    async def test_commits_until_they_win_leave_a_chain_without_gaps(self, backend: Backend, backend_url: str) -> None:
        await backend.add(account())
        await races.run_with_another_process(backend, backend_url, "commits until they win", CALLERS)
        there = await must_be_chained(backend)
        events = await backend.events_of("alice", EVERY)
        assert len({each.detail for each in events}) == there.head.seq == CALLERS
        assert there.version == CALLERS + 1

    async def test_who_lost_a_race_keeps_no_claim(self, backend: Backend) -> None:
        """Of 50 that want the same key and a key and a name of their own, 49 lose: theirs are free for others."""
        for number in range(CALLERS):
            await backend.add(account(str(number)))
        wishes = [after(account(str(n)), username=f"name {n}", keys=(key(b"%d" % n), key(b"same")))[0] for n in range(CALLERS)]
        commits = (backend.commit(account(now.id), now) for now in wishes)
        answers = await asyncio.gather(*commits, return_exceptions=True)
        assert sum(answer is True for answer in answers) == 1
        assert sum(isinstance(answer, KeyTaken) for answer in answers) == CALLERS - 1
        for number, answer in enumerate(answers):
            if answer is not True:
                await backend.add(account(f"new {number}", username=f"name {number}", keys=(key(b"%d" % number),)))

    async def test_what_another_process_wrote_is_seen(self, backend: Backend, backend_url: str) -> None:
        await races.run_with_another_process(backend, backend_url, "one username", 1)
        found = await backend.account_named("STRASSE")
        assert found is not None
        assert found.id == "id-there-0"

    # cancellation

    async def test_a_commit_that_is_cancelled_leaves_the_old_or_the_new_as_a_whole(self, backend: Backend) -> None:
        there = account(username="name 0", keys=(key(b"0"),))
        await backend.add(there)
        began = time.perf_counter()
        there = await change(backend, there, "unhurried")
        took = time.perf_counter() - began
        for point in range(1, 41):
            wish = after(there, "in a hurry", username=f"name {point}", keys=(key(b"%d" % point),))
            await _cancelled(backend.commit(there, *wish), point, took)
            there = await _settled(backend)
            await must_be_chained(backend)
        await _only_what_it_holds_is_taken(backend, there, 41)

    async def test_an_addition_that_is_cancelled_leaves_all_of_it_or_nothing(self, backend: Backend) -> None:
        began = time.perf_counter()
        await backend.add(*begun(account(), "unhurried"))
        took = time.perf_counter() - began
        for point in range(1, 21):
            there, events = begun(account(f"id {point}", keys=(key(b"%d" % point),)), "in a hurry")
            await _cancelled(backend.add(there, events), 2 * point, took)
            with contextlib.suppress(UsernameTaken):
                await backend.add(there, events)
            assert await backend.account(there.id) == there
            assert await backend.events_of(there.id, EVERY) == events


async def _cancelled(query: Any, point: int, took: float) -> None:
    """Begin a query and cancel it: after a few turns of the loop, or after a part of the time that it would take."""
    task = asyncio.ensure_future(query)
    if point % 2:
        for _ in range(point // 2):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(took * point / 30)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _settled(backend: Backend) -> Account:
    """Commit once more: behind that, a commit that was cancelled can change nothing any more."""
    while True:
        was = await must_be_chained(backend)
        assert was.username == f"name {was.keys[0].id.decode()}"
        now, events = after(was, "settled")
        if await backend.commit(was, now, events):
            return now


async def _only_what_it_holds_is_taken(backend: Backend, there: Account, points: int) -> None:
    assert await backend.account_named(there.username) == there
    for point in range(points):
        new = account(f"new {point}", username=f"name {point}", keys=(key(b"%d" % point),))
        with pytest.raises(UsernameTaken) if new.username == there.username else contextlib.nullcontext():
            await backend.add(new)
