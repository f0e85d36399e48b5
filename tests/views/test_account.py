"""The front door, the Account Center, and the Security Settings."""

from tests.views.people import bound, recovery_codes
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


def test_the_front_door_leads_to_the_logon_and_after_it_to_the_account(keystead: Site, keystead_visitor: Visitor) -> None:
    assert keystead_visitor.get("/").headers["location"] == "/logon"
    keystead_visitor.log_on("zoe", keystead.password)
    assert keystead_visitor.get("/").headers["location"] == "/account"
    assert keystead_visitor.get("/logon").headers["location"] == "/account"


def test_the_account_page_says_how_many_ways_back_there_are_and_what_losing_each_would_mean(
    keystead: Site, stub_key: StubKey
) -> None:
    visitor = bound(keystead, stub_key)
    page = visitor.get("/account").text
    assert "Ways back in: none" in page
    assert visitor.page.text.count("You could not log on by yourself") == 1
    recovery_codes(visitor)
    visitor.get("/account")
    assert "Ways back in: 1 (10 codes)" in visitor.page.text
    assert "Each recovery code opens your account once" in visitor.page.text
    visitor.bind(StubKey(), "Spare", prove_with=stub_key)
    visitor.get("/account")
    assert "Ways back in: 2 (1 spare key, 10 codes)" in visitor.page.text
    assert "Security key Nothing changes: Spare opens your account as well." in visitor.page.text
    assert "You would have to ask whoever runs Keystead" in visitor.page.text


def test_without_a_key_no_way_back_is_needed(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert "Ways back in" not in keystead_visitor.get("/account").text


def test_a_notice_is_one_of_ours_or_none(keystead: Site, keystead_visitor: Visitor) -> None:
    """Only words of ours are: nobody puts his own on our page by a link."""
    keystead_visitor.log_on("zoe", keystead.password)
    assert "The key has a new name." in keystead_visitor.get("/account/security?notice=renamed").text
    assert "call this number" not in keystead_visitor.get("/account/security?notice=call+this+number").text
    assert keystead_visitor.page.said == []
