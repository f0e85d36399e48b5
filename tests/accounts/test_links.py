"""Mailed links: ours, of one purpose, for a while, once."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace

from tests.accounts.samples import DAY, MINUTE, NOW, SECOND, SETTINGS, account, settings
from webapp.accounts import links, nonces
from webapp.accounts.links import LIFETIMES, Purpose

PURPOSES: tuple[Purpose, ...] = ("reset", "not me", "known browser")


def token(purpose: Purpose, fact: str = "") -> str:
    (found,) = parse_qs(urlsplit(links.make(SETTINGS, purpose, "alices-id", fact, NOW)).query)["token"]
    return found


def test_a_link_leads_to_our_address_and_says_what_we_signed() -> None:
    made = links.make(SETTINGS, "reset", "alices-id", "fact", NOW)
    assert made.startswith("https://account.example.com/logon/reset?token=")
    link = links.read(SETTINGS, "reset", token("reset", "fact"), NOW)
    assert link
    assert (link.account_id, link.fact, link.ends_at) == ("alices-id", "fact", NOW + 30 * MINUTE)


def test_a_link_under_a_path_stays_under_it() -> None:
    made = links.make(settings(public_url="https://example.com/keys"), "not me", "id", "", NOW)
    assert made.startswith("https://example.com/keys/not-me?token=")


@pytest.mark.parametrize(("purpose", "lifetime"), [("reset", 30 * MINUTE), ("not me", 7 * DAY), ("known browser", 30 * MINUTE)])
def test_a_link_is_over_after_a_while(purpose: Purpose, lifetime: timedelta) -> None:
    assert links.read(SETTINGS, purpose, token(purpose), NOW + lifetime - SECOND)
    assert links.read(SETTINGS, purpose, token(purpose), NOW + lifetime) is None
    assert LIFETIMES[purpose] == lifetime


def test_a_link_for_one_purpose_is_none_for_another() -> None:
    for made in PURPOSES:
        for read in PURPOSES:
            assert bool(links.read(SETTINGS, read, token(made), NOW)) is (made == read)


def test_a_link_that_we_did_not_sign_says_nothing() -> None:
    others = settings(secret_keys=("somebody else's secret " * 2,))
    assert links.read(others, "reset", token("reset"), NOW) is None
    for text in ("", "x", token("reset")[:-1], token("reset") + "x", "\ud800", "." * 10_000):
        assert links.read(SETTINGS, "reset", text, NOW) is None


def test_a_link_survives_that_secrets_rotate() -> None:
    rotated = settings(secret_keys=("a new secret " * 4, *SETTINGS.secret_keys))
    assert links.read(rotated, "reset", token("reset"), NOW)


def test_a_link_is_used_once() -> None:
    link = links.read(SETTINGS, "reset", token("reset"), NOW)
    assert link
    was = links.consume(account(), NOW, link)
    with pytest.raises(nonces.Consumed):
        links.consume(was, NOW, link)
    other = links.read(SETTINGS, "reset", token("reset"), NOW)
    assert other
    assert len(links.consume(was, NOW, other).nonces) == 2


def test_what_a_reset_link_remembers_changes_with_the_password_and_with_the_address() -> None:
    was = account()
    prints = {
        links.fingerprint(each) for each in (was, replace(was, password_hash="$another"), replace(was, email="bob@example.com"))
    }
    assert len(prints) == 3
    assert was.password_hash not in prints
    assert links.fingerprint(replace(was, version=9, username="bob")) == links.fingerprint(was)
