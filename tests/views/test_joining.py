"""Joining: by an invitation that was mailed, once; and asking for one, which tells nobody who has an account."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from backends.records import Account
from tests import mongo_server
from tests.views.mails import link_in, links_in, mails, settle, subjects, token_in
from tests.views.people import NEW, is_in
from tests.views.unchanged import nothing_changes
from webapp import clock
from webapp.accounts import joining, limits
from webapp.testing.clock import Clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once

ANNA = "anna@example.com"
JOIN = "/join/account"
INVITED, THERE_IS_ONE = "Your invitation", "You have an account already"


@pytest.fixture
def keystead(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site whose neighbours at example.com may invite themselves."""
    elsewhere = getattr(request, "param", "file") == "mongodb"
    backend = {"backend": mongo_server.database(request.getfixturevalue("mongodb"))} if elsewhere else {}
    with running(tmp_path, join=("example.com", "example.org"), **backend) as site:
        yield site


on_both = pytest.mark.parametrize("keystead", ["file", "mongodb"], indirect=True)


def invited(site: Site, email: str = ANNA, groups: tuple[str, ...] = ()) -> str:
    """The link that was mailed."""
    assert site.call(joining.invite, site.context, email, groups)
    return link_in(site, JOIN)


def at_the_form(site: Site, email: str = ANNA) -> Visitor:
    visitor = site.visitor()
    assert visitor.get(invited(site, email)).status_code == 200
    return visitor


def ask(site: Site, email: str, address: str = "192.0.2.1") -> str:
    """Ask for an invitation, and wait until the mail has gone; what the page says, without the address."""
    answer = site.visitor(address=address).post("/join", {"email": email})
    assert answer.status_code == 200
    return answer.text.replace(email, "…")


# by an invitation


@on_both
def test_who_is_invited_ends_with_an_account_and_a_bound_key(keystead: Site, stub_key: StubKey) -> None:
    visitor = at_the_form(keystead)
    assert ANNA in visitor.page.text
    visitor.follow(visitor.submit(JOIN, username=" anna ", password=NEW))
    assert "Your account is ready" in visitor.page.text
    assert visitor.page.form("/bind/begin"), "the mail has shown that it is they: no code is asked for"
    visitor.bind(stub_key)
    visitor.log_off()
    visitor.log_on("anna", NEW, stub_key)
    assert is_in(visitor)
    assert subjects(keystead, ANNA) == ["A security key was bound to your account", INVITED], "and this browser is no new one"


def test_following_the_link_uses_nothing_up_and_using_it_does(keystead: Site) -> None:
    link = invited(keystead)
    visitor, second = keystead.visitor(), keystead.visitor()
    with nothing_changes(keystead):
        visitor.get(link)
        second.get(link)
    visitor.submit(JOIN, username="anna", password=NEW)
    assert second.submit(JOIN, username="bert", password=NEW).status_code == 410
    assert second.get(link).status_code == 410
    assert keystead.visitor().submit_password("bert", NEW).status_code == 401


@on_both
def test_of_fifty_uses_of_one_invitation_one_wins(keystead: Site) -> None:
    token = invited(keystead).partition("token=")[2]
    visitors = [keystead.visitor() for _ in range(20)]
    fields = [{"token": token, "username": f"anna{number}", "password": NEW} for number in range(20)]
    answers = at_once([partial(visitor.post, JOIN, typed) for visitor, typed in zip(visitors, fields, strict=True)])
    assert sorted(answer.status_code for answer in answers) == [303] + [410] * 19
    assert sum(is_in(visitor) for visitor in visitors) == 1


@on_both
def test_of_two_who_want_a_name_at_once_one_gets_it_and_the_other_chooses_another(keystead: Site) -> None:
    first, second = at_the_form(keystead), at_the_form(keystead, "bert@example.com")
    answers = at_once([partial(each.submit, JOIN, username="sam", password=NEW) for each in (first, second)])
    assert sorted(answer.status_code for answer in answers) == [303, 409] or sorted(answer.status_code for answer in answers) == [
        303,
        422,
    ]
    loser = first if answers[0].status_code != 303 else second
    assert "That name is taken" in loser.page.text
    assert loser.submit(JOIN, username="sam2", password=NEW).status_code == 303


@pytest.mark.parametrize(
    ("username", "password", "says"),
    [
        ("ZOE", NEW, "That name is taken"),
        ("", NEW, "Use 1 to 64 characters"),
        ("x" * 5000, NEW, "Use 1 to 64 characters"),
        ("zoe@example.com", NEW, "without @"),
        ("anna", "short", "at least 12"),
        ("anna", "password1234", "tried first"),
        ("anna.of.example", "anna.of.example", "That is your name"),
        ("anna", ANNA, "That is your name"),
        ("anna", "x" * 2000, "at most 1024"),
    ],
)
def test_what_cannot_be_is_said_at_its_field_and_uses_nothing_up(keystead: Site, username: str, password: str, says: str) -> None:
    visitor = at_the_form(keystead)
    with nothing_changes(keystead):
        answer = visitor.submit(JOIN, username=username, password=password)
    assert answer.status_code == 422
    assert says in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert visitor.submit(JOIN, username="anna", password=NEW).status_code == 303


def test_both_mistakes_are_said_at_once(keystead: Site) -> None:
    answer = at_the_form(keystead).submit(JOIN, username="zoe", password="short")
    assert "That name is taken" in answer.text
    assert "at least 12" in answer.text


def test_where_a_key_is_required_who_joins_reaches_nothing_before_it_is_bound(tmp_path: Path, stub_key: StubKey) -> None:
    with running(tmp_path, key_required=("staff",)) as site:
        visitor = site.visitor()
        visitor.get(invited(site, groups=("staff",)))
        visitor.follow(visitor.submit(JOIN, username="anna", password=NEW))
        assert visitor.get("/account").headers["location"] == U2F
        visitor.bind(stub_key)
        assert is_in(visitor)


def test_an_invitation_works_for_seven_days(keystead: Site, keystead_clock: Clock) -> None:
    visitor = at_the_form(keystead)
    keystead_clock.move(timedelta(days=7))
    answer = visitor.submit(JOIN, username="anna", password=NEW)
    assert answer.status_code == 410
    assert "ask for another" in answer.text


@on_both
def test_invitations_are_listed_and_those_that_have_been_over_for_long_are_deleted(keystead: Site, keystead_clock: Clock) -> None:
    emails = {ANNA, "bert@example.com"}
    for email in emails:
        invited(keystead, email)

    async def listed() -> set[str]:
        return {each.invitation.email async for each in joining.invitations(keystead.backend) if each.invitation}

    assert keystead.call(listed) == emails
    keystead_clock.move(timedelta(days=14))
    keystead.call(joining.purge, keystead.backend, clock.now())
    assert keystead.call(listed) == set()
    assert keystead.read().username == "zoe"


def test_an_invitation_that_was_withdrawn_works_no_more(keystead: Site) -> None:
    visitor = at_the_form(keystead)
    found = keystead.call(joining.find, keystead.backend, ANNA)
    assert found
    assert keystead.call(keystead.backend.remove, found)
    assert visitor.submit(JOIN, username="anna", password=NEW).status_code == 410


def test_nobody_logs_on_to_an_invitation_or_has_its_password_reset(keystead: Site, keystead_visitor: Visitor) -> None:
    invited(keystead)
    found = keystead.call(joining.find, keystead.backend, ANNA)
    assert found
    with nothing_changes(keystead):
        for name in (ANNA, found.username, found.email, ""):
            for password in ("", NEW):
                assert keystead_visitor.submit_password(name, password).status_code == 401
            keystead_visitor.post("/logon/forgotten", {"username": name})
            keystead_visitor.post("/logon/known/ask", {"username": name})
    assert subjects(keystead) == [INVITED]


def test_who_joins_in_a_browser_of_somebody_else_ends_their_session(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.get(invited(keystead))
    visitor.follow(visitor.submit(JOIN, username="anna", password=NEW))
    assert keystead.read().sessions == ()
    assert "anna" in visitor.get("/account").text


def test_names_are_guessed_by_an_invitation_twenty_times_an_hour(keystead: Site) -> None:
    visitor = at_the_form(keystead)
    answers = [visitor.submit(JOIN, username="zoe", password="short").status_code for _ in range(20)]
    assert set(answers) == {422}
    assert visitor.submit(JOIN, username="zoe", password="short").status_code == 429


def test_a_link_for_something_else_is_no_invitation(keystead: Site) -> None:
    keystead.visitor().post("/logon/forgotten", {"username": "zoe"})
    token = token_in(keystead, "/logon/reset")
    with nothing_changes(keystead):
        for typed in (token, "", "x" * 5000):
            assert keystead.visitor().get(f"{JOIN}?token={typed}").status_code == 410
            fields = {"token": typed, "username": "anna", "password": NEW}
            assert keystead.visitor().post(JOIN, fields).status_code == 410


# asking for one


def test_who_is_of_the_domain_invites_themselves(keystead: Site, keystead_visitor: Visitor) -> None:
    assert "/join" in keystead_visitor.get("/logon").text
    keystead_visitor.get("/join")
    keystead_visitor.submit("/join", email=f" {ANNA} ")
    assert "on its way" in keystead_visitor.page.text
    keystead_visitor.get(link_in(keystead, JOIN))
    keystead_visitor.follow(keystead_visitor.submit(JOIN, username="anna", password=NEW))
    assert is_in(keystead_visitor)


def test_who_asks_is_told_the_same_whether_there_is_an_account_or_an_invitation(keystead: Site) -> None:
    invited(keystead, "bert@example.com")
    for _ in range(2):  # and the same again at once
        assert len({ask(keystead, email) for email in ("zoe@example.com", ANNA, "bert@example.com")}) == 1
    assert subjects(keystead, "zoe@example.com") == [THERE_IS_ONE]
    assert subjects(keystead, ANNA) == [INVITED]
    assert subjects(keystead, "bert@example.com") == [INVITED, INVITED]
    assert "Username    zoe" in text_of(mails(keystead, "zoe@example.com")[0])


def test_the_mail_to_who_asks_is_seen_to_once_the_answer_has_gone(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answered, named = asyncio.Event(), keystead.backend.account_named

    async def once_answered(name: str) -> Account | None:
        await asyncio.wait_for(answered.wait(), 5)
        return await named(name)

    monkeypatch.setattr(keystead.backend, "account_named", once_answered)
    assert keystead.visitor().post("/join", {"email": "zoe@example.com"}).status_code == 200
    keystead.portal.call(answered.set)
    assert subjects(keystead) == [THERE_IS_ONE]


@pytest.mark.parametrize("email", ["anna@elsewhere.example", "anna", "", "x" * 5000, "anna@example.com, bert@example.com"])
def test_who_is_of_no_such_domain_is_told_so_and_gets_no_mail(keystead: Site, email: str) -> None:
    with nothing_changes(keystead):
        answer = keystead.visitor().post("/join", {"email": email})
    assert answer.status_code == 422
    assert "not an address at <b><bdi>example.com</bdi></b> or <b><bdi>example.org</bdi></b>" in answer.text
    assert mails(keystead) == []


def test_where_people_join_by_invitation_only_nobody_asks(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        assert "Join" not in site.visitor().get("/logon").text
        assert site.visitor().get("/join").status_code == 403
        assert site.visitor().post("/join", {"email": ANNA}).status_code == 403
        assert mails(site) == []


def test_an_address_gets_five_mails_a_day_at_the_most(keystead: Site, keystead_clock: Clock) -> None:
    for number in range(8):
        ask(keystead, ANNA, f"192.0.2.{number}")
        settle(keystead)
        keystead_clock.move(timedelta(minutes=3))
    assert len(links_in(keystead, JOIN)) == 5


def test_who_asks_twenty_times_an_hour_to_join_is_refused_and_nobody_else(keystead: Site) -> None:
    for number in range(20):
        ask(keystead, f"anna{number}@example.com")
    assert keystead.visitor().post("/join", {"email": ANNA}).status_code == 429
    ask(keystead, ANNA, "192.0.2.77")


def test_strangers_leave_no_more_than_a_bounded_number_of_invitations(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOIN_WHOLE", limits.Limit("join-whole", 3, limits.DAY))
    for number in range(3):
        ask(keystead, f"anna{number}@example.com")
    assert keystead.visitor().post("/join", {"email": ANNA}).status_code == 429
    assert invited(keystead), "the deployer still invites"
