"""Mislaid, not lost: over HTTP, from saying so to having the key back, or not."""

from datetime import timedelta

import pytest

from tests.views.mails import look, subjects
from tests.views.people import bound, is_in, recovery_codes
from tests.views.unchanged import nothing_changes
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

DAY = timedelta(days=1)


def mislay(visitor: Visitor, key: StubKey) -> None:
    visitor.get(f"{U2F}/keys/{key.slug}/mislaid")
    visitor.follow(visitor.submit("/mislaid"))


def test_a_mislaid_key_is_found_at_the_logon(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    mislay(visitor, stub_key)
    assert "Mislaid" in visitor.page.text
    assert "Touch your key as soon as you find it" in visitor.get("/account").text
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.log_on_with(stub_key)
    assert keystead.read().keys[0].suspended_at is None
    assert subjects(keystead)[0] == "A mislaid security key is back"


def test_a_mislaid_key_is_found_in_the_settings_and_is_asked_for_again(keystead: Site, stub_key: StubKey) -> None:
    other = StubKey()
    visitor = bound(keystead, stub_key)
    visitor.bind(other, "Other", prove_with=stub_key)
    mislay(visitor, stub_key)
    visitor.get(f"{U2F}/keys/{stub_key.slug}/found")
    assert "and it works" in visitor.finish(stub_key).text
    assert [key.suspended_at for key in keystead.read().keys] == [None, None]


def test_a_mislaid_key_that_nobody_finds_is_unbound_by_the_server(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    other = StubKey()
    visitor = bound(keystead, stub_key)
    visitor.bind(other, "Other", prove_with=stub_key)
    mislay(visitor, stub_key)
    for _ in range(7):
        keystead_clock.move(DAY)
        look(keystead)
    assert [key.name for key in keystead.read().keys] == ["Other"]
    assert subjects(keystead)[:2] == [
        "A security key was unbound from your account",
        "Tomorrow a mislaid security key is unbound",
    ]
    visitor.log_on("zoe", keystead.password)
    visitor.begin_key()
    assert visitor.finish_key(stub_key, unlisted=True).status_code == 422
    visitor.log_on_with(other)


def test_what_remains_is_said_before(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    page = f"{U2F}/keys/{stub_key.slug}/mislaid"
    assert "you have no recovery codes" in visitor.get(page).text
    recovery_codes(visitor)
    assert "only your 10 recovery codes open your account" in visitor.get(page).text
    visitor.bind(StubKey(), "Red", prove_with=stub_key)
    visitor.get(page)
    assert "Until then Red opens your account. So does each of your 10 recovery codes." in visitor.page.text
    assert "It is your only key" not in visitor.page.text


def test_saying_so_needs_a_touch_of_the_last_minute(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get(f"{U2F}/keys/{stub_key.slug}/mislaid")
    keystead_clock.move(timedelta(minutes=1))
    with nothing_changes(keystead):
        assert visitor.submit("/mislaid").headers["location"].startswith(U2F)
    asked = visitor.get(f"{U2F}/keys/{stub_key.slug}/mislaid")
    assert asked.headers["location"].startswith(f"{U2F}?then=")
    visitor.follow(asked)
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    assert visitor.page.form("/mislaid"), "back where it was wanted"


def test_who_logged_on_by_a_recovery_code_has_ten_minutes(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    """They have no key to touch."""
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.get("/logon/recovery")
    visitor.follow(visitor.submit("/logon/recovery", code=codes[0]))
    keystead_clock.move(timedelta(minutes=9))
    mislay(visitor, stub_key)
    assert keystead.read().keys[0].mislaid_until


def test_whoever_else_is_logged_on_is_logged_off(keystead: Site, stub_key: StubKey) -> None:
    visitor, thief = bound(keystead, stub_key), keystead.visitor()
    thief.log_on("zoe", keystead.password, stub_key)
    before = visitor.client.cookies["keystead"]
    mislay(visitor, stub_key)
    assert not is_in(thief)
    assert visitor.client.cookies["keystead"] != before


def test_a_mislaid_key_proves_nothing_beside_another_one(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    visitor.bind(StubKey(), "Other", prove_with=stub_key)
    mislay(visitor, stub_key)
    keystead_clock.move(timedelta(minutes=11))
    visitor.get(U2F)
    visitor.begin_prove()
    with nothing_changes(keystead):
        assert visitor.finish_prove(stub_key, unlisted=True).status_code == 422


@pytest.mark.parametrize("again", [False, True])
def test_a_key_that_is_mislaid_already_or_not_at_all_changes_nothing(keystead: Site, stub_key: StubKey, again: bool) -> None:
    visitor = bound(keystead, stub_key)
    if again:
        mislay(visitor, stub_key)
        with nothing_changes(keystead):
            visitor.post(f"{U2F}/keys/{stub_key.slug}/mislaid")
    else:
        visitor.get(f"{U2F}/keys/{stub_key.slug}/found")
        visitor.finish(stub_key)
        assert "A mislaid security key is back" not in subjects(keystead)
