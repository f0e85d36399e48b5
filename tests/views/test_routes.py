"""Who reaches what: a walk over the whole route table, so that a route added later is judged without anybody thinking of it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import httpx2
import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tests.views import mails
from tests.views.meanwhile import fail
from tests.views.people import is_in, proven
from tests.views.unchanged import nothing_changes
from webapp.accounts import turns
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor, at_once

HALF_SIGNED_IN_MAY = {
    "logon.key", "logon.begin_key", "logon.finish_key", "logon.recovery_code", "logon.use_recovery_code", "logon.wait",
    "logon.ask_to_open", "helpdesk.show", "helpdesk.ask", "helpdesk.enter", "logon.log_off",
}  # fmt: skip
"""DESIGN: /logon/key…, /logon/recovery, /logon/wait, /logon/help, /logoff."""
NEEDS_PROOF = {
    "binding.begin_bind", "binding.finish_bind", "binding.name_key", "recovery.confirm", "password.change",
    "password.submit_change", "email.show", "email.verify",
}  # fmt: skip
"""Everything that changes what protects an account."""
NEEDS_A_TOUCH_FOR_THE_ACT = {
    "activity.take_back", "binding.unbind", "binding.reinstate", "mislaying.show", "mislaying.mislay", "recovery.make",
    "email.send_code",
}  # fmt: skip
"""What takes a factor away, or gives one to whoever asks."""
OPEN_TO_EVERYBODY = {
    "logon.show", "logon.submit", "logon.log_off", "forgotten.show", "forgotten.submit", "forgotten.reset",
    "forgotten.submit_reset", "forgotten.ask_to_know", "forgotten.known", "forgotten.make_known", "account.root", "not_me.show",
    "not_me.freeze", "joining.show", "joining.submit", "joining.choose", "joining.join", "health.healthz", "health.readyz",
    "app_check.check", "app_host.begin", "app_host.end", "app_host.leave", "app_host.whoami",
    "language.choose",
}  # fmt: skip


class Row(NamedTuple):
    """A row of the route table."""

    method: str
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@pytest.fixture(scope="module")
def clock() -> Iterator[Clock]:
    with Clock() as clock:
        yield clock


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def key(site: Site) -> StubKey:
    """The key that the account has bound."""
    visitor, key = site.visitor(), StubKey()
    visitor.log_on(site.account.username, site.password)
    visitor.bind(key, "A name that nobody may read")
    return key


def rows(site: Site) -> list[Row]:
    """Every method and route. A mount that is not for files would have routes of its own, and must be added here."""
    mounts = [route.name for route in site.app.routes if isinstance(route, Mount)]
    assert mounts == ["static"]
    found = [route for route in site.app.routes if isinstance(route, Route)]
    assert len(found) + len(mounts) == len(site.app.routes)
    return [Row(method, route.name, route.path) for route in found for method in sorted(route.methods or ()) if method != "HEAD"]


def address(row: Row, slug: str = "AA") -> str:
    path = row.path.replace("{key}", slug).replace("{id}", "x")
    assert "{" not in path, f"{path}: say here what stands for its parameter"
    return path


def request(visitor: Visitor, row: Row, slug: str, *, htmx: bool, username: str = "nobody") -> httpx2.Response:
    if row.method == "POST":
        fields = {"name": "Taken over", "code": "123456", "username": username, "password": "x", "unbind": ""}
        return visitor.post(address(row, slug), fields, htmx=htmx)
    return visitor.client.request(row.method, address(row, slug), headers={"hx-request": "true"} if htmx else {})


def leads_to(response: httpx2.Response) -> str:
    """The path that a response sends its visitor to; "reload" where htmx is told to load the page anew, or what it asked for as
    a page; "" for none.
    """
    target = response.headers.get("hx-redirect") or response.headers.get("location") or ""
    if "hx-refresh" in response.headers or target == response.request.url.raw_path.decode():
        return "reload"
    return str(httpx2.URL(target).path) if target else ""


def what(response: httpx2.Response, username: str) -> tuple[int, str, str]:
    """An answer, without the name that was typed. A mail to one name goes out once in two minutes, so that each has its own."""
    return response.status_code, leads_to(response), response.text.replace(username, "…")


both_ways = pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])


def test_the_table_has_what_these_tests_speak_of(site: Site) -> None:
    names = {row.name for row in rows(site)}
    assert HALF_SIGNED_IN_MAY | NEEDS_PROOF | NEEDS_A_TOUCH_FOR_THE_ACT | OPEN_TO_EVERYBODY <= names
    assert len(names) > 40


@both_ways
def test_half_signed_in_reaches_nothing_but_the_key_step(site: Site, key: StubKey, htmx: bool) -> None:
    """Sent to the key step, or answered as anybody in the street is (CVE-2026-45690 and CVE-2026-45691)."""
    half, stranger = site.visitor(), site.visitor()
    half.log_on(site.account.username, site.password)
    assert half.page.form("/logon/key/begin")
    with nothing_changes(site):
        for row in rows(site):
            if row.name in HALF_SIGNED_IN_MAY:
                continue
            response = request(half, row, key.slug, htmx=htmx, username="nobody-1")
            end = leads_to(response)
            if end == "/account":  # where / leads whoever has a session; that page leads on
                end = leads_to(half.get("/account"))
            answered = f"{row}: {response.status_code} {end}"
            assert response.status_code < 500, answered
            other = request(stranger, row, key.slug, htmx=htmx, username="nobody-2")
            assert end == "/logon/key" or what(response, "nobody-1") == what(other, "nobody-2"), answered
            assert "A name that nobody may read" not in response.text, answered
            assert site.account.email not in response.text, answered
    half.get("/logon/key")
    half.log_on_with(key)


@both_ways
def test_a_stranger_reaches_nothing_of_an_account(site: Site, key: StubKey, htmx: bool) -> None:
    stranger, nobody = site.visitor(), site.visitor()
    with nothing_changes(site):
        for row in rows(site):
            response = request(stranger, row, key.slug, htmx=htmx)
            answered = f"{row}: {response.status_code} {leads_to(response)}"
            assert response.status_code < 500, answered
            assert site.account.username not in response.text, answered
            if row.name not in OPEN_TO_EVERYBODY:
                assert leads_to(response) == ("reload" if htmx else "/logon"), answered
                assert response.text == "", answered
    assert nobody.get("/account").headers["location"].startswith("/logon")


@both_ways
def test_without_a_fresh_proof_nothing_is_bound_or_unbound(site: Site, clock: Clock, key: StubKey, htmx: bool) -> None:
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    clock.move(timedelta(minutes=10))
    visitor.get("/account")
    with nothing_changes(site):
        for row in rows(site):
            if row.name in NEEDS_PROOF | NEEDS_A_TOUCH_FOR_THE_ACT:
                assert is_refused(request(visitor, row, key.slug, htmx=htmx)), row
    visitor.get("/account/security/u2f")
    assert visitor.page.form("/prove/begin")


@both_ways
def test_without_a_touch_of_the_last_minute_nothing_is_taken_away_or_given(
    site: Site, clock: Clock, key: StubKey, htmx: bool
) -> None:
    """Somebody walks up to a browser whose owner has just gone for coffee."""
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    clock.move(timedelta(minutes=1))
    with nothing_changes(site):
        for row in rows(site):
            if row.name in NEEDS_A_TOUCH_FOR_THE_ACT:
                assert is_refused(request(visitor, row, key.slug, htmx=htmx)), row
    assert visitor.get("/account/email").status_code == 200, "the page itself shows nothing that a minute would protect"


def is_refused(response: httpx2.Response) -> bool:
    return response.status_code == 403 or leads_to(response) == "/account/security/u2f"


def test_a_bound_account_is_not_proven_by_a_code(site: Site, clock: Clock, key: StubKey) -> None:
    """A key is bound: the mailbox alone opens nothing (CVE-2026-3429)."""
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    clock.move(timedelta(minutes=11))
    mailed = len(mails.mails(site))
    visitor.post("/account/security/u2f/code")
    visitor.post("/account/security/u2f/verify", {"code": "123456"})
    assert len(mails.mails(site)) == mailed
    visitor.get("/account/security/u2f")
    assert visitor.page.form("/prove/begin")
    assert not visitor.page.form("/bind/begin")


def test_another_accounts_key_is_not_unbound_or_renamed(site: Site, key: StubKey) -> None:
    other = site.add_account("other")
    visitor, own = site.visitor(other), StubKey()
    visitor.log_on("other", site.password)
    visitor.bind(own)
    with nothing_changes(site):
        for deed in ("unbind", "name", "reinstate", "try", "mislaid", "found"):
            assert visitor.post(f"/account/security/u2f/keys/{key.slug}/{deed}", {"name": "Mine"}).status_code == 404
        for page in ("unbind", "try", "mislaid", "found"):
            assert visitor.get(f"/account/security/u2f/keys/{key.slug}/{page}").status_code == 404
        assert visitor.post("/account/security/u2f/prove/begin", {"unbind": key.slug}).status_code == 404
        assert visitor.post("/account/security/u2f/prove/finish", {"unbind": key.slug}).status_code == 404
    visitor.unbind(own)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"])
def test_a_method_that_no_form_has_is_refused(site: Site, method: str) -> None:
    visitor = site.visitor()
    for path in {address(row) for row in rows(site)}:
        response = visitor.client.request(method, path, headers={"origin": visitor.origin})
        assert response.status_code == 405, path
        assert visitor.client.request(method, path).status_code == 403, path


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {},
        {"referer": "http://["},
    ],
)  # fmt: skip
def test_a_form_from_elsewhere_is_refused_and_does_nothing(keystead: Site, headers: dict[str, str]) -> None:
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    for row in rows(keystead):
        if row.method == "POST":
            assert visitor.client.post(address(row), headers=headers).status_code == 403, row
    assert is_in(visitor)
    assert mails.mails(keystead) == []


HOSTILE = {
    "nothing": (b"", 0),
    "only separators": (b"&&&", 0),
    "every field at its longest": (
        b"&".join(b"%s=" % f + b"x" * 9000 for f in (b"username", b"password", b"code", b"token", b"next")),
        0,
    ),
    "marks in the wrong order": (("username=" + "a\u0301\u0327" * 300 + "&code=" + "\u0660" * 60).encode(), 0),
    "half of a surrogate pair": (b"username=%ed%a0%80&token=%ed%a0%80", 400),
    "not UTF-8": (b"username=%ff%fe", 400),
    "NUL": (b"username=a%00b", 400),
    "many fields": (b"&".join(b"f%d=x" % number for number in range(60)), 400),
    "70 kB": (b"username=" + b"x" * 70_000, 413),
}


@pytest.mark.parametrize("body", HOSTILE)
def test_a_hostile_body_gets_the_same_refusal_everywhere_and_changes_nothing(site: Site, key: StubKey, body: str) -> None:
    """Whoever sends it: the form is read before anybody is judged."""
    content, status = HOSTILE[body]
    owner, stranger = site.visitor(), site.visitor()
    owner.log_on(site.account.username, site.password, key)
    with nothing_changes(site):
        for row in rows(site):
            if row.method != "POST" or row.name in ("logon.log_off", "sessions.end_others"):
                continue
            for visitor in (owner, stranger):
                response = visitor.post(address(row), body=content)
                assert response.status_code < 500, row
                assert response.status_code == status or not status, row


# what each refusal becomes


def binding(site: Site, key: StubKey) -> tuple[Visitor, dict[str, str]]:
    """Somebody whose key has just answered, and the form with the answer."""
    visitor = proven(site)
    visitor.begin_bind("Blue")
    return visitor, visitor.answer(key)


def test_a_commit_that_was_not_done_leaves_nothing_and_the_same_form_works_after(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, stub_key: StubKey
) -> None:
    visitor, form = binding(keystead, stub_key)
    mailed = len(mails.mails(keystead))
    fail(keystead, monkeypatch, done=False)
    with nothing_changes(keystead):
        answer = visitor.post("/account/security/u2f/bind/finish", form)
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert len(mails.mails(keystead)) == mailed
    assert visitor.post("/account/security/u2f/bind/finish", form).headers["location"].endswith("/done")


def test_a_commit_that_was_done_though_its_answer_was_lost_is_answered_as_done(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, stub_key: StubKey
) -> None:
    visitor, form = binding(keystead, stub_key)
    fail(keystead, monkeypatch, done=True)
    assert visitor.post("/account/security/u2f/bind/finish", form).headers["location"].endswith("/done")
    assert is_in(visitor)
    assert mails.subjects(keystead).count("A security key was bound to your account") == 1


@pytest.mark.parametrize("done", [False, True])
def test_a_commit_of_which_nobody_knows_is_said_to_be_one(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, stub_key: StubKey, done: bool
) -> None:
    visitor, form = binding(keystead, stub_key)
    fail(keystead, monkeypatch, done=done, silent=True)
    answer = visitor.post("/account/security/u2f/bind/finish", form)
    assert answer.status_code == 503
    assert "We do not know" in answer.text
    assert "Nothing was changed" not in answer.text
    assert 'href="/account"' in answer.text
    monkeypatch.undo()
    assert len(keystead.read().keys) == done


def test_too_many_logons_at_once_are_told_when_to_come_back(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING", 0)
    crowd = [keystead.visitor(address=f"192.0.2.{number}") for number in range(12)]
    fields = {"username": "zoe", "password": keystead.password}
    answers = at_once([partial(visitor.post, "/logon", fields) for visitor in crowd])
    late = [answer for answer in answers if answer.status_code == 503]
    assert late
    assert {answer.headers["retry-after"] for answer in late} == {str(turns.RETRY_AFTER)}
    assert "Nothing was changed" in late[0].text
    assert 'value="zoe"' in late[0].text, "and need not type everything again"
    assert {answer.status_code for answer in answers} <= {303, 503}


def test_a_mistake_of_ours_has_a_number_and_tells_nothing(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(keystead.backend, "account_named", broken)
    client = TestClient(keystead.app, base_url=keystead.settings.origin, raise_server_exceptions=False)
    client.portal = keystead.portal
    client.app_state.update(keystead.state)
    answer = client.post("/logon", data={"username": "zoe"}, headers={"origin": keystead.settings.origin})
    assert answer.status_code == 500
    assert re.search(r"number: <code class=.whole.>[0-9a-f]{8}</code>", answer.text)
    assert "a secret" not in answer.text
    assert '<a class="button first" href="/account">' in answer.text, "and leads home"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
