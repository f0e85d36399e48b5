"""What happened on an account, as its owner reads it."""

import re
from datetime import timedelta

import pytest

from backends.records import Event
from tests.views.people import bound, is_in, recovery_codes, touch
from tests.views.unchanged import nothing_changes
from webapp.accounts import events
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor
from webapp.views import activity
from webapp.web import wording


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
    for before in ("0", "1", "x", "-1", "9" * 15, "9" * 400, "٣"):
        assert keystead_visitor.get(f"/account/activity?before={before}").status_code == 200


def test_everything_that_can_happen_has_words() -> None:
    assert set(wording.EVENTS) == set(events.KINDS)


def test_events_tell_what_happened(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.bind(stub_key, name="Blue")
    keystead_visitor.log_off()
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.log_on_with(stub_key)
    assert [(event.kind, event.detail) for event in newest(keystead, 4)] == [
        ("logged on", ""),
        ("key bound", "Blue"),
        ("logged off", ""),
        ("logged on", "Blue"),
    ]


def newest(site: Site, how_many: int) -> list[Event]:
    return site.call(site.backend.events_of, site.account.id, how_many)


# was this you?


def row(site: Site, kind: str) -> str:
    """The address of the newest event of this kind."""
    found = [event for event in newest(site, 50) if event.kind == kind]
    return f"/account/activity/{found[-1].seq}"


def test_every_row_leads_to_a_page_that_names_what_when_and_from_where(
    keystead: Site, keystead_visitor: Visitor, stub_key: StubKey
) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.bind(stub_key, name="Blue")
    page = keystead_visitor.get("/account/activity").text
    links = re.findall(r'href="(/account/activity/\d+)">Was this you', page)
    assert len(links) == page.count("<li>") == len(newest(keystead, 50))
    for link in links:
        assert keystead_visitor.get(link).status_code == 200
    shown = keystead_visitor.get(row(keystead, "key bound")).text
    for fact in ("A security key was bound: <bdi>Blue</bdi>", "192.0.2.1", "<dt>Browser</dt>", "<dt>When</dt>"):
        assert fact in shown


@pytest.mark.parametrize("kind", events.KINDS)
def test_whatever_happened_there_is_something_to_do_or_somebody_to_ask(kind: str) -> None:
    advice = activity.ADVICE.get(kind)
    done_by_others = {
        "account added", "account listed", "account unlisted", "groups changed", "events expired", "sealed", "not mailed",
    }  # fmt: skip
    assert advice is None or kind not in done_by_others
    assert not advice or (advice.text and advice.links)


def test_a_session_that_was_begun_is_ended_by_its_row_and_no_other_is(keystead: Site, stub_key: StubKey) -> None:
    owner, thief = bound(keystead, stub_key), keystead.visitor(address="198.51.100.9")
    third = keystead.visitor()
    third.log_on("zoe", keystead.password, stub_key)
    thief.log_on("zoe", keystead.password, stub_key)
    page = owner.get(row(keystead, "logged on"))
    assert "198.51.100.9" in page.text
    owner.follow(owner.submit("/end"))
    assert not is_in(thief)
    assert is_in(owner)
    assert is_in(third)
    owner.get(row(keystead, "logged on"))
    assert not owner.page.form("/end"), "it has ended"


def test_the_session_in_which_somebody_reads_is_not_offered_to_be_ended(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert "in which you read this" in keystead_visitor.get(row(keystead, "logged on")).text
    assert not keystead_visitor.page.form("/end")


def test_a_key_that_was_bound_is_unbound_by_the_way_that_wants_a_touch(keystead: Site, stub_key: StubKey) -> None:
    owner, theirs = bound(keystead, stub_key), StubKey()
    owner.bind(theirs, name="Theirs", prove_with=stub_key)
    page = owner.get(row(keystead, "key bound")).text
    assert f'href="/account/security/u2f/keys/{theirs.slug}/unbind"' in page
    owner.unbind(theirs.slug)
    assert "/unbind" not in owner.get(row(keystead, "key bound")).text


def test_recovery_codes_that_were_made_are_void_by_their_row_and_the_key_stays(keystead: Site, stub_key: StubKey) -> None:
    owner = bound(keystead, stub_key)
    recovery_codes(owner)
    made = row(keystead, "recovery codes made")
    owner.get(made)
    owner.follow(owner.submit("/take-back"))
    assert "It is taken back" in owner.page.text
    assert keystead.read().recovery_codes == ()
    assert len(keystead.read().keys) == 1
    with nothing_changes(keystead):
        owner.post(f"{made}/take-back")
    assert "nothing left to take back" in owner.get(f"{made}?notice=over").text


def test_codes_are_not_made_void_by_a_session_that_touches_no_key(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    """Whoever has stolen a session must not take its owner's ways back."""
    owner = bound(keystead, stub_key)
    recovery_codes(owner)
    made = row(keystead, "recovery codes made")
    keystead_clock.move(timedelta(minutes=1))
    owner.get(made)
    with nothing_changes(keystead):
        answer = owner.submit("/take-back")
    assert answer.headers["location"].startswith("/account/security/u2f?")
    touch(owner, stub_key, made)
    owner.get(made)
    owner.submit("/take-back")
    assert keystead.read().recovery_codes == ()


def test_the_events_of_somebody_else_are_not_shown(keystead: Site, keystead_visitor: Visitor, stub_key: StubKey) -> None:
    bound(keystead, stub_key)
    other = keystead.add_account("other")
    visitor = keystead.visitor(other)
    visitor.log_on("other", keystead.password)
    last = newest(keystead, 1)[0].seq
    for number in (str(last), "0", "x", "9" * 15, "9" * 400, "٣"):
        assert visitor.get(f"/account/activity/{number}").status_code == 404
        assert visitor.post(f"/account/activity/{number}/take-back").status_code in (303, 404)
