"""Binding a key, renaming it, taking it off suspension, unbinding it; and the row and the dialog that tell of it."""

import re
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from backends.records import Account
from tests.views.mails import mails, subjects
from tests.views.people import bound, is_in, recovery_codes, touch
from tests.views.unchanged import nothing_changes
from tests.web.test_middleware import PHONE
from tests.web.test_responses import CHROME_60
from webapp.accounts import keys, opening
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.clock import Clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site, running
from webapp.testing.stub_key import Attestation, Flavour, StubKey
from webapp.testing.visitor import U2F, Visitor, at_once


@pytest.fixture(params=["plain", "htmx"])
def visitor(request: pytest.FixtureRequest, keystead: Site) -> Visitor:
    """Logged on; once as a browser without scripts, once as htmx."""
    visitor = keystead.visitor(htmx=request.param == "htmx")
    visitor.log_on("zoe", keystead.password)
    return visitor


@pytest.mark.parametrize("flavour", ["u2f", "ctap2"])
@pytest.mark.parametrize("attestation", ["fido-u2f", "packed", "none"])
def test_the_whole_path(keystead: Site, visitor: Visitor, flavour: Flavour, attestation: Attestation) -> None:
    key = StubKey(flavour=flavour, attestation=attestation)
    visitor.bind(key, name="Blue")
    assert "Blue" in visitor.get("/account/security").text
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.get("/account").headers["location"] == "/logon/key"
    visitor.log_on_with(key)
    visitor.unbind(key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert is_in(visitor)


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


def test_a_proof_is_ten_minutes_old_at_most(keystead: Site, visitor: Visitor, keystead_clock: Clock, stub_key: StubKey) -> None:
    visitor.send_code()
    visitor.get(U2F)
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    visitor.begin_bind()
    keystead_clock.move(timedelta(minutes=10))
    visitor.finish_bind(stub_key)
    assert keystead.read().keys == ()
    visitor.get(U2F)
    assert visitor.page.form("/u2f/code")


def test_twenty_keys_are_the_most(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    def with_twenty(account: Account, act: Act) -> Decision:
        copies = [replace(account.keys[0], id=bytes([number] * 16), name=f"Key {number}") for number in range(19)]
        return Decision(replace(account, keys=(*account.keys, *copies)))

    visitor.bind(stub_key)
    keystead.change(keystead.account, with_twenty)
    visitor.get(U2F)
    visitor.begin_bind()
    answer = visitor.finish_bind(StubKey())
    assert answer.status_code == 422
    assert "No more keys fit" in answer.text
    assert len(keystead.read().keys) == 20


def test_of_two_sessions_that_proved_by_code_and_bind_at_once_no_more_than_one_binds(keystead: Site) -> None:
    racers = [keystead.visitor() for _ in range(6)]
    answers = []
    for racer in racers:
        racer.log_on("zoe", keystead.password)
        keystead.change(keystead.account, proven_by_code)
        racer.get(U2F)
        racer.begin_bind()
        answers.append(racer.answer(StubKey()))
    finishes = [partial(racer.post, f"{U2F}/bind/finish", answer) for racer, answer in zip(racers, answers, strict=True)]
    winners = [answer for answer in at_once(finishes) if answer.headers.get("location", "").endswith("/done")]
    assert len(keystead.read().keys) == len(winners) <= 1


def test_a_code_is_no_proof_any_more_once_a_key_is_bound(keystead: Site, stub_key: StubKey) -> None:
    """Whatever way the key came: here the proof by code is still fresh, and the session was not ended."""
    visitor = bound(keystead, stub_key)
    keystead.change(keystead.account, proven_by_code)
    assert visitor.post(f"{U2F}/keys/{stub_key.slug}/unbind").status_code == 403
    visitor.get(U2F)
    assert visitor.page.form("/prove/begin")
    assert len(keystead.read().keys) == 1


def test_a_key_that_is_bound_ends_every_other_session(keystead: Site, stub_key: StubKey) -> None:
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    visitor = bound(keystead, stub_key)
    assert not is_in(other)
    assert is_in(visitor)


# unbinding


def test_unbinding_needs_a_fresh_touch_of_a_key(
    keystead: Site, visitor: Visitor, keystead_clock: Clock, stub_key: StubKey
) -> None:
    slug = visitor.bind(stub_key)
    keystead_clock.move(timedelta(minutes=1))
    refused = visitor.post(f"{U2F}/keys/{slug}/unbind")
    assert refused.status_code == 403
    assert len(keystead.read().keys) == 1
    visitor.confirm_unbind(slug)
    assert visitor.page.form("/prove/begin"), "the dialog asks for the touch first"
    visitor.unbind(stub_key)
    assert keystead.read().keys == ()


def test_cancel_in_the_unbind_dialog_changes_nothing(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key)
    dialog = visitor.confirm_unbind(slug)
    assert dialog.status_code == 200
    assert 'href="/account/security"' in dialog.text
    assert len(keystead.read().keys) == 1


def test_unbinding_ends_every_other_session_and_makes_a_new_token(keystead: Site, stub_key: StubKey) -> None:
    visitor, other = bound(keystead, stub_key), keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    before = visitor.client.cookies["keystead"]
    visitor.unbind(stub_key)
    assert other.get("/account").status_code == 303
    assert visitor.client.cookies["keystead"] != before


def test_unbinding_the_last_key_makes_the_codes_void_and_says_so(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.unbind(stub_key)
    assert "recovery codes no longer work" in visitor.page.text
    assert keystead.read().recovery_codes == ()


def test_unbinding_one_key_of_two_leaves_the_codes(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.bind(StubKey(), prove_with=stub_key)
    visitor.unbind(stub_key)
    assert len(keystead.read().recovery_codes) == 10


# names


def test_a_key_can_be_renamed_and_a_name_is_shown_tidy(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key, name="Blue")
    visitor.follow(visitor.rename(slug, "  my \u202e\n<b>key</b>  " + "x" * 200))
    name = keystead.read().keys[0].name
    assert name.startswith("my <b>key</b> xxx")
    assert len(name) == 64
    assert "<b>key</b>" not in visitor.get("/account/security").text
    assert visitor.rename(slug, " ").status_code == 422


def test_who_renames_a_key_that_was_unbound_in_another_tab_is_told(visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key, name="Blue")
    visitor.unbind(stub_key)
    for known in (slug, "no slug!"):
        answer = visitor.client.get(f"{U2F}/row?rename={known}", headers={"hx-request": "true"})
        assert answer.status_code == 404
        assert "That key is no longer bound." in answer.text


def test_a_name_that_is_too_long_to_be_one_is_no_name(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    """Normalising takes time that grows with the square of a text's length, so that it is measured first."""
    slug = visitor.bind(stub_key, name="Blue")
    assert visitor.rename(slug, "a\u0301\u0327" * 5000).status_code == 422
    assert keystead.read().keys[0].name == "Blue"


def test_another_accounts_key_is_not_found(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    slug = visitor.bind(stub_key)
    other = keystead.visitor(keystead.add_account("yan"))
    other.log_on("yan", keystead.password)
    other.bind(StubKey())
    assert other.confirm_unbind(slug).status_code == 404
    assert other.post(f"{U2F}/keys/{slug}/unbind").status_code == 404
    assert other.post(f"{U2F}/keys/{slug}/name", {"name": "mine"}).status_code == 404
    assert [key.name for key in keystead.read().keys] == ["Security key"]


@pytest.mark.parametrize("slug", ["x", "%00", "not-base64!", "é", "A" * 3000])
def test_an_address_that_names_no_key_is_not_found(keystead: Site, visitor: Visitor, stub_key: StubKey, slug: str) -> None:
    visitor.bind(stub_key)
    assert visitor.get(f"{U2F}/keys/{slug}/unbind").status_code == 404
    for deed in ("unbind", "name", "reinstate"):
        assert visitor.post(f"{U2F}/keys/{slug}/{deed}").status_code == 404


# a suspended key


def suspended(account: Account, act: Act) -> Decision:
    """As after *This was not me*, or after a wait, once its owner is in again."""
    account, events = opening.suspend_all(account, act)
    return Decision(account, events)


def test_a_suspended_key_is_asked_for_again_once_its_owner_says_so(keystead: Site, stub_key: StubKey) -> None:
    """The only key is suspended: showing who one is takes a code, as without any key."""
    visitor = bound(keystead, stub_key)
    keystead.change(keystead.account, suspended)
    assert "Suspended" in visitor.get("/account/security").text
    assert visitor.page.form("/reinstate")
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.get(f"{U2F}?then=/account/security")
    visitor.follow(visitor.send_code())
    visitor.follow(visitor.verify(keystead.mailbox.code()))
    visitor.follow(visitor.submit("/reinstate"))
    assert "The key is asked for at logon again." in visitor.page.said
    assert keystead.read().keys[0].suspended_at is None
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.get("/account").headers["location"] == "/logon/key"


def test_reinstating_a_key_needs_a_touch_of_another_one(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    theirs = StubKey()
    visitor = bound(keystead, stub_key)
    slug = visitor.bind(theirs, name="Theirs", prove_with=stub_key)

    def one_suspended(account: Account, act: Act) -> Decision:
        changed = tuple(replace(key, suspended_at=act.now) if key.name == "Theirs" else key for key in account.keys)
        return Decision(replace(account, keys=changed))

    keystead.change(keystead.account, one_suspended)
    keystead_clock.move(timedelta(minutes=1))
    with nothing_changes(keystead):
        assert visitor.post(f"{U2F}/keys/{slug}/reinstate").headers["location"].startswith(U2F)
        visitor.get(f"{U2F}?then=/account/security")
        visitor.begin_prove()
        assert visitor.finish_prove(theirs, unlisted=True).status_code == 422, "a suspended key proves nothing"
    touch(visitor, stub_key, then="/account/security")
    assert visitor.submit("/reinstate").headers["location"] == "/account/security?notice=reinstated"
    assert all(key.suspended_at is None for key in keystead.read().keys)


def test_a_suspended_key_is_not_asked_for_at_logon_beside_one_that_is_not(keystead: Site, stub_key: StubKey) -> None:
    theirs = StubKey()
    visitor = bound(keystead, stub_key)
    visitor.bind(theirs, name="Theirs", prove_with=stub_key)

    def one_suspended(account: Account, act: Act) -> Decision:
        suspended, _ = keys.suspend(account, act, account.keys[1].bound_at)
        return Decision(suspended)

    keystead.change(keystead.account, one_suspended)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert "Theirs" not in visitor.page.text
    visitor.begin_key()
    assert visitor.finish_key(theirs, unlisted=True).status_code == 422
    visitor.log_on_with(stub_key)


def test_a_suspended_key_can_be_unbound(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    keystead.change(keystead.account, suspended)
    visitor.confirm_unbind(stub_key.slug)
    assert visitor.page.form("/unbind")
    visitor.unbind(stub_key)
    assert keystead.read().keys == ()


# the page, the dialog and the row


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
    assert "is bound" in visitor.get(f"{U2F}/done").text


def test_a_dialog_that_looks_while_the_session_gets_a_new_cookie_goes_on_with_it(
    keystead: Site, visitor: Visitor, stub_key: StubKey
) -> None:
    since = re.findall(r"since=(\d+)", visitor.get(f"{U2F}/dialog").text)[0]
    before = dict(visitor.client.cookies)
    visitor.bind(stub_key)
    late = keystead.visitor()
    late.client.cookies.update(before)
    looked = late.client.get(f"{U2F}/dialog?since={since}", headers={"hx-request": "true"})
    assert (looked.status_code, looked.headers["hx-redirect"]) == (200, f"{U2F}/dialog?since={since}")
    assert "Your key is bound" in visitor.get(looked.headers["hx-redirect"]).text, "by then the browser has the new cookie"
    assert late.get(looked.headers["hx-redirect"]).headers["location"].startswith("/logon?next="), "who has none logs on"


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
    assert {"A security key was bound to your account", "A security key was unbound from your account"} <= set(subjects(keystead))
    for mail in mails(keystead):
        assert "ignore" not in text_of(mail).lower()
        assert re.search("Key +Blue", text_of(mail)) or "code" in str(mail["subject"])


# who cannot use a key here


def test_a_phone_is_told_in_the_row_and_at_the_first_step_before_a_code_is_mailed(
    keystead: Site, visitor: Visitor, stub_key: StubKey
) -> None:
    visitor.client.headers["user-agent"] = PHONE
    row = visitor.get("/account/security").text
    assert "Use a computer for this" in row
    assert 'id="bind-link"' not in row
    visitor.get(U2F)
    assert "Use a computer for this" in visitor.page.text
    assert not visitor.page.form("/u2f/code"), "no code is mailed for nothing"


def test_an_old_browser_and_one_without_scripts_are_told_in_the_row_and_at_the_first_step(
    keystead: Site, visitor: Visitor
) -> None:
    for path in ("/account/security", U2F):
        assert "<noscript>" in visitor.get(path).text
    visitor.client.headers["user-agent"] = CHROME_60
    for path in ("/account/security", U2F):
        assert "Chrome has it from version 67 on." in visitor.get(path).text


def test_a_phone_at_the_key_step_is_offered_a_recovery_code(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.client.headers["user-agent"] = PHONE
    visitor.log_on("zoe", keystead.password)
    assert '<a class="button first wide" href="/logon/recovery">See what else helps' in visitor.get("/logon/key").text


# the preview


def test_a_bound_account_outside_the_preview_is_told_so_and_not_asked(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("site"), preview="listed") as site:
        visitor, key = site.visitor(), StubKey()
        visitor.log_on("zoe", site.password)
        visitor.bind(key)
        assert "does not ask this account" in visitor.get(f"{U2F}/done").text
        assert "does not ask this account" in visitor.get("/account/security").text
        visitor.log_off()
        visitor.log_on("zoe", site.password)
        assert is_in(visitor)
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


def proven_by_code(account: Account, act: Act) -> Decision:
    """As if the newest session had typed a code: a mail a minute is all that a test could wait for."""
    *others, newest = account.sessions
    return Decision(replace(account, sessions=(*others, replace(newest, proof="code", proven_at=act.now))))
