"""Everybody honest gets back in: the ways of a lost key, a lost mailbox, a forgotten password, and a stranger in the account."""

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest

from webapp import clock
from webapp.testing.clock import Clock
from webapp.testing.mailbox import text_of
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once

NEW = "a new and longer password"


def recovery_codes(visitor: Visitor) -> list[str]:
    """Make ten, and put them in force by typing the third."""
    visitor.get("/account/recovery")
    page = visitor.submit("/account/recovery").text
    codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", page)
    visitor.follow(visitor.submit("/recovery/confirm", code=codes[2].lower().replace("-", " ")))
    return codes


def link_in(site: Site, path: str) -> str:
    """The newest mailed link to this page, from its path on."""
    found = re.findall(rf"{site.settings.public_url}({path}\?token=\S+)", "\n".join(text_of(m) for m in site.mailbox.mails()))
    assert found, f"no mail has a link to {path}"
    return str(found[0])  # the newest mail comes first


def bound(site: Site, key: StubKey) -> Visitor:
    """Somebody who is logged on and has bound this key."""
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    visitor.bind(key)
    return visitor


def test_ten_recovery_codes_are_shown_once_and_are_in_force_when_one_was_typed(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get(f"{U2F}/done")
    page = visitor.submit("/account/recovery").text
    codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", page)
    assert len(set(codes)) == 10
    assert keystead.call(keystead.backend.recovery_codes_of, keystead.account.id) == []
    wrong = visitor.submit("/recovery/confirm", code="AAAA-AAAA-AAAA-AAAA")
    assert wrong.status_code == 422
    assert not any(code in wrong.text for code in codes)
    codes = recovery_codes(visitor)
    kept = keystead.call(keystead.backend.recovery_codes_of, keystead.account.id)
    assert len(kept) == 10
    assert not any(code.encode() in kept[0].digest for code in codes)
    assert "10 left" in visitor.get("/account/security").text


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
    assert [key.name for key in keystead.call(keystead.backend.keys_of, keystead.account.id)] == ["Another"]
    used = [mail for mail in keystead.mailbox.mails() if "recovery code was used" in str(mail["subject"])]
    assert "Codes left  9" in text_of(used[0])


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
    visitor = bound(keystead, stub_key)
    code = recovery_codes(visitor)[0]
    racers = [keystead.visitor(address=f"192.0.2.{n}") for n in range(50)]
    for racer in racers:
        racer.submit_password("zoe", keystead.password)
    at_once([partial(racer.post, "/logon/recovery", {"code": code}) for racer in racers])
    spent = [kept for kept in keystead.call(keystead.backend.recovery_codes_of, keystead.account.id) if kept.spent_at]
    assert len(spent) == 1
    assert sum(racer.get("/account").status_code == 200 for racer in racers) == 1


def test_new_codes_replace_the_old_ones_and_a_shown_set_is_put_in_force_once(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    old = recovery_codes(visitor)
    visitor.get("/account/recovery")
    page = visitor.submit("/account/recovery").text
    new = re.findall(r"<code>([A-Z2-7-]{19})</code>", page)
    form = visitor.page.form("/recovery/confirm")
    assert form
    answers = at_once([lambda: visitor.post("/account/recovery/confirm", form.fields | {"code": new[0]}).status_code] * 20)
    assert sorted(answers) == [303] + [409] * 19
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.post("/logon/recovery", {"code": old[0]}).status_code == 422
    assert visitor.post("/logon/recovery", {"code": new[0]}).status_code == 303


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


def test_unbinding_the_last_key_makes_the_codes_void_and_says_so(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.unbind(stub_key)
    assert "recovery codes no longer work" in visitor.page.text
    assert keystead.call(keystead.backend.recovery_codes_of, keystead.account.id) == []


def test_the_account_page_nudges_while_there_is_one_key_and_no_codes(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    assert "one key and no recovery codes" in visitor.get("/account").text
    recovery_codes(visitor)
    assert "one key and no recovery codes" not in visitor.get("/account").text


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


def test_a_reset_link_says_the_same_for_names_that_nobody_has(keystead: Site, keystead_visitor: Visitor) -> None:
    answers = [keystead_visitor.post("/logon/forgotten", {"username": name}) for name in ("zoe", "nobody", "", "x" * 5000)]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1
    assert len(list(keystead.mailbox.mails())) == 1


def test_a_reset_link_works_once_for_thirty_minutes_and_of_fifty_uses_one_wins(
    keystead: Site, keystead_visitor: Visitor, keystead_clock: Clock
) -> None:
    keystead_visitor.post("/logon/forgotten", {"username": "zoe"})
    token = link_in(keystead, "/logon/reset").partition("token=")[2]
    keystead_clock.move(timedelta(minutes=30))
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410
    keystead_visitor.post("/logon/forgotten", {"username": "zoe"})
    token = link_in(keystead, "/logon/reset").partition("token=")[2]
    uses = [partial(keystead_visitor.post, "/logon/reset", {"token": token, "new": f"{NEW} {n}"}) for n in range(50)]
    assert sorted(answer.status_code for answer in at_once(uses)) == [303] + [410] * 49
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410


def test_three_reset_mails_an_hour_are_the_most_for_one_account(keystead: Site, keystead_visitor: Visitor) -> None:
    for _ in range(6):
        assert keystead_visitor.post("/logon/forgotten", {"username": "zoe"}).status_code == 200
    assert len(list(keystead.mailbox.mails())) == 3


def test_a_password_is_changed_with_the_old_one_and_everybody_else_is_logged_off(
    keystead: Site, keystead_visitor: Visitor
) -> None:
    other = keystead.visitor()
    other.log_on("zoe", keystead.password)
    keystead_visitor.log_on("zoe", keystead.password)
    asked = keystead_visitor.get("/account/password")
    assert asked.headers["location"] == f"{U2F}?then=%2Faccount%2Fpassword", "it needs a proof first"
    keystead_visitor.follow(asked)
    keystead_visitor.follow(keystead_visitor.submit("/u2f/code"))
    keystead_visitor.follow(keystead_visitor.submit("/u2f/verify", code=keystead.mailbox.code()))
    assert keystead_visitor.page.form("/account/password"), "and leads back"
    assert "old password is wrong" in keystead_visitor.submit("/account/password", old="wrong", new=NEW).text
    for weak in ("short", "zoe@example.com", "aaaaaaaaaaaaaaaa", "1q2w3e4r5t6y", "qwertyuiop123"):
        assert keystead_visitor.submit("/account/password", old=keystead.password, new=weak).status_code == 422, weak
    keystead_visitor.follow(keystead_visitor.submit("/account/password", old=keystead.password, new=NEW))
    assert "Your password is changed" in keystead_visitor.page.text
    assert other.get("/account").status_code == 303
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", NEW)


def test_an_email_address_is_changed_by_a_code_to_the_new_one_and_a_notice_to_the_old(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/email")
    assert visitor.submit("/account/email", email="no address").status_code == 422
    visitor.follow(visitor.submit("/account/email", email="zoe@elsewhere.example"))
    code = keystead.mailbox.code("zoe@elsewhere.example")
    assert visitor.submit("/email/verify", code=str((int(code) + 1) % 10**6).zfill(6)).status_code == 422
    visitor.follow(visitor.submit("/email/verify", code=code))
    assert "e-mail address is changed" in visitor.page.text
    account = keystead.call(keystead.backend.account, keystead.account.id)
    assert account is not None
    assert account.email == "zoe@elsewhere.example"
    notice = [m for m in keystead.mailbox.mails() if "address was changed" in str(m["subject"])]
    assert [str(m["to"]) for m in notice] == ["zoe@example.com"]


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
    assert thief.get("/account").status_code == 200, "following the link does nothing"
    page.submit("/not-me")
    assert "Your account is frozen" in page.page.text
    assert thief.get("/account").status_code == 303
    assert keystead.call(keystead.backend.sessions_of, keystead.account.id, clock.now()) == [], "none comes back with the account"
    assert [key.name for key in keystead.call(keystead.backend.keys_of, keystead.account.id)] == ["Security key"]
    assert page.post("/not-me", {"token": link.partition("token=")[2]}).status_code == 410
    frozen = thief.submit_password("zoe", keystead.password)
    assert frozen.status_code == 403
    assert "This account is frozen" in frozen.text
    assert thief.submit_password("zoe", "wrong").status_code == 401
    owner.post("/logon/forgotten", {"username": "zoe"})
    owner.get(link_in(keystead, "/logon/reset"))
    owner.submit("/logon/reset", new=NEW)
    owner.log_on("zoe", NEW)
    assert owner.get("/account").headers["location"] == "/logon/key"
    assert owner.post("/logon/recovery", {"code": codes[1]}).status_code == 303
    assert owner.get("/account").status_code == 200


def test_a_frozen_account_owes_its_key_even_outside_the_preview(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.unbind(stub_key)
    link = link_in(keystead, "/not-me")
    visitor.get(link)
    visitor.submit("/not-me")
    visitor.post("/logon/forgotten", {"username": "zoe"})
    visitor.get(link_in(keystead, "/logon/reset"))
    visitor.submit("/logon/reset", new=NEW)
    visitor.log_on("zoe", NEW)
    assert visitor.get("/account").status_code == 200, "without a key the new password is all there is to show"
    account = keystead.call(keystead.backend.account, keystead.account.id)
    assert account is not None
    assert account.frozen_at is None


def test_of_fifty_presses_of_one_not_me_link_one_wins(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    token = link_in(keystead, "/not-me").partition("token=")[2]
    answers = at_once([lambda: visitor.post("/not-me", {"token": token}).status_code] * 50)
    assert sorted(answers) == [200] + [410] * 49


@pytest.mark.parametrize("path", ["/not-me", "/logon/reset"])
def test_a_link_that_we_did_not_sign_or_for_another_purpose_is_over(keystead: Site, stub_key: StubKey, path: str) -> None:
    visitor = bound(keystead, stub_key)
    visitor.post("/logon/forgotten", {"username": "zoe"})
    other = {"/not-me": "/logon/reset", "/logon/reset": "/not-me"}[path]
    for token in (link_in(keystead, other).partition("token=")[2], "", "x", "a.b", "é", "e30.x"):
        assert visitor.get(f"{path}?token={token}").status_code == 410
        assert visitor.post(path, {"token": token, "new": NEW}).status_code == 410


def test_a_logon_from_a_new_browser_is_mailed_and_from_a_known_one_is_not(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert list(keystead.mailbox.mails()) == [], "the first logon ever is no news"
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)
    assert list(keystead.mailbox.mails()) == []
    keystead.visitor().log_on("zoe", keystead.password)
    assert [str(mail["subject"]) for mail in keystead.mailbox.mails()] == ["Keystead: A logon from a new browser"]


def test_a_refused_key_after_a_right_password_is_mailed_but_not_a_cancel_and_not_without_end(
    keystead: Site, stub_key: StubKey
) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    visitor.begin_key()
    visitor.finish_key(stub_key, cancel=True)
    told = "Keystead: Your password was used without your key"
    assert told not in [str(mail["subject"]) for mail in keystead.mailbox.mails()]
    for _ in range(5):
        visitor.begin_key()
        visitor.finish_key(stub_key, bad_signature=True)
    assert [str(mail["subject"]) for mail in keystead.mailbox.mails()].count(told) == 3


def test_every_letter_of_news_has_the_link_and_none_says_to_ignore_it(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    visitor.unbind(stub_key)
    for mail in keystead.mailbox.mails():
        text = text_of(mail)
        assert "ignore" not in text.lower()
        assert ("/not-me?token=" in text) is ("verification code" not in str(mail["subject"]))


def test_sessions_are_shown_and_ended_one_by_one_and_all_others(keystead: Site, keystead_visitor: Visitor) -> None:
    others = [keystead.visitor(address=f"198.51.100.{n}") for n in range(3)]
    for other in others:
        other.log_on("zoe", keystead.password)
    keystead_visitor.log_on("zoe", keystead.password)
    page = keystead_visitor.get("/account/sessions").text
    assert page.count("Chrome on Linux</h2>") == 4
    assert page.count("This browser") == 1
    assert "198.51.100.2" in page
    ends = [form.action for form in keystead_visitor.page.forms if form.action.endswith("/end")]
    keystead_visitor.follow(keystead_visitor.submit(ends[1]))
    assert sum(other.get("/account").status_code == 200 for other in others) == 2
    keystead_visitor.follow(keystead_visitor.submit("/end-others"))
    assert sum(other.get("/account").status_code == 200 for other in others) == 0
    assert keystead_visitor.get("/account").status_code == 200
    assert keystead_visitor.post(ends[1]).status_code == 404


def test_another_accounts_session_is_not_found(keystead: Site, keystead_visitor: Visitor) -> None:
    yan = keystead.visitor(keystead.add_account("yan"))
    yan.log_on("yan", keystead.password)
    yan.get("/account/sessions")
    end = next(form.action for form in yan.page.forms if form.action.endswith("/end"))
    keystead_visitor.log_on("zoe", keystead.password)
    assert keystead_visitor.post(end).status_code == 404
    assert yan.get("/account").status_code == 200


def test_activity_tells_what_happened_newest_first_a_page_at_a_time(keystead: Site, keystead_visitor: Visitor) -> None:
    for _ in range(15):
        keystead_visitor.log_on("zoe", keystead.password)
        keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)
    page = keystead_visitor.get("/account/activity").text
    assert page.count("<li>") == 25
    assert page.index("Logged on") < page.index("Logged off")
    older = re.search(r'href="(/account/activity\?before=\d+)"', page)
    assert older
    last = keystead_visitor.get(older[1]).text
    assert last.count("<li>") == 6
    assert "Older" not in last
    for before in ("0", "1", "x", "-1", "9" * 15, "9" * 400):
        assert keystead_visitor.get(f"/account/activity?before={before}").status_code == 200


def test_only_a_trusted_proxy_speaks_for_somebody_else(keystead: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    proxies = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    with running(tmp_path_factory.mktemp("proxied"), trusted_proxies=proxies) as site:
        for site_, peer, headers, seen in (
            (keystead, "10.0.0.1", {"x-forwarded-for": "203.0.113.9"}, "10.0.0.1"),
            (site, "10.0.0.1", {"x-forwarded-for": "203.0.113.9"}, "203.0.113.9"),
            (site, "10.0.0.1", {"x-forwarded-for": "198.51.100.6, 203.0.113.9, 10.0.0.2"}, "203.0.113.9"),
            (site, "192.0.2.8", {"x-forwarded-for": "203.0.113.9"}, "192.0.2.8"),
            (site, "10.0.0.1", {"forwarded": 'for="[2001:db8::7]:4711";proto=https, for=10.0.0.2'}, "2001:db8::7"),
            (site, "10.0.0.1", {"x-forwarded-for": "203.0.113.9:5000"}, "203.0.113.9"),
            (site, "10.0.0.1", {"x-forwarded-for": "203.0.113.9", "forwarded": "for=198.51.100.6"}, "10.0.0.1"),
            (site, "10.0.0.1", {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9"}, "203.0.113.9"),
            (site, "10.0.0.1", {"x-forwarded-for": "<script>, nonsense"}, "10.0.0.1"),
            (site, "10.0.0.1", {}, "10.0.0.1"),
        ):
            visitor = site_.visitor(address=peer)
            visitor.client.headers.update(headers)
            visitor.log_on("zoe", site_.password)
            found = site_.call(site_.backend.events_of, site_.account.id, 1)
            assert found[0].address == seen, (peer, headers)


def test_a_reset_link_dies_when_the_address_that_it_was_mailed_to_is_given_up(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.post("/logon/forgotten", {"username": "zoe"})
    token = link_in(keystead, "/logon/reset").partition("token=")[2]
    moved = replace(keystead.account, email="zoe@elsewhere.example")
    assert keystead.call(keystead.backend.record_account, keystead.account, moved)
    assert keystead_visitor.get(f"/logon/reset?token={token}").status_code == 410
    assert keystead_visitor.post("/logon/reset", {"token": token, "new": NEW}).status_code == 410


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


def test_a_shown_set_of_recovery_codes_is_put_in_force_by_its_own_session_within_the_hour(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    codes = re.findall(r"<code>([A-Z2-7-]{19})</code>", visitor.submit("/account/recovery").text)
    form = visitor.page.form("/recovery/confirm")
    assert form
    other = keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    assert other.post("/account/recovery/confirm", form.fields | {"code": codes[0]}).status_code == 409
    keystead_clock.move(timedelta(hours=1))
    visitor.get(U2F)
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    assert visitor.post("/account/recovery/confirm", form.fields | {"code": codes[0]}).status_code == 409
    assert keystead.call(keystead.backend.recovery_codes_of, keystead.account.id) == []


def test_a_password_that_was_reset_logs_everybody_off(keystead: Site, stub_key: StubKey) -> None:
    inside = bound(keystead, stub_key)
    visitor = keystead.visitor()
    visitor.post("/logon/forgotten", {"username": "zoe"})
    visitor.get(link_in(keystead, "/logon/reset"))
    visitor.submit("/logon/reset", new=NEW)
    assert inside.get("/account").status_code == 303


def test_a_frozen_account_with_a_key_owes_it_also_outside_the_preview(tmp_path: Path, stub_key: StubKey) -> None:
    with running(tmp_path / "listed", preview="listed") as site:
        visitor = bound(site, stub_key)
        frozen = replace(site.account, frozen_at=clock.now() - timedelta(minutes=1), password_at=clock.now())
        assert site.call(site.backend.record_account, site.account, frozen)
        assert visitor.get("/account").status_code == 303, "a session from before the freezing is worth nothing"
        visitor.log_on("zoe", site.password)
        assert visitor.get("/account").headers["location"] == "/logon/key"
        visitor.log_on_with(stub_key)
        account = site.call(site.backend.account, site.account.id)
        assert account is not None
        assert account.frozen_at is None


def test_recovery_codes_that_a_stranger_made_are_void_once_the_owner_says_so(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password, stub_key)
    recovery_codes(visitor)
    visitor.get(link_in(keystead, "/not-me"))
    visitor.submit("/not-me")
    assert keystead.call(keystead.backend.recovery_codes_of, keystead.account.id) == []
    assert len(keystead.call(keystead.backend.keys_of, keystead.account.id)) == 1
