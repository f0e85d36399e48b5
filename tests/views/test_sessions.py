"""Where somebody is logged on, and how it is ended."""

from datetime import timedelta

from tests.views.people import is_in
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


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
    assert sum(is_in(other) for other in others) == 2
    keystead_visitor.follow(keystead_visitor.submit("/end-others"))
    assert sum(is_in(other) for other in others) == 0
    assert is_in(keystead_visitor)
    assert keystead_visitor.post(ends[1]).status_code == 404


def test_ending_the_session_of_this_browser_logs_it_off(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    keystead_visitor.get("/account/sessions")
    end = next(form.action for form in keystead_visitor.page.forms if form.action.endswith("/end"))
    assert keystead_visitor.submit(end).headers["location"] == "/logon?notice=off"
    assert "keystead" not in keystead_visitor.client.cookies
    assert keystead.read().sessions == ()


def test_another_accounts_session_is_not_found(keystead: Site, keystead_visitor: Visitor) -> None:
    yan = keystead.visitor(keystead.add_account("yan"))
    yan.log_on("yan", keystead.password)
    yan.get("/account/sessions")
    end = next(form.action for form in yan.page.forms if form.action.endswith("/end"))
    keystead_visitor.log_on("zoe", keystead.password)
    assert keystead_visitor.post(end).status_code == 404
    assert is_in(yan)


def test_a_logon_that_owes_its_key_is_not_shown_and_ends_with_the_others(
    keystead: Site, half_signed_in: Visitor, stub_key: StubKey
) -> None:
    owner = keystead.visitor()
    owner.log_on("zoe", keystead.password, stub_key)
    assert owner.get("/account/sessions").text.count("Chrome on Linux</h2>") == 1
    owner.post("/account/sessions/end-others")
    assert half_signed_in.get("/logon/key").headers["location"].startswith("/logon?notice=ended")


def test_a_session_ends_when_it_is_idle_and_at_last_in_any_case(keystead: Site, keystead_clock: Clock) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    for _ in range(14):
        keystead_clock.move(timedelta(hours=11, minutes=59))
        assert is_in(visitor)
    keystead_clock.move(timedelta(hours=1))
    assert visitor.get("/account").status_code == 303
    visitor.log_on("zoe", keystead.password)
    keystead_clock.move(timedelta(hours=12))
    assert visitor.get("/account").status_code == 303
