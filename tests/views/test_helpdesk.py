"""The help desk at the logon: the number, the words, and the pass, in the browser that called and in any other."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.views.mails import about, look, subjects
from tests.views.people import bound, is_in
from tests.views.unchanged import nothing_changes
from webapp import clock
from webapp.accounts import helpdesk
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
GIVEN, WAITS, USED = (
    "A browser will log on without your key",
    "A browser will still log on without your key",
    "A browser logged on without your key",
)


@pytest.fixture
def time() -> Iterator[Clock]:
    with Clock() as clock:
        yield clock


def at_the_key_step(site: Site) -> Visitor:
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    return visitor


def call(site: Site, visitor: Visitor | None = None) -> Visitor:
    """Somebody with the password gets a number."""
    visitor = visitor or at_the_key_step(site)
    visitor.get("/logon/help")
    visitor.follow(visitor.submit("/logon/help"))
    return visitor


def number_in(visitor: Visitor) -> str:
    found = re.search(r"<code>(\d{3}-\d{3})</code>", visitor.get("/logon/help").text)
    assert found
    return found[1]


def give_pass(site: Site, visitor: Visitor) -> None:
    """As the command does."""
    account, number = site.read(), number_in(visitor)
    ((session, _),) = helpdesk.find(site.settings, account, number, clock.now())
    site.change(account, helpdesk.give_pass, session.id)


def kinds(site: Site) -> list[str]:
    return [event.kind for event in site.call(site.backend.events_of, site.account.id, 100)]


# the number


def test_whoever_has_lost_key_and_codes_finds_the_help_desk_and_looking_begins_nothing(
    keystead: Site, half_signed_in: Visitor
) -> None:
    assert 'href="/logon/help"' in half_signed_in.get("/logon/recovery").text
    with nothing_changes(keystead):
        page = half_signed_in.get("/logon/help").text
    assert "After 24 hours" in page
    assert "<code>" not in page


def test_the_page_shows_a_number_and_a_word_for_each_side_and_asking_again_shows_the_same(
    keystead: Site, half_signed_in: Visitor
) -> None:
    page = call(keystead, half_signed_in).get("/logon/help").text
    assert {"Your number", "You say", "They answer"} <= set(re.findall(r"<dt>(.*?)</dt>", page))
    assert len(set(re.findall(r'<dd lang="en">([a-z]+)</dd>', page)) & set(helpdesk.WORDS)) == 2
    number = number_in(half_signed_in)
    half_signed_in.post("/logon/help")
    assert number_in(half_signed_in) == number
    assert kinds(keystead).count("number asked") == 1


def test_two_browsers_have_two_numbers(keystead: Site, half_signed_in: Visitor) -> None:
    assert number_in(call(keystead, half_signed_in)) != number_in(call(keystead))


def test_a_page_that_asks_again_and_again_is_answered_by_nothing_until_there_is_news(
    keystead: Site, half_signed_in: Visitor
) -> None:
    call(keystead, half_signed_in)
    assert half_signed_in.get("/logon/help?waiting=1").status_code == 204
    give_pass(keystead, half_signed_in)
    assert "This browser has a pass" in half_signed_in.get("/logon/help?waiting=1").text


def test_a_number_is_shown_for_a_quarter_of_an_hour(keystead: Site, half_signed_in: Visitor, time: Clock) -> None:
    call(keystead, half_signed_in)
    time.move(14 * MINUTE)
    assert number_in(half_signed_in)
    time.move(MINUTE)
    assert half_signed_in.get("/logon/help").headers["location"].startswith("/logon?")


def test_a_browser_gets_ten_numbers_an_hour(keystead: Site, stub_key: StubKey) -> None:
    bound(keystead, stub_key)
    for _ in range(10):
        call(keystead)
    visitor = at_the_key_step(keystead)
    with nothing_changes(keystead):
        assert visitor.post("/logon/help").status_code == 429


def test_who_is_in_or_has_no_key_gets_no_number(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    for answer in (visitor.get("/logon/help"), visitor.post("/logon/help"), visitor.post("/logon/help/enter")):
        assert answer.headers["location"] == "/account"
    assert "number asked" not in kinds(keystead)


# the pass


def test_a_pass_opens_the_browser_that_called_once_after_the_wait_and_the_key_stays_bound(
    keystead: Site, stub_key: StubKey, time: Clock
) -> None:
    bound(keystead, stub_key)
    caller, thief = call(keystead), call(keystead)
    give_pass(keystead, caller)
    assert subjects(keystead)[0] == GIVEN
    assert "192.0.2.1" in about(keystead, GIVEN)[0], "whose browser it is for"
    assert "has a pass" in caller.get("/logon/help").text
    assert "has a pass" not in thief.get("/logon/help").text
    time.move(24 * HOUR - MINUTE)
    for visitor in (caller, thief):
        visitor.log_on("zoe", keystead.password)
        with nothing_changes(keystead):
            visitor.post("/logon/help/enter")
        assert not is_in(visitor)
    time.move(MINUTE)
    with nothing_changes(keystead):
        thief.post("/logon/help/enter")
    assert not is_in(thief)
    assert "You can log on without your key" in caller.get("/logon/help").text
    caller.follow(caller.submit("/logon/help/enter"))
    assert "without your key, this once" in caller.page.text
    assert USED in subjects(keystead)[:2]
    caller.log_off()
    caller.log_on("zoe", keystead.password)
    caller.post("/logon/help/enter")
    assert not is_in(caller), "once"
    assert [key.suspended_at for key in keystead.read().keys] == [None]


def test_whoever_lost_key_and_codes_ends_with_a_new_key_and_without_the_old_one(
    keystead: Site, stub_key: StubKey, time: Clock
) -> None:
    bound(keystead, stub_key)
    caller, new = call(keystead), StubKey()
    give_pass(keystead, caller)
    time.move(2 * DAY)
    assert caller.get("/account").headers["location"].startswith("/logon?")
    answer = caller.submit_password("zoe", keystead.password)
    assert answer.headers["location"] == "/logon/help", "the browser is led to its pass"
    caller.follow(answer)
    caller.follow(caller.submit("/logon/help/enter"))
    caller.get(U2F)
    caller.begin_bind("New")
    caller.follow(caller.finish_bind(new))
    caller.unbind(stub_key.slug)
    assert [key.name for key in keystead.read().keys] == ["New"]
    caller.log_off()
    caller.log_on("zoe", keystead.password, new)
    assert is_in(caller)


def test_the_browser_keeps_its_cookie_over_the_wait(keystead: Site, half_signed_in: Visitor) -> None:
    half_signed_in.get("/logon/help")
    asked = half_signed_in.submit("/logon/help").headers["set-cookie"]
    assert f"Max-Age={15 * 60 + 4 * 24 * 3600};" in asked
    half_signed_in.get("/logon/help")
    give_pass(keystead, half_signed_in)
    (kept,) = re.findall(r"Max-Age=(\d+);", half_signed_in.get("/logon/help").headers["set-cookie"])
    assert 4 * 24 * 3600 - 60 < int(kept) <= 4 * 24 * 3600


def test_a_touch_of_any_key_stops_a_pass_and_every_page_of_the_logon_warns(
    keystead: Site, stub_key: StubKey, time: Clock
) -> None:
    bound(keystead, stub_key)
    thief = call(keystead)
    give_pass(keystead, thief)
    owner = at_the_key_step(keystead)
    assert "gave a browser a pass" in owner.get("/logon/key").text
    owner.log_on_with(stub_key)
    assert keystead.read().opening is None
    assert "opening stopped" in kinds(keystead)
    time.move(25 * HOUR)
    look(keystead)
    assert WAITS not in subjects(keystead)
    thief.log_on("zoe", keystead.password)
    thief.post("/logon/help/enter")
    assert not is_in(thief)


def test_who_finds_the_key_after_all_gets_in_by_it_and_the_pass_is_over(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    call(keystead, half_signed_in)
    give_pass(keystead, half_signed_in)
    assert "This browser has a pass" in half_signed_in.get("/logon/key").text
    half_signed_in.log_on_with(stub_key)
    assert is_in(half_signed_in)
    assert keystead.read().opening is None


def test_with_the_cookie_alone_and_no_password_a_pass_opens_nothing(keystead: Site, half_signed_in: Visitor, time: Clock) -> None:
    """Somebody sits down at that browser a day later."""
    call(keystead, half_signed_in)
    give_pass(keystead, half_signed_in)
    time.move(25 * HOUR)
    with nothing_changes(keystead):
        assert half_signed_in.post("/logon/help/enter").headers["location"].startswith("/logon")
    assert not is_in(half_signed_in)


def test_who_waits_by_a_pass_is_not_offered_another_wait(tmp_path: Path, stub_key: StubKey) -> None:
    with running(tmp_path, wait=3 * DAY) as site:
        bound(site, stub_key)
        caller = call(site)
        assert 'href="/logon/wait"' in caller.get("/logon/recovery").text
        give_pass(site, caller)
        assert 'href="/logon/wait"' not in caller.get("/logon/recovery").text
        assert caller.get("/logon/wait").headers["location"] == "/logon/recovery"
