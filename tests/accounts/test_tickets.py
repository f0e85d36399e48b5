"""The way into an app: what a ticket and an app's cookie say, for whom, and for how long."""

import pytest
from msgspec.structs import replace

from backends.records import Account, App
from tests.accounts.samples import MINUTE, NOW, SECOND, SETTINGS, account, act, logged_on, settings
from webapp import signing
from webapp.accounts import identities, tickets
from webapp.accounts.apps import Place
from webapp.accounts.nonces import Consumed
from webapp.accounts.sessions import NotSignedIn
from webapp.accounts.tickets import Ticket

WIKI = "https://wiki.example.com"
PLACE = Place(App(name="wiki", origins=(WIKI,), added_at=NOW), WIKI, "/page?q=1")
NONCE = tickets.new_nonce()
ALICE, SESSION, _ = logged_on(account())


def ticket() -> Ticket:
    found = tickets.read(SETTINGS, tickets.issue(SETTINGS, ALICE, SESSION, PLACE, tickets.hash_nonce(NONCE), NOW))
    assert found
    return found


def test_a_ticket_says_whose_session_may_go_where() -> None:
    made = ticket()
    assert (made.account_id, made.session_id, made.origin, made.path) == (ALICE.id, SESSION.id, WIKI, "/page?q=1")
    assert made.ends_at == NOW + MINUTE


def test_no_two_tickets_are_the_same() -> None:
    assert ticket().id != ticket().id


def test_a_ticket_is_for_its_origin_and_the_browser_with_its_nonce() -> None:
    assert tickets.is_for(ticket(), WIKI, NONCE)
    assert not tickets.is_for(ticket(), "https://board.example.com", NONCE)
    assert not tickets.is_for(ticket(), WIKI, tickets.new_nonce())
    assert not tickets.is_for(ticket(), WIKI, "")
    assert not tickets.is_for(ticket(), WIKI, tickets.hash_nonce(NONCE)), "what travels in addresses is not the nonce"


def test_a_ticket_works_once() -> None:
    made = ticket()
    used = tickets.use(ALICE, act(), made).account
    with pytest.raises(Consumed):
        tickets.use(used, act(), made)


def test_a_ticket_works_for_sixty_seconds() -> None:
    assert tickets.use(ALICE, act(60 * SECOND - SECOND), ticket())
    with pytest.raises(NotSignedIn):
        tickets.use(ALICE, act(60 * SECOND), ticket())


@pytest.mark.parametrize(
    "ended",
    [
        replace(ALICE, sessions=()),
        replace(ALICE, frozen_at=NOW),
        replace(ALICE, barred=True),
        replace(ALICE, sessions=(replace(SESSION, stage="password_only"),)),
        replace(ALICE, sessions=(replace(SESSION, expires_at=NOW),)),
        replace(ALICE, sessions=(replace(SESSION, id="another"),)),
    ],
)
def test_a_ticket_of_a_session_that_is_over_works_for_nobody(ended: Account) -> None:
    with pytest.raises(NotSignedIn):
        tickets.use(ended, act(), ticket())


def test_a_ticket_that_was_used_is_remembered_for_as_long_as_it_would_work() -> None:
    assert tickets.used_lately(ALICE, NOW) == 0
    used = tickets.use(ALICE, act(), ticket()).account
    assert tickets.used_lately(used, NOW + 59 * SECOND) == 1
    assert tickets.used_lately(used, NOW + 60 * SECOND) == 0


@pytest.mark.parametrize(
    "changed", [["a"], [1, "b", "c", "d", "e", "f", 7], [*"abcdef", "7"], {}, None, "text", [*"abcdef", 7, 8]]
)
def test_what_is_no_ticket_of_ours_is_none(changed: object) -> None:
    assert tickets.read(SETTINGS, signing.dumps(SETTINGS.secret_keys, "ticket", changed)) is None
    assert tickets.read(SETTINGS, signing.dumps(("another secret " * 4,), "ticket", [*"abcdef", 7])) is None
    assert tickets.read(SETTINGS, signing.dumps(SETTINGS.secret_keys, "link", [*"abcdef", 7])) is None


@pytest.mark.parametrize("text", ["", ".", "x" * 65536, "é", "\0", ".eJw", "a.b.c"])
def test_what_nobody_signed_is_neither_a_ticket_nor_a_cookie(text: str) -> None:
    assert tickets.read(SETTINGS, text) is None
    assert tickets.read_cookie(SETTINGS, WIKI, text) is None


def test_a_ticket_and_a_cookie_that_an_older_secret_signed_are_good_until_it_goes() -> None:
    old, new = SETTINGS.secret_keys[0], "second secret " * 4
    made = tickets.issue(SETTINGS, ALICE, SESSION, PLACE, tickets.hash_nonce(NONCE), NOW)
    carried = tickets.cookie(SETTINGS, WIKI, ALICE.id, SESSION.id)
    both, only_new = settings(secret_keys=(new, old)), settings(secret_keys=(new,))
    assert tickets.read(both, made)
    assert tickets.read(only_new, made) is None
    assert tickets.read_cookie(both, WIKI, carried) == (ALICE.id, SESSION.id)
    assert tickets.read_cookie(only_new, WIKI, carried) is None


def test_a_cookie_is_worth_nothing_at_another_origin_and_nothing_as_a_session_of_ours() -> None:
    carried = tickets.cookie(SETTINGS, WIKI, ALICE.id, SESSION.id)
    assert tickets.read_cookie(SETTINGS, WIKI, carried) == (ALICE.id, SESSION.id)
    for origin in ("https://board.example.com", "http://wiki.example.com", f"{WIKI}:8443", ""):
        assert tickets.read_cookie(SETTINGS, origin, carried) is None
    for purpose in ("cookie", "cookie-browser", "ticket", "app"):
        assert signing.unsign(SETTINGS.secret_keys, purpose, carried) is None


def test_a_session_of_ours_is_worth_nothing_as_an_apps_cookie() -> None:
    ours = signing.sign(SETTINGS.secret_keys, "cookie", f"{ALICE.id}.{SESSION.id}")
    assert tickets.read_cookie(SETTINGS, WIKI, ours) is None


def test_the_sites_own_record_has_no_session_that_a_cookie_could_point_at() -> None:
    assert tickets.read_cookie(SETTINGS, WIKI, f"{identities.SITE}.{SESSION.id}") is None
