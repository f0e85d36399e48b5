"""What happened on an account, as its owner reads it."""

import re

from backends.records import Event
from webapp.accounts import events
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor
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
