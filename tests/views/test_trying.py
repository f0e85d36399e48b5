"""Try this key, and which key is this: over HTTP, with keys that really sign."""

from datetime import timedelta

import pytest

from tests.views.people import is_in, twin
from tests.views.unchanged import nothing_changes
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

WORKS = "and it works"


@pytest.fixture(params=["plain", "htmx"])
def visitor(request: pytest.FixtureRequest, keystead: Site, stub_key: StubKey) -> Visitor:
    """Logged on, with a key bound; once as a browser without scripts, once as htmx."""
    visitor = keystead.visitor(htmx=request.param == "htmx")
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key, "Blue")
    return visitor


def test_a_key_that_is_tried_says_its_name(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    before = keystead.read().keys[0].sign_count
    visitor.get(f"{U2F}/keys/{stub_key.slug}/try")
    assert "This is Blue, and it works." in " ".join(
        visitor.finish(stub_key).text.replace("<b><bdi>", "").replace("</bdi></b>", "").split()
    )
    assert keystead.read().keys[0].sign_count == before + 1


def test_which_key_it_is_lights_up(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    red = StubKey()
    visitor.bind(red, "Red", prove_with=stub_key)
    for key in (stub_key, red):
        visitor.get(f"{U2F}/try")
        assert f'lit" id="key-{key.slug}"' in visitor.finish(key).text


def test_a_key_that_is_not_bound_is_told_apart(keystead: Site, visitor: Visitor) -> None:
    visitor.get(f"{U2F}/try")
    with nothing_changes(keystead):
        answer = visitor.finish(StubKey())
    assert answer.status_code == 422
    assert "Not bound here" in answer.text


def test_without_a_key_there_is_none_to_ask_about(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    assert keystead_visitor.get(f"{U2F}/try").headers["location"] == "/account/security"
    assert keystead_visitor.post(f"{U2F}/try").status_code == 422


def test_a_try_is_no_proof_and_makes_none_younger(
    keystead: Site, visitor: Visitor, stub_key: StubKey, keystead_clock: Clock
) -> None:
    keystead_clock.move(timedelta(minutes=11))
    for path in (f"{U2F}/try", f"{U2F}/keys/{stub_key.slug}/try"):
        visitor.get(path)
        answered = visitor.finish(stub_key)
        assert WORKS in answered.text
        assert "set-cookie" not in answered.headers
    visitor.get(U2F)
    assert visitor.page.form("/prove/begin")
    assert visitor.post(f"{U2F}/keys/{stub_key.slug}/unbind").status_code == 403


def test_what_answers_a_try_is_taken_for_nothing_else(
    keystead: Site, visitor: Visitor, stub_key: StubKey, keystead_clock: Clock
) -> None:
    """Neither for a proof, nor, in a browser that owes the key, for a logon."""
    keystead_clock.move(timedelta(minutes=11))
    visitor.get(f"{U2F}/try")
    fields = visitor.answer(stub_key)
    half = keystead.visitor()
    half.log_on("zoe", keystead.password)
    with nothing_changes(keystead):
        assert visitor.post(f"{U2F}/prove/finish", fields).status_code == 422
        assert visitor.post(f"{U2F}/keys/{stub_key.slug}/found", fields).status_code == 422
        assert half.post("/logon/key/finish", fields).status_code == 422
    assert not is_in(half)


def test_a_try_is_answered_once_and_only_here(keystead: Site, visitor: Visitor, stub_key: StubKey) -> None:
    other = keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    visitor.get(f"{U2F}/try")
    fields = visitor.answer(stub_key)
    assert other.post(f"{U2F}/try", fields).status_code == 422
    assert twin(keystead, visitor).post(f"{U2F}/try", fields).status_code == 200
    assert visitor.post(f"{U2F}/try", fields).status_code == 422
