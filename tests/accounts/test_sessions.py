"""Sessions: what a token opens, for how long, and what ends it."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from backends.records import Account, Proof, Stage
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SECOND, SETTINGS, account, act, key, logged_on, settings
from webapp.accounts import sessions
from webapp.accounts.context import Claim, Device, Level
from webapp.accounts.sessions import AlreadySignedIn, KeyOwed, NotProven, NotSignedIn

KEYED = account(keys=(key(),))


def require(was: Account, token: str, level: Level, after: timedelta = timedelta()) -> None:
    sessions.require(was, Claim(sessions.hash_token(token), level), NOW + after, SETTINGS)


def test_a_token_names_its_account_and_only_its_hash_is_kept() -> None:
    was, session, token = logged_on(account())
    assert sessions.account_of(token) == was.id
    assert token.rpartition(".")[2] not in str(was)
    assert sessions.find(was, sessions.hash_token(token), NOW) == session


def test_a_token_has_256_random_bits() -> None:
    tokens = {sessions.new_token("id") for _ in range(100)}
    assert len(tokens) == 100
    assert {len(token.rpartition(".")[2]) for token in tokens} == {43}


def test_another_token_finds_nothing() -> None:
    was, _, token = logged_on(account())
    for other in (token + "x", sessions.new_token(was.id), ""):
        with pytest.raises(NotSignedIn):
            require(was, other, "authenticated")


def test_every_step_up_makes_a_new_token_and_the_old_one_is_worth_nothing() -> None:
    was, session, token = logged_on(account(), stage="password_only")
    stepped = sessions.step_up(was, act(), session, "new", "key")
    require(stepped, "new", "fresh")
    with pytest.raises(NotSignedIn):
        require(stepped, token, "authenticated")
    assert [each.id for each in stepped.sessions] == [session.id]


def test_a_session_that_owes_the_key_is_no_more_than_that() -> None:
    was, _, token = logged_on(KEYED, stage="password_only")
    require(was, token, "password_only")
    levels: tuple[Level, ...] = ("authenticated", "proven", "fresh")
    for level in levels:
        with pytest.raises(KeyOwed):
            require(was, token, level)


def test_who_has_logged_on_has_nothing_to_do_at_the_key_step() -> None:
    was, _, token = logged_on(account())
    with pytest.raises(AlreadySignedIn):
        require(was, token, "password_only")


def test_the_key_may_be_owed_for_ten_minutes() -> None:
    was, _, token = logged_on(KEYED, stage="password_only")
    require(was, token, "password_only", 10 * MINUTE - SECOND)
    with pytest.raises(NotSignedIn):
        require(was, token, "password_only", 10 * MINUTE)


def test_a_session_ends_when_it_is_idle_and_when_it_is_old() -> None:
    was, session, token = logged_on(account())
    require(was, token, "authenticated", 12 * HOUR - SECOND)
    with pytest.raises(NotSignedIn):
        require(was, token, "authenticated", 12 * HOUR)
    after = timedelta()
    while after < 7 * DAY - 6 * HOUR:
        after += 6 * HOUR
        was = sessions.seen(was, act(after), session.id).account
    require(was, token, "authenticated", 7 * DAY - SECOND)
    with pytest.raises(NotSignedIn):
        require(was, token, "authenticated", 7 * DAY)


def test_a_step_up_does_not_make_a_session_older_than_it_may_get() -> None:
    was, session, _ = logged_on(account())
    stepped = sessions.step_up(was, act(7 * DAY - HOUR), session, "new")
    assert stepped.sessions[0].expires_at == NOW + 7 * DAY


def test_being_seen_is_stored_once_a_minute_only() -> None:
    was, session, _ = logged_on(account())
    assert sessions.seen(was, act(59 * SECOND), session.id).account is was
    assert sessions.seen(was, act(MINUTE), session.id).account.sessions[0].seen_at == NOW + MINUTE


@pytest.mark.parametrize(("proof", "ok"), [(None, False), ("code", False), ("key", True), ("recovery", True)])
def test_with_a_key_bound_only_a_key_or_a_recovery_code_proves_who_it_is(proof: Proof | None, ok: bool) -> None:
    was, session, _ = logged_on(KEYED, proof)
    assert sessions.is_proven(was, session, NOW) is ok


@pytest.mark.parametrize(("proof", "ok"), [(None, False), ("code", True), ("key", True)])
def test_without_a_key_a_code_proves_it(proof: Proof | None, ok: bool) -> None:
    was, session, _ = logged_on(account(), proof)
    assert sessions.is_proven(was, session, NOW) is ok


def test_where_a_wait_has_opened_the_account_a_code_proves_it_as_without_a_key() -> None:
    """Otherwise whoever got in after a wait could never bind another key."""
    was, session, _ = logged_on(account(keys=(key(suspended_at=NOW),), opened_at=NOW), "code")
    assert sessions.is_proven(was, session, NOW)


def test_a_proof_lasts_ten_minutes_and_is_fresh_for_one() -> None:
    was, _, token = logged_on(KEYED, "key")
    require(was, token, "fresh", MINUTE - SECOND)
    with pytest.raises(NotProven):
        require(was, token, "fresh", MINUTE)
    require(was, token, "proven", 10 * MINUTE - SECOND)
    with pytest.raises(NotProven):
        require(was, token, "proven", 10 * MINUTE)


def test_a_recovery_code_is_fresh_for_as_long_as_it_proves_anything() -> None:
    """Whoever has used one has no key to touch: the lost one could not be unbound after a minute."""
    was, _, token = logged_on(KEYED, "recovery")
    require(was, token, "fresh", 10 * MINUTE - SECOND)
    with pytest.raises(NotProven):
        require(was, token, "fresh", 10 * MINUTE)


def test_a_code_typed_without_a_key_is_fresh_for_as_long_as_it_proves_anything() -> None:
    was, _, token = logged_on(account(), "code")
    require(was, token, "fresh", 10 * MINUTE - SECOND)
    with pytest.raises(NotProven):
        require(was, token, "fresh", 10 * MINUTE)


def test_a_frozen_account_has_no_session_until_a_new_password_and_then_none_that_is_in() -> None:
    was, _, inside = logged_on(account())
    was, _, outside = logged_on(was, stage="password_only")
    frozen = replace(was, frozen_at=NOW)
    for token in (inside, outside):
        assert sessions.find(frozen, sessions.hash_token(token), NOW) is None
    reset = replace(frozen, password_at=NOW + SECOND)
    assert sessions.find(reset, sessions.hash_token(inside), NOW) is None
    assert sessions.find(reset, sessions.hash_token(outside), NOW)


def test_a_password_of_the_very_moment_of_the_freeze_does_not_open_it() -> None:
    assert sessions.is_shut(account(frozen_at=NOW, password_at=NOW))
    assert not sessions.is_shut(account(frozen_at=NOW, password_at=NOW + SECOND))


def test_of_more_than_fifty_sessions_the_least_recently_seen_ends() -> None:
    was = account()
    for number in range(50):
        was, _, _ = logged_on(was, after=number * SECOND)
    first, second = was.sessions[0].id, was.sessions[1].id
    was = sessions.seen(was, act(2 * MINUTE), first).account
    was, _, token = logged_on(was, after=2 * MINUTE)
    assert len(was.sessions) == sessions.MAX_SESSIONS
    assert first in {each.id for each in was.sessions}
    assert second not in {each.id for each in was.sessions}
    require(was, token, "authenticated", 2 * MINUTE)


def test_sessions_that_owe_the_key_never_push_out_one_that_is_in() -> None:
    was, inside, _ = logged_on(KEYED)
    for number in range(59):
        was, _, _ = logged_on(was, stage="password_only", after=number * SECOND)
    was, _, token = logged_on(was, stage="password_only", after=59 * SECOND)
    assert inside in was.sessions
    assert len(was.sessions) == 1 + sessions.MAX_PASSWORD_ONLY
    require(was, token, "password_only", MINUTE)


def test_sessions_of_one_millisecond_do_not_push_out_the_newest() -> None:
    was = account()
    for _ in range(60):
        was, _, _ = logged_on(was)
    was, _, token = logged_on(was)
    require(was, token, "authenticated")


def test_a_step_up_counts_among_those_that_are_in() -> None:
    was = account()
    for _ in range(50):
        was, _, _ = logged_on(was)
    was, session, _ = logged_on(was, stage="password_only", after=SECOND)
    stepped = sessions.step_up(was, act(SECOND), session, "new")
    assert len(stepped.sessions) == sessions.MAX_SESSIONS
    require(stepped, "new", "authenticated", SECOND)


def begun(was: Account, stage: Stage, browser: Device, token: str) -> Account:
    return sessions.begin(was, act(device=browser), token, stage)


def stages(was: Account) -> list[str]:
    return [each.stage for each in was.sessions]


def test_who_logs_on_again_in_a_browser_leaves_no_session_behind() -> None:
    """The browser carries one cookie: the session before is lost to it, or somebody else has it."""
    here, there = Device("here"), Device("there")
    was = begun(begun(account(), "authenticated", here, "1"), "authenticated", there, "2")
    now = begun(was, "authenticated", here, "3")
    assert [each.token_hash for each in now.sessions] == [sessions.hash_token(token) for token in "23"]


def test_who_owes_the_key_has_not_replaced_the_session_of_this_browser_yet() -> None:
    here = Device("here")
    was = begun(begun(KEYED, "authenticated", here, "1"), "password_only", here, "2")
    assert stages(was) == ["authenticated", "password_only"]
    was = begun(was, "password_only", here, "3")
    assert stages(was) == ["authenticated", "password_only"]
    require(was, "3", "password_only")
    now = sessions.step_up(was, act(device=here), was.sessions[1], "4", "key")
    assert stages(now) == ["authenticated"]
    require(now, "4", "fresh")


def test_browsers_without_a_cookie_do_not_end_each_others_sessions() -> None:
    was = sessions.begin(sessions.begin(account(), act(), "1", "authenticated"), act(), "2", "authenticated")
    assert len(was.sessions) == 2


def test_one_session_is_ended_from_another() -> None:
    was, here, _ = logged_on(account())
    was, there, _ = logged_on(was)
    now, events = sessions.end(was, act(), there.id)
    assert [each.id for each in now.sessions] == [here.id]
    assert [each.kind for each in events] == ["session ended"]
    with pytest.raises(NotSignedIn):
        sessions.end(now, act(), there.id)


def test_all_others_are_ended() -> None:
    was, _, _ = logged_on(account())
    was, here, _ = logged_on(was)
    now, events = sessions.end_others(was, act(), here.id)
    assert now.sessions == (here,)
    assert [each.kind for each in events] == ["sessions ended"]


def test_logging_off_ends_this_session_once() -> None:
    was, _, token = logged_on(account())
    now, events = sessions.log_off(was, act(), sessions.hash_token(token))
    assert now.sessions == ()
    assert [each.kind for each in events] == ["logged off"]
    again = sessions.log_off(now, act(), sessions.hash_token(token))
    assert again.account is now
    assert not again.events


def test_who_never_was_in_is_not_logged_off() -> None:
    was, _, token = logged_on(KEYED, stage="password_only")
    now, events = sessions.log_off(was, act(), sessions.hash_token(token))
    assert now.sessions == ()
    assert not events


def test_the_deployer_decides_how_long_a_session_lasts() -> None:
    short = settings(session_idle=5 * MINUTE, session_lifetime=8 * MINUTE)
    was = sessions.begin(account(), act(settings=short), "token", "authenticated")
    require(was, "token", "authenticated", 5 * MINUTE - SECOND)
    was = sessions.seen(was, act(4 * MINUTE, settings=short), was.sessions[0].id).account
    assert was.sessions[0].expires_at == NOW + 8 * MINUTE


def test_the_id_of_a_session_tells_nothing_of_its_token() -> None:
    was, session, token = logged_on(account())
    assert session.id not in token
    assert session.id not in session.token_hash.hex()
    with pytest.raises(NotSignedIn):
        require(was, f"{was.id}.{session.id}", "authenticated")
