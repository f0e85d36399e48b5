"""No dead ends: whatever is refused says what else there is, how long to wait, and leads back to where somebody was."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from backends.protocol import Unavailable
from backends.records import Account
from tests.views.people import bound, proven
from tests.views.test_routes import OPEN_TO_EVERYBODY, request, rows
from webapp.accounts import limits
from webapp.testing.clock import Clock
from webapp.testing.page import Page
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor

NEW = "a new and longer password"


def link_of(answer: httpx2.Response) -> str:
    """Where the refusal leads."""
    refusal = answer.text.partition('<div id="refusal">')[2].partition("</main>")[0]
    found = re.search(r'<a(?: class="button first")? href="([^"]+)"', refusal)
    assert found, answer.text
    return found[1]


def came_from(visitor: Visitor, site: Site, path: str) -> dict[str, str]:
    return {"origin": visitor.origin, "referer": f"{site.settings.origin}{path}"}


async def away(*_: Any, **__: Any) -> None:
    raise Unavailable("away")


# a logon that ended


def test_who_had_a_session_is_told_that_it_ended_and_is_led_back(keystead: Site, stub_key: StubKey) -> None:
    visitor = bound(keystead, stub_key)
    other = keystead.visitor()
    other.log_on("zoe", keystead.password, stub_key)
    other.post("/account/sessions/end-others")
    answer = visitor.get("/account/activity?before=99")
    assert answer.headers["location"] == "/logon?next=%2Faccount%2Factivity%3Fbefore%3D99&notice=ended"
    assert "Your logon has ended" in visitor.follow(answer).text
    visitor.follow(visitor.submit("/logon", username="zoe", password=keystead.password))
    visitor.begin_key()
    assert visitor.finish_key(stub_key).headers["location"] == "/account/activity?before=99"


def test_who_never_had_one_is_not_told_that_it_ended(keystead: Site, keystead_visitor: Visitor) -> None:
    answer = keystead_visitor.get("/account/activity")
    assert answer.headers["location"] == "/logon?next=%2Faccount%2Factivity"
    assert "ended" not in keystead_visitor.follow(answer).text


def test_a_form_of_a_session_that_ended_leads_back_to_the_page_that_it_stands_on(keystead: Site) -> None:
    visitor = keystead.visitor()
    answer = visitor.client.post("/account/sessions/end-others", headers=came_from(visitor, keystead, "/account/sessions"))
    assert answer.headers["location"] == "/logon?next=%2Faccount%2Fsessions&notice=ended"
    said = came_from(visitor, keystead, "/account/sessions?notice=others")
    assert wanted(visitor.client.post("/account/sessions/end-others", headers=said)) == "/account/sessions", "it was said already"
    answer = visitor.client.post(
        "/account/sessions/end-others", headers={"origin": visitor.origin, "referer": "https://evil.example/"}
    )
    assert answer.headers["location"] == "/logon?notice=ended"


def test_the_key_step_that_took_too_long_leads_to_where_it_would_have_led(
    keystead: Site, half_signed_in: Visitor, keystead_clock: Clock
) -> None:
    keystead_clock.move(timedelta(minutes=10))
    answer = half_signed_in.get("/logon/key?next=/account/sessions")
    assert answer.headers["location"] == "/logon?next=%2Faccount%2Fsessions&notice=ended"
    answer = half_signed_in.post("/logon/key/begin", {"next": "/account/activity"})
    assert answer.headers["location"] == "/logon?next=%2Faccount%2Factivity&notice=ended"
    assert "evil" not in half_signed_in.post("/logon/key/begin", {"next": "//evil.example"}).headers["location"]


def test_who_owes_the_key_is_led_back_to_where_it_was_owed(keystead: Site, half_signed_in: Visitor, stub_key: StubKey) -> None:
    answer = half_signed_in.get("/account/sessions")
    assert answer.headers["location"] == "/logon/key?next=%2Faccount%2Fsessions"
    half_signed_in.follow(answer)
    half_signed_in.begin_key()
    assert half_signed_in.finish_key(stub_key).headers["location"] == "/account/sessions"


def end_all(site: Site, key: StubKey) -> None:
    """All sessions of zoe are ended elsewhere."""
    other = site.visitor()
    other.log_on("zoe", site.password, key)
    other.post("/account/sessions/end-others")
    other.log_off()


def wanted(answer: httpx2.Response) -> str:
    """The page that the logon leads back to, to which this answer leads."""
    target = httpx2.URL(answer.headers.get("hx-redirect") or answer.headers["location"])
    assert target.path == "/logon"
    return str(target.params.get("next", ""))


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_every_form_of_a_session_that_ended_leads_to_a_page_that_opens(keystead: Site, stub_key: StubKey, htmx: bool) -> None:
    """Also where a page answered that very form, and stands at an address that no link leads to."""
    visitor, stranger = bound(keystead, stub_key), keystead.visitor()
    event = visitor.get("/account/activity").text.partition("/account/activity/")[2].partition('"')[0]
    judged = 0
    for row in rows(keystead):
        if row.method != "POST" or row.name in OPEN_TO_EVERYBODY:
            continue
        at = row.path.replace("{key}", stub_key.slug).replace("{id}", event)
        headers = came_from(stranger, keystead, at) | ({"hx-request": "true"} if htmx else {})
        answer = stranger.client.post(at, headers=headers)
        page = at if "hx-refresh" in answer.headers else wanted(answer)
        assert page or at.startswith(("/logon/", "/apps/")), f"{at} leads nowhere"
        if page:
            answer = visitor.get(page)
            assert answer.status_code in (200, 303), f"{at} leads to {page}: {answer.status_code}"
        judged += 1
    assert judged > 25


def test_the_touch_for_an_application_that_comes_too_late_leads_on_to_the_application(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    app = keystead.behind(PlainTextResponse("the wiki"), "wiki", fresh=1)
    visitor = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=1))
    entry = visitor.open(f"{app.url}/page?q=1").url
    asks = visitor.page.form("/apps/touch/begin")
    assert asks
    visitor.submit("/apps/touch/begin")
    touch = visitor.answer(stub_key)
    end_all(keystead, stub_key)
    answers = [
        visitor.client.post(action, data=fields, headers=came_from(visitor, keystead, at))
        for at, action, fields in (
            (f"/apps/enter?{entry.query.decode()}", "/apps/touch/begin", asks.fields),
            ("/apps/touch/begin", "/apps/touch/finish", touch),
            ("", "/apps/touch/finish", touch),
        )
    ]
    for answer in answers:
        leads = httpx2.URL(wanted(answer))
        assert (leads.path, leads.params) == ("/apps/enter", entry.params)
    visitor.follow(answers[0])
    visitor.follow(visitor.submit("/logon", username="zoe", password=keystead.password))
    visitor.begin_key()
    assert visitor.follow(visitor.finish_key(stub_key)).text == "the wiki"


def test_a_form_on_a_page_that_answered_one_leads_back_to_where_that_began(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor, keys = bound(keystead, stub_key), f"{U2F}/keys/{stub_key.slug}"
    visitor.get(f"/account/security?rename={stub_key.slug}")
    assert visitor.submit("/name", name=" ").status_code == 422
    forms = {f"{keys}/name": (visitor.page.form("/name"), "/account/security")}
    keystead_clock.move(timedelta(minutes=1))
    visitor.get(f"{keys}/unbind")
    visitor.submit("/prove/begin")
    forms[f"{U2F}/prove/begin"] = (visitor.page.ceremony, f"{keys}/unbind")
    visitor.get(f"{U2F}?then=/account/email")
    visitor.submit("/prove/begin")
    forms[f"{U2F}/prove/finish"] = (visitor.page.ceremony, "/account/email")
    end_all(keystead, stub_key)
    for at, (form, leads) in forms.items():
        assert form
        for htmx in ({}, {"hx-request": "true"}):
            headers = came_from(visitor, keystead, at) | htmx
            assert wanted(visitor.client.post(form.action, data=form.fields, headers=headers)) == leads, at
    headers = came_from(visitor, keystead, f"{U2F}?then=/account/email") | {"hx-request": "true"}
    answer = visitor.client.post(f"{U2F}/prove/begin", headers=headers)
    assert answer.headers["hx-refresh"] == "true", "a page that opens is loaded anew"


@pytest.mark.parametrize("field", ["next", "then"])
def test_a_form_of_a_session_that_ended_leads_to_no_other_site(keystead: Site, field: str) -> None:
    visitor = keystead.visitor()
    for path in ("//evil.example", "https://evil.example/", "/\\evil.example", "/%2e%2e/wiki"):
        for action in ("/logon/key/begin", f"{U2F}/prove/begin", "/apps/touch/finish"):
            assert wanted(visitor.post(action, {field: path})) == ""


def test_a_refusal_of_a_form_on_a_page_that_answered_one_leads_back_to_a_page_that_opens(keystead: Site) -> None:
    visitor = proven(keystead)
    headers = came_from(visitor, keystead, "/account/email/verify")
    assert link_of(visitor.client.post("/account/email/verify", content=b"\xff", headers=headers)) == "/account/email"


def test_who_loses_the_proof_comes_back_to_a_page_that_opens_as_it_was(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock
) -> None:
    visitor, slug = bound(keystead, stub_key), stub_key.slug
    keystead_clock.move(timedelta(minutes=10))
    for at, back in (
        (f"/account/security?rename={slug}", f"/account/security?rename={slug}"),
        ("/account/email/verify", "/account/email"),
    ):
        answer = visitor.client.post(f"{U2F}/keys/{slug}/name", headers=came_from(visitor, keystead, at))
        assert dict(httpx2.URL(answer.headers["location"]).params) == {"then": back, "notice": "late"}


# too often


def too_many_passwords(site: Site, _: StubKey) -> httpx2.Response:
    visitor = proven(site)
    return [visitor.post("/account/password", {"old": "wrong", "new": NEW}) for _ in range(11)][-1]


def too_many_mails(site: Site, _: StubKey) -> httpx2.Response:
    visitor = site.visitor()
    return [visitor.post("/logon/forgotten", {"username": f"n{number}"}) for number in range(21)][-1]


def too_many_touches(site: Site, key: StubKey) -> httpx2.Response:
    visitor = bound(site, key)
    visitor.log_off()
    visitor.submit_password("zoe", site.password)
    return [visitor.post("/logon/key/finish") for _ in range(limits.KEY_STEP.most + 1)][-1]


def too_many_recovery_codes(site: Site, key: StubKey) -> httpx2.Response:
    visitor = bound(site, key)
    visitor.log_off()
    visitor.submit_password("zoe", site.password)
    return [visitor.post("/logon/recovery", {"code": "x"}) for _ in range(11)][-1]


@pytest.mark.parametrize(
    ("ask", "instead"),
    [
        (too_many_passwords, "/logon/forgotten"), (too_many_mails, "/logon"),
        (too_many_touches, "/logon/recovery"), (too_many_recovery_codes, "/logon/key"),
    ],
)  # fmt: skip
def test_who_does_something_too_often_sees_how_long_to_wait_and_what_else_there_is(
    keystead: Site, stub_key: StubKey, ask: Callable[[Site, StubKey], httpx2.Response], instead: str
) -> None:
    answer = ask(keystead, stub_key)
    assert answer.status_code == 429
    assert link_of(answer) == instead
    assert f'data-expires-in="{answer.headers["retry-after"]}"' in answer.text


def test_who_rehearses_too_often_is_not_led_to_a_logon(keystead: Site, stub_key: StubKey) -> None:
    assert link_of(too_often(bound(keystead, stub_key))) == "/account"


def test_who_types_too_many_passwords_comes_back_to_where_the_logon_leads(keystead: Site, keystead_visitor: Visitor) -> None:
    answer = [keystead_visitor.submit_password("zoe", "wrong", next="/account/sessions") for _ in range(11)][-1]
    assert answer.status_code == 429
    assert f'data-expires-in="{answer.headers["retry-after"]}"' in answer.text
    assert "/logon?next=%2Faccount%2Fsessions" in keystead_visitor.page.links


# not now


def test_a_page_that_does_not_answer_is_loaded_anew_by_itself(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    monkeypatch.setattr(keystead.backend, "account", away)
    answer = visitor.get("/account/sessions")
    assert answer.status_code == 503
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in answer.text
    assert 'data-look-in="5" data-load' in answer.text


def test_a_form_that_is_not_answered_is_sent_again_by_nobody(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    monkeypatch.setattr(keystead.backend, "account", away)
    answer = visitor.client.post("/account/sessions/end-others", headers=came_from(visitor, keystead, "/account/sessions"))
    assert answer.status_code == 503
    assert "http-equiv" not in answer.text
    assert 'data-look-in="5" data-at="/account/sessions"' in answer.text
    assert link_of(answer) == "/account/sessions"
    panel = visitor.post(f"{U2F}/code", htmx=True)
    assert 'data-look-in="5" hidden' in panel.text


def test_every_route_of_a_site_whose_records_are_away_leads_on(
    keystead: Site, stub_key: StubKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = bound(keystead, stub_key)
    for query in ("account", "account_named", "count_attempt", "commit"):
        monkeypatch.setattr(keystead.backend, query, away)
    refused = 0
    for row in rows(keystead):
        for htmx in (False, True):
            answer = request(visitor, row, stub_key.slug, htmx=htmx)
            if answer.status_code >= 400 and not row.name.startswith(("health.", "app_check.", "app_host.")):
                refused += 1
                assert link_of(answer), row
    assert refused > 60


# the others


def test_every_other_refusal_leads_on(keystead: Site, keystead_visitor: Visitor) -> None:
    visitor = keystead_visitor
    for answer, leads in (
        (visitor.get("/nowhere"), "/account"),
        (visitor.client.get("/logoff"), "/account"),
        (visitor.post("/logon", body=b"\xff"), "/account"),
        (visitor.client.post("/logon", content=b"\xff", headers=came_from(visitor, keystead, "/logon")), "/logon"),
        (visitor.client.post("/logon", headers={"origin": "https://evil.example"}), keystead.settings.public_url),
        (visitor.get("/logon/reset?token=x"), "/logon/forgotten"),
        (visitor.get("/logon/known?token=x"), "/logon"),
        (visitor.get("/not-me?token=x"), "/logon/forgotten"),
    ):
        assert 400 <= answer.status_code < 500
        assert link_of(answer) == leads


# whose page it is


def missing_key(visitor: Visitor) -> httpx2.Response:
    return visitor.get(f"{U2F}/keys/AA/unbind")


def too_often(visitor: Visitor) -> httpx2.Response:
    return [visitor.post("/account/recovery/rehearsal", {"code": "x"}) for _ in range(11)][-1]


REFUSED: dict[str, tuple[int, Callable[[Visitor], httpx2.Response]]] = {
    "no such page": (404, lambda visitor: visitor.get("/nowhere")),
    "no such file": (404, lambda visitor: visitor.get("/static/nothing.css")),
    "not by this method": (405, lambda visitor: visitor.client.get("/logoff")),
    "no form": (400, lambda visitor: visitor.post("/account/email", body=b"\xff")),
    "too large": (413, lambda visitor: visitor.post("/language", body=b"x" * 70_000)),
    "no such key": (404, missing_key),
    "no such session": (404, lambda visitor: visitor.post("/account/sessions/x/end")),
    "no such application": (404, lambda visitor: visitor.get("/apps/enter")),
    "too often": (429, too_often),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_whoever_is_logged_on_can_log_off_on_the_page_of_every_refusal(keystead: Site, stub_key: StubKey, refused: str) -> None:
    visitor, (status, ask) = bound(keystead, stub_key), REFUSED[refused]
    answer = ask(visitor)
    assert answer.status_code == status
    page = Page.read(answer.text)
    assert "Logged on as zoe" in page.text
    assert page.form("/logoff")


@pytest.mark.parametrize("refused", ["no such page", "not by this method", "no form", "too large"])
def test_nobody_else_is_named_on_one_and_no_query_is_asked_twice(
    keystead: Site, keystead_visitor: Visitor, stub_key: StubKey, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A session that owes its key is nobody's yet, and a panel has no head."""
    owner, half, asked = bound(keystead, stub_key), keystead.visitor(), list[str]()
    half.log_on("zoe", keystead.password)
    account = keystead.backend.account

    async def counted(account_id: str) -> Account | None:
        asked.append(account_id)
        return await account(account_id)

    monkeypatch.setattr(keystead.backend, "account", counted)
    ask = REFUSED[refused][1]
    for visitor, queries in ((keystead_visitor, 0), (half, 1), (owner, 1)):
        asked.clear()
        page = Page.read(ask(visitor).text)
        assert ("Logged on as zoe" in page.text) is (visitor is owner)
        assert len(asked) == queries
    owner.client.headers["hx-request"] = "true"
    asked.clear()
    ask(owner)
    assert not asked


@pytest.mark.parametrize("refused", ["no such page", "too large"])
def test_a_page_that_does_not_exist_does_not_exist_either_while_the_records_are_away(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    monkeypatch.setattr(keystead.backend, "account", away)
    status, ask = REFUSED[refused]
    assert ask(visitor).status_code == status
