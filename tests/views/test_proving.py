"""Showing that it is you: a code by e-mail while no key is bound, a touch of a bound key otherwise."""

import re
from datetime import timedelta

import pytest

from tests.views.mails import mails
from tests.views.people import bound, twin
from tests.views.unchanged import nothing_changes
from webapp.accounts import codes
from webapp.testing.clock import Clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor


@pytest.fixture(params=["plain", "htmx"])
def visitor(request: pytest.FixtureRequest, keystead: Site) -> Visitor:
    """Logged on; once as a browser without scripts, once as htmx."""
    visitor = keystead.visitor(htmx=request.param == "htmx")
    visitor.log_on("zoe", keystead.password)
    return visitor


def another(code: str) -> str:
    """Six digits that are not this code."""
    return str((int(code) + 1) % 10**6).zfill(6)


def test_a_code_is_mailed_and_the_page_shows_only_a_masked_address(keystead: Site, visitor: Visitor) -> None:
    page = visitor.get(U2F).text
    assert "z•••@example.com" in page
    assert "zoe@example.com" not in page
    visitor.follow(visitor.send_code())
    mail = keystead.mailbox.newest()
    assert str(mail["to"]) == "zoe@example.com"
    assert keystead.mailbox.code() in text_of(mail)
    links = re.findall(r"https?://\S+", text_of(mail))
    assert links == [f"{keystead.settings.public_url}{U2F}"], "it opens the page, and has nothing in it that could prove anything"
    assert "Chrome on Linux" in text_of(mail)


def test_sending_again_within_a_minute_is_refused_and_after_it_sends_the_same_code(
    keystead: Site, visitor: Visitor, keystead_clock: Clock
) -> None:
    visitor.follow(visitor.send_code())
    first = keystead.mailbox.code()
    too_early = visitor.submit("/u2f/code")
    assert too_early.status_code == 429
    assert 0 < int(too_early.headers["retry-after"]) <= 60
    assert len(mails(keystead)) == 1
    keystead_clock.move(timedelta(seconds=60))
    visitor.follow(visitor.submit("/u2f/code"))
    assert len(mails(keystead)) == 2
    assert keystead.mailbox.code() == first


def test_a_wrong_code_says_how_many_tries_are_left_and_the_sixth_guess_is_not_judged(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    said = [visitor.post(f"{U2F}/verify", {"code": another(code)}) for _ in range(5)]
    assert {answer.status_code for answer in said} == {422}
    for left, answer in zip(("4 tries left", "3 tries left", "2 tries left", "1 try left", "no tries left"), said, strict=True):
        assert left in answer.text
    assert visitor.post(f"{U2F}/verify", {"code": code}).status_code == 422
    assert "no tries left" in visitor.post(f"{U2F}/verify", {"code": code}).text


def test_after_five_wrong_tries_the_one_button_sends_a_new_code_at_once(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    for _ in range(5):
        visitor.post(f"{U2F}/verify", {"code": another(code)})
    assert "Send a new code" in visitor.get(U2F).text
    assert not visitor.page.form("/u2f/verify")
    visitor.follow(visitor.submit("/u2f/code"))
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    assert visitor.page.form("/bind/begin")


def test_what_is_not_six_digits_costs_no_try(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    for text in ("", "12345", "1234567", "abcdef", "12 34"):
        assert visitor.post(f"{U2F}/verify", {"code": text}).status_code == 422
    assert [code.tries_left for code in keystead.read().codes] == [codes.MAX_TRIES]


def test_a_code_is_taken_with_blanks_and_dashes(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    visitor.follow(visitor.verify(f" {code[:3]}-{code[3:]} "))
    assert visitor.page.form("/bind/begin")


def test_a_code_dies_after_ten_minutes(keystead: Site, visitor: Visitor, keystead_clock: Clock) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    keystead_clock.move(timedelta(minutes=10))
    late = visitor.post(f"{U2F}/verify", {"code": code})
    assert late.status_code == 422
    assert "This code has expired" in late.text
    assert "This code has expired" in visitor.get(U2F).text
    assert visitor.page.form("/u2f/code")
    assert not visitor.page.form("/u2f/verify")


def test_where_no_mail_may_leave_yet_the_button_waits(keystead: Site, visitor: Visitor) -> None:
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    assert "data-wait=" not in visitor.get(U2F).text
    other.follow(other.send_code())
    assert 'data-wait="60"' in visitor.get(U2F).text
    assert 'data-wait="60"' in visitor.submit("/u2f/code").text


def test_a_code_works_only_in_the_session_that_asked_for_it(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    assert other.post(f"{U2F}/verify", {"code": keystead.mailbox.code()}).status_code == 422
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    assert visitor.page.form("/bind/begin")


def test_a_code_is_used_up_by_its_use(keystead: Site, visitor: Visitor) -> None:
    visitor.follow(visitor.send_code())
    code = keystead.mailbox.code()
    visitor.follow(visitor.verify(code))
    assert visitor.post(f"{U2F}/verify", {"code": code}).status_code == 422
    assert keystead.read().codes == ()


def test_ten_mails_a_day_are_the_most(keystead: Site, visitor: Visitor, keystead_clock: Clock) -> None:
    for _ in range(10):
        assert visitor.post(f"{U2F}/code").status_code in (200, 303)
        keystead_clock.move(timedelta(seconds=61))
    refused = visitor.post(f"{U2F}/code")
    assert refused.status_code == 429
    assert "hours" in refused.text
    assert f'data-wait="{refused.headers["retry-after"]}"' in refused.text
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


def test_once_a_key_is_bound_a_code_by_mail_is_no_longer_offered_or_taken(
    keystead: Site, visitor: Visitor, stub_key: StubKey
) -> None:
    visitor.bind(stub_key)
    sent = len(mails(keystead))
    answer = visitor.post(f"{U2F}/code")
    assert "/prove/begin" in answer.text
    assert len(mails(keystead)) == sent
    assert "/prove/begin" in visitor.post(f"{U2F}/verify", {"code": "123456"}).text


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_who_is_not_signed_in_is_sent_to_the_logon(keystead: Site, htmx: bool) -> None:
    visitor = keystead.visitor(htmx=htmx)
    answer = visitor.post(f"{U2F}/code")
    assert answer.headers.get("hx-refresh") == "true" if htmx else answer.headers["location"] == "/logon?notice=ended"


def test_who_was_idle_for_ten_minutes_is_told_to_prove_again_and_loses_nothing(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    visitor.client.headers["referer"] = f"{keystead.settings.origin}/account/recovery"
    keystead_clock.move(timedelta(minutes=10))
    visitor.follow(visitor.submit("/account/recovery"))
    assert "show once more that it is you" in visitor.page.text
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    assert visitor.page.form("/account/recovery"), "back where it was wanted"


def test_a_proof_makes_a_new_token_and_the_old_one_is_worth_nothing(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    thief = twin(keystead, visitor)
    keystead_clock.move(timedelta(minutes=10))
    visitor.get(U2F)
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    assert thief.get("/account").status_code == 303
    assert visitor.get("/account").status_code == 200


def test_a_proof_leads_to_no_other_site(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=10))
    visitor.get(f"{U2F}?then=https://evil.example/")
    visitor.begin_prove()
    fields = visitor.answer(stub_key) | {"then": "//evil.example/"}
    assert "evil" not in str(visitor.post(f"{U2F}/prove/finish", fields).headers)


def test_a_proof_that_is_not_needed_begins_no_ceremony(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    with nothing_changes(keystead):
        assert "/bind/begin" in visitor.post(f"{U2F}/prove/begin").text
