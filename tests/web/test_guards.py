"""Refusals before a view runs."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest

from backends.records import Account, Event
from tests.views.meanwhile import meddle
from tests.views.people import bound, is_in
from webapp import signing
from webapp.accounts import commits, identities, sessions
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor


def test_a_session_that_ends_while_it_is_seen_is_over(
    keystead: Site, keystead_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    keystead_clock.move(2 * sessions.SEEN_EVERY)
    meddle(keystead, monkeypatch, partial(commits.change, keystead.context, keystead.read(), identities.freeze))
    assert visitor.get("/account").headers["location"].startswith("/logon?next")


def test_a_session_is_seen_once_a_minute_and_no_oftener(keystead: Site, keystead_clock: Clock) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    before = keystead.read().version
    for _ in range(5):
        visitor.get("/account")
    assert keystead.read().version == before
    keystead_clock.move(sessions.SEEN_EVERY)
    for _ in range(5):
        visitor.get("/account")
    assert keystead.read().version == before + 1


def test_what_a_session_does_that_was_just_seen_is_decided_once(
    keystead: Site, keystead_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, commit, done = keystead.visitor(), keystead.backend.commit, list[bool]()
    visitor.log_on("zoe", keystead.password)
    keystead.visitor().log_on("zoe", keystead.password)
    keystead_clock.move(2 * sessions.SEEN_EVERY)

    async def noted(was: Account, now: Account, events: Sequence[Event] = ()) -> bool:
        done.append(await commit(was, now, events))
        return done[-1]

    monkeypatch.setattr(keystead.backend, "commit", noted)
    visitor.post("/account/sessions/end-others")
    assert len(keystead.read().sessions) == 1
    assert done == [True, True], "that it was seen, and what it did"


def test_each_stage_is_sent_to_its_own_page(half_signed_in: Visitor, keystead: Site, stub_key: StubKey) -> None:
    assert half_signed_in.get("/account").headers["location"] == "/logon/key"
    half_signed_in.get("/logon/key")
    half_signed_in.log_on_with(stub_key)
    assert half_signed_in.get("/logon/key").headers["location"] == "/account"
    assert keystead.visitor().get("/logon/key").headers["location"] == "/logon"


def test_a_page_that_needs_a_proof_is_come_back_to(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=10))
    assert visitor.get("/account/password").headers["location"] == f"{U2F}?then=%2Faccount%2Fpassword"
    late = visitor.post("/account/password", {"old": "x", "new": "y"})
    assert late.headers["location"] == f"{U2F}?notice=late"


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_an_account_that_was_removed_is_no_session_any_more(keystead: Site, htmx: bool) -> None:
    visitor = keystead.visitor(htmx=htmx)
    visitor.log_on("zoe", keystead.password)
    keystead.call(keystead.backend.remove, keystead.read())
    assert not is_in(visitor)
    assert visitor.post("/account/sessions/end-others").status_code in (200, 303)
    assert visitor.post("/logoff").status_code in (200, 303)


def test_a_token_under_another_accounts_id_is_no_session(keystead: Site) -> None:
    """What the browser carries names the account; what is kept of the token covers the name."""
    yan = keystead.add_account("yan")
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    token = signing.unsign(keystead.settings.secret_keys, "cookie", visitor.client.cookies["keystead"])
    assert token
    moved = signing.sign(keystead.settings.secret_keys, "cookie", f"{yan.id}.{token.rpartition('.')[2]}")
    thief = keystead.visitor()
    thief.client.cookies.set("keystead", moved)
    assert not is_in(thief)
