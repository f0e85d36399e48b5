"""Changing a password: by whoever knows the old one, and everybody else is logged off."""

import pytest

from tests.views.mails import subjects, token_in
from tests.views.people import NEW, bound, is_in, proven
from tests.views.unchanged import nothing_changes
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor


def test_a_password_is_changed_with_the_old_one_and_everybody_else_is_logged_off(
    keystead: Site, keystead_visitor: Visitor
) -> None:
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    keystead_visitor.log_on("zoe", keystead.password)
    asked = keystead_visitor.get("/account/password")
    assert asked.headers["location"] == f"{U2F}?then=%2Faccount%2Fpassword", "it needs a proof first"
    keystead_visitor.follow(asked)
    keystead_visitor.follow(keystead_visitor.submit("/u2f/code"))
    keystead_visitor.follow(keystead_visitor.submit("/u2f/verify", code=keystead.mailbox.code("zoe@example.com")))
    assert keystead_visitor.page.form("/account/password"), "and leads back"
    assert "old password is wrong" in keystead_visitor.submit("/account/password", old="wrong", new=NEW).text
    for weak in ("short", "zoe@example.com", "aaaaaaaaaaaaaaaa", "1q2w3e4r5t6y", "qwertyuiop123"):
        assert keystead_visitor.submit("/account/password", old=keystead.password, new=weak).status_code == 422, weak
    keystead_visitor.follow(keystead_visitor.submit("/account/password", old=keystead.password, new=NEW))
    assert "Your password is changed" in keystead_visitor.page.text
    assert other.get("/account").status_code == 303
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", NEW)
    assert "Your password was changed" in subjects(keystead)


def test_a_changed_password_makes_a_new_token_and_the_old_one_is_worth_nothing(keystead: Site) -> None:
    visitor = proven(keystead)
    before = visitor.client.cookies["keystead"]
    visitor.get("/account/password")
    visitor.follow(visitor.submit("/account/password", old=keystead.password, new=NEW))
    assert is_in(visitor)
    assert visitor.client.cookies["keystead"] != before
    thief = keystead.visitor()
    thief.client.cookies.set("keystead", before)
    assert not is_in(thief)


def test_the_key_is_asked_for_as_ever_after_a_changed_password(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/password")
    visitor.follow(visitor.submit("/account/password", old=keystead.password, new=NEW))
    visitor.log_off()
    visitor.log_on("zoe", NEW)
    assert visitor.get("/account").headers["location"] == "/logon/key"


def test_the_old_password_is_guessed_ten_times_at_most(keystead: Site) -> None:
    visitor = proven(keystead)
    statuses = [visitor.post("/account/password", {"old": "wrong", "new": NEW}).status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]


@pytest.mark.parametrize("new", ["", "x" * 1025, "CORRECT1"])
def test_a_password_that_cannot_be_one_changes_nothing(keystead: Site, new: str) -> None:
    visitor = proven(keystead)
    with nothing_changes(keystead):
        assert visitor.post("/account/password", {"old": keystead.password, "new": new}).status_code == 422


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("wrong", NEW, "old"), ("", "qwertyuiop123", "new")],
    ids=["the old one is wrong", "the new one is weak"],
)
def test_where_htmx_asks_only_the_words_come_and_the_fields_stay_as_they_are(
    keystead: Site, old: str, new: str, field: str
) -> None:
    visitor = proven(keystead)
    answer = visitor.post("/account/password", {"old": old or keystead.password, "new": new}, htmx=True)
    assert answer.status_code == 422
    assert answer.text.lstrip().startswith(f'<div id="weak" data-focus="{field}">')
    assert "<input" not in answer.text


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_password_is_never_sent_back(keystead: Site, htmx: bool) -> None:
    visitor, stranger = proven(keystead), keystead.visitor()
    stranger.post("/logon/forgotten", {"username": "zoe"})
    token, weak = token_in(keystead, "/logon/reset"), "qwertyuiop123"
    for answer in (
        visitor.post("/account/password", {"old": keystead.password, "new": weak}, htmx=htmx),
        visitor.post("/account/password", {"old": weak, "new": NEW}, htmx=htmx),
        stranger.post("/logon/reset", {"token": token, "new": weak}, htmx=htmx),
        stranger.post("/logon", {"username": "zoe", "password": weak}, htmx=htmx),
    ):
        assert answer.status_code in (401, 422)
        assert not [secret for secret in (weak, NEW, keystead.password) if secret in answer.text]
        assert answer.headers["cache-control"] == "no-store"
