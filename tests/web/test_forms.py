"""A form is read, bounded in size and in time, before anybody is judged."""

import pytest

from tests.views.meanwhile import held_back
from tests.views.unchanged import nothing_changes
from webapp.testing.site import Site
from webapp.testing.visitor import Visitor
from webapp.web import forms


def test_a_body_that_is_no_form_is_refused(keystead: Site, keystead_visitor: Visitor) -> None:
    origin = {"origin": keystead.settings.origin}
    json = keystead_visitor.client.post("/logon", json={"username": "zoe"}, headers=origin)
    assert json.status_code == 415
    files = keystead_visitor.client.post("/logon", files={"a": b"x"}, headers=origin)
    assert files.status_code == 415
    assert keystead_visitor.post("/logon", body=b"username=" + b"x" * 70_000).status_code == 413
    assert keystead_visitor.post("/logon", body=b"username=%ff%fe").status_code == 400
    assert keystead_visitor.post("/logon", body=b"\xff\xfe=x").status_code == 400
    assert keystead_visitor.post("/logon", body=b"username=a%00b").status_code == 400
    assert keystead_visitor.post("/logon", body=b"username=zoe&password=100%").status_code == 400, "a browser writes %25"
    assert keystead_visitor.post("/logon", body=b"&".join(b"a=b" for _ in range(100))).status_code == 400
    assert keystead_visitor.post("/logon", body=b"").status_code == 401


def test_of_a_field_that_is_there_twice_the_last_counts(keystead: Site, keystead_visitor: Visitor) -> None:
    body = f"username=nobody&password=x&username=zoe&password={keystead.password.replace(' ', '+')}".encode()
    assert keystead_visitor.post("/logon", body=body).headers["location"] == "/account"


@pytest.mark.parametrize("path", ["/logon", "/account/email", "/logoff", "/not-me"])
def test_a_body_that_does_not_arrive_in_time_is_given_up_and_does_nothing(
    keystead: Site, keystead_visitor: Visitor, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Whoever sends it: a stranger holds no place of ours for longer than anybody else."""
    monkeypatch.setattr(forms, "SECONDS", 0.2)
    keystead_visitor.log_on("zoe", keystead.password)
    fields = {"username": "zoe", "password": keystead.password, "email": "thief@example.org"}
    with nothing_changes(keystead), held_back(keystead, keystead_visitor, path, fields) as arrive:
        answer = arrive(send=False)
    assert answer.status_code == 408
    assert "ten seconds" in answer.text


def test_ten_seconds_are_what_a_body_has() -> None:
    assert forms.SECONDS == 10


def test_a_form_is_read_before_anybody_is_judged(keystead: Site) -> None:
    """A stranger's body that is too large is refused as such, not for want of a session."""
    stranger = keystead.visitor()
    assert stranger.post("/account/email", body=b"x" * 70_000).status_code == 413
    assert stranger.post("/account/email").headers["location"] == "/logon?notice=ended"
