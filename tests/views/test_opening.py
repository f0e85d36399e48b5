"""Opening after a wait (KEYSTEAD_WAIT): for whoever has neither key nor recovery code, where the deployer allows it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from backends.records import Account, Opening
from tests.views.mails import about, link_in, look, settle, subjects
from tests.views.people import bound, is_in, proven
from tests.views.unchanged import nothing_changes
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

WAIT = timedelta(hours=72)
ASKED, WAITS = "Your account will open without a key", "Your account will still open without a key"
DAY = timedelta(days=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose deployer allows it."""
    with running(tmp_path / "waiting", wait=WAIT) as site:
        yield site


@pytest.fixture
def time(site: Site) -> Iterator[Clock]:
    with Clock() as clock:
        yield clock


def at_the_key_step(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    return visitor


def ask(site: Site) -> Visitor:
    """Somebody who has the password and nothing else begins the wait."""
    visitor = at_the_key_step(site)
    visitor.get("/logon/wait")
    visitor.follow(visitor.submit("/logon/wait"))
    settle(site)
    return visitor


def kinds(site: Site) -> list[str]:
    return [event.kind for event in site.call(site.backend.events_of, site.account.id, 100)]


def test_it_is_not_offered_by_default_and_cannot_be_asked_for(keystead: Site, half_signed_in: Visitor) -> None:
    assert "/logon/wait" not in half_signed_in.get("/logon/recovery").text
    assert half_signed_in.get("/logon/wait").headers["location"] == "/logon/recovery"
    with nothing_changes(keystead):
        half_signed_in.follow(half_signed_in.post("/logon/wait"))
    assert keystead.read().opening is None


def test_it_is_offered_where_there_are_no_codes_and_says_how_long_it_takes(site: Site, stub_key: StubKey) -> None:
    bound(site, stub_key)
    visitor = at_the_key_step(site)
    assert "/logon/wait" in visitor.get("/logon/recovery").text
    assert "72 hours" in visitor.get("/logon/wait").text
    assert site.read().opening is None, "looking begins nothing"


def test_it_is_told_at_once_and_each_day_until_it_opens(site: Site, stub_key: StubKey, time: Clock) -> None:
    bound(site, stub_key)
    ask(site)
    assert subjects(site)[0] == ASKED
    assert "It opens" in about(site, ASKED)[0]
    told = []
    for _ in range(4):
        time.move(DAY)
        look(site)
        told.append(subjects(site).count(WAITS))
    assert told == [1, 2, 2, 2]


def test_asking_again_begins_nothing_anew_and_mails_nothing_more(site: Site, stub_key: StubKey, time: Clock) -> None:
    bound(site, stub_key)
    ask(site)
    before = site.read().opening
    time.move(timedelta(hours=1))
    at_the_key_step(site).post("/logon/wait")
    assert site.read().opening == before
    assert subjects(site).count(ASKED) == 1


def test_it_is_shown_on_the_key_page_of_whoever_logs_on(site: Site, stub_key: StubKey) -> None:
    bound(site, stub_key)
    ask(site)
    assert "asked to open this account without a key" in at_the_key_step(site).get("/logon/key").text


def test_a_touch_at_the_logon_stops_it(site: Site, stub_key: StubKey, time: Clock) -> None:
    bound(site, stub_key)
    ask(site)
    owner = at_the_key_step(site)
    owner.log_on_with(stub_key)
    assert site.read().opening is None
    assert "opening stopped" in kinds(site)
    for _ in range(4):
        time.move(DAY)
        look(site)
    assert WAITS not in subjects(site)
    assert "without a key" not in at_the_key_step(site).get("/logon/key").text


def test_a_touch_of_somebody_who_is_logged_on_already_stops_it(site: Site, stub_key: StubKey, time: Clock) -> None:
    owner = bound(site, stub_key)
    ask(site)
    time.move(timedelta(minutes=11))
    owner.get(U2F)
    owner.begin_prove()
    owner.follow(owner.finish_prove(stub_key))
    assert site.read().opening is None


def test_this_was_not_me_stops_it(site: Site, stub_key: StubKey, time: Clock) -> None:
    bound(site, stub_key)
    ask(site)
    owner = site.visitor()
    owner.get(link_in(site, "/not-me"))
    owner.submit("/not-me")
    assert site.read().opening is None


def test_a_wait_that_is_over_opens_nothing_once_the_deployer_allows_none(keystead: Site, stub_key: StubKey) -> None:
    """KEYSTEAD_WAIT was taken away while it went on."""
    bound(keystead, stub_key)

    def asked_before(account: Account, act: Act) -> Decision:
        return Decision(replace(account, opening=Opening(asked_at=act.now - WAIT, opens_at=act.now)))

    keystead.change(keystead.account, asked_before)
    visitor = at_the_key_step(keystead)
    with nothing_changes(keystead):
        visitor.post("/logon/wait")
        visitor.post("/logon/key/begin")
    assert not is_in(visitor)


def test_before_the_wait_is_over_the_password_opens_nothing(site: Site, stub_key: StubKey, time: Clock) -> None:
    bound(site, stub_key)
    ask(site)
    time.move(WAIT - timedelta(minutes=1))
    visitor = at_the_key_step(site)
    with nothing_changes(site):
        visitor.post("/logon/wait")
    assert not is_in(visitor)


def test_once_the_wait_is_over_the_password_opens_the_account_and_its_keys_are_suspended(
    site: Site, stub_key: StubKey, time: Clock
) -> None:
    bound(site, stub_key)
    ask(site)
    time.move(WAIT)
    visitor = at_the_key_step(site)
    visitor.get("/logon/wait")
    visitor.follow(visitor.submit("/logon/wait"))
    assert "You are logged on without a key" in visitor.page.text
    account = site.read()
    assert account.opening is None
    assert [key.suspended_at is not None for key in account.keys] == [True]
    assert {"key suspended", "opened after the wait"} <= set(kinds(site))
    assert "Your account was opened without a key" in subjects(site)
    assert "Suspended" in visitor.get("/account").text
    visitor.log_off()
    visitor.log_on("zoe", site.password)
    assert is_in(visitor), "no key is asked for until somebody decides"


def test_who_got_in_after_the_wait_unbinds_the_lost_key_with_a_code_and_binds_another(
    site: Site, stub_key: StubKey, time: Clock
) -> None:
    bound(site, stub_key)
    ask(site)
    time.move(WAIT)
    visitor = at_the_key_step(site)
    visitor.get("/logon/wait")
    visitor.follow(visitor.submit("/logon/wait"))
    visitor.bind(StubKey(), name="New")
    visitor.unbind(stub_key.slug)
    assert [(key.name, key.suspended_at) for key in site.read().keys] == [("New", None)]


def test_without_a_key_there_is_nothing_to_wait_for(site: Site) -> None:
    visitor = proven(site)
    assert visitor.get("/logon/wait").headers["location"] == "/account"
    assert visitor.post("/logon/wait").headers["location"] == "/account"
    assert site.read().opening is None
