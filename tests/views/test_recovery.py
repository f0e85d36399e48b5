"""Making recovery codes: ten, shown once, in force when one of them was typed back. Their use is in `test_logon.py`."""

from datetime import timedelta
from functools import partial

from tests.views.mails import subjects
from tests.views.people import bound, proven, recovery_codes, shown_codes, touch
from tests.views.unchanged import nothing_changes
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once


def confirmation(visitor: Visitor, code: str) -> dict[str, str]:
    """The fields of the form that puts the codes on the page in force, with this one typed."""
    form = visitor.page.form("/recovery/confirm")
    assert form
    return form.fields | {"code": code}


def test_ten_recovery_codes_are_shown_once_and_are_in_force_when_one_was_typed(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    codes = shown_codes(visitor)
    assert len(set(codes)) == 10
    assert keystead.read().recovery_codes == ()
    wrong = visitor.submit("/recovery/confirm", code="AAAA-AAAA-AAAA-AAAA")
    assert wrong.status_code == 422
    assert not any(code in wrong.text for code in codes)
    codes = recovery_codes(visitor)
    kept = keystead.read().recovery_codes
    assert len(kept) == 10
    assert not any(code.encode() in kept[0].digest for code in codes)
    assert "10 left" in visitor.get("/account/security").text
    assert "New recovery codes" in subjects(keystead)


def test_the_done_page_offers_them(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get(f"{U2F}/done")
    assert visitor.submit("/account/recovery").text.count("<code>") == 10


def test_new_codes_replace_the_old_ones_and_a_shown_set_is_put_in_force_once(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    old = recovery_codes(visitor)
    new = shown_codes(visitor)
    uses = [partial(visitor.post, "/account/recovery/confirm", confirmation(visitor, new[0]))] * 20
    assert sorted(answer.status_code for answer in at_once(uses)) == [303] + [409] * 19
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.post("/logon/recovery", {"code": old[0]}).status_code == 422
    assert visitor.post("/logon/recovery", {"code": new[0]}).status_code == 303


def test_a_shown_set_of_recovery_codes_is_put_in_force_by_its_own_session_within_the_hour(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    codes = shown_codes(visitor)
    fields = confirmation(visitor, codes[0])
    other = keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    assert other.post("/account/recovery/confirm", fields).status_code == 409
    keystead_clock.move(timedelta(hours=1))
    touch(visitor, stub_key)
    assert visitor.post("/account/recovery/confirm", fields).status_code == 409
    assert keystead.read().recovery_codes == ()


def test_making_them_wants_a_touch_and_confirming_them_the_proof_of_ten_minutes(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=1))
    with nothing_changes(keystead):
        assert visitor.post("/account/recovery").headers["location"].startswith(U2F)
    touch(visitor, stub_key, then="/account/recovery")
    codes = shown_codes(visitor)
    keystead_clock.move(timedelta(minutes=9))
    assert visitor.post("/account/recovery/confirm", confirmation(visitor, codes[0])).status_code == 303


def test_without_a_key_there_are_none(keystead: Site) -> None:
    visitor = proven(keystead)
    assert "bind one first" in visitor.get("/account/recovery").text
    assert visitor.post("/account/recovery").headers["location"] == "/account/recovery"


def test_a_set_that_was_shown_before_the_last_key_went_is_not_put_in_force_after(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    fields = confirmation(visitor, shown_codes(visitor)[0])
    visitor.unbind(stub_key)
    assert visitor.post("/account/recovery/confirm", fields).status_code in (303, 409)
    assert keystead.read().recovery_codes == ()
