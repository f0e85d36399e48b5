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


def test_the_account_page_nudges_while_there_is_one_key_and_no_codes(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    assert "one key and no recovery codes" in visitor.get("/account").text
    recovery_codes(visitor)
    assert "one key and no recovery codes" not in visitor.get("/account").text


def test_a_notice_is_one_of_ours_or_none(keystead: Site, keystead_visitor: Visitor) -> None:
    """Only words of ours are: nobody puts his own on our page by a link."""
    keystead_visitor.log_on("zoe", keystead.password)
    assert "The key has a new name." in keystead_visitor.get("/account/security?notice=renamed").text
    assert "call this number" not in keystead_visitor.get("/account/security?notice=call+this+number").text
    assert keystead_visitor.page.said == []
