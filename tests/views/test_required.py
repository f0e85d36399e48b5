"""Where a key is required: who has none sees until when, and then gets nowhere but to the page where one is bound."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.views.people import is_in
from tests.views.test_routes import OPEN_TO_EVERYBODY, both_ways, leads_to, request, rows, what
from tests.views.unchanged import nothing_changes
from webapp.accounts import groups
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

TO_BIND = {"binding.show", "proving.send_code", "proving.verify", "binding.begin_bind", "binding.finish_bind", "logon.log_off"}
"""All that is open to who must bind a key before anything else."""
GRACE = timedelta(days=14)


@pytest.fixture
def keystead(tmp_path: Path) -> Iterator[Site]:
    """A site that requires a key of its staff, of whom zoe is one."""
    with running(tmp_path, key_required=("staff",), key_grace=GRACE) as site:
        site.change(site.account, groups.set_groups, ("staff",))
        yield site


def logged_on(site: Site, time: Clock, after: timedelta = timedelta()) -> Visitor:
    """Zoe, who has logged on for the first time, and again this long after."""
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    time.move(after)
    visitor.log_on("zoe", site.password)
    return visitor


def test_until_then_every_page_says_when_and_everything_works(keystead: Site, keystead_clock: Clock) -> None:
    visitor = logged_on(keystead, keystead_clock, GRACE - timedelta(minutes=1))
    due_at = keystead.read().key_due_at
    assert due_at
    for path in ("/account", "/account/security", "/account/sessions", "/account/activity", "/account/recovery"):
        page = visitor.get(path)
        assert page.status_code == 200
        assert f'requires a security key for your account from <time datetime="{due_at.isoformat()}"' in page.text
    assert "requires" not in visitor.get(U2F).text


def test_of_whom_no_key_is_required_sees_nothing_of_it(keystead: Site) -> None:
    other = keystead.add_account("other")
    visitor = keystead.visitor(other)
    visitor.log_on("other", keystead.password)
    assert "requires" not in visitor.get("/account").text
    assert keystead.read(other).key_due_at is None


@both_ways
def test_who_must_bind_a_key_reaches_nothing_else(keystead: Site, keystead_clock: Clock, htmx: bool) -> None:
    """Every route there is: sent to the bind page, or answered as anybody in the street is."""
    owing, stranger = logged_on(keystead, keystead_clock, GRACE), keystead.visitor()
    assert TO_BIND <= {row.name for row in rows(keystead)}
    with nothing_changes(keystead):
        for row in rows(keystead):
            if row.name in TO_BIND:
                continue
            response = request(owing, row, "AA", htmx=htmx, username="nobody-1")
            end = leads_to(response)
            if end == "/account":  # where the key step leads whoever owes none; that page leads on
                end = leads_to(owing.get("/account"))
            answered = f"{row}: {response.status_code} {end}"
            if end == U2F:
                assert response.text == "", answered
                continue
            assert row.name in OPEN_TO_EVERYBODY, answered
            assert what(response, "nobody-1") == what(request(stranger, row, "AA", htmx=htmx, username="nobody-2"), "nobody-2")
    assert owing.get(U2F).status_code == 200
    assert "Bind one to go on" in owing.page.text
    assert 'href="/account/security"' not in owing.get(U2F).text.partition("<main")[2]


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_who_binds_the_key_is_in_and_needs_it_from_then_on(
    keystead: Site, keystead_clock: Clock, stub_key: StubKey, htmx: bool
) -> None:
    visitor = keystead.visitor(htmx=htmx)
    visitor.log_on("zoe", keystead.password)
    keystead_clock.move(GRACE)
    visitor.log_on("zoe", keystead.password)
    assert visitor.page.form("/u2f/code")
    visitor.bind(stub_key)
    assert is_in(visitor)
    visitor.log_off()
    visitor.log_on("zoe", keystead.password, stub_key)
    assert is_in(visitor)


def test_a_session_that_is_there_when_the_time_is_over_must_bind_too(keystead: Site, keystead_clock: Clock) -> None:
    visitor = logged_on(keystead, keystead_clock, GRACE - timedelta(minutes=1))
    assert is_in(visitor)
    keystead_clock.move(timedelta(minutes=1))
    assert visitor.get("/account").headers["location"] == U2F


def test_a_page_that_was_open_when_the_time_was_over_does_nothing_any_more(keystead: Site, keystead_clock: Clock) -> None:
    visitor = logged_on(keystead, keystead_clock, GRACE - timedelta(seconds=30))
    session = keystead.read().sessions[0]
    keystead_clock.move(timedelta(minutes=1))
    with nothing_changes(keystead):
        assert visitor.post(f"/account/sessions/{session.id}/end").headers["location"] == U2F
        assert visitor.post("/account/sessions/end-others").headers["location"] == U2F


def test_who_logs_off_instead_is_off(keystead: Site, keystead_clock: Clock) -> None:
    visitor = logged_on(keystead, keystead_clock, GRACE)
    visitor.get(U2F)
    assert visitor.submit("/logoff").headers["location"].startswith("/logon")
    assert visitor.get(U2F).headers["location"].startswith("/logon")


def test_who_unbinds_the_last_key_is_told_before_and_led_to_bind_another(
    keystead: Site, keystead_clock: Clock, stub_key: StubKey
) -> None:
    visitor = logged_on(keystead, keystead_clock, GRACE)
    visitor.bind(stub_key)
    assert "led to bind another one" in visitor.confirm_unbind(stub_key.slug).text
    visitor.finish_unbind(stub_key.slug)
    assert visitor.get("/account").headers["location"] == U2F
    visitor.bind(StubKey())
    assert is_in(visitor)


def test_without_a_grace_the_first_logon_leads_to_the_bind_page(tmp_path: Path, stub_key: StubKey) -> None:
    with running(tmp_path, key_required="everyone", key_grace=timedelta()) as site:
        visitor = site.visitor()
        visitor.log_on("zoe", site.password)
        assert visitor.get("/account").headers["location"] == U2F
        visitor.bind(stub_key)
        assert is_in(visitor)
