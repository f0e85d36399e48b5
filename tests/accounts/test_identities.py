"""Username, address, password; and the freeze that *This was not me* puts on an account."""

from datetime import datetime

import pytest
from msgspec.structs import replace

from backends.records import Account, Opening, RecoveryCode
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SETTINGS, account, act, bound, key, logged_on, touched
from webapp.accounts import codes, devices, identities, keys, links, logon, nonces, owed, sessions
from webapp.accounts.codes import Wrong
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.links import Link

ALL = (RecoveryCode(digest=b"1", made_at=NOW - DAY),)


def link(fact: str, id: str = "link") -> Link:
    return Link(id, "alices-id", fact, NOW + HOUR)


def about(at: datetime) -> Link:
    """The link in a mail of news about that moment."""
    return link(str(round(at.timestamp() * 1000)))


def kinds(decision: Decision) -> list[str]:
    return [each.kind for each in decision.events]


def letters(now: Account) -> list[tuple[str, str]]:
    return [(each.kind, each.to) for each in now.notifications]


# names


@pytest.mark.parametrize("text", ["", " alice", "alice ", "a" * 65, "a\nb", "a\u200bb", "\ud800"])
def test_some_texts_are_no_usernames(text: str) -> None:
    assert not identities.is_username(text)


@pytest.mark.parametrize("text", ["a", "a b", "Zoë", "a" * 64, "alice@example.com"])
def test_others_are(text: str) -> None:
    assert identities.is_username(text)


@pytest.mark.parametrize("text", ["", "a", "@", "a@", "a@b\n", "a b@c", "a@b, c@d", "a" * 400 + "@b", "a@" + "b" * 10**6])
def test_some_texts_are_no_addresses(text: str) -> None:
    assert not identities.is_address(text)


@pytest.mark.parametrize(
    ("email", "shown"),
    [("alice@example.com", "a•••e@example.com"), ("bob@example.com", "b•••@example.com"), ("x@y", "x•••@y"), ("a@b@c", "a•••@c")],
)
def test_an_address_is_masked_and_recognised(email: str, shown: str) -> None:
    assert identities.masked(email) == shown


# passwords


def test_a_change_of_the_password_ends_every_other_session_and_changes_this_ones_token() -> None:
    was, _, _ = logged_on(account())
    was, here, old = logged_on(was, "code")
    was = codes.prepare(was, act(), here.id, "bind", was.email).account
    decision = identities.change_password(was, act(MINUTE), "$alices", "$new", here.id, "new token")
    now = decision.account
    assert (now.password_hash, now.password_at) == ("$new", NOW + MINUTE)
    assert [each.id for each in now.sessions] == [here.id]
    assert sessions.find(now, sessions.hash_token(old), NOW) is None
    assert sessions.find(now, sessions.hash_token("new token"), NOW)
    assert now.codes == ()
    assert kinds(decision) == ["password changed"]
    assert letters(now) == [("password changed", "alice@example.com")]


def test_a_password_that_was_changed_meanwhile_is_not_changed_again() -> None:
    was, here, _ = logged_on(account(password_hash="$another"))
    with pytest.raises(Refused, match="changed"):
        identities.change_password(was, act(), "$alices", "$new", here.id, "new token")


def test_whoever_runs_the_site_sets_a_password_and_every_session_ends() -> None:
    was, _, _ = logged_on(account())
    now, _ = identities.set_password(was, act(), "$new")
    assert (now.password_hash, now.sessions) == ("$new", ())


def test_a_reset_ends_every_session_and_uses_up_the_link() -> None:
    was, _, _ = logged_on(account())
    mailed = link(links.fingerprint(was))
    decision = identities.reset_password(was, act(), mailed, "$new")
    assert (decision.account.password_hash, decision.account.sessions) == ("$new", ())
    assert kinds(decision) == ["password reset"]
    assert letters(decision.account) == [("password changed", "alice@example.com")]
    back = replace(decision.account, password_hash=was.password_hash)
    with pytest.raises(nonces.Consumed):
        identities.reset_password(back, act(), mailed, "$newer")


@pytest.mark.parametrize("changes", [{"password_hash": "$other"}, {"email": "bob@example.com"}])
def test_a_reset_link_dies_with_the_password_and_the_address_that_it_was_made_for(changes: dict[str, str]) -> None:
    with pytest.raises(Refused, match="over"):
        identities.reset_password(account(**changes), act(), link(links.fingerprint(account())), "$new")


def test_a_reset_that_is_still_owed_is_not_mailed_once_the_password_is_another() -> None:
    was, here, _ = logged_on(identities.owe_reset(account(), act()).account)
    for decision in (
        identities.change_password(was, act(), "$alices", "$new", here.id, "new token"),
        identities.set_password(was, act(), "$new"),
        identities.reset_password(was, act(), link(links.fingerprint(was)), "$new"),
    ):
        assert letters(decision.account) == [("password changed", "alice@example.com")]


def test_a_reset_asked_for_again_is_owed_once_and_anew() -> None:
    was = identities.owe_reset(account(), act()).account
    now = identities.owe_reset(was, act(HOUR)).account
    assert [each.at for each in now.notifications] == [NOW + HOUR]
    both = identities.owe_known_browser(now, act()).account
    assert [each.kind for each in both.notifications] == ["reset", "known browser"]


# the address


def changing(was: Account) -> Decision:
    was, here, _ = logged_on(was, "key")
    was = codes.prepare(was, act(), here.id, "email", "new@example.org").account
    digits = codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""
    return identities.change_email(was, act(), here.id, digits, "new token")


def test_the_address_changes_to_the_one_that_the_code_was_mailed_to_and_the_old_one_is_told() -> None:
    was, _, _ = logged_on(account())
    decision = changing(was)
    now = decision.account
    assert now.email == "new@example.org"
    assert letters(now) == [("e-mail changed", "alice@example.com")]
    assert now.notifications[0].facts == {"new": "n•••@example.org"}
    assert [each.detail for each in decision.events] == ["n•••@example.org"]
    assert len(now.sessions) == 1
    assert sessions.find(now, sessions.hash_token("new token"), NOW)
    assert now.codes == ()


def test_a_code_for_binding_does_not_change_the_address() -> None:
    was, here, _ = logged_on(account(), "key")
    was = codes.prepare(was, act(), here.id, "bind", "new@example.org").account
    digits = codes.digits(was.id, was.codes[0], SETTINGS.secret_keys) or ""
    with pytest.raises(Wrong, match="none waiting"):
        identities.change_email(was, act(), here.id, digits, "new token")


def test_a_link_that_is_still_owed_does_not_go_to_the_old_address() -> None:
    """Links are signed when they are sent: it would be a good one for the account as it is by then."""
    was = identities.owe_known_browser(identities.owe_reset(account(), act()).account, act()).account
    assert letters(changing(was).account) == [("e-mail changed", "alice@example.com")]


# the preview


def test_an_account_is_listed_once() -> None:
    decision = identities.list_for_preview(account(), act(), True)
    assert decision.account.listed
    assert kinds(decision) == ["account listed"]
    assert identities.list_for_preview(decision.account, act(), True) == (decision.account, ())
    assert kinds(identities.list_for_preview(decision.account, act(), False)) == ["account unlisted"]


# this was not me


def test_this_was_not_me_ends_sessions_suspends_what_was_bound_since_and_freezes() -> None:
    was = account(keys=(key(b"old", bound_at=NOW - DAY), key(b"new", bound_at=NOW)), recovery_codes=ALL)
    was, _, _ = logged_on(was)
    was = codes.prepare(was, act(), "s", "bind", was.email).account
    known = devices.known_to(None, was)
    decision = identities.not_me(was, act(HOUR), about(NOW))
    now = decision.account
    assert [(each.id, each.suspended_at) for each in now.keys] == [(b"old", None), (b"new", NOW + HOUR)]
    assert now.recovery_codes == ALL
    assert (now.sessions, now.codes, now.frozen_at) == ((), (), NOW + HOUR)
    assert not devices.knows(known, now)
    assert kinds(decision) == ["key suspended", "frozen"]
    assert sessions.is_shut(now)


def test_recovery_codes_that_were_made_since_are_void() -> None:
    was = account(keys=(key(),), recovery_codes=(RecoveryCode(digest=b"1", made_at=NOW),))
    decision = identities.not_me(was, act(HOUR), about(NOW))
    assert decision.account.recovery_codes == ()
    assert kinds(decision) == ["recovery codes void", "frozen"]


def test_this_was_not_me_stops_an_opening() -> None:
    """The link stands in the very letter that tells of it."""
    was = account(keys=(key(),), opening=Opening(asked_at=NOW, opens_at=NOW + 3 * DAY))
    decision = identities.not_me(was, act(HOUR), about(NOW))
    assert decision.account.opening is None
    assert kinds(decision) == ["opening stopped", "frozen"]


def test_this_was_not_me_works_once() -> None:
    was = identities.not_me(account(), act(), about(NOW)).account
    with pytest.raises(nonces.Consumed):
        identities.not_me(was, act(), about(NOW))


def test_the_mailbox_alone_never_opens_an_account_with_a_key() -> None:
    """*Not me* in the letter about the only key, then a new password by mail: the key is asked for all the same."""
    was, stub = bound(account(), at=HOUR)
    was = identities.not_me(was, act(HOUR), about(was.keys[0].bound_at)).account
    assert was.keys[0].suspended_at
    was = identities.reset_password(was, act(2 * HOUR), link(links.fingerprint(was), "reset"), "$thiefs").account
    was = logon.begin(was, act(2 * HOUR), "$thiefs", "thief").account
    assert [each.stage for each in was.sessions] == ["password_only"]
    with pytest.raises(sessions.KeyOwed):
        logon.without_key(was, act(2 * HOUR), was.sessions[0].id, "thief")
    decision = logon.with_key(was, act(), was.sessions[0].id, touched(was, was.sessions[0], stub), "owner")
    assert sessions.is_authenticated(decision.account, "owner")
    assert keys.asked(decision.account, SETTINGS) == decision.account.keys


def test_freezing_again_shuts_an_account_that_has_a_new_password() -> None:
    was = identities.freeze(account(), act()).account
    was = identities.set_password(was, act(MINUTE), "$new").account
    assert not sessions.is_shut(was)
    assert sessions.is_shut(identities.freeze(was, act(HOUR)).account)


def test_whoever_runs_the_site_unfreezes() -> None:
    was = identities.freeze(account(), act()).account
    decision = identities.unfreeze(was, act())
    assert decision.account.frozen_at is None
    assert kinds(decision) == ["unfrozen"]
    assert identities.unfreeze(decision.account, act()).account is decision.account


def test_what_whoever_runs_the_site_froze_opens_by_no_new_password_and_by_no_link() -> None:
    was = identities.bar(account(), act()).account
    assert [letter.kind for letter in was.notifications] == ["frozen"]
    assert identities.bar(was, act()).account is was
    for now in (
        identities.set_password(was, act(MINUTE), "$new").account,
        identities.not_me(identities.set_password(was, act(MINUTE), "$new").account, act(HOUR), about(NOW)).account,
    ):
        assert sessions.is_shut(now)
        with pytest.raises(Refused):
            logon.begin(now, act(HOUR), "$new", "token")
    opened = identities.unfreeze(was, act(HOUR)).account
    assert not sessions.is_shut(opened)
    assert [letter.kind for letter in opened.notifications] == ["frozen", "unfrozen"]


def test_a_rename_is_told_and_changes_nothing_else() -> None:
    was, _, _ = logged_on(account(keys=(key(),)))
    decision = identities.rename(was, act(), "alicia")
    assert kinds(decision) == ["account renamed"]
    now = decision.account
    assert (now.username, now.keys, now.sessions, now.email) == ("alicia", was.keys, was.sessions, was.email)
    assert [letter.facts for letter in now.notifications] == [{"new": "alicia", "before": "alice"}]
    assert identities.rename(now, act(), "alicia").account is now


def test_an_account_whose_only_key_is_suspended_still_asks_for_it_once_it_is_open_again() -> None:
    """It would open to the password alone, and so to whoever reads the mailbox."""
    was = identities.not_me(account(keys=(key(b"1"),)), act(), about(NOW - 2 * DAY)).account
    now = identities.unfreeze(was, act()).account
    assert now.frozen_at is None
    assert keys.asked(now, SETTINGS) == now.keys


def test_a_link_makes_one_browser_known() -> None:
    decision = identities.use_known_browser_link(account(), act(), link(""))
    assert kinds(decision) == ["browser made known"]
    with pytest.raises(nonces.Consumed):
        identities.use_known_browser_link(decision.account, act(), link(""))


def test_a_new_account_has_an_id_that_nobody_guesses() -> None:
    made = [identities.new("alice", "a@example.com", "$", NOW) for _ in range(2)]
    assert made[0].id != made[1].id
    assert len(made[0].id) >= 22
    assert owed.without(made[0], "reset").notifications == ()
