"""Making recovery codes: ten, in force at once, or once one is typed back; and the rehearsal. Their use is in `test_logon.py`."""

import re
from datetime import timedelta
from functools import partial

import httpx2
import pytest

from tests.views.mails import subjects
from tests.views.people import bound, proven, recovery_codes, shown_codes, touch
from tests.views.unchanged import nothing_changes
from webapp.accounts import limits
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor, at_once


def form(visitor: Visitor, ending: str, **typed: str) -> dict[str, str]:
    """The fields of this form of the page, with what is typed."""
    found = visitor.page.form(ending)
    assert found
    return found.fields | typed


def on(answer: httpx2.Response) -> list[str]:
    return re.findall(r"<code>([A-Z2-7-]{19})</code>", answer.text)


def test_ten_recovery_codes_are_in_force_from_when_they_are_shown(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    codes = shown_codes(visitor)
    assert len(set(codes)) == 10
    kept = keystead.read().recovery_codes
    assert len(kept) == 10
    assert not any(code.encode() in kept[0].digest for code in codes)
    assert visitor.page.form("/recovery/confirm") is None
    assert "New recovery codes" in subjects(keystead)
    assert "10 left" in visitor.get("/account/security").text


def test_a_reload_shows_the_same_ten(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    fields = form(visitor, "/account/recovery")
    answers = at_once([partial(visitor.post, "/account/recovery", fields)] * 20)
    assert {tuple(on(answer)) for answer in answers} == {tuple(on(answers[0]))}
    assert len(on(answers[0])) == 10
    assert subjects(keystead).count("New recovery codes") == 1


def test_a_reload_after_the_minute_wants_a_touch_and_then_shows_the_same_ten(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    fields = form(visitor, "/account/recovery")
    codes = on(visitor.post("/account/recovery", fields))
    keystead_clock.move(timedelta(minutes=2))
    with nothing_changes(keystead):
        visitor.follow(visitor.post("/account/recovery", fields))
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(stub_key))
    assert on(visitor.submit("/account/recovery")) == codes


def test_the_done_page_and_the_dialog_offer_them_first(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    first = r'<button class="button wide first" type="submit">Get recovery codes</button>'
    assert re.search(first, visitor.get(f"{U2F}/dialog?since=0").text)
    assert re.search(first, visitor.get(f"{U2F}/done").text)
    assert len(on(visitor.submit("/account/recovery"))) == 10
    for page in ("done", "dialog?since=0"):
        assert "Get recovery codes" not in visitor.get(f"{U2F}/{page}").text


def test_the_row_warns_while_there_is_one_key_and_no_code(keystead: Site, stub_key: StubKey) -> None:
    visitor, warning = bound(keystead, stub_key), "No way back"
    assert warning in visitor.get("/account/security").text
    assert warning in visitor.client.get(f"{U2F}/row", headers={"hx-request": "true"}).text
    recovery_codes(visitor)
    assert warning not in visitor.get("/account/security").text


def test_a_second_key_ends_the_warning(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.bind(StubKey(), prove_with=stub_key)
    assert "No way back" not in visitor.get("/account/security").text


def test_new_codes_replace_the_old_ones_once_one_is_typed_back(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    old = recovery_codes(visitor)
    new = shown_codes(visitor)
    assert set(old).isdisjoint(new)
    with nothing_changes(keystead):
        wrong = visitor.submit("/recovery/confirm", code="AAAA-AAAA-AAAA-AAAA")
    assert wrong.status_code == 422
    assert on(wrong) == new, "a typo shows the same ten again"
    uses = [partial(visitor.post, "/account/recovery/confirm", form(visitor, "/recovery/confirm", code=new[0]))] * 20
    assert {answer.headers["location"] for answer in at_once(uses)} == {"/account/security?notice=recovery"}
    assert subjects(keystead).count("New recovery codes") == 2
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.post("/logon/recovery", {"code": old[0]}).status_code == 422
    assert visitor.post("/logon/recovery", {"code": new[0]}).status_code == 303


def test_a_shown_set_of_recovery_codes_is_put_in_force_by_its_own_session_and_in_time(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    codes = shown_codes(visitor)
    fields, before = form(visitor, "/recovery/confirm", code=codes[0]), keystead.read().recovery_codes
    other = keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    assert other.post("/account/recovery/confirm", fields).status_code == 409
    keystead_clock.move(timedelta(hours=2))
    touch(visitor, stub_key)
    assert visitor.post("/account/recovery/confirm", fields).status_code == 409
    assert keystead.read().recovery_codes == before


@pytest.mark.parametrize("offer", ["", "AAAA.AAAA", "\u202e" * 99])
def test_a_form_that_carries_no_offer_of_ours_makes_nothing(keystead: Site, stub_key: StubKey, offer: str) -> None:
    visitor = bound(keystead, stub_key)
    with nothing_changes(keystead):
        answer = visitor.post("/account/recovery", {"offer": offer})
    assert answer.status_code == 409
    assert "nothing was done" in answer.text


def test_making_them_wants_a_touch_and_confirming_them_the_proof_of_ten_minutes(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor = bound(keystead, stub_key)
    recovery_codes(visitor)
    keystead_clock.move(timedelta(minutes=1))
    with nothing_changes(keystead):
        assert visitor.post("/account/recovery").headers["location"].startswith(U2F)
    touch(visitor, stub_key, then="/account/recovery")
    codes = shown_codes(visitor)
    keystead_clock.move(timedelta(minutes=9))
    assert visitor.post("/account/recovery/confirm", form(visitor, "/recovery/confirm", code=codes[0])).status_code == 303


def test_without_a_key_there_are_none(keystead: Site) -> None:
    visitor = proven(keystead)
    assert f'<a class="button first wide" href="{U2F}">Bind a key</a>' in visitor.get("/account/recovery").text
    assert visitor.post("/account/recovery").headers["location"] == "/account/recovery"


def test_a_set_that_was_shown_before_the_last_key_went_is_not_put_in_force_after(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    made = form(visitor, "/account/recovery")
    recovery_codes(visitor)
    fields = form(visitor, "/recovery/confirm", code=shown_codes(visitor)[0])
    visitor.unbind(stub_key)
    assert visitor.post("/account/recovery/confirm", fields).status_code in (303, 409)
    assert visitor.post("/account/recovery", made).status_code in (303, 409)
    assert keystead.read().recovery_codes == ()


def test_the_sheet_names_the_site_the_account_and_the_day_and_has_every_code(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    visitor.get("/account/recovery")
    answer = visitor.submit("/account/recovery")
    codes = on(answer)
    sheet, file = answer.text.split('<section class="sheet">')[1].split('<pre id="sheet-text" hidden>')
    for text in (sheet, file):
        assert all(code in text for code in codes)
        for told in (
            keystead.settings.public_url,
            "z•••@example.com",
            "Made on",
            "Use a recovery code",
            "My second key lies here",
        ):
            assert told in text
        assert "zoe@example.com" not in text


# the rehearsal


def test_a_rehearsal_checks_a_code_and_does_not_use_it_up(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    keystead_clock.move(timedelta(hours=1))
    before = keystead.read()
    visitor.get("/account/recovery/rehearsal")
    assert "Use a recovery code" in visitor.page.text
    assert "none of your recovery codes" in visitor.submit("/rehearsal", code="AAAA-BBBB-CCCC-DDDD").text
    for _ in range(2):
        assert "You would get in" in visitor.submit("/rehearsal", code=codes[0].lower()).text
    now = keystead.read()
    assert now.recovery_codes == before.recovery_codes
    assert [session.proven_at for session in now.sessions] == [session.proven_at for session in before.sessions]
    assert "tried in a rehearsal" in visitor.get("/account/activity").text
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert visitor.post("/logon/recovery", {"code": codes[0]}).status_code == 303


def test_a_rehearsal_proves_nothing(keystead: Site, stub_key: StubKey, keystead_clock: Clock) -> None:
    visitor = bound(keystead, stub_key)
    codes = recovery_codes(visitor)
    keystead_clock.move(timedelta(hours=1))
    visitor.get("/account/recovery/rehearsal")
    visitor.submit("/rehearsal", code=codes[0])
    assert visitor.get("/account/email").headers["location"].startswith(U2F)


def test_guesses_in_a_rehearsal_are_counted_with_those_at_the_logon(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    code = recovery_codes(visitor)[0]
    guess = {"code": "AAAA-BBBB-CCCC-DDDD"}
    half = limits.RECOVERY.most // 2
    assert {visitor.post("/account/recovery/rehearsal", guess).status_code for _ in range(half)} == {422}
    visitor.log_off()
    visitor.log_on("zoe", keystead.password)
    assert {visitor.post("/logon/recovery", guess).status_code for _ in range(half)} == {422}
    visitor.log_on_with(stub_key)
    assert visitor.post("/account/recovery/rehearsal", {"code": code}).status_code == 429


def test_a_rehearsal_without_codes_says_that_nobody_would_get_in(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    page = visitor.get("/account/recovery/rehearsal").text
    assert "you would not get in by yourself" in page
    assert visitor.page.form("/rehearsal") is None


def test_a_rehearsal_tells_of_the_wait_where_there_is_one(stub_key: StubKey, tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("wait"), wait=timedelta(hours=72)) as site:
        assert "after a wait of 72 hours" in bound(site, stub_key).get("/account/recovery/rehearsal").text
