"""Recovery codes: the same form shows the same ten, in force at once or when one was typed back; each used once."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from backends.records import Account, RecoveryCode, Session
from tests.accounts.samples import HOUR, MINUTE, NOW, SECOND, SETTINGS, account, act, key, logged_on, settings
from webapp import signing
from webapp.accounts import nonces, recovery
from webapp.accounts.decision import Refused
from webapp.accounts.recovery import CodeSet
from webapp.settings import Settings

OLD = (RecoveryCode(digest=b"old", made_at=NOW),)


def somebody(codes: tuple[RecoveryCode, ...] = ()) -> tuple[Account, Session]:
    was, session, _ = logged_on(account(keys=(key(),), recovery_codes=codes), "key")
    return was, session


def offer(session: Session, of: str = "alices-id", under: Settings = SETTINGS) -> str:
    return recovery.offer(under, of, session.id, NOW)


def offered(was: Account, session: Session, token: str, after: timedelta = timedelta()) -> CodeSet:
    return recovery.offered(SETTINGS, was.id, session.id, token, NOW + after)


def replacing() -> tuple[Account, Session, CodeSet]:
    """Somebody who has a code left of another set, and is shown a new one."""
    was, session = somebody(OLD)
    return was, session, offered(was, session, offer(session))


def made() -> tuple[Account, tuple[str, ...]]:
    was, session = somebody()
    token = offer(session)
    return recovery.make(was, act(), session.id, token).account, offered(was, session, token).codes


# a set


def test_ten_codes_of_eighty_random_bits() -> None:
    _, _, codes = replacing()
    assert len(set(codes.codes)) == recovery.HOW_MANY
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", code) for code in codes.codes)
    assert codes.digests == tuple(recovery.digest("alices-id", code) for code in codes.codes)


def test_the_same_form_shows_the_same_ten_and_another_form_others() -> None:
    was, session = somebody()
    token = offer(session)
    assert offered(was, session, token).codes == offered(was, session, token, 59 * MINUTE).codes
    assert set(offered(was, session, token).codes).isdisjoint(offered(was, session, offer(session)).codes)


def test_the_form_does_not_give_the_codes_away_to_who_has_no_secret_of_ours() -> None:
    was, session = somebody()
    first, second = settings(secret_keys=("first secret " * 4,)), settings(secret_keys=("other secret " * 4,))
    token = offer(session)
    codes = offered(was, session, token)
    assert not any(code in token or code in codes.token for code in codes.codes)
    seed = codes.seed
    forged = recovery._sign(
        second, "recovery offer", [seed, was.id, session.id, 10**13, signing.key_id(second.secret_keys[0]).hex()]
    )
    other = recovery.offered(second, was.id, session.id, forged, NOW)
    assert set(other.codes).isdisjoint(recovery.offered(first, was.id, session.id, token, NOW).codes)


def test_a_secret_that_is_put_in_front_changes_no_codes_and_one_that_is_gone_ends_them() -> None:
    was, session = somebody()
    token, new = offer(session), "the next secret " * 3
    now = settings(secret_keys=(new, *SETTINGS.secret_keys))
    assert recovery.offered(now, was.id, session.id, token, NOW).codes == offered(was, session, token).codes
    with pytest.raises(Refused, match="over"):
        recovery.offered(settings(secret_keys=(new,)), was.id, session.id, token, NOW)


def test_an_offer_is_of_its_account_and_session_and_lasts_an_hour() -> None:
    was, session = somebody()
    good = offer(session)
    assert offered(was, session, good, HOUR - SECOND).codes
    with pytest.raises(Refused, match="over"):
        offered(was, session, good, HOUR)
    other = replace(session, id="another session")
    forged = offer(session, under=settings(secret_keys=("somebody else's " * 3,)))
    for token, asking in (
        (good, other),
        (offer(session, "bobs-id"), session),
        (forged, session),
        ("", session),
        ("\ud800", session),
    ):
        with pytest.raises(Refused, match="over"):
            offered(was, asking, token)


# in force


def test_a_first_set_is_in_force_from_when_it_is_shown() -> None:
    was, session = somebody()
    token = offer(session)
    decision = recovery.make(was, act(), session.id, token)
    assert recovery.is_in_force(decision.account, offered(was, session, token))
    assert recovery.left(decision.account) == 10
    assert [each.kind for each in decision.events] == ["recovery codes made"]
    assert [each.kind for each in decision.account.notifications] == ["recovery codes made"]


def test_a_form_that_is_sent_again_changes_nothing() -> None:
    was, session = somebody()
    token = offer(session)
    now = recovery.make(was, act(), session.id, token).account
    again = recovery.make(now, act(MINUTE), session.id, token)
    assert again.account is now
    assert not again.events


def test_a_set_of_which_all_are_used_is_replaced_at_once() -> None:
    was, session = somebody((replace(OLD[0], spent_at=NOW),))
    assert recovery.left(recovery.make(was, act(), session.id, offer(session)).account) == 10


def test_a_set_that_would_replace_codes_that_are_left_is_only_shown() -> None:
    was, session, _ = replacing()
    decision = recovery.make(was, act(), session.id, offer(session))
    assert decision.account is was
    assert not decision.events


def test_it_replaces_them_once_one_of_its_codes_was_typed_back() -> None:
    was, session, codes = replacing()
    decision = recovery.confirm(was, act(), session.id, codes.token, codes.codes[9].lower())
    assert recovery.is_in_force(decision.account, codes)
    assert [each.kind for each in decision.events] == ["recovery codes made"]
    again = recovery.confirm(decision.account, act(), session.id, codes.token, codes.codes[0])
    assert again.account is decision.account


def test_what_was_not_shown_leaves_the_set_of_before_in_force_and_the_new_one_can_still_be_typed() -> None:
    was, session, codes = replacing()
    with pytest.raises(Refused, match="not of it") as caught:
        recovery.confirm(was, act(), session.id, codes.token, "AAAA-AAAA-AAAA-AAAA")
    assert caught.value.trace is None
    assert recovery.shown(SETTINGS, was.id, session.id, codes.token, NOW).codes == codes.codes
    assert recovery.confirm(was, act(), session.id, codes.token, codes.codes[0]).events


def test_an_offer_alone_confirms_nothing() -> None:
    was, session = somebody(OLD)
    token = offer(session)
    with pytest.raises(Refused, match="over"):
        recovery.confirm(was, act(), session.id, token, offered(was, session, token).codes[0])


def test_a_set_is_typed_back_within_the_time_and_where_it_was_shown() -> None:
    was, session, codes = replacing()
    assert recovery.confirm(was, act(2 * HOUR - SECOND), session.id, codes.token, codes.codes[0])
    for after, asking in ((2 * HOUR, session.id), (0 * HOUR, "another session")):
        with pytest.raises(Refused, match="over"):
            recovery.confirm(was, act(after), asking, codes.token, codes.codes[0])


def test_a_set_that_was_replaced_or_is_void_does_not_come_back() -> None:
    was, session = somebody()
    token = offer(session)
    first = offered(was, session, token)
    now = recovery.make(was, act(), session.id, token).account
    void, _ = recovery.void(now)
    with pytest.raises(Refused, match="over"):
        recovery.make(void, act(), session.id, token)
    second = offered(was, session, offer(session))
    replaced = recovery.confirm(now, act(), session.id, second.token, second.codes[0]).account
    with pytest.raises(Refused, match="over"):
        recovery.confirm(replaced, act(2 * HOUR - SECOND), session.id, first.token, first.codes[0])


def test_an_account_that_asks_for_no_key_has_nothing_to_recover() -> None:
    was, session, codes = replacing()
    for without in (replace(was, keys=()), replace(was, keys=(key(suspended_at=NOW),), opened_at=NOW)):
        with pytest.raises(Refused, match="over"):
            recovery.confirm(without, act(), session.id, codes.token, codes.codes[0])
        with pytest.raises(Refused, match="over"):
            recovery.make(replace(without, recovery_codes=()), act(), session.id, offer(session))


def test_an_account_that_cannot_remember_more_says_that_the_set_is_over() -> None:
    was, session, codes = replacing()
    for number in range(nonces.MAX_NONCES):
        was = nonces.consume(was, NOW, str(number), NOW + MINUTE)
    with pytest.raises(Refused, match="over"):
        recovery.confirm(was, act(), session.id, codes.token, codes.codes[0])


# a code


def test_each_code_is_spent_once_and_the_others_stay() -> None:
    was, codes = made()
    now = recovery.spend(was, act(MINUTE), codes[0])
    assert recovery.left(now) == 9
    assert now.recovery_codes[0].spent_at == NOW + MINUTE
    with pytest.raises(Refused, match="used before"):
        recovery.spend(now, act(), codes[0])
    assert recovery.left(recovery.spend(now, act(), codes[9])) == 8


@pytest.mark.parametrize("typed", ["", "-", "AAAA", "\ud800", "\x00", "A" * 10**6, "ﬁ" * 64, "AAAA-BBBB-CCCC-DDD"])
def test_what_has_not_sixteen_letters_and_digits_is_malformed(typed: str) -> None:
    was, _ = made()
    with pytest.raises(Refused, match="malformed"):
        recovery.spend(was, act(), typed)


def test_another_code_is_none() -> None:
    was, _ = made()
    with pytest.raises(Refused, match="not a code"):
        recovery.spend(was, act(), "AAAA-BBBB-CCCC-DDDD")


def test_a_code_is_read_however_it_is_typed() -> None:
    was, (code, *_) = made()
    for typed in (code.lower(), code.replace("-", ""), f"  {code} ", code.replace("O", "0").replace("I", "1").replace("B", "8")):
        assert recovery.left(recovery.spend(was, act(), typed)) == 9


def test_a_code_of_another_account_is_none() -> None:
    was, (code, *_) = made()
    with pytest.raises(Refused, match="not a code"):
        recovery.spend(replace(was, id="bobs-id"), act(), code)


def test_a_rehearsal_uses_no_code_up_and_proves_nothing() -> None:
    was, (code, *_) = made()
    decision = recovery.rehearse(was, act(MINUTE), code)
    assert decision.account is was
    assert [tuple(each) for each in decision.events] == [("recovery code tried", "")]
    with pytest.raises(Refused, match="not a code") as caught:
        recovery.rehearse(was, act(), "AAAA-BBBB-CCCC-DDDD")
    assert caught.value.trace is None
    with pytest.raises(Refused, match="used before"):
        recovery.rehearse(recovery.spend(was, act(), code), act(), code)


@given(some.text())
def test_a_digest_of_any_text_has_32_bytes(text: str) -> None:
    assert len(recovery.digest("id", text)) == 32


def test_a_set_that_is_void_says_so_only_if_a_code_was_left() -> None:
    was, codes = made()
    now, events = recovery.void(was)
    assert now.recovery_codes == ()
    assert [each.kind for each in events] == ["recovery codes void"]
    for code in codes:
        was = recovery.spend(was, act(), code)
    now, events = recovery.void(was)
    assert now.recovery_codes == ()
    assert not events
