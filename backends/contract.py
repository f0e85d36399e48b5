"""The tests that every backend must pass, ours and other people's: what `protocol.py` promises, asked from outside.

Subclass it in a test module and give two fixtures: `backend`, an opened and empty backend, and `backend_url`, the address at
which another process opens the same one. It never asks what backend it got.

    pytest.register_assert_rewrite("backends.contract")
    from backends.contract import BackendContract

    class TestShelf(BackendContract):
        @pytest.fixture
        async def backend(self, backend_url): ...
"""

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backends import races
from backends.protocol import AlreadySpent, Backend, CounterBehind, KeyTaken, NotEmpty, UsernameTaken, fold
from backends.races import RACES
from backends.records import (
    Account,
    Attempts,
    Bearer,
    Event,
    Record,
    RecoveryCode,
    SecurityKey,
    Session,
    Spent,
    Use,
    VerificationCode,
)
from backends.specimens import (
    MILLISECOND,
    MINUTE,
    NOW,
    Interrupted,
    account,
    all_of,
    code,
    fill,
    given,
    given_half,
    key,
    sealed,
    session,
    use,
)

CALLERS = 50
LONG = "Ω" * 9_999 + "🔑"
TEXTS = ["", " ", "O'Brien", 'a"b\\c', "a.b$c", "$set", "%s {} ?", "née", "日本語", "🔑👩‍💻", "שלום", "line\nline", LONG]
KEY_IDS = [b"\x00", b"\xff", bytes(16), bytes(range(256)), b"\x00\xff" * 511 + b"\x00"]


class BackendContract:
    """What any backend promises."""

    pytestmark = pytest.mark.anyio

    # accounts

    async def test_an_account_is_found_by_id_and_by_name(self, backend: Backend) -> None:
        alice = account("1", username="Alice", listed=True, frozen_at=NOW + MILLISECOND)
        await backend.add_account(alice)
        assert await backend.account("1") == alice
        assert await backend.account_named("Alice") == alice

    async def test_an_unknown_account_is_none(self, backend: Backend) -> None:
        await backend.add_account(account("alice"))
        assert await backend.account("Alice") is None
        assert await backend.account_named("bob") is None
        assert await backend.account("") is None

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("alice", "ALICE"),
            ("Straße", "STRASSE"),
            ("ﬁn", "FIN"),
            ("\uff21lice", "alice"),
            ("\u00e9", "e\u0301"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ],
    )
    async def test_a_username_is_taken_in_every_spelling(self, backend: Backend, name: str, other: str) -> None:
        await backend.add_account(account("1", username=name))
        with pytest.raises(UsernameTaken):
            await backend.add_account(account("2", username=other))
        assert await backend.account("2") is None
        found = await backend.account_named(other)
        assert found is not None
        assert found.username == name

    async def test_names_that_only_look_alike_are_two(self, backend: Backend) -> None:
        await backend.add_account(account("1", username="alice"))
        await backend.add_account(account("2", username="alice "))
        await backend.add_account(account("3", username="alic\u0435"))  # a Cyrillic letter
        assert len(await all_of(backend.accounts())) == 3

    async def test_the_same_account_is_not_added_twice(self, backend: Backend) -> None:
        await backend.add_account(account())
        with pytest.raises(UsernameTaken):
            await backend.add_account(account())

    async def test_accounts_come_oldest_first_and_then_by_id(self, backend: Backend) -> None:
        for id, age in (("b", 1), ("c", 3), ("a", 1), ("d", 2)):
            await backend.add_account(account(id, created_at=NOW - age * MILLISECOND))
        assert [found.id for found in await all_of(backend.accounts())] == ["c", "d", "a", "b"]

    async def test_accounts_that_are_many_come_each_once(self, backend: Backend) -> None:
        many = [account(f"{number:04}") for number in range(1203)]  # more than any page, and all of one millisecond
        await backend.load(given(many))
        assert await all_of(backend.accounts()) == many

    async def test_an_account_may_be_changed_while_accounts_are_read(self, backend: Backend) -> None:
        for id in ("a", "b", "c"):
            await backend.add_account(account(id))
        async for found in backend.accounts():
            assert await backend.record_account(found, replace(found, listed=True))
        assert [found.listed for found in await all_of(backend.accounts())] == [True] * 3

    async def test_an_account_is_changed_from_what_it_was(self, backend: Backend) -> None:
        was, now = account(), account(email="new@example.com", password_at=NOW + MINUTE, listed=True, frozen_at=NOW)
        await backend.add_account(was)
        assert await backend.record_account(was, now)
        assert await backend.account("alice") == now
        assert await backend.record_account(now, was)
        assert await backend.account_named("alice") == was

    @pytest.mark.parametrize("change", [{"email": "x"}, {"password_hash": "x"}, {"listed": True}, {"frozen_at": NOW}])
    async def test_an_account_that_changed_meanwhile_is_left_alone(self, backend: Backend, change: dict[str, Any]) -> None:
        was = account(**change)
        await backend.add_account(was)
        assert not await backend.record_account(account(), account(email="mine"))
        assert await backend.account("alice") == was

    async def test_a_change_to_the_same_is_a_change(self, backend: Backend) -> None:
        await backend.add_account(account())
        assert await backend.record_account(account(), account())

    async def test_an_account_that_is_not_there_is_not_changed(self, backend: Backend) -> None:
        assert not await backend.record_account(account(), account(listed=True))
        assert await backend.account("alice") is None

    # verification codes

    async def test_a_code_waits_until_it_expires(self, backend: Backend) -> None:
        put = code(expires_at=NOW + MINUTE)
        await backend.put_code(put)
        assert await backend.code("alice", "bind", NOW) == put
        assert await backend.code("alice", "bind", NOW + MINUTE - MILLISECOND) == put
        assert await backend.code("alice", "bind", NOW + MINUTE) is None

    async def test_a_code_is_of_one_account_and_one_purpose(self, backend: Backend) -> None:
        codes = [code("alice", "bind"), code("alice", "unbind", digest=b"2"), code("bob", "bind", digest=b"3")]
        for put in codes:
            await backend.put_code(put)
        assert [await backend.code(put.account_id, put.purpose, NOW) for put in codes] == codes
        assert await backend.code("bob", "unbind", NOW) is None

    async def test_a_new_code_replaces_the_old_one(self, backend: Backend) -> None:
        await backend.put_code(code(tries_left=0))
        new = code(digest=b"new", salt=b"new", session_id="other")
        await backend.put_code(new)
        assert await backend.code("alice", "bind", NOW) == new
        assert not await backend.take_code("alice", "bind", b"digest")

    async def test_a_try_is_used_up_and_the_code_told(self, backend: Backend) -> None:
        await backend.put_code(code(tries_left=2))
        assert await backend.spend_try("alice", "bind", NOW) == code(tries_left=1)
        assert await backend.spend_try("alice", "bind", NOW) == code(tries_left=0)
        assert await backend.spend_try("alice", "bind", NOW) is None
        assert await backend.code("alice", "bind", NOW) == code(tries_left=0)

    async def test_an_expired_or_unknown_code_has_no_tries(self, backend: Backend) -> None:
        await backend.put_code(code(expires_at=NOW))
        assert await backend.spend_try("alice", "bind", NOW) is None
        assert await backend.spend_try("alice", "bind", NOW - MILLISECOND) == code(expires_at=NOW, tries_left=4)
        assert await backend.spend_try("alice", "unbind", NOW) is None
        assert await backend.spend_try("bob", "bind", NOW) is None

    async def test_a_code_can_be_taken_once(self, backend: Backend) -> None:
        await backend.put_code(code())
        assert not await backend.take_code("alice", "bind", b"another")
        assert not await backend.take_code("bob", "bind", b"digest")
        assert not await backend.take_code("alice", "unbind", b"digest")
        assert await backend.take_code("alice", "bind", b"digest")
        assert not await backend.take_code("alice", "bind", b"digest")
        assert await backend.code("alice", "bind", NOW) is None

    async def test_sending_again_touches_nothing_else_of_a_code(self, backend: Backend) -> None:
        await backend.put_code(code())
        await backend.spend_try("alice", "bind", NOW)
        assert await backend.record_sent("alice", "bind", b"digest", NOW + MINUTE)
        assert await backend.code("alice", "bind", NOW) == code(tries_left=4, sent_at=NOW + MINUTE)

    async def test_another_or_an_expired_code_is_not_sent_again(self, backend: Backend) -> None:
        await backend.put_code(code(expires_at=NOW + MINUTE))
        assert not await backend.record_sent("alice", "bind", b"another", NOW)
        assert not await backend.record_sent("alice", "unbind", b"digest", NOW)
        assert not await backend.record_sent("alice", "bind", b"digest", NOW + MINUTE)
        assert await backend.code("alice", "bind", NOW) == code(expires_at=NOW + MINUTE)

    # security keys

    async def test_a_key_comes_back_as_it_was(self, backend: Backend) -> None:
        whole = key(b"1", used_at=NOW, sign_count=2**32 - 1, transports=("usb", "nfc", "ble"), public_key=bytes(range(256)))
        bare = key(b"2", transports=(), attestation="", name="", aaguid=b"")
        await backend.add_key(whole)
        await backend.add_key(bare)
        assert await backend.keys_of("alice") == [whole, bare]

    async def test_a_credential_id_is_bound_once_over_all_accounts(self, backend: Backend) -> None:
        await backend.add_key(key(b"1", "alice"))
        for account_id in ("alice", "bob"):
            with pytest.raises(KeyTaken):
                await backend.add_key(key(b"1", account_id, name="Other"))
        assert await backend.keys_of("alice") == [key(b"1", "alice")]
        assert await backend.keys_of("bob") == []

    async def test_keys_come_oldest_first(self, backend: Backend) -> None:
        for id, age in ((b"b", 1), (b"c", 3), (b"a", 1), (b"d", 2)):
            await backend.add_key(key(id, bound_at=NOW - age * MILLISECOND))
        assert [found.id for found in await backend.keys_of("alice")] == [b"c", b"d", b"a", b"b"]

    async def test_each_domain_that_a_key_is_bound_to_is_named_once(self, backend: Backend) -> None:
        assert await backend.rp_ids() == []
        domains = ["b.example", "a.example", "b.example", "a.b.example", "a.example", "b.example"]
        for number, domain in enumerate(domains):
            await backend.add_key(key(bytes([number]), f"account {number % 2}", rp_id=domain))
        assert await backend.rp_ids() == ["a.b.example", "a.example", "b.example"]
        assert await backend.remove_key("account 1", b"\x03")
        assert await backend.rp_ids() == ["a.example", "b.example"]

    @pytest.mark.parametrize("id", KEY_IDS, ids=[f"{len(id)} bytes, {id[0]:02x}…" for id in KEY_IDS])
    async def test_an_id_may_be_any_bytes(self, backend: Backend, id: bytes) -> None:
        await backend.add_key(key(id))
        with pytest.raises(KeyTaken):
            await backend.add_key(key(id, "bob"))
        for near in (id + b"\x00", id[:-1], bytes([id[0] ^ 1]) + id[1:]):
            assert not await backend.remove_key("alice", near)
        assert await backend.rename_key("alice", id, "Red key")
        await backend.record_use(use(1, key_id=id))
        assert await backend.keys_of("alice") == [key(id, name="Red key", sign_count=1, used_at=NOW)]
        assert await backend.remove_key("alice", id)

    async def test_ids_of_which_one_begins_with_the_other_are_two(self, backend: Backend) -> None:
        ids = [b"\x01" * length for length in (1, 2, 3, 63, 64, 65, 1022, 1023)]
        for id in ids:
            await backend.add_key(key(id))
        assert [found.id for found in await backend.keys_of("alice")] == ids

    @pytest.mark.parametrize(
        ("stored", "given", "accepted"),
        [(0, 0, True), (0, 1, True), (1, 2, True), (1, 1, False), (2, 1, False), (1, 0, False), (0, 2**32 - 1, True)],
    )
    async def test_a_counter_goes_up_or_stays_zero(self, backend: Backend, stored: int, given: int, accepted: bool) -> None:
        before = key(sign_count=stored)
        await backend.add_key(before)
        with nullcontext() if accepted else pytest.raises(CounterBehind):
            await backend.record_use(use(given, at=NOW + MINUTE))
        after = replace(before, sign_count=given, used_at=NOW + MINUTE) if accepted else before
        assert await backend.keys_of("alice") == [after]

    async def test_keys_without_counter_can_be_used_again_and_again(self, backend: Backend) -> None:
        await backend.add_key(key())
        for number in range(3):
            await backend.record_use(use(0, str(number), at=NOW + number * MINUTE))
        assert await backend.keys_of("alice") == [key(used_at=NOW + 2 * MINUTE)]

    async def test_one_ceremony_uses_a_key_once(self, backend: Backend) -> None:
        await backend.add_key(key())
        await backend.record_use(use(1))
        with pytest.raises(AlreadySpent):
            await backend.record_use(use(2, at=NOW + MINUTE))
        assert await backend.keys_of("alice") == [key(sign_count=1, used_at=NOW)]
        assert not await backend.spend_once(use().ceremony.id, use().ceremony.expires_at)

    async def test_a_counter_that_went_back_spends_its_ceremony(self, backend: Backend) -> None:
        await backend.add_key(key(sign_count=2))
        with pytest.raises(CounterBehind):
            await backend.record_use(use(1))
        assert not await backend.spend_once(use().ceremony.id, use().ceremony.expires_at)
        with pytest.raises(AlreadySpent):
            await backend.record_use(use(3))
        assert await backend.keys_of("alice") == [key(sign_count=2)]

    async def test_an_unknown_key_is_not_used(self, backend: Backend) -> None:
        with pytest.raises(CounterBehind):
            await backend.record_use(use(1))
        assert await backend.keys_of("alice") == []

    async def test_a_key_is_renamed_by_its_account_only(self, backend: Backend) -> None:
        await backend.add_key(key())
        assert not await backend.rename_key("bob", b"key", "Mine")
        assert not await backend.rename_key("alice", b"other", "Mine")
        assert await backend.rename_key("alice", b"key", "Red key")
        assert await backend.rename_key("alice", b"key", "Red key")
        assert await backend.keys_of("alice") == [key(name="Red key")]

    async def test_another_accounts_key_is_not_unbound(self, backend: Backend) -> None:
        await backend.add_key(key())
        assert not await backend.remove_key("bob", b"key")
        assert await backend.keys_of("alice") == [key()]

    async def test_a_key_is_removed_once_and_can_be_bound_again(self, backend: Backend) -> None:
        await backend.add_key(key())
        await backend.add_key(key(b"other"))
        assert await backend.remove_key("alice", b"key")
        assert not await backend.remove_key("alice", b"key")
        assert await backend.keys_of("alice") == [key(b"other")]
        await backend.add_key(key(account_id="bob"))
        assert await backend.keys_of("bob") == [key(account_id="bob")]

    # sessions

    async def test_a_session_lives_until_it_expires(self, backend: Backend) -> None:
        put = session(expires_at=NOW + MINUTE, proof="key", proven_at=NOW, stage="full")
        await backend.put_session(put)
        assert await backend.session(put.token_hash, NOW + MINUTE - MILLISECOND) == put
        assert await backend.session(put.token_hash, NOW + MINUTE) is None
        assert await backend.session(b"another", NOW) is None
        assert await backend.sessions_of("alice", NOW + MINUTE) == []

    async def test_a_session_put_again_is_replaced(self, backend: Backend) -> None:
        await backend.put_session(session())
        await backend.put_session(session(token_hash=b"new", stage="full"))
        assert await backend.session(session().token_hash, NOW) is None
        assert await backend.sessions_of("alice", NOW) == [session(token_hash=b"new", stage="full")]

    async def test_sessions_come_oldest_first(self, backend: Backend) -> None:
        for id, age in (("b", 1), ("c", 3), ("a", 1), ("d", 2)):
            await backend.put_session(session(id, begun_at=NOW - age * MILLISECOND))
        await backend.put_session(session("e", "bob"))
        assert [found.id for found in await backend.sessions_of("alice", NOW)] == ["c", "d", "a", "b"]

    async def test_who_bears_a_token_comes_with_account_and_keys(self, backend: Backend) -> None:
        for each in (account(), account("bob")):
            await backend.add_account(each)
        for made in (key(b"b", bound_at=NOW + MILLISECOND), key(b"c"), key(b"a"), key(b"bob's", "bob")):
            await backend.add_key(made)
        await backend.put_session(session("without", "bob"))
        await backend.remove_key("bob", b"bob's")
        await backend.put_session(session())
        found = await backend.bearer(session().token_hash, NOW)
        assert found == Bearer(session=session(), account=account(), keys=await backend.keys_of("alice"))
        assert [each.id for each in found.keys] == [b"a", b"c", b"b"]
        other = await backend.bearer(session("without").token_hash, NOW)
        assert other == Bearer(session=session("without", "bob"), account=account("bob"), keys=[])

    async def test_nobody_bears_a_token_that_is_unknown_or_over(self, backend: Backend) -> None:
        await backend.add_account(account())
        await backend.put_session(session(expires_at=NOW + MILLISECOND))
        await backend.put_session(session("orphan", "nobody"))
        assert await backend.bearer(session().token_hash, NOW)
        assert await backend.bearer(session().token_hash, NOW + MILLISECOND) is None
        assert await backend.bearer(b"unknown", NOW) is None
        assert await backend.bearer(session("orphan").token_hash, NOW) is None

    async def test_a_session_that_stepped_up_has_only_its_new_token(self, backend: Backend) -> None:
        was, now = session(), session(token_hash=b"new", stage="full", proof="code", proven_at=NOW, expires_at=NOW + MINUTE)
        await backend.put_session(was)
        assert await backend.record_session(was.token_hash, now)
        assert await backend.session(was.token_hash, NOW) is None
        assert await backend.session(b"new", NOW) == now
        assert not await backend.record_session(was.token_hash, replace(was, token_hash=b"third"))
        assert await backend.sessions_of("alice", NOW) == [now]

    async def test_a_session_may_keep_its_token(self, backend: Backend) -> None:
        await backend.put_session(session())
        assert await backend.record_session(session().token_hash, session(proof="key", proven_at=NOW))
        assert await backend.record_session(session().token_hash, session(proof="key", proven_at=NOW))
        assert await backend.session(session().token_hash, NOW) == session(proof="key", proven_at=NOW)

    async def test_a_session_that_ended_does_not_step_up(self, backend: Backend) -> None:
        await backend.put_session(session())
        await backend.remove_session("alice", "session")
        assert not await backend.record_session(session().token_hash, session(token_hash=b"new"))
        assert await backend.session(b"new", NOW) is None

    async def test_a_logon_steps_up_and_is_an_event(self, backend: Backend) -> None:
        now = session(token_hash=b"new", stage="full", proof="key", proven_at=NOW, expires_at=NOW + MINUTE)
        await backend.put_session(session())
        first = await backend.add_event("alice", sealed("first"))
        event = await backend.record_logon(session().token_hash, now, sealed("logon"))
        assert event == sealed("logon")(first)
        assert await backend.events_of("alice", 10) == [first, event]
        assert await backend.sessions_of("alice", NOW) == [now]
        assert await backend.session(session().token_hash, NOW) is None

    async def test_a_logon_by_a_key_puts_its_use_down(self, backend: Backend) -> None:
        await backend.add_key(key())
        await backend.put_session(session())
        assert await backend.record_logon(session().token_hash, session(token_hash=b"new"), sealed(), use(3))
        assert await backend.keys_of("alice") == [key(sign_count=3, used_at=NOW)]
        assert not await backend.spend_once(use().ceremony.id, use().ceremony.expires_at)

    @pytest.mark.parametrize(("before", "refused"), [(use(9), AlreadySpent), (use(9, "other"), CounterBehind)])
    async def test_a_key_that_must_not_be_used_logs_nobody_on(
        self, backend: Backend, before: Use, refused: type[Exception]
    ) -> None:
        await backend.add_key(key())
        await backend.record_use(before)
        await backend.put_session(session())
        with pytest.raises(refused):
            await backend.record_logon(session().token_hash, session(token_hash=b"new"), sealed(), use(3))
        assert await backend.sessions_of("alice", NOW) == [session()]
        assert await backend.events_of("alice", 10) == []
        assert await backend.keys_of("alice") == [key(sign_count=9, used_at=NOW)]
        assert not await backend.spend_once(use().ceremony.id, use().ceremony.expires_at)

    async def test_a_session_that_ended_does_not_log_on(self, backend: Backend) -> None:
        await backend.put_session(session())
        await backend.remove_session("alice", "session")
        assert await backend.record_logon(session().token_hash, session(token_hash=b"new"), sealed()) is None
        assert await backend.session(b"new", NOW) is None
        assert await backend.events_of("alice", 10) == []

    async def test_seeing_a_session_touches_nothing_else_of_it(self, backend: Backend) -> None:
        put = session(proof="code", proven_at=NOW)
        await backend.put_session(put)
        assert await backend.record_seen(put.token_hash, NOW + MINUTE, NOW + 20 * MINUTE)
        assert await backend.record_seen(put.token_hash, NOW + MINUTE, NOW + 20 * MINUTE)
        seen = replace(put, seen_at=NOW + MINUTE, expires_at=NOW + 20 * MINUTE)
        assert await backend.session(put.token_hash, NOW + 19 * MINUTE) == seen

    async def test_an_ended_or_expired_session_is_not_seen(self, backend: Backend) -> None:
        assert not await backend.record_seen(b"none", NOW, NOW + MINUTE)
        await backend.put_session(session(expires_at=NOW))
        assert not await backend.record_seen(session().token_hash, NOW, NOW + MINUTE)
        assert await backend.session(session().token_hash, NOW) is None

    async def test_a_session_is_ended_by_its_account_only_and_once(self, backend: Backend) -> None:
        await backend.put_session(session())
        assert not await backend.remove_session("bob", "session")
        assert not await backend.remove_session("alice", "other")
        assert await backend.remove_session("alice", "session")
        assert not await backend.remove_session("alice", "session")
        assert await backend.session(session().token_hash, NOW) is None

    async def test_all_sessions_but_one_end(self, backend: Backend) -> None:
        for id in ("a", "b", "c"):
            await backend.put_session(session(id))
        await backend.put_session(session("d", "bob"))
        assert await backend.remove_sessions_of("alice", keep="b") == 2
        assert [found.id for found in await backend.sessions_of("alice", NOW)] == ["b"]
        assert await backend.remove_sessions_of("alice", keep="d") == 1
        assert await backend.remove_sessions_of("alice") == 0
        assert [found.id for found in await backend.sessions_of("bob", NOW)] == ["d"]

    # what works once

    async def test_what_works_once_works_once(self, backend: Backend) -> None:
        assert await backend.spend_once("a", NOW + MINUTE)
        assert not await backend.spend_once("a", NOW + MINUTE)
        assert not await backend.spend_once("a", NOW + 2 * MINUTE)
        assert await backend.spend_once("A", NOW + MINUTE)

    # recovery codes

    async def test_recovery_codes_keep_the_order_they_were_put_in(self, backend: Backend) -> None:
        digests = [b"c", b"a", b"d", b"b"]
        await backend.put_recovery_codes("alice", digests, NOW)
        assert await backend.spend_recovery_code("alice", b"a", NOW + MINUTE)
        found = await backend.recovery_codes_of("alice")
        assert [each.digest for each in found] == digests
        spent = [RecoveryCode(account_id="alice", digest=b"a", made_at=NOW, spent_at=NOW + MINUTE)]
        assert [each for each in found if each.spent_at] == spent

    async def test_a_recovery_code_is_spent_once_by_its_account(self, backend: Backend) -> None:
        await backend.put_recovery_codes("alice", [b"a", b"b"], NOW)
        assert not await backend.spend_recovery_code("bob", b"a", NOW)
        assert not await backend.spend_recovery_code("alice", b"c", NOW)
        assert await backend.spend_recovery_code("alice", b"a", NOW)
        assert not await backend.spend_recovery_code("alice", b"a", NOW + MINUTE)
        assert (await backend.recovery_codes_of("alice"))[0].spent_at == NOW
        assert await backend.spend_recovery_code("alice", b"b", NOW)

    async def test_a_new_set_replaces_the_old_one_spent_or_not(self, backend: Backend) -> None:
        await backend.put_recovery_codes("alice", [b"a", b"b"], NOW)
        await backend.put_recovery_codes("bob", [b"a"], NOW)
        await backend.spend_recovery_code("alice", b"a", NOW)
        await backend.put_recovery_codes("alice", [b"a", b"c"], NOW + MINUTE)
        fresh = [RecoveryCode(account_id="alice", digest=digest, made_at=NOW + MINUTE) for digest in (b"a", b"c")]
        assert await backend.recovery_codes_of("alice") == fresh
        assert not await backend.spend_recovery_code("alice", b"b", NOW)
        assert len(await backend.recovery_codes_of("bob")) == 1

    async def test_an_empty_set_leaves_none(self, backend: Backend) -> None:
        await backend.put_recovery_codes("alice", [b"a"], NOW)
        await backend.put_recovery_codes("alice", [], NOW)
        assert await backend.recovery_codes_of("alice") == []
        assert await backend.recovery_codes_of("nobody") == []

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
        assert await backend.count_attempt("a", NOW + 1 * MILLISECOND, MINUTE) == Attempts(
            count=1, resets_at=NOW + MINUTE + MILLISECOND
        )
        assert (await backend.count_attempt("b", NOW, MINUTE)).count == 2

    # events

    async def test_events_are_chained_for_each_account(self, backend: Backend) -> None:
        first = await backend.add_event("alice", sealed("first"))
        second = await backend.add_event("alice", sealed("second"))
        other = await backend.add_event("bob", sealed("other", "bob"))
        assert [(event.seq, event.mac) for event in (first, second, other)] == [(1, b"0"), (2, b"1"), (1, b"0")]
        assert await backend.events_of("alice", 10) == [first, second]
        assert await backend.events_of("bob", 10) == [other]
        assert await backend.events_of("nobody", 10) == []

    async def test_the_newest_events_come_in_pages(self, backend: Backend) -> None:
        for number in range(7):
            await backend.add_event("alice", sealed(str(number)))
        assert [event.seq for event in await backend.events_of("alice", 3)] == [5, 6, 7]
        assert [event.seq for event in await backend.events_of("alice", 3, before=5)] == [2, 3, 4]
        assert [event.seq for event in await backend.events_of("alice", 3, before=2)] == [1]
        assert await backend.events_of("alice", 3, before=1) == []

    async def test_an_event_that_cannot_be_sealed_is_not_added(self, backend: Backend) -> None:
        def refuse(last: Event | None) -> Event:
            raise Interrupted

        with pytest.raises(Interrupted):
            await backend.add_event("alice", refuse)
        assert await backend.events_of("alice", 10) == []
        assert (await backend.add_event("alice", sealed())).seq == 1

    async def test_the_engine_tells_its_time_if_it_has_one_of_its_own(self, backend: Backend) -> None:
        told = await backend.engine_time()
        assert told is None or abs(told - datetime.now(UTC)) < MINUTE

    # texts and times

    @pytest.mark.parametrize("text", TEXTS, ids=[f"text {number}" for number in range(len(TEXTS))])
    async def test_any_text_comes_back_as_it_was(self, backend: Backend, text: str) -> None:
        id = f"id{text}"
        there = account(id, username=text, email=text, password_hash=text)
        await backend.add_account(there)
        assert await backend.account(id) == there
        assert await backend.account_named(fold(text)) == there
        with pytest.raises(UsernameTaken):
            await backend.add_account(account("other", username=text))
        await backend.add_key(key(b"1", id, name=text, attestation=text, rp_id=text, transports=(text, text)))
        assert (await backend.keys_of(id))[0].transports == (text, text)
        await backend.put_session(session(id, id, browser=text, address=text))
        assert (await backend.sessions_of(id, NOW))[0].browser == text
        await backend.put_code(code(id, text, email=text))
        assert (await backend.spend_try(id, text, NOW)) == code(id, text, email=text, tries_left=4)
        assert (await backend.add_event(id, sealed(text, id))).detail == text
        assert (await backend.events_of(id, 1))[0].detail == text
        assert await backend.spend_once(id, NOW + MINUTE)
        assert (await backend.count_attempt(id, NOW, MINUTE)).count == 1
        await backend.put_recovery_codes(id, [b"a"], NOW)
        assert await backend.spend_recovery_code(id, b"a", NOW)

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
        await backend.add_account(account(created_at=at, password_at=at, frozen_at=at))
        found = await backend.account("alice")
        assert found is not None
        assert (found.created_at, found.password_at, found.frozen_at) == (at, at, at)
        assert found.created_at.utcoffset() == timedelta(0)

    # the whole

    async def test_a_backend_that_answers_is_ready(self, backend: Backend) -> None:
        await backend.ready()

    async def test_only_what_is_expired_is_swept(self, backend: Backend) -> None:
        for name, end in (("old", NOW), ("new", NOW + MILLISECOND)):
            await backend.put_code(code(name, expires_at=end))
            await backend.put_session(session(name, expires_at=end))
            await backend.spend_once(name, end)
            await backend.count_attempt(name, end - MINUTE, MINUTE)
        await backend.add_account(account())
        assert await backend.sweep(NOW) == 4
        assert await backend.sweep(NOW) == 0
        assert [type(record) for record in await all_of(backend.dump())] == [Account, Session, VerificationCode, Spent]
        assert (await backend.count_attempt("new", NOW, MINUTE, cost=0)).count == 1
        assert await backend.spend_once("old", NOW + MINUTE)
        assert not await backend.spend_once("new", NOW + MINUTE)

    async def test_a_dump_holds_everything_in_the_order_of_the_kinds(self, backend: Backend) -> None:
        assert await all_of(backend.dump()) == []
        await fill(backend)
        await backend.count_attempt("bucket", NOW, MINUTE)
        dumped = await all_of(backend.dump())
        kinds = list(dict.fromkeys(type(record) for record in dumped))
        assert kinds == [Account, SecurityKey, RecoveryCode, Event, Session, VerificationCode, Spent]
        assert [type(record) for record in dumped] == sorted((type(record) for record in dumped), key=kinds.index)
        assert len(dumped) == 2 * (1 + 2 + 2 + 2 + 2 + 1 + 1)

    async def test_the_events_and_recovery_codes_of_an_account_are_dumped_together_and_in_order(self, backend: Backend) -> None:
        for id in ("b", "a"):
            await backend.put_recovery_codes(id, [b"z", b"y"], NOW)
        for _ in range(11):
            for id in ("b", "a"):
                await backend.add_event(id, sealed(account_id=id))
        dumped = await all_of(backend.dump())
        events = [(record.account_id, record.seq) for record in dumped if isinstance(record, Event)]
        assert events in ([(id, seq) for id in order for seq in range(1, 12)] for order in ("ab", "ba"))
        codes = [(record.account_id, record.digest) for record in dumped if isinstance(record, RecoveryCode)]
        assert [digest for id, digest in codes if id == "a"] == [b"z", b"y"]

    async def test_what_was_dumped_is_loaded_as_it_was(self, backend: Backend) -> None:
        records = _a_dump()
        assert await backend.load(given(records)) == len(records)
        assert await all_of(backend.dump()) == records
        assert await backend.account_named("ALICE") == records[0]
        assert [each.digest for each in await backend.recovery_codes_of("alice")] == [b"z", b"a"]
        assert (await backend.add_event("alice", sealed())).seq == 3
        assert not await backend.spend_once("spent", NOW + MINUTE)
        with pytest.raises(KeyTaken):
            await backend.add_key(key(b"1"))

    async def test_nothing_is_loaded_into_a_backend_that_holds_records(self, backend: Backend) -> None:
        await backend.spend_once("something", NOW + MINUTE)
        with pytest.raises(NotEmpty):
            await backend.load(given(_a_dump()))
        assert len(await all_of(backend.dump())) == 1

    async def test_an_interrupted_load_can_be_done_again(self, backend: Backend) -> None:
        records: list[Record] = [account(f"{number:04}") for number in range(2500)]
        with pytest.raises(Interrupted):
            await backend.load(given_half(records))
        assert await backend.load(given(records)) == len(records)
        assert await all_of(backend.dump()) == records

    async def test_loading_nothing_is_fine(self, backend: Backend) -> None:
        assert await backend.load(given([])) == 0
        assert await backend.load(given(_a_dump())) == len(_a_dump())

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

    async def test_the_events_of_a_race_are_a_chain_without_gaps(self, backend: Backend, backend_url: str) -> None:
        await races.run_with_another_process(backend, backend_url, "a chain of events", CALLERS)
        events = await backend.events_of("alice", 2 * CALLERS)
        assert [event.seq for event in events] == list(range(1, CALLERS + 1))
        assert [event.mac for event in events] == [str(number).encode() for number in range(CALLERS)]
        assert len({event.detail for event in events}) == CALLERS

    async def test_what_another_process_wrote_is_seen(self, backend: Backend, backend_url: str) -> None:
        await races.run_with_another_process(backend, backend_url, "one username", 1)
        found = await backend.account_named("STRASSE")
        assert found is not None
        assert found.id == "id-there-0"


def _a_dump() -> list[Record]:
    return [
        account("alice", listed=True),
        account("bob", frozen_at=NOW),
        key(b"1", "alice", used_at=NOW, sign_count=9),
        key(b"2", "bob", transports=()),
        RecoveryCode(account_id="alice", digest=b"z", made_at=NOW, spent_at=NOW),
        RecoveryCode(account_id="alice", digest=b"a", made_at=NOW),
        sealed("first")(None),
        sealed("second")(sealed("first")(None)),
        session("s", "alice", proof="key", proven_at=NOW),
        code("alice", "bind", tries_left=1),
        Spent(id="spent", expires_at=NOW + MINUTE),
    ]
