"""*This was not me*: everybody is out, what was bound since is suspended, and the mailbox alone opens nothing."""

from functools import partial

import pytest

from tests.views.mails import link_in, mails, subjects, token_in
from tests.views.people import NEW, bound, is_in, recovery_codes
from tests.views.unchanged import nothing_changes
from webapp import clock
from webapp.accounts import links
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once


def press(site: Site, link: str | None = None) -> Visitor:
    """Somebody who reads the mailbox follows the newest link, and presses the button."""
    visitor = site.visitor()
    visitor.get(link or link_in(site, "/not-me"))
    visitor.submit("/not-me")
    assert "Your account is frozen" in visitor.page.text
    return visitor


def set_a_new_password(site: Site, visitor: Visitor) -> None:
    """By the mailed link."""
    visitor.post("/logon/forgotten", {"username": "zoe"})
    visitor.get(link_in(site, "/logon/reset"))
    assert visitor.submit("/logon/reset", new=NEW).headers["location"] == "/logon?notice=password"


def suspended(site: Site) -> dict[str, bool]:
    """The keys by name, and whether each is suspended."""
    return {key.name: key.suspended_at is not None for key in site.read().keys}


def test_this_was_not_me_ends_sessions_takes_back_what_was_bound_since_and_freezes(keystead: Site) -> None:
    mine, theirs = StubKey(), StubKey()
    owner = bound(keystead, mine)
    codes = recovery_codes(owner)
    thief = keystead.visitor()
    thief.log_on("zoe", keystead.password, mine)
    thief.bind(theirs, name="Theirs", prove_with=mine)
    page = keystead.visitor()
    link = link_in(keystead, "/not-me")
    page.get(link)
    assert is_in(thief), "following the link does nothing"
    press(keystead, link)
    assert thief.get("/account").status_code == 303
    assert keystead.read().sessions == (), "none comes back with the account"
    assert suspended(keystead) == {"Security key": False, "Theirs": True}
    assert page.post("/not-me", {"token": link.partition("token=")[2]}).status_code == 410
    frozen = thief.submit_password("zoe", keystead.password)
    assert frozen.status_code == 403
    assert "This account is frozen" in frozen.text
    assert thief.submit_password("zoe", "wrong").status_code == 401
    set_a_new_password(keystead, owner)
    owner.log_on("zoe", NEW)
    assert owner.get("/account").headers["location"] == "/logon/key"
    assert owner.post("/logon/recovery", {"code": codes[1]}).status_code == 303
    assert is_in(owner)
    assert keystead.read().frozen_at is None


def test_the_page_names_account_event_key_time_and_browser_before_anything_is_pressed(keystead: Site, stub_key: StubKey) -> None:
    owner = keystead.visitor(address="198.51.100.9")
    owner.log_on("zoe", keystead.password)
    owner.bind(stub_key, name="Blue")
    owner.log_off()
    with nothing_changes(keystead):
        page = keystead.visitor().get(link_in(keystead, "/not-me")).text
    for fact in (
        "z••• (z•••@example.com)",
        "A security key was bound: <bdi>Blue</bdi>",
        "198.51.100.9",
        "<dt>Browser</dt>",
        "<time datetime=",
    ):
        assert fact in page
    assert "zoe" not in page, "the link may have been passed on"


def test_a_page_about_an_event_that_is_no_longer_kept_says_when_it_was(keystead: Site, stub_key: StubKey) -> None:
    bound(keystead, stub_key)
    made = links.make(keystead.settings, "not me", keystead.account.id, "1764000000000", clock.now())
    page = keystead.visitor().get(made.removeprefix(keystead.settings.public_url)).text
    assert "Something that happened" in page
    assert "24 November 2025" in page


# the mailbox alone never removes a factor


def test_who_reads_the_mailbox_and_nothing_else_does_not_get_in(keystead: Site, stub_key: StubKey) -> None:
    """The link in *A key was bound*, then a password reset: it was all that was needed once, because the key was deleted."""
    bound(keystead, stub_key)
    thief = press(keystead)
    set_a_new_password(keystead, thief)
    thief.log_on("zoe", NEW)
    assert thief.get("/account").headers["location"] == "/logon/key"
    with nothing_changes(keystead):
        thief.get("/logon/key")
        thief.begin_key()
        assert thief.finish_key(StubKey()).status_code == 422
        assert thief.post("/logon/recovery", {"code": "AAAA-BBBB-CCCC-DDDD"}).status_code == 422
        assert thief.post(f"{U2F}/code").headers["location"] == "/logon/key"
        assert thief.post("/logon/wait").status_code == 303
    assert not is_in(thief)
    assert suspended(keystead) == {"Security key": True}


def test_a_frozen_account_opens_with_a_new_password_and_a_suspended_key_which_is_asked_for_again(
    keystead: Site, stub_key: StubKey
) -> None:
    owner = bound(keystead, stub_key)
    press(keystead)
    set_a_new_password(keystead, owner)
    owner.log_on("zoe", NEW, stub_key)
    assert is_in(owner)
    assert keystead.read().frozen_at is None
    assert suspended(keystead) == {"Security key": False}
    owner.log_off()
    owner.log_on("zoe", NEW)
    assert owner.get("/account").headers["location"] == "/logon/key"


def test_the_key_alone_opens_no_frozen_account_until_a_new_password_is_set(keystead: Site, stub_key: StubKey) -> None:
    owner = bound(keystead, stub_key)
    press(keystead)
    assert owner.submit_password("zoe", keystead.password).status_code == 403


def test_a_frozen_account_opens_with_a_recovery_code_from_before_and_its_keys_wait_for_a_decision(keystead: Site) -> None:
    mine, theirs = StubKey(), StubKey()
    owner = bound(keystead, mine)
    codes = recovery_codes(owner)
    owner.bind(theirs, name="Theirs", prove_with=mine)
    press(keystead)
    set_a_new_password(keystead, owner)
    owner.log_on("zoe", NEW)
    owner.get("/logon/recovery")
    owner.follow(owner.submit("/logon/recovery", code=codes[0]))
    assert "Suspended" in owner.page.text
    assert suspended(keystead) == {"Security key": False, "Theirs": True}


def test_recovery_codes_that_a_stranger_made_are_void_once_the_owner_says_so(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password, stub_key)
    codes = recovery_codes(visitor)
    press(keystead)
    assert keystead.read().recovery_codes == ()
    assert len(keystead.read().keys) == 1
    set_a_new_password(keystead, visitor)
    visitor.log_on("zoe", NEW)
    assert visitor.post("/logon/recovery", {"code": codes[0]}).status_code == 422


def test_recovery_codes_from_before_the_mails_event_still_work(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    keystead.visitor().log_on("zoe", keystead.password, stub_key)
    assert subjects(keystead)[0] == "A logon from a new browser"
    press(keystead)
    assert len(keystead.read().recovery_codes) == 10


def test_a_frozen_account_without_a_key_opens_with_the_new_password(keystead: Site, stub_key: StubKey) -> None:
    """There is nothing else to show; whoever runs the site is told so in docs/security.md."""
    visitor = bound(keystead, stub_key)
    visitor.unbind(stub_key)
    press(keystead)
    set_a_new_password(keystead, visitor)
    visitor.log_on("zoe", NEW)
    assert is_in(visitor)
    assert keystead.read().frozen_at is None


# the link


def test_of_fifty_presses_of_one_not_me_link_one_wins(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    token = token_in(keystead, "/not-me")
    answers = at_once([partial(visitor.post, "/not-me", {"token": token})] * 50)
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 49


@pytest.mark.parametrize("other", ["/logon/reset", "/logon/known"])
def test_a_link_of_another_purpose_freezes_nothing(keystead: Site, stub_key: StubKey, other: str) -> None:
    visitor = bound(keystead, stub_key)
    visitor.post("/logon/forgotten", {"username": "zoe"})
    visitor.post("/logon/known/ask", {"username": "zoe"})
    with nothing_changes(keystead):
        for token in (token_in(keystead, other), "", "x", "a.b", "é", "e30.x"):
            assert visitor.get(f"/not-me?token={token}").status_code == 410
            assert visitor.post("/not-me", {"token": token}).status_code == 410


def test_every_letter_of_news_has_the_link_and_none_says_to_ignore_it(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.unbind(stub_key)
    for mail in mails(keystead):
        text = text_of(mail)
        assert "ignore" not in text.lower()
        assert ("/not-me?token=" in text) is ("verification code" not in str(mail["subject"]))
