"""Logging on: the password, then the key or a recovery code; and what a logon leaves behind."""

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import msgspec
import pytest
from pymongo import MongoClient
from starlette.testclient import TestClient

from backends.records import Account
from tests import foreign
from tests.views.mails import about, link_in, mails, subjects
from tests.views.meanwhile import meddle
from tests.views.people import bound, is_in, recovery_codes, twin
from webapp.accounts import commits, identities, keys, passwords, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.app import create_app
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once

# the password


def test_a_wrong_password_and_an_unknown_username_get_the_same_answer(keystead: Site, keystead_visitor: Visitor) -> None:
    answers = []
    for username in ("zoe", "nobody"):
        answer = keystead_visitor.submit_password(username, "not the password")
        answers.append((answer.status_code, answer.text.replace(username, "…"), dict(answer.headers) | {"content-length": ""}))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert "The username or the password is wrong." in answers[0][1]


def test_a_username_is_found_in_any_spelling_of_case(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on(" ZOE ", keystead.password)
    assert "zoe" in keystead_visitor.get("/account").text


def test_an_email_address_is_taken_for_a_username_unless_two_accounts_share_it(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("Zoe@Example.com", keystead.password)
    assert "zoe" in visitor.get("/account").text
    keystead.add_account("yan", email="zoe@example.com")
    assert keystead.visitor().submit_password("zoe@example.com", keystead.password).status_code == 401
    keystead.visitor().log_on("yan", keystead.password)


def damage(site: Site, changes: dict[str, Any]) -> None:
    """The account's record, or what MongoDB holds beside it."""
    if site.settings.backend.startswith("mongodb"):
        with MongoClient[dict[str, Any]](site.settings.backend) as client:
            client.get_default_database().accounts.update_one({"_id": site.account.id}, {"$set": changes})
    else:
        with closing(sqlite3.connect(site.folder / "keystead.db")) as db, db:
            db.execute("UPDATE accounts SET document = '{}' WHERE id = ?", (site.account.id,))


@pytest.mark.parametrize("changes", [{"username": 3}, {"claims": None}, {"pending": [{}]}])
def test_who_has_a_damaged_account_is_told_to_come_later_and_everybody_else_logs_on(
    keystead: Site, changes: dict[str, Any]
) -> None:
    keystead.add_account("yan")
    inside = keystead.visitor()
    inside.log_on("zoe", keystead.password)
    damage(keystead, changes)
    for name in ("zoe", "zoe@example.com"):
        assert keystead.visitor().submit_password(name, keystead.password).status_code == 503
    assert inside.get("/account").status_code == 503
    keystead.visitor().log_on("yan", keystead.password)


def test_the_logon_goes_on_to_the_page_that_was_asked_for(keystead: Site, keystead_visitor: Visitor) -> None:
    asked = keystead_visitor.get("/account/security?notice=renamed")
    assert asked.headers["location"] == "/logon?next=%2Faccount%2Fsecurity%3Fnotice%3Drenamed"
    keystead_visitor.follow(asked)
    answer = keystead_visitor.submit("/logon", username="zoe", password=keystead.password)
    assert answer.headers["location"] == "/account/security?notice=renamed"


def test_with_a_key_too_the_logon_goes_on_to_the_page_that_was_asked_for(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.follow(visitor.get("/account/security"))
    visitor.follow(visitor.submit("/logon", username="zoe", password=keystead.password))
    visitor.begin_key()
    visitor.finish_key(stub_key, cancel=True)
    visitor.begin_key()
    assert visitor.finish_key(stub_key).headers["location"] == "/account/security"


def test_another_site_in_next_is_not_followed(keystead: Site, keystead_visitor: Visitor) -> None:
    answer = keystead_visitor.submit_password("zoe", keystead.password, next="https://evil.example/account")
    assert answer.headers["location"] == "/account"


def test_a_hash_of_weaker_parameters_is_made_anew_at_the_next_logon(keystead: Site, keystead_visitor: Visitor) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(keystead.password)
    keystead.change(keystead.account, identities.set_password, weak)
    assert passwords.outdated(weak)
    keystead_visitor.log_on("zoe", keystead.password)
    assert not passwords.outdated(keystead.read().password_hash)
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)


@pytest.mark.parametrize("made", ["bcrypt 2y", "django argon2", "passlib scrypt", "werkzeug pbkdf2 sha1 1000"])
def test_who_was_imported_logs_on_with_the_old_password_and_has_a_hash_of_ours_then(
    keystead: Site, keystead_visitor: Visitor, made: str
) -> None:
    keystead.change(keystead.account, identities.set_password, foreign.MADE[made])
    assert keystead_visitor.submit_password("zoe", "correct horse batterz").status_code == 401
    assert keystead.read().password_hash == foreign.MADE[made]
    for _ in range(2):
        assert keystead.visitor().submit_password("zoe", foreign.PASSWORD).headers["location"] == "/account"
        assert not passwords.outdated(keystead.read().password_hash)
    assert keystead.visitor().submit_password("zoe", "correct horse batterz").status_code == 401


def test_of_logons_at_the_same_time_none_is_refused_because_another_replaced_the_hash(keystead: Site) -> None:
    """Each verifies the imported hash; the second finds another one of the same password when it commits."""
    keystead.change(keystead.account, identities.set_password, foreign.MADE["bcrypt 2y"])
    visitors = [keystead.visitor() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda visitor: visitor.submit_password("zoe", foreign.PASSWORD), visitors))
    assert [answer.headers["location"] for answer in answers] == ["/account"] * 6


@pytest.mark.parametrize("hash", ["", "{SHA}mN7MYuzjmaIu0w1JDvMzvn/ec4U=", "$2b$12$short", "hunter2hunter2"])
def test_a_hash_that_cannot_be_verified_is_never_right_and_no_mistake_of_the_server(
    keystead: Site, keystead_visitor: Visitor, hash: str
) -> None:
    """Its owner sets a new password by mail."""
    keystead.change(keystead.account, identities.set_password, hash)
    nobodys = keystead_visitor.submit_password("nobody", hash)
    answer = keystead_visitor.submit_password("zoe", hash)
    assert (answer.status_code, answer.text.replace("zoe", "nobody")) == (401, nobodys.text)
    assert keystead_visitor.post("/logon/forgotten", {"username": "zoe"}).status_code == 200
    keystead_visitor.get(link_in(keystead, "/logon/reset"))
    keystead_visitor.submit("/logon/reset", new="another horse entirely")
    assert keystead_visitor.submit_password("zoe", "another horse entirely").headers["location"] == "/account"


@pytest.mark.parametrize("change", ["password", "freeze"])
def test_an_account_that_changes_while_somebody_logs_on_is_looked_at_again(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The worst moment: after the old password was found right, and before the session is there to be ended."""
    changes = {
        "password": partial(commits.change, keystead.context, keystead.read(), identities.set_password, "another"),
        "freeze": partial(commits.change, keystead.context, keystead.read(), identities.freeze),
    }
    meddle(keystead, monkeypatch, changes[change])
    visitor = keystead.visitor()
    answer = visitor.submit_password("zoe", keystead.password)
    if change == "password":
        assert answer.headers["location"] == "/logon?notice=ended"
    else:
        assert answer.status_code == 403
    visitor.post("/logon/key/begin")
    assert visitor.get("/account").headers["location"].startswith("/logon?next")
    assert keystead.read().sessions == ()


# the session


def test_every_step_up_makes_a_new_token_and_the_old_one_is_worth_nothing(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    thief = twin(keystead, half_signed_in)
    half = half_signed_in.client.cookies["keystead"]
    half_signed_in.log_on_with(stub_key)
    assert half_signed_in.client.cookies["keystead"] != half
    assert thief.get("/account").headers["location"].startswith("/logon?next")


def test_a_planted_cookie_does_not_survive_the_logon(keystead: Site, keystead_visitor: Visitor) -> None:
    attacker = keystead.visitor()
    attacker.log_on("zoe", keystead.password)
    planted = dict(attacker.client.cookies)
    keystead_visitor.client.cookies.update(planted)
    answer = keystead_visitor.post("/logon", {"username": "zoe", "password": keystead.password})
    assert answer.headers["location"] == "/account"
    assert planted["keystead"] not in answer.headers["set-cookie"]
    assert attacker.get("/account").status_code == 303


def test_a_session_of_another_account_is_ended_when_somebody_else_logs_on_in_the_same_browser(keystead: Site) -> None:
    visitor, yan = keystead.visitor(), keystead.add_account("yan")
    visitor.log_on("yan", keystead.password)
    visitor.post("/logon", {"username": "zoe", "password": keystead.password})
    assert keystead.read(yan).sessions == ()
    assert len(keystead.read().sessions) == 1


def test_logging_off_ends_the_session_and_takes_the_cookie_away(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    stolen = dict(keystead_visitor.client.cookies)
    keystead_visitor.log_off()
    assert "keystead" not in keystead_visitor.client.cookies
    keystead_visitor.client.cookies.update(stolen)
    assert keystead_visitor.get("/account").headers["location"].startswith("/logon")


def test_the_key_is_owed_for_ten_minutes_and_then_the_password_again(keystead_clock: Clock, half_signed_in: Visitor) -> None:
    keystead_clock.move(timedelta(minutes=10))
    assert half_signed_in.get("/logon/key").headers["location"] == "/logon?notice=ended"


def test_the_signing_keys_rotate_without_logging_anyone_off(keystead: Site) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    signed = dict(visitor.client.cookies)
    newer = replace(keystead.settings, secret_keys=("a newer secret that is long enough", *keystead.settings.secret_keys))
    with TestClient(create_app(newer), base_url=newer.origin, cookies=signed) as client:
        assert client.get("/account").status_code == 200
    replaced = replace(newer, secret_keys=newer.secret_keys[:1])
    with TestClient(create_app(replaced), base_url=newer.origin, cookies=signed, follow_redirects=False) as client:
        assert client.get("/account").status_code == 303


def test_a_logon_is_logged_once_it_has_happened(keystead: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keystead.events")
    visitor = keystead.visitor()
    visitor.submit_password("zoe", "not the password")
    assert "logged on" not in caplog.messages
    visitor.log_on("zoe", keystead.password)
    assert caplog.messages.count("logged on") == 1


# the key


def test_a_binding_ends_a_logon_that_was_under_way_by_password_alone(keystead: Site, stub_key: StubKey) -> None:
    owner, other = keystead.visitor(), keystead.visitor()
    other.log_on("zoe", keystead.password)
    owner.log_on("zoe", keystead.password)
    owner.bind(stub_key)
    assert other.get("/account").headers["location"].startswith("/logon")
    assert is_in(owner)


def test_logons_that_race_with_a_binding_never_end_up_inside_without_the_key(keystead: Site, stub_key: StubKey) -> None:
    owner = keystead.visitor()
    owner.log_on("zoe", keystead.password)
    owner.get(U2F)
    owner.send_code()
    owner.follow(owner.verify(keystead.mailbox.code()))
    owner.begin_bind()
    answer = owner.answer(stub_key)
    racers = [keystead.visitor(address=f"192.0.2.{n}") for n in range(8)]
    finishes = partial(owner.post, f"{U2F}/bind/finish", answer)
    at_once([finishes, *(partial(racer.submit_password, "zoe", keystead.password) for racer in racers)])
    assert len(keystead.read().keys) == 1
    assert [racer.get("/account").status_code for racer in racers] == [303] * 8


def test_thirty_refused_answers_at_the_key_step_are_too_often_from_that_address_only(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    statuses = [half_signed_in.post("/logon/key/finish", {"credential": "{}", "ceremony": "x"}).status_code for _ in range(31)]
    assert statuses == [422] * 30 + [429]
    keystead.visitor(address="198.51.100.1").log_on("zoe", keystead.password, stub_key)


def test_a_key_that_is_unbound_while_it_is_touched_is_not_taken_for_a_copy(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    """The worst moment: after the answer was found right, and before the key's use is committed."""
    bound_key = keystead.read().keys[0]
    half_signed_in.get("/logon/key")
    half_signed_in.begin_key()
    meddle(keystead, monkeypatch, partial(commits.change, keystead.context, keystead.read(), keys.unbind, [bound_key.id]))
    answer = half_signed_in.finish(stub_key)
    assert answer.status_code == 422
    assert "Not one of your keys" in answer.text
    assert "clone suspected" not in [event.kind for event in keystead.call(keystead.backend.events_of, keystead.account.id, 9)]
    assert half_signed_in.get("/account").headers["location"] == "/logon/key"


def test_who_owes_a_key_that_was_unbound_meanwhile_is_in_with_the_next_click(keystead: Site, half_signed_in: Visitor) -> None:
    half_signed_in.get("/logon/key")
    keystead.change(keystead.account, keys.unbind, [keystead.read().keys[0].id], by="the help desk")
    half_signed_in.follow(half_signed_in.begin_key())
    assert is_in(half_signed_in)


def test_who_owes_the_key_is_out_when_the_account_is_frozen(keystead: Site, half_signed_in: Visitor) -> None:
    """Also where its session was not ended with it."""

    def frozen(account: Account, act: Act) -> Decision:
        return Decision(msgspec.structs.replace(account, frozen_at=act.now))

    assert half_signed_in.get("/logon/key").status_code == 200
    keystead.change(keystead.account, frozen)
    assert half_signed_in.get("/logon/key").headers["location"] == "/logon?notice=ended"


def test_a_frozen_account_with_a_key_owes_it_also_outside_the_preview(tmp_path: Path, stub_key: StubKey) -> None:
    def frozen_and_reset(account: Account, act: Act) -> Decision:
        """As when somebody said that it was not them, and has set a new password since."""
        return Decision(msgspec.structs.replace(account, frozen_at=act.now - timedelta(minutes=1), password_at=act.now))

    with running(tmp_path / "listed", preview="listed") as site:
        visitor = bound(site, stub_key)
        site.change(site.account, frozen_and_reset)
        assert visitor.get("/account").status_code == 303, "a session from before the freezing is worth nothing"
        visitor.log_on("zoe", site.password)
        assert visitor.get("/account").headers["location"] == "/logon/key"
        visitor.log_on_with(stub_key)
        assert site.read().frozen_at is None


# a recovery code


def test_a_lost_key_is_replaced_with_a_recovery_code(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    elsewhere = keystead.visitor()
    elsewhere.log_on("zoe", keystead.password, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.get("/logon/recovery")
    visitor.follow(visitor.submit("/logon/recovery", code=codes[0].lower()))
    assert "bind another one" in visitor.page.text
    assert elsewhere.get("/account").status_code == 303, "every other session ends"
    visitor.bind(StubKey(), name="Another")
    visitor.unbind(stub_key.slug)
    assert [key.name for key in keystead.read().keys] == ["Another"]
    assert "Codes left  9" in about(keystead, "A recovery code was used")[0]


def test_a_recovery_code_works_once_and_only_for_its_account(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    other = keystead.visitor(keystead.add_account("yan"))
    other.log_on("yan", keystead.password)
    other.bind(StubKey())
    other.log_off()
    other.log_on("yan", keystead.password)
    assert other.post("/logon/recovery", {"code": codes[0]}).status_code == 422
    for status in (303, 422):
        visitor.log_off()
        visitor.log_on("zoe", keystead.password)
        assert visitor.post("/logon/recovery", {"code": codes[0]}).status_code == status


def test_of_fifty_uses_of_one_recovery_code_one_wins(keystead: Site, stub_key: StubKey) -> None:
    """From the ten sessions that may wait for their key at the same time."""
    visitor = bound(keystead, stub_key)
    code = recovery_codes(visitor)[0]
    waiting = [keystead.visitor() for _ in range(sessions.MAX_PASSWORD_ONLY)]
    for racer in waiting:
        racer.submit_password("zoe", keystead.password)
    racers = [twin(keystead, waiting[n % len(waiting)], address=f"192.0.2.{n}") for n in range(50)]
    answers = at_once([partial(racer.post, "/logon/recovery", {"code": code}) for racer in racers])
    spent = [kept for kept in keystead.read().recovery_codes if kept.spent_at]
    assert len(spent) == 1
    assert sum("notice=recovered" in answer.headers.get("location", "") for answer in answers) == 1
    assert sum(session.stage == "authenticated" for session in keystead.read().sessions) == 1


def test_minutes_after_a_recovery_code_the_lost_key_can_be_unbound_and_not_ten_minutes_after(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    path = f"{U2F}/keys/{stub_key.slug}/unbind"
    for code, minutes, is_unbound in ((codes[0], 10, False), (codes[1], 9, True)):
        visitor.log_off()
        visitor.submit_password("zoe", keystead.password)
        visitor.post("/logon/recovery", {"code": code})
        keystead_clock.move(timedelta(minutes=minutes))
        visitor.post(path)
        assert (not keystead.read().keys) is is_unbound


def test_recovery_codes_are_guessed_ten_times_at_most(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    code = recovery_codes(visitor)[0]
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    statuses = [visitor.post("/logon/recovery", {"code": "AAAA-BBBB-CCCC-DDDD"}).status_code for _ in range(11)]
    assert statuses == [422] * 10 + [429]
    owner = keystead.visitor(address="198.51.100.1")
    owner.log_on("zoe", keystead.password)
    assert owner.post("/logon/recovery", {"code": code}).status_code == 303


# what is told by mail


def test_a_logon_from_a_new_browser_is_mailed_and_from_a_known_one_is_not(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert mails(keystead) == [], "the first logon ever is no news"
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)
    assert mails(keystead) == []
    keystead.visitor().log_on("zoe", keystead.password)
    assert subjects(keystead) == ["A logon from a new browser"]


def test_a_refused_key_after_a_right_password_is_mailed_but_not_a_cancel_and_not_without_end(
    keystead: Site, stub_key: StubKey
) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.begin_key()
    visitor.finish_key(stub_key, cancel=True)
    told = "Your password was used without your key"
    assert told not in subjects(keystead)
    for _ in range(5):
        visitor.begin_key()
        visitor.finish_key(stub_key, bad_signature=True)
    assert subjects(keystead).count(told) == 1, "the others are counted in the one that follows an hour later"


def test_mistyped_recovery_codes_are_mailed_from_the_third_on_as_what_they_are(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    told = []
    for _ in range(4):
        visitor.post("/logon/recovery", {"code": "AAAA-BBBB-CCCC-DDDD"})
        told.append(subjects(keystead).count("Wrong recovery codes were typed"))
    assert told == [0, 0, 1, 1]
    assert "Wrong codes 3" in about(keystead, "Wrong recovery codes were typed")[0]
    assert "Your password was used without your key" not in subjects(keystead)


@pytest.mark.parametrize(
    ("typed", "said"), [("AAAA-BBBB", "16 letters and digits"), ("AAAA-BBBB-CCCC-DDDD", "none of your recovery codes")]
)
def test_a_mistyped_recovery_code_is_told_as_what_it_is(keystead: Site, stub_key: StubKey, typed: str, said: str) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.get("/logon/recovery")
    assert said in visitor.submit("/logon/recovery", code=typed).text


def test_a_code_that_was_used_is_told_apart_from_one_that_never_was(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    code = recovery_codes(visitor)[0]
    answers = []
    for _ in range(2):
        visitor.log_off()
        visitor.log_on("zoe", keystead.password)
        visitor.get("/logon/recovery")
        answers.append(visitor.submit("/logon/recovery", code=code))
    assert "was used before" in answers[1].text


def test_where_no_codes_were_made_the_page_says_so_and_asks_for_none(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert "There are no recovery codes" in visitor.page.text
    assert "No codes were ever made" in visitor.get("/logon/recovery").text
    assert visitor.page.form("/logon/recovery") is None
    assert "whoever runs Keystead can help" in visitor.page.text
