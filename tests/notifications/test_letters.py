"""What people are told by mail: every kind has its words, its facts, and a way to say that it was not oneself."""

import re
from html import escape, unescape
from typing import Any, cast, get_args
from urllib.parse import parse_qs

import pytest

from backends.protocol import Backend
from backends.records import Account, Invitation, Notification
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SECOND, SETTINGS, account, act, settings
from tests.notifications.conftest import Time
from webapp.accounts import codes, identities, links, owed
from webapp.accounts.context import Context
from webapp.accounts.links import Link, Purpose
from webapp.metrics import Metrics
from webapp.notifications import letters
from webapp.notifications.mail import Letter, MailFailed
from webapp.routes import ROUTES
from webapp.settings import Help, Settings

WITH_A_LINK = ("reset", "known browser", "invitation")
NOTICES = ("renamed", "has joined", "frozen", "unfrozen", "account removed", "password needed")
NEWS = [kind for kind in get_args(owed.Kind) if kind not in (*WITH_A_LINK, *NOTICES)]
MILLISECONDS = str(round(NOW.timestamp() * 1000))
FACTS = {
    "key": "Blue",
    "by": "the help desk",
    "count": "7",
    "typed": "3",
    "left": "5",
    "new": "n•••@example.org",
    "opens": MILLISECONDS,
}


def notification(kind: str, **changes: Any) -> Notification:
    given: dict[str, Any] = {
        "id": "1", "kind": kind, "to": "alice@example.com", "at": NOW, "due_at": NOW,
        "address": "192.0.2.1", "browser": "Firefox 156 on Linux", "facts": FACTS,
    }  # fmt: skip
    return Notification(**given | changes)


def letter(kind: str, of: Account | None = None, **changes: Any) -> Letter:
    invitation = Invitation(email="alice@example.com", ends_at=NOW + 7 * DAY) if kind == "invitation" else None
    return letters.compose(SETTINGS, of or account(invitation=invitation), notification(kind, **changes))


def link_in(text: str, purpose: Purpose, after: Any = 0 * DAY) -> Link | None:
    (query,) = re.findall(r"\?(token=[^\s\"]+)", unescape(text))
    return links.read(SETTINGS, purpose, parse_qs(query)["token"][0], NOW + after)


@pytest.mark.parametrize("kind", get_args(owed.Kind))
def test_every_kind_that_can_be_owed_has_its_words_in_text_and_in_html(kind: str) -> None:
    found = letter(kind)
    assert found.to == "alice@example.com"
    assert found.subject.startswith("Keystead: ")
    for body in (found.text, found.html):
        assert "alice" in body
        assert "None" not in body
        assert "{{" not in body


@pytest.mark.parametrize("kind", NEWS)
def test_every_letter_of_news_has_the_link_and_none_says_to_ignore_it(kind: str) -> None:
    found = letter(kind)
    for body in (found.text, found.html):
        link = link_in(body, "not me")
        assert link
        assert (link.account_id, link.fact) == ("alices-id", MILLISECONDS)
        assert "ignore" not in body.lower()
        assert "not you?" in body


@pytest.mark.parametrize("kind", NEWS)
def test_every_letter_of_news_says_when_and_from_where(kind: str) -> None:
    found = letter(kind, at=NOW - HOUR)
    for fact in ("24 November 2026, 02:00 UTC", "Firefox 156 on Linux", "192.0.2.1"):
        assert fact in found.text
        assert fact in unescape(found.html)


@pytest.mark.parametrize("kind", NOTICES)
def test_a_notice_of_what_the_site_did_names_who_can_be_asked_and_offers_no_link_to_take_it_back(kind: str) -> None:
    noticed = letter(kind)
    for text in (noticed.text, noticed.html):
        assert "Ask whoever runs Keystead" in re.sub("</?bdi>", "", unescape(text))
        assert "token=" not in text


def test_who_was_removed_is_called_by_their_username_and_who_must_set_a_password_is_told_where() -> None:
    removed = letter("account removed", account(username=" removed id"), facts={"username": "alice"})
    assert "Hello alice," in removed.text
    assert f"{SETTINGS.public_url}/logon/forgotten" in letter("password needed").text


@pytest.mark.parametrize("kind", get_args(owed.Kind))
def test_every_letter_says_when_by_the_clock_of_the_browser_and_names_the_zone(kind: str) -> None:
    for zone, written in (
        (480, "24 November 2026, 10:00 (UTC+8)"),
        (-210, "23 November 2026, 22:30 (UTC-3:30)"),
        (0, "02:00 UTC"),
    ):
        found = letter(kind, at=NOW - HOUR, zone=zone)
        assert written in found.text
        assert written in unescape(found.html)


@pytest.mark.parametrize("kind", WITH_A_LINK)
def test_a_letter_that_somebody_asked_for_says_who_asked(kind: str) -> None:
    found = letter(kind)
    for fact in ("Firefox 156 on Linux", "192.0.2.1"):
        assert fact in found.text
        assert fact in found.html


def test_what_is_not_known_is_left_out() -> None:
    found = letter("password changed", address="", browser="keystead command")
    assert "keystead command" in found.text
    assert "Address" not in found.text


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("key bound", ["Blue"]), ("key unbound", ["Blue", "the help desk"]), ("key refused", ["7"]),
        ("clone suspected", ["Blue"]), ("new browser", ["7"]), ("recovery code used", ["5"]),
        ("recovery code refused", ["3", "7"]),
        ("e-mail changed", ["n•••@example.org"]),
        ("opening asked", ["24 November 2026, 03:00 UTC"]), ("opening waits", ["24 November 2026, 03:00 UTC"]),
    ],
)  # fmt: skip
def test_a_letter_names_what_it_is_about(kind: str, facts: list[str]) -> None:
    found = letter(kind, at=NOW - DAY)
    for fact in facts:
        assert fact in found.text
        assert fact in unescape(found.html)


def test_facts_that_a_letter_does_not_have_are_not_missed() -> None:
    for kind in NEWS:
        assert letter(kind, facts={}).text


@pytest.mark.parametrize(("left", "warned"), [("0", True), ("2", True), ("3", False)])
def test_few_recovery_codes_are_a_reason_to_make_new_ones(left: str, warned: bool) -> None:
    assert ("Make new ones" in letter("recovery code used", facts={"left": left}).text) is warned


def test_names_that_strangers_chose_are_no_markup() -> None:
    found = letter("key bound", account(username="<b>alice"), facts={"key": "<a href=x>&"}, browser="<i>")
    assert "<a href=x>" in found.text
    for markup in ("<a href=x>", "<b>alice", "<i>"):
        assert markup not in found.html


# links


def test_the_link_of_a_reset_is_for_the_account_as_it_is_when_the_letter_leaves() -> None:
    found = letter("reset", account(password_hash="$another"))
    link = link_in(found.text, "reset")
    assert link
    assert link.fact == links.fingerprint(account(password_hash="$another"))
    assert link_in(found.text, "reset", 30 * MINUTE - SECOND)
    assert link_in(found.text, "reset", 30 * MINUTE) is None
    assert "30 minutes" in found.text


def test_a_link_lives_from_when_it_is_signed(time: Time) -> None:
    time.move(2 * HOUR)
    for kind, purpose in (("reset", "reset"), ("known browser", "known browser")):
        made = letter(kind)
        assert link_in(made.text, purpose, 2 * HOUR + 30 * MINUTE - SECOND)  # type: ignore[arg-type]  # the words above
        assert link_in(made.html, purpose, 2 * HOUR + 30 * MINUTE) is None  # type: ignore[arg-type]


def test_an_invitation_says_until_when_it_works() -> None:
    made = letter("invitation")
    assert "until 1 December 2026, 03:00 UTC" in made.text
    assert link_in(made.html, "invitation", 7 * DAY - SECOND)
    with pytest.raises(MailFailed, match="used meanwhile"):
        letter("invitation", account())


def test_the_link_of_one_letter_is_none_of_another() -> None:
    reset = letter("reset").text
    assert link_in(reset, "not me") is None
    assert link_in(reset, "known browser") is None


def test_pressing_the_button_freezes_the_account() -> None:
    link = link_in(letter("new browser").text, "not me")
    assert link
    assert identities.not_me(account(), act(), link).account.frozen_at


def test_links_lead_to_the_public_address_only() -> None:
    given = settings(public_url="https://example.com/keys", name="Example")
    found = letters.compose(given, account(), notification("new browser"))
    assert found.subject == "Example: A logon from a new browser"
    assert set(re.findall(r"https?://[^\s\"<?]+", found.text + found.html)) == {"https://example.com/keys/not-me"}


# the others


def code_letter(purpose: codes.Purpose = "email", *, settings: Settings = SETTINGS, **of: str) -> Letter:
    ctx = Context(settings, cast(Backend, None), Metrics(), **of)  # type: ignore[arg-type]  # an address, a browser
    code = codes.new("alices-id", "s", purpose, "new@example.org", NOW, "a secret")
    return letters.code(ctx, account(), code, "012345")


def test_a_code_stands_alone_on_its_line_and_in_the_subject() -> None:
    found = code_letter()
    assert found.to == "new@example.org"
    assert "012345" in found.subject
    assert re.search(r"(?m)^\s*012345\s*$", found.text)
    assert "012345" in found.html
    assert "10 minutes" in found.text


def test_a_code_says_when_and_where_it_was_asked_for_and_opens_the_page_to_type_it_into() -> None:
    given = settings(public_url="https://example.com/keys")
    found = code_letter("bind", settings=given, browser="Firefox 156 on Linux", address="192.0.2.1")
    for fact in ("24 November 2026, 03:00 UTC", "Firefox 156 on Linux", "192.0.2.1"):
        assert fact in found.text
        assert fact in found.html
    assert set(re.findall(r"https?://[^\s\"<]+", found.text + found.html)) == {"https://example.com/keys/account/security/u2f"}


def test_the_link_in_a_code_mail_proves_nothing_and_leads_to_a_page_that_there_is() -> None:
    assert set(letters.CODE_PAGES) == set(get_args(codes.Purpose))
    assert set(letters.CODE_PAGES.values()) <= {path for method, path, _ in ROUTES if method == "GET"}
    assert "?" not in "".join(letters.CODE_PAGES.values())


def test_a_kind_of_another_version_is_not_sent_in_words_of_ours() -> None:
    with pytest.raises(MailFailed, match="no words for"):
        letter("of tomorrow")


@pytest.mark.parametrize(
    "help", [Help("mailto:help@example.com", "help@example.com"), Help("https://example.com/?a=1&b=2", "example.com/?a=1&b=2")]
)
def test_a_letter_that_says_to_tell_somebody_says_where(help: Help) -> None:
    given = settings(help=help)
    for found in (
        code_letter(settings=given),
        letters.compose(given, account(), notification("reset")),
    ):
        assert f"whoever runs Keystead ({help.href.removeprefix('mailto:')})" in found.text
        assert f'href="{escape(help.href)}"><bdi>{escape(help.text)}</bdi></a>)' in found.html


def test_without_a_place_to_ask_a_letter_names_none() -> None:
    assert "tell whoever runs Keystead." in code_letter().text
