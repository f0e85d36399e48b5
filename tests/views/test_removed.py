"""What is left of a removed account for its person and for whoever comes after; and one that the deployer froze."""

import asyncio
from datetime import timedelta

import pytest

from backends.records import Account
from tests.views.mails import subjects, token_in
from tests.views.meanwhile import meddle
from webapp.accounts import commits, history, identities, removal
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


def test_a_removed_account_is_logged_off_and_its_password_is_as_wrong_as_any(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    keystead.change(keystead.account, removal.remove, keep_events=True)
    assert visitor.get("/account").headers["location"].startswith("/logon")
    refused = visitor.submit_password("zoe", keystead.password)
    nobody = visitor.submit_password("nobody", keystead.password)
    assert (refused.status_code, refused.text.replace("zoe", "nobody")) == (401, nobody.text)


def test_the_name_and_the_key_of_a_removed_account_can_be_used_again(keystead: Site, stub_key: StubKey) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
    keystead.change(keystead.account, removal.remove, keep_events=False)
    after = keystead.visitor(keystead.add_account("zoe"))
    after.log_on("zoe", keystead.password)
    after.bind(stub_key)
    assert "Your account was removed" in " ".join(subjects(keystead))


def test_nobody_who_forgot_the_password_of_a_removed_account_is_written_to(keystead: Site) -> None:
    keystead.change(keystead.account, removal.remove, keep_events=True)
    for name in ("zoe", "zoe@example.com", f" removed {keystead.account.id}", ""):
        assert keystead.visitor().post("/logon/forgotten", {"username": name}).status_code == 200
    assert set(subjects(keystead)) <= {"Your account was removed"}


def test_the_link_of_a_letter_from_before_is_over(keystead: Site, stub_key: StubKey) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
    token = token_in(keystead, "/not-me")
    keystead.change(keystead.account, removal.remove, keep_events=True)
    answer = keystead.visitor().post("/not-me", {"token": token})
    assert answer.status_code == 410
    assert keystead.read().frozen_at is None


def aged(site: Site, clock: Clock, name: str) -> Account:
    """An account of which two events are older than what is kept, and one is not."""
    clock.move(-timedelta(days=400))
    made = site.change(site.add_account(name), identities.list_for_preview, True)
    made = site.change(made, identities.list_for_preview, False)
    clock.move(timedelta(days=400))
    return site.change(made, identities.list_for_preview, True)


@pytest.mark.parametrize("keep_events", [True, False])
def test_events_that_go_with_their_account_are_not_counted_as_expired(
    keystead: Site, keystead_clock: Clock, monkeypatch: pytest.MonkeyPatch, keep_events: bool
) -> None:
    was = aged(keystead, keystead_clock, "ann")

    async def removed() -> None:
        await commits.change(keystead.context, was, removal.remove, keep_events=keep_events)

    meddle(keystead, monkeypatch, removed)
    assert keystead.call(history.expire_old, keystead.context, was, timedelta(days=365)) == 0
    left = keystead.call(keystead.backend.account, was.id)
    assert left is None or left.removed_at


def test_as_many_events_are_counted_as_expired_as_were_whoever_removes_their_accounts_meanwhile(
    keystead: Site, keystead_clock: Clock
) -> None:
    ctx, there = keystead.context, [aged(keystead, keystead_clock, f"ann-{number}") for number in range(40)]

    async def removed(number: int, was: Account) -> None:
        if number % 2:
            await asyncio.sleep(number / 2000)
        await commits.change(ctx, was, removal.remove, keep_events=True)

    async def race() -> int:
        removing = [removed(number, each) for number, each in enumerate(there)]
        expiring = [history.expire_old(ctx, each, timedelta(days=365)) for each in there]
        _, counted = await asyncio.gather(asyncio.gather(*removing), asyncio.gather(*expiring))
        return sum(counted)

    counted = keystead.call(race)
    assert counted == sum(keystead.read(each).checkpoint.seq for each in there)


def test_an_account_that_the_deployer_froze_says_who_can_open_it(keystead: Site, half_signed_in: Visitor) -> None:
    keystead.change(keystead.account, identities.bar)
    assert half_signed_in.get("/logon/key").headers["location"].startswith("/logon")
    answer = keystead.visitor().submit_password("zoe", keystead.password)
    assert answer.status_code == 403
    assert "Ask whoever runs Keystead." in answer.text
    keystead.change(keystead.account, identities.unfreeze)
    assert keystead.visitor().submit_password("zoe", keystead.password).headers["location"].startswith("/logon/key")
