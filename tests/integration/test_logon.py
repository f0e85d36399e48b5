import logging
from dataclasses import replace
from datetime import datetime, timedelta

import argon2
import pytest
from starlette.testclient import TestClient

from backends.protocol import Seal
from backends.records import Event, Session, Use
from webapp import clock, limits, sessions
from webapp.app import create_app
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor, at_once


def test_the_front_door_leads_to_the_logon_and_after_it_to_the_account(keystead: Site, keystead_visitor: Visitor) -> None:
    assert keystead_visitor.get("/").headers["location"] == "/logon"
    keystead_visitor.log_on("zoe", keystead.password)
    assert keystead_visitor.get("/").headers["location"] == "/account"
    assert keystead_visitor.get("/logon").headers["location"] == "/account"


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


def test_the_logon_goes_on_to_the_page_that_was_asked_for(keystead: Site, keystead_visitor: Visitor) -> None:
    asked = keystead_visitor.get("/account/security?notice=renamed")
    assert asked.headers["location"] == "/logon?next=%2Faccount%2Fsecurity%3Fnotice%3Drenamed"
    keystead_visitor.follow(asked)
    answer = keystead_visitor.submit("/logon", username="zoe", password=keystead.password)
    assert answer.headers["location"] == "/account/security?notice=renamed"


def test_with_a_key_too_the_logon_goes_on_to_the_page_that_was_asked_for(keystead: Site, stub_key: StubKey) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
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


def test_ten_wrong_passwords_from_one_address_are_too_often_and_say_when_to_come_back(
    keystead: Site, keystead_visitor: Visitor
) -> None:
    statuses = [keystead_visitor.submit_password("zoe", "wrong").status_code for _ in range(10)]
    assert statuses == [401] * 10
    keystead_visitor.get("/logon")
    refused = keystead_visitor.submit("/logon", username="zoe", password=keystead.password)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 600
    assert "Wait 10 minutes" in refused.text


def test_a_strangers_attempts_do_not_keep_the_person_out(keystead: Site) -> None:
    stranger = keystead.visitor(address="198.51.100.7")
    for _ in range(12):
        stranger.submit_password("zoe", "wrong")
    assert stranger.submit_password("zoe", keystead.password).status_code == 429
    keystead.visitor(address="192.0.2.9").log_on("zoe", keystead.password)


def test_waiting_opens_the_logon_again(keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock) -> None:
    for _ in range(11):
        keystead_visitor.submit_password("zoe", "wrong")
    keystead_clock.move(timedelta(minutes=10))
    keystead_visitor.log_on("zoe", keystead.password)


def test_logging_off_ends_the_session_and_takes_the_cookie_away(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    stolen = dict(keystead_visitor.client.cookies)
    keystead_visitor.log_off()
    assert "keystead" not in keystead_visitor.client.cookies
    keystead_visitor.client.cookies.update(stolen)
    assert keystead_visitor.get("/account").headers["location"].startswith("/logon")


def test_every_step_up_makes_a_new_token_and_the_old_one_is_worth_nothing(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    half = dict(half_signed_in.client.cookies)
    half_signed_in.log_on_with(stub_key)
    assert dict(half_signed_in.client.cookies) != half
    thief = keystead.visitor()
    thief.client.cookies.update(half)
    assert thief.get("/account").headers["location"].startswith("/logon")


def test_a_planted_cookie_does_not_survive_the_logon(keystead: Site, keystead_visitor: Visitor) -> None:
    attacker = keystead.visitor()
    attacker.log_on("zoe", keystead.password)
    planted = dict(attacker.client.cookies)
    keystead_visitor.client.cookies.update(planted)
    answer = keystead_visitor.post("/logon", {"username": "zoe", "password": keystead.password})
    assert answer.headers["location"] == "/account"
    assert planted["keystead"] not in answer.headers["set-cookie"]
    assert attacker.get("/account").status_code == 303


def test_a_cookie_that_we_did_not_sign_is_no_session(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    name, value = "keystead", keystead_visitor.client.cookies["keystead"]
    other = "A" if value[-9] != "A" else "B"  # not the last letter, of which two bits say nothing
    for forged in (f"{value[:-9]}{other}{value[-8:]}", value.partition(".")[0], "", "é", "a.b.c"):
        visitor = keystead.visitor()
        answer = visitor.client.get("/account", headers=[(b"cookie", f"{name}={forged}".encode())])
        assert answer.status_code == 303


def test_a_session_ends_when_it_is_idle_and_at_last_in_any_case(keystead: Site, keystead_clock: Clock) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    for _ in range(14):
        keystead_clock.move(timedelta(hours=11, minutes=59))
        assert visitor.get("/account").status_code == 200
    keystead_clock.move(timedelta(hours=1))
    assert visitor.get("/account").status_code == 303
    visitor.log_on("zoe", keystead.password)
    keystead_clock.move(timedelta(hours=12))
    assert visitor.get("/account").status_code == 303


def test_the_key_is_owed_for_ten_minutes_and_then_the_password_again(keystead_clock: Clock, half_signed_in: Visitor) -> None:
    keystead_clock.move(timedelta(minutes=10))
    assert half_signed_in.get("/logon/key").headers["location"].startswith("/logon")


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


@pytest.mark.parametrize("htmx", [False, True])
def test_who_is_not_signed_in_is_sent_to_the_logon(keystead: Site, htmx: bool) -> None:
    visitor = keystead.visitor(htmx=htmx)
    answer = visitor.post("/account/security/u2f/code")
    assert answer.headers.get("hx-refresh") == "true" if htmx else answer.headers["location"] == "/logon?notice=ended"


def test_a_binding_ends_a_logon_that_was_under_way_by_password_alone(keystead: Site, stub_key: StubKey) -> None:
    owner, other = keystead.visitor(), keystead.visitor()
    other.log_on("zoe", keystead.password)
    owner.log_on("zoe", keystead.password)
    owner.bind(stub_key)
    assert other.get("/account").headers["location"].startswith("/logon")
    assert owner.get("/account").status_code == 200


def test_logons_that_race_with_a_binding_never_end_up_inside_without_the_key(keystead: Site, stub_key: StubKey) -> None:
    owner = keystead.visitor()
    owner.log_on("zoe", keystead.password)
    owner.get("/account/security/u2f")
    owner.send_code()
    owner.follow(owner.verify(keystead.mailbox.code()))
    owner.begin_bind()
    answer = owner.answer(stub_key)
    racers = [keystead.visitor(address=f"192.0.2.{n}") for n in range(8)]
    at_once(
        [
            lambda: owner.post("/account/security/u2f/bind/finish", answer),
            *(lambda r=racer: r.submit_password("zoe", keystead.password) for racer in racers),
        ]
    )
    keys = keystead.call(keystead.backend.keys_of, keystead.account.id)
    assert len(keys) == 1
    assert [racer.get("/account").status_code for racer in racers] == [303] * 8


def test_a_hash_of_weaker_parameters_is_made_anew_at_the_next_logon(keystead: Site, keystead_visitor: Visitor) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(keystead.password)
    assert keystead.call(keystead.backend.record_account, keystead.account, replace(keystead.account, password_hash=weak))
    keystead_visitor.log_on("zoe", keystead.password)
    account = keystead.call(keystead.backend.account, keystead.account.id)
    assert account is not None
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)


def test_thirty_refused_answers_at_the_key_step_are_too_often_from_that_address_only(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    statuses = [half_signed_in.post("/logon/key/finish", {"credential": "{}", "ceremony": "x"}).status_code for _ in range(31)]
    assert statuses == [422] * 30 + [429]
    keystead.visitor(address="198.51.100.1").log_on("zoe", keystead.password, stub_key)


def test_in_an_attack_on_the_whole_every_address_gets_fewer_attempts_and_the_person_still_gets_in(keystead: Site) -> None:
    stranger = keystead.visitor(address="198.51.100.7")
    whole = limits._bucket(limits.LOGON_WHOLE, ())
    keystead.call(keystead.backend.count_attempt, whole, clock.now(), limits.WINDOW, limits.LOGON_WHOLE.most + 1)
    statuses = [stranger.submit_password(f"name-{n}", "wrong").status_code for n in range(11)]
    assert statuses == [401] * 10 + [429]
    keystead.visitor(address="192.0.2.9").log_on("zoe", keystead.password)


@pytest.mark.parametrize("change", ["password", "freeze"])
def test_an_account_that_changes_while_somebody_logs_on_is_looked_at_again(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The worst moment: after the old password was found right, and before the session is there to be ended."""
    put, now = keystead.backend.put_session, clock.now()
    changed = replace(keystead.account, **({"password_hash": "another"} if change == "password" else {"frozen_at": now}))

    async def put_once_changed(session: Session) -> None:
        await keystead.backend.record_account(keystead.account, changed)
        await keystead.backend.remove_sessions_of(keystead.account.id)
        await put(session)

    monkeypatch.setattr(keystead.backend, "put_session", put_once_changed)
    visitor = keystead.visitor()
    answer = visitor.submit_password("zoe", keystead.password)
    assert answer.headers["location"] == "/logon?notice=ended"
    visitor.post("/logon/key/begin")
    assert visitor.get("/account").headers["location"].startswith("/logon?next")
    assert keystead.call(keystead.backend.sessions_of, keystead.account.id, now) == []


def test_a_key_that_is_unbound_while_it_is_touched_is_not_taken_for_a_copy(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    """The worst moment: after the answer was found right, and before the key's use is put down."""
    record = keystead.backend.record_logon

    async def record_once_unbound(token_hash: bytes, session: Session, seal: Seal, use: Use | None = None) -> Event | None:
        assert use
        await keystead.backend.remove_key(session.account_id, use.key_id)
        return await record(token_hash, session, seal, use)

    monkeypatch.setattr(keystead.backend, "record_logon", record_once_unbound)
    half_signed_in.get("/logon/key")
    half_signed_in.begin_key()
    answer = half_signed_in.finish(stub_key)
    assert answer.status_code == 422
    assert "Not one of your keys" in answer.text
    assert "clone suspected" not in [event.kind for event in keystead.call(keystead.backend.events_of, keystead.account.id, 9)]


def test_a_session_that_ends_while_it_is_seen_is_over(
    keystead: Site, keystead_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, record = keystead.visitor(), keystead.backend.record_seen
    visitor.log_on("zoe", keystead.password)
    keystead_clock.move(2 * sessions.SEEN_EVERY)

    async def record_once_ended(token_hash: bytes, at: datetime, expires_at: datetime) -> bool:
        await keystead.backend.remove_sessions_of(keystead.account.id)
        return await record(token_hash, at, expires_at)

    monkeypatch.setattr(keystead.backend, "record_seen", record_once_ended)
    assert visitor.get("/account").headers["location"].startswith("/logon?next")


def test_who_owes_the_key_is_out_when_the_account_is_frozen(keystead: Site, half_signed_in: Visitor) -> None:
    assert half_signed_in.get("/logon/key").status_code == 200
    frozen = replace(keystead.account, frozen_at=clock.now())
    assert keystead.call(keystead.backend.record_account, keystead.account, frozen)
    assert half_signed_in.get("/logon/key").headers["location"].startswith("/logon?next")


def test_a_logon_is_logged_once_it_has_happened(keystead: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keystead.events")
    visitor = keystead.visitor()
    visitor.submit_password("zoe", "not the password")
    assert "logged on" not in caplog.messages
    visitor.log_on("zoe", keystead.password)
    assert caplog.messages.count("logged on") == 1
