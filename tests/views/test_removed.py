"""What is left of a removed account for its person and for whoever comes after; and one that the deployer froze."""

from tests.views.mails import subjects, token_in
from webapp.accounts import identities, removal
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


def test_an_account_that_the_deployer_froze_says_who_can_open_it(keystead: Site, half_signed_in: Visitor) -> None:
    keystead.change(keystead.account, identities.bar)
    assert half_signed_in.get("/logon/key").headers["location"].startswith("/logon")
    answer = keystead.visitor().submit_password("zoe", keystead.password)
    assert answer.status_code == 403
    assert "Ask whoever runs Keystead." in answer.text
    keystead.change(keystead.account, identities.unfreeze)
    assert keystead.visitor().submit_password("zoe", keystead.password).headers["location"].startswith("/logon/key")
