"""Changing the e-mail address: a code to the new one, a notice to the old one."""

from datetime import timedelta

import pytest

from tests.views.mails import mails, subjects, token_in
from tests.views.people import bound, is_in, touch, twin
from tests.views.unchanged import nothing_changes
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

ELSEWHERE = "zoe@elsewhere.example"


def ask(site: Site, visitor: Visitor) -> str:
    """Have the code sent to the new address; the code."""
    visitor.get("/account/email")
    visitor.follow(visitor.submit("/account/email", email=ELSEWHERE))
    return site.mailbox.code(ELSEWHERE)


def test_an_email_address_is_changed_by_a_code_to_the_new_one_and_a_notice_to_the_old(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/email")
    assert visitor.submit("/account/email", email="no address").status_code == 422
    code = ask(keystead, visitor)
    assert visitor.submit("/email/verify", code=str((int(code) + 1) % 10**6).zfill(6)).status_code == 422
    visitor.follow(visitor.submit("/email/verify", code=code))
    assert "e-mail address is changed" in visitor.page.text
    assert keystead.read().email == ELSEWHERE
    notice = [mail for mail in mails(keystead) if "address was changed" in str(mail["subject"])]
    assert [str(mail["to"]) for mail in notice] == ["zoe@example.com"]


def test_another_address_ends_every_other_session_and_makes_a_new_token(keystead: Site, stub_key: StubKey) -> None:
    visitor, other = bound(keystead, stub_key), keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    code = ask(keystead, visitor)
    thief = twin(keystead, visitor)
    visitor.follow(visitor.submit("/email/verify", code=code))
    assert is_in(visitor)
    assert not is_in(other)
    assert not is_in(thief), "the token of before is worth nothing"


def test_sending_the_code_wants_a_touch_and_leads_back_after_it(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=1))
    visitor.get("/account/email")
    visitor.client.headers["referer"] = f"{keystead.settings.origin}/account/email"
    with nothing_changes(keystead):
        visitor.follow(visitor.submit("/account/email", email=ELSEWHERE))
    assert "show once more that it is you" in visitor.page.text
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    visitor.follow(visitor.submit("/account/email", email=ELSEWHERE))
    assert visitor.page.form("/email/verify")


def test_the_code_that_was_sent_may_be_typed_for_as_long_as_the_proof_lasts(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    code = ask(keystead, visitor)
    keystead_clock.move(timedelta(minutes=9))
    visitor.follow(visitor.submit("/email/verify", code=code))
    assert keystead.read().email == ELSEWHERE


def test_a_code_that_has_expired_says_so_and_another_goes_to_the_same_address(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    ask(keystead, visitor)
    keystead_clock.move(timedelta(minutes=10))
    touch(visitor, stub_key, "/account/email")
    assert "This code has expired" in visitor.get("/account/email").text
    assert "Send a new code" in visitor.page.text
    visitor.follow(visitor.submit("/account/email"))
    visitor.follow(visitor.submit("/email/verify", code=keystead.mailbox.code(ELSEWHERE)))
    assert keystead.read().email == ELSEWHERE


def test_after_five_wrong_tries_another_code_is_sent_at_once(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    code = ask(keystead, visitor)
    wrong = {"code": str((int(code) + 1) % 10**6).zfill(6)}
    answers = [visitor.post("/account/email/verify", wrong) for _ in range(5)]
    assert "no tries left" in answers[-1].text
    visitor.get("/account/email")
    assert not visitor.page.form("/email/verify")
    visitor.follow(visitor.submit("/account/email"))
    visitor.follow(visitor.submit("/email/verify", code=keystead.mailbox.code(ELSEWHERE)))
    assert keystead.read().email == ELSEWHERE


def test_ones_own_address_is_no_new_one(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/email")
    assert "your address already" in visitor.submit("/account/email", email="zoe@example.com").text


@pytest.mark.parametrize("address", ["", "a@", "@b", "a b@c", "a@b@c", "x" * 65 + "@example.com", "a@" + "b" * 400, "a@b,c@d"])
def test_what_is_no_address_gets_no_mail(keystead: Site, stub_key: StubKey, address: str) -> None:
    visitor = bound(keystead, stub_key)
    before = len(mails(keystead))
    with nothing_changes(keystead):
        assert visitor.post("/account/email", {"email": address}).status_code == 422
    assert len(mails(keystead)) == before


def test_a_code_to_another_address_proves_nothing_else(keystead: Site, stub_key: StubKey) -> None:
    """Nor is a code for binding one that changes the address."""
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.follow(visitor.send_code())
    binding = keystead.mailbox.code("zoe@example.com")
    visitor.follow(visitor.verify(binding))
    code = ask(keystead, visitor)
    assert visitor.post("/account/email/verify", {"code": binding}).status_code == 422
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    assert other.post(f"{U2F}/verify", {"code": code}).status_code == 422


def test_a_stranger_who_changed_the_address_is_told_of_to_the_old_one_and_can_be_stopped_there(
    keystead: Site, stub_key: StubKey
) -> None:
    thief = bound(keystead, stub_key)
    code = ask(keystead, thief)
    thief.follow(thief.submit("/email/verify", code=code))
    assert subjects(keystead, "zoe@example.com")[0] == "Your e-mail address was changed"
    owner = keystead.visitor()
    assert owner.post("/not-me", {"token": token_in(keystead, "/not-me")}).status_code == 200
    assert not is_in(thief)
