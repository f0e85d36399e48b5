"""A forgotten password, and a browser that is to be known: both by mail, and neither logs anybody on or replaces the key."""

import re
from datetime import timedelta
from functools import partial

import pytest

from tests.views.mails import about, link_in, links_in, mails, settle, subjects, token_in
from tests.views.people import NEW, bound, is_in
from webapp.accounts import identities
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor, at_once

RESET = "Your username, and a new password"


def ask(site: Site, visitor: Visitor, name: str = "zoe") -> str:
    """Ask for the mail, and wait until it has gone; what the page says."""
    answer = visitor.post("/logon/forgotten", {"username": name})
    assert answer.status_code == 200
    settle(site)
    return answer.text


def anonymous(page: str) -> str:
    """The page without the name that was typed, which its form carries along."""
    return re.sub(r'(name="username" value=)"[^"]*"', r"\1", page)


# a new password


def test_a_forgotten_password_is_replaced_by_mail_and_the_key_is_still_needed(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.get("/logon/forgotten")
    visitor.submit("/logon/forgotten", username="Zoe")
    link = link_in(keystead, "/logon/reset")
    visitor.get(link)
    visitor.get(link)  # a mail scanner, or a reload, spends nothing
    assert visitor.submit("/logon/reset", new="too short").status_code == 422
    answer = visitor.submit("/logon/reset", new=NEW)
    assert answer.headers["location"] == "/logon?notice=password"
    assert visitor.get("/account").status_code == 303, "it never logs on by itself"
    assert visitor.submit_password("zoe", keystead.password).status_code == 401
    visitor.log_on("zoe", NEW)
    assert visitor.get("/account").headers["location"] == "/logon/key"
    visitor.log_on_with(stub_key)


def test_who_forgot_the_username_types_the_address_and_is_mailed_it(keystead: Site, keystead_visitor: Visitor) -> None:
    ask(keystead, keystead_visitor, "ZOE@example.com")
    assert subjects(keystead, "zoe@example.com") == [RESET]
    assert "Your username there is zoe." in about(keystead, RESET)[0]
    assert "Your username" not in keystead_visitor.page.text.replace("It tells you your username", ""), "only the mail says it"


def test_an_address_that_two_accounts_share_finds_neither_and_the_page_says_so_to_everybody(
    keystead: Site, keystead_visitor: Visitor
) -> None:
    said = ask(keystead, keystead_visitor, "nobody@example.com")
    keystead.add_account("twin", email="zoe@example.com")
    assert ask(keystead, keystead_visitor, "zoe@example.com").replace("zoe@", "nobody@") == said
    assert mails(keystead) == []
    assert "An address that two accounts share finds neither" in said
    ask(keystead, keystead_visitor, "zoe")
    assert subjects(keystead, "zoe@example.com") == [RESET]


def test_a_password_that_was_reset_logs_everybody_off(keystead: Site, stub_key: StubKey) -> None:
    inside = bound(keystead, stub_key)
    visitor = keystead.visitor()
    ask(keystead, visitor)
    visitor.get(link_in(keystead, "/logon/reset"))
    visitor.submit("/logon/reset", new=NEW)
    assert not is_in(inside)
    assert keystead.read().sessions == ()


def test_a_reset_link_says_the_same_for_names_that_nobody_has(keystead: Site, keystead_visitor: Visitor) -> None:
    names = ("zoe", "nobody", "x" * 5000, "nobody@example.com")
    for _ in range(2):  # and says the same when it is asked again at once
        assert len({anonymous(ask(keystead, keystead_visitor, name)) for name in names}) == 1
    assert len(mails(keystead)) == 1


def test_a_reset_link_works_once_for_thirty_minutes_and_of_fifty_uses_one_wins(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock
) -> None:
    ask(keystead, keystead_visitor)
    token = token_in(keystead, "/logon/reset")
    keystead_clock.move(timedelta(minutes=30))
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410
    ask(keystead, keystead_visitor)
    token = token_in(keystead, "/logon/reset")
    uses = [partial(keystead_visitor.post, "/logon/reset", {"token": token, "new": f"{NEW} {n}"}) for n in range(50)]
    assert sorted(answer.status_code for answer in at_once(uses)) == [303] + [410] * 49
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410


def test_a_reset_link_dies_when_the_address_that_it_was_mailed_to_is_given_up(keystead: Site, keystead_visitor: Visitor) -> None:
    ask(keystead, keystead_visitor)
    token = token_in(keystead, "/logon/reset")
    keystead.change(keystead.account, identities.set_email, "zoe@elsewhere.example")
    assert keystead_visitor.get(f"/logon/reset?token={token}").status_code == 410
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410


def test_a_reset_link_dies_when_the_password_is_changed_by_another(keystead: Site, keystead_visitor: Visitor) -> None:
    ask(keystead, keystead_visitor)
    token = token_in(keystead, "/logon/reset")
    keystead.change(keystead.account, identities.set_password, "another hash")
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410


@pytest.mark.parametrize("path", ["/logon/reset", "/logon/known"])
def test_a_link_that_we_did_not_sign_or_for_another_purpose_is_over(keystead: Site, stub_key: StubKey, path: str) -> None:
    visitor = bound(keystead, stub_key)
    ask(keystead, visitor)
    visitor.post("/logon/known/ask", {"username": "zoe"})
    others = {"/not-me", "/logon/reset", "/logon/known"} - {path}
    for token in (*(token_in(keystead, other) for other in others), "", "x", "a.b", "é", "e30.x"):
        assert visitor.get(f"{path}?token={token}").status_code == 410
        assert visitor.post(path, {"token": token, "new": NEW}).status_code == 410


# who asks how often


def test_a_mail_is_sent_again_after_two_minutes_and_until_then_the_page_says_when(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock
) -> None:
    assert "is on its way" in ask(keystead, keystead_visitor)
    said = ask(keystead, keystead_visitor)
    assert "asked for a moment ago" in said
    assert 'data-wait="120"' in said
    assert subjects(keystead) == [RESET]
    keystead_clock.move(timedelta(minutes=2))
    assert "is on its way" in ask(keystead, keystead_visitor)
    assert subjects(keystead) == [RESET] * 2


def test_the_owner_gets_the_mail_however_often_strangers_ask(keystead: Site, keystead_clock: Clock) -> None:
    """Three times an hour was all that there was for everybody; the owner, who came fourth, was told *sent* and got nothing."""
    owner = keystead.visitor(address="192.0.2.77")
    for number in range(12):
        ask(keystead, keystead.visitor(address=f"198.51.100.{number}"))
        keystead_clock.move(timedelta(minutes=3))
        mailed = len(mails(keystead))
        assert "is on its way" in ask(keystead, owner)
        assert len(mails(keystead)) == mailed + 1
        keystead_clock.move(timedelta(minutes=3))
    owner.get(link_in(keystead, "/logon/reset"))
    assert owner.submit("/logon/reset", new=NEW).headers["location"] == "/logon?notice=password"


def test_a_mail_that_a_stranger_asked_for_just_before_is_as_good(keystead: Site, keystead_visitor: Visitor) -> None:
    """Told that it went out a moment ago, the owner finds it, and it works: each link does until a password is set."""
    ask(keystead, keystead.visitor(address="198.51.100.7"))
    assert "the link in it works" in ask(keystead, keystead_visitor)
    keystead_visitor.get(link_in(keystead, "/logon/reset"))
    assert keystead_visitor.submit("/logon/reset", new=NEW).status_code == 303


def test_every_link_works_until_a_password_is_set_and_none_after(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock
) -> None:
    for _ in range(2):
        ask(keystead, keystead_visitor)
        keystead_clock.move(timedelta(minutes=2))
    newer, older = (link.partition("token=")[2] for link in links_in(keystead, "/logon/reset"))
    assert keystead_visitor.get(f"/logon/reset?token={newer}").status_code == 200
    assert keystead_visitor.post("/logon/reset", {"token": older, "new": NEW}).status_code == 303
    assert keystead_visitor.get(f"/logon/reset?token={newer}").status_code == 410


def test_who_asks_twenty_times_an_hour_is_refused_and_nobody_else(keystead: Site, keystead_clock: Clock) -> None:
    stranger = keystead.visitor(address="2001:db8:1:2::1")
    statuses = [stranger.post("/logon/forgotten", {"username": f"name-{n}"}).status_code for n in range(21)]
    assert statuses == [200] * 20 + [429]
    neighbour = keystead.visitor(address="2001:db8:1:2:ffff::9")
    assert neighbour.post("/logon/forgotten", {"username": "zoe"}).status_code == 429, "who holds a /64 is one asker"
    assert "is on its way" in ask(keystead, keystead.visitor(address="2001:db8:1:3::1"))
    keystead_clock.move(timedelta(hours=1))
    ask(keystead, stranger)


# a browser that is to be known


def test_the_link_that_makes_a_browser_known_says_the_same_for_every_name(keystead: Site, keystead_visitor: Visitor) -> None:
    names = ("zoe", "nobody", "x" * 5000)
    answers = [keystead_visitor.post("/logon/known/ask", {"username": name}) for name in names]
    assert len({(answer.status_code, anonymous(answer.text)) for answer in answers}) == 1
    assert subjects(keystead) == ["Log on from this browser"]


def test_following_the_link_makes_no_browser_known_and_its_form_does_once(keystead: Site) -> None:
    scanner, owner, thief = keystead.visitor(), keystead.visitor(), keystead.visitor()
    owner.post("/logon/known/ask", {"username": "zoe"})
    token = token_in(keystead, "/logon/known")
    scanner.get(f"/logon/known?token={token}")
    assert "keystead-browser" not in scanner.client.cookies
    assert owner.post("/logon/known", {"token": token}).status_code == 303
    assert "keystead-browser" in owner.client.cookies
    over = thief.post("/logon/known", {"token": token})
    assert over.status_code == 410
    assert "password" not in over.text, "that is another link"
    assert "keystead-browser" not in thief.client.cookies


def test_of_twenty_uses_of_the_link_one_makes_a_browser_known(keystead: Site) -> None:
    browsers = [keystead.visitor() for _ in range(20)]
    browsers[0].post("/logon/known/ask", {"username": "zoe"})
    token = token_in(keystead, "/logon/known")
    answers = at_once([partial(browser.post, "/logon/known", {"token": token}) for browser in browsers])
    assert sorted(answer.status_code for answer in answers) == [303] + [410] * 19
    assert sum("keystead-browser" in browser.client.cookies for browser in browsers) == 1
