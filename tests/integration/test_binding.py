from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from backends.records import Session
from webapp import clock
from webapp.testing.clock import Clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor, at_once

U2F = "/account/security/u2f"


@pytest.fixture(params=["plain", "htmx"])
def visitor(request: pytest.FixtureRequest, keystead: Site) -> Visitor:
    """Logged on; once as a browser without scripts, once as htmx."""
    visitor = keystead.visitor(htmx=request.param == "htmx")
    visitor.log_on("zoe", keystead.password)
    return visitor


@pytest.mark.parametrize("flavour", ["u2f", "ctap2"])
@pytest.mark.parametrize("attestation", ["fido-u2f", "packed", "none"])
def test_the_whole_path(keystead: Site, visitor: Visitor, flavour: str, attestation: str) -> None:
    key = StubKey(flavour=flavour, attestation=attestation)  # type: ignore[arg-type]  # the parameters are the literals
    visitor.bind(key, name="Blue")
    assert "Blue" in visitor.get("/account/security").text
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.get("/account").headers["location"] == "/logon/key"
    visitor.log_on_with(key)
    visitor.unbind(key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.get("/account").status_code == 200


def test_with_two_keys_each_of_them_opens_the_account(keystead: Site, visitor: Visitor) -> None:
    first, second = StubKey(), StubKey(flavour="u2f")
    visitor.bind(first, name="First")
    visitor.bind(second, name="Second", prove_with=first)
    for key in (first, second):
        visitor.log_off()
        visitor.log_on("zoe", keystead.password)
        visitor.log_on_with(key)
    page = visitor.get("/account/security").text
    assert page.index("First") < page.index("Second")
    assert "Last used" in page


def test_a_code_is_mailed_and_the_page_shows_only_a_masked_address(keystead: Site, visitor: Visitor) -> None:
    page = visitor.get(U2F).text
    assert "z•••@example.com" in page
    assert "zoe@example.com" not in page
    visitor.follow(visitor.send_code())
    mail = keystead.mailbox.newest()
    assert str(mail["to"]) == "zoe@example.com"
    assert keystead.mailbox.code() in text_of(mail)
    assert "http" not in text_of(mail), "a link in the code mail would teach people to click"


def test_sending_again_within_a_minute_is_refused_and_after_it_sends_the_same_code(
    keystead: Site, visitor: Visitor, keystead_clock: Clock
) -> None:
    visitor.follow(visitor.send_code())
    first = keystead.mailbox.code()
    too_early = visitor.submit("/u2f/code")
    assert too_early.status_code == 429
    assert 0 < int(too_early.headers["retry-after"]) <= 60
    assert len(list(keystead.mailbox.mails())) == 1
    keystead_clock.move(timedelta(seconds=60))
    visitor.follow(visitor.submit("/u2f/code"))
    assert len(list(keystead.mailbox.mails())) == 2
    assert keystead.mailbox.code() == first


def test_a_wrong_code_says_how_many_tries_are_left_and_the_sixth_guess_is_not_judged(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    said = [visitor.post(f"{U2F}/verify", {"code": wrong}) for _ in range(5)]
    assert {answer.status_code for answer in said} == {422}
    for left, answer in zip(("4 tries left", "3 tries left", "2 tries left", "1 try left", "no tries left"), said, strict=True):
        assert left in answer.text
    assert visitor.post(f"{U2F}/verify", {"code": code}).status_code == 422
    assert "no tries left" in visitor.post(f"{U2F}/verify", {"code": code}).text


def test_a_spent_code_makes_room_for_a_new_one(keystead: Site, visitor: Visitor, keystead_clock: Clock) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    wrong = str((int(code) + 1) % 10**6).zfill(6)
    for _ in range(5):
        visitor.post(f"{U2F}/verify", {"code": wrong})
    assert "Send a new code" in visitor.get(U2F).text
    keystead_clock.move(timedelta(seconds=61))
    visitor.follow(visitor.submit("/u2f/code"))
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    assert visitor.page.form("/bind/begin")


def test_what_is_not_six_digits_costs_no_try(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    for text in ("", "12345", "1234567", "abcdef", "12 34"):
        assert visitor.post(f"{U2F}/verify", {"code": text}).status_code == 422
    code = keystead.call(keystead.backend.code, keystead.account.id, "bind", keystead.account.created_at)
    assert code is not None
    assert code.tries_left == 5


def test_a_code_dies_after_ten_minutes(keystead: Site, visitor: Visitor, keystead_clock: Clock) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    keystead_clock.move(timedelta(minutes=10))
    assert visitor.post(f"{U2F}/verify", {"code": code}).status_code == 422
    visitor.get(U2F)
    assert visitor.page.form("/u2f/code")
    assert not visitor.page.form("/u2f/verify")


def test_a_code_works_only_in_the_session_that_asked_for_it(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    assert other.post(f"{U2F}/verify", {"code": keystead.mailbox.code()}).status_code == 422
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    assert visitor.page.form("/bind/begin")


def test_ten_mails_a_day_are_the_most(keystead: Site, visitor: Visitor, keystead_clock: Clock) -> None:
    for _ in range(10):
        assert visitor.post(f"{U2F}/code").status_code in (200, 303)
        keystead_clock.move(timedelta(seconds=61))
    refused = visitor.post(f"{U2F}/code")
    assert refused.status_code == 429
    assert "hours" in refused.text
    keystead_clock.move(timedelta(days=1))
    visitor.log_on("zoe", keystead.password)
    assert visitor.post(f"{U2F}/code").status_code in (200, 303)


def test_a_mail_that_cannot_be_sent_is_said_costs_no_try_and_can_be_asked_for_again_at_once(
    keystead: Site, visitor: Visitor
) -> None:
    outbox = keystead.folder / "outbox"
    hidden = outbox.rename(keystead.folder / "hidden") if outbox.exists() else None
    outbox.write_text("in the way of the folder")
    for _ in range(12):
        failed = visitor.post(f"{U2F}/code")
        assert failed.status_code == 503
        assert "could not be sent" in failed.text
    outbox.unlink()
    if hidden:
        hidden.rename(outbox)
    assert visitor.post(f"{U2F}/code").status_code in (200, 303)
    visitor.get(U2F)
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    assert visitor.page.form("/bind/begin")


def test_a_reload_keeps_the_step(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    visitor.get(U2F)
    assert visitor.page.form("/u2f/code")
    visitor.send_code()
    visitor.get(U2F)
    assert visitor.page.form("/u2f/verify")
    visitor.verify(keystead.mailbox.code())
    visitor.get(U2F)
    assert visitor.page.form("/bind/begin")
    visitor.begin_bind()
    visitor.follow(visitor.finish_bind(stub_key))
    assert "You may close this page" in visitor.get(f"{U2F}/done").text


def test_a_proof_is_ten_minutes_old_at_most(keystead: Site, visitor: Visitor, keystead_clock: Clock, stub_key: StubKey) -> None:
    visitor.send_code()
    visitor.get(U2F)
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    visitor.begin_bind()
    keystead_clock.move(timedelta(minutes=10))
    visitor.finish_bind(stub_key)
    assert keystead.call(keystead.backend.keys_of, keystead.account.id) == []
    visitor.get(U2F)
    assert visitor.page.form("/u2f/code")


def test_once_a_key_is_bound_a_code_by_mail_is_no_longer_offered_or_taken(
    keystead: Site, visitor: Visitor, stub_key: StubKey
) -> None:
    visitor.bind(stub_key)
    sent = len(list(keystead.mailbox.mails()))
    answer = visitor.post(f"{U2F}/code")
    assert "/prove/begin" in answer.text
    assert len(list(keystead.mailbox.mails())) == sent
    assert "/prove/begin" in visitor.post(f"{U2F}/verify", {"code": "123456"}).text


def test_unbinding_needs_a_fresh_touch_of_a_key(
    keystead: Site, visitor: Visitor, keystead_clock: Clock, stub_key: StubKey
) -> None:
    slug = visitor.bind(stub_key)
    keystead_clock.move(timedelta(minutes=10))
    refused = visitor.post(f"{U2F}/keys/{slug}/unbind")
    assert refused.status_code == 403
    assert len(keystead.call(keystead.backend.keys_of, keystead.account.id)) == 1
    visitor.unbind(stub_key)
    assert keystead.call(keystead.backend.keys_of, keystead.account.id) == []


def test_cancel_in_the_unbind_dialog_changes_nothing(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key)
    dialog = visitor.confirm_unbind(slug)
    assert dialog.status_code == 200
    assert 'href="/account/security"' in dialog.text
    assert len(keystead.call(keystead.backend.keys_of, keystead.account.id)) == 1


def test_a_key_can_be_renamed_and_a_name_is_shown_tidy(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key, name="Blue")
    visitor.follow(visitor.rename(slug, "  my \u202e\n<b>key</b>  " + "x" * 200))
    name = keystead.call(keystead.backend.keys_of, keystead.account.id)[0].name
    assert name.startswith("my <b>key</b> xxx")
    assert len(name) == 64
    assert "<b>key</b>" not in visitor.get("/account/security").text
    assert visitor.rename(slug, " ").status_code == 422


def test_another_accounts_key_is_not_found(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key)
    other = keystead.visitor(keystead.add_account("yan"))
    other.log_on("yan", keystead.password)
    other.bind(StubKey())
    assert other.confirm_unbind(slug).status_code == 404
    assert other.post(f"{U2F}/keys/{slug}/unbind").status_code == 404
    assert other.post(f"{U2F}/keys/{slug}/name", {"name": "mine"}).status_code == 404
    keys = keystead.call(keystead.backend.keys_of, keystead.account.id)
    assert [key.name for key in keys] == ["Security key"]


@pytest.mark.parametrize("slug", ["x", "%00", "not-base64!", "é", "A" * 3000])
def test_an_address_that_names_no_key_is_not_found(keystead: Site, visitor: Visitor, slug: str) -> None:
    assert visitor.get(f"{U2F}/keys/{slug}/unbind").status_code == 404
    assert visitor.post(f"{U2F}/keys/{slug}/unbind").status_code == 404


def test_the_dialog_of_the_first_page_notices_the_binding(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    opened = visitor.get(f"{U2F}/dialog")
    since = opened.text.partition("?since=")[2].partition('"')[0]
    assert visitor.client.get(f"{U2F}/dialog?since={since}", headers={"hx-request": "true"}).status_code == 204
    checked = visitor.client.get(f"{U2F}/dialog?since={since}&check=1", headers={"hx-request": "true"})
    assert "No key has been bound yet" in checked.text
    assert "hx-trigger" not in checked.headers
    visitor.bind(stub_key)
    noticed = visitor.client.get(f"{U2F}/dialog?since={since}", headers={"hx-request": "true"})
    assert "Your key is bound" in noticed.text
    assert noticed.headers["hx-trigger"] == "bound"
    assert "Security key" in visitor.client.get(f"{U2F}/row", headers={"hx-request": "true"}).text


@pytest.mark.parametrize("since", ["", "x", "-1", "9" * 14, "9" * 400, "٣", "1e3"])
def test_the_dialog_takes_any_since(keystead: Site, visitor: Visitor, since: str) -> None:
    assert visitor.get(f"{U2F}/dialog?since={since}&check=1").status_code == 200


def test_mails_tell_of_binding_and_unbinding(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    visitor.bind(stub_key, name="Blue")
    visitor.unbind(stub_key)
    subjects = [str(mail["subject"]) for mail in keystead.mailbox.mails()]
    assert "Keystead: A security key was bound to your account" in subjects
    assert "Keystead: A security key was unbound from your account" in subjects
    for mail in keystead.mailbox.mails():
        assert "ignore" not in text_of(mail).lower()


def test_events_tell_what_happened(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    visitor.bind(stub_key, name="Blue")
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.log_on_with(stub_key)
    happened = keystead.call(keystead.backend.events_of, keystead.account.id, 50)
    assert [(event.kind, event.detail) for event in happened][-4:] == [
        ("logged on", ""),
        ("key bound", "Blue"),
        ("logged off", ""),
        ("logged on", "Blue"),
    ]


def test_a_bound_account_outside_the_preview_is_told_so_and_not_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), preview="listed") as site:
        visitor, key = site.visitor(), StubKey()
        visitor.log_on("zoe", site.password)
        visitor.bind(key)
        assert "does not ask this account" in visitor.get(f"{U2F}/done").text
        assert "does not ask this account" in visitor.get("/account/security").text
        visitor.log_off()
        visitor.log_on("zoe", site.password)
        assert visitor.get("/account").status_code == 200
        visitor.unbind(key)


def test_a_listed_account_is_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), preview="listed") as site:
        account = site.add_account("yan", listed=True)
        visitor = site.visitor(account)
        visitor.log_on("yan", site.password)
        visitor.bind(StubKey())
        visitor.log_off()
        visitor.log_on("yan", site.password)
        assert visitor.get("/account").headers["location"] == "/logon/key"


def test_of_two_sessions_that_proved_by_code_and_bind_at_once_no_more_than_one_binds(keystead: Site) -> None:
    racers = [keystead.visitor() for _ in range(6)]
    answers = []
    for racer in racers:
        racer.log_on("zoe", keystead.password)
        session = keystead.call(_newest_session, keystead)
        keystead.call(_prove_by_code, keystead, session)
        racer.get(U2F)
        racer.begin_bind()
        answers.append(racer.answer(StubKey()))
    finishes = [partial(racer.post, f"{U2F}/bind/finish", answer) for racer, answer in zip(racers, answers, strict=True)]
    bound = [answer for answer in at_once(finishes) if answer.headers.get("location", "").endswith("/done")]
    keys = keystead.call(keystead.backend.keys_of, keystead.account.id)
    assert len(keys) == len(bound) <= 1


def test_a_code_is_used_up_by_its_use(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    visitor.follow(visitor.verify(code))
    assert visitor.post(f"{U2F}/verify", {"code": code}).status_code == 422
    assert keystead.call(keystead.backend.code, keystead.account.id, "bind", clock.now()) is None


def test_a_code_is_no_proof_any_more_once_a_key_is_bound(keystead: Site, stub_key: StubKey) -> None:
    """Whatever way the key came: here the proof by code is still fresh, and the session was not ended."""
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    slug = visitor.bind(stub_key)
    keystead.call(_prove_by_code, keystead, keystead.call(_newest_session, keystead))
    assert visitor.post(f"{U2F}/keys/{slug}/unbind").status_code == 403
    visitor.get(U2F)
    assert visitor.page.form("/prove/begin")
    assert len(keystead.call(keystead.backend.keys_of, keystead.account.id)) == 1


def test_unbinding_ends_every_other_session_and_makes_a_new_token(keystead: Site, stub_key: StubKey) -> None:
    visitor, other = keystead.visitor(), keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
    other.log_on("zoe", keystead.password, stub_key)
    before = visitor.client.cookies["keystead"]
    visitor.unbind(stub_key)
    assert other.get("/account").status_code == 303
    assert visitor.client.cookies["keystead"] != before


async def _newest_session(site: Site) -> Session:
    return (await site.backend.sessions_of(site.account.id, clock.now()))[-1]


async def _prove_by_code(site: Site, session: Session) -> bool:
    """As if the code of this session had been typed: a mail a minute is all that a test could wait for."""
    return await site.backend.record_session(session.token_hash, replace(session, proof="code", proven_at=clock.now()))
