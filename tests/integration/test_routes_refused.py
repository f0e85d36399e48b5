"""Who reaches what: a walk over the whole route table, so that a route added later is judged without anybody thinking of it."""

from collections.abc import Iterator
from datetime import timedelta

import httpx2
import pytest
from starlette.routing import Mount, Route

from backends.records import Event, Record
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

HALF_SIGNED_IN_MAY = {
    "logon.key",
    "logon.begin_key",
    "logon.finish_key",
    "logon.recovery_code",
    "logon.use_recovery_code",
    "logon.log_off",
}
"""DESIGN: /logon/key…, /logon/recovery, /logoff."""
NEEDS_PROOF = {
    "binding.begin_bind", "binding.finish_bind", "binding.name_key", "binding.unbind", "recovery.make", "recovery.confirm",
    "password.change", "password.submit_change", "email.show", "email.send_code", "email.verify",
}  # fmt: skip
"""Everything that changes what protects an account."""


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


def routes(site: Site) -> list[tuple[str, str, Route]]:
    """Every method and route. A mount that is not for files would have routes of its own, and must be added here."""
    mounts = [route.name for route in site.app.routes if isinstance(route, Mount)]
    assert mounts == ["static"]
    found = [route for route in site.app.routes if isinstance(route, Route)]
    assert len(found) + len(mounts) == len(site.app.routes)
    return [(method, route.name, route) for route in found for method in sorted(route.methods or ()) if method != "HEAD"]


def request(visitor: Visitor, method: str, route: Route, slug: str, *, htmx: bool) -> httpx2.Response:
    path = route.path.replace("{key}", slug).replace("{id}", "x").replace("{session}", "x")
    assert "{" not in path, f"{path}: say here what stands for its parameter"
    if method == "POST":
        fields = {"name": "Taken over", "code": "123456", "username": "nobody", "password": "x", "unbind": ""}
        return visitor.post(path, fields, htmx=htmx)
    return visitor.client.request(method, path, headers={"hx-request": "true"} if htmx else {})


def leads_to(response: httpx2.Response) -> str:
    """The path that a response sends its visitor to; "reload" where htmx is told to load the page anew; "" for none."""
    if "hx-refresh" in response.headers:
        return "reload"
    target = response.headers.get("hx-redirect") or response.headers.get("location") or ""
    return str(httpx2.URL(target).path) if target else ""


def records(site: Site) -> list[Record]:
    async def dump() -> list[Record]:
        return [record async for record in site.backend.dump() if not isinstance(record, Event)]

    return site.call(dump)


def same(one: httpx2.Response, other: httpx2.Response) -> bool:
    return (one.status_code, leads_to(one), one.content) == (other.status_code, leads_to(other), other.content)


def test_the_table_has_what_these_tests_speak_of(site: Site) -> None:
    names = {name for _, name, _ in routes(site)}
    assert {"logon.key", "logon.begin_key", "logon.finish_key", "logon.log_off", "account.show", *NEEDS_PROOF} <= names
    assert len(names) > 20


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_half_signed_in_reaches_nothing_but_the_key_step(site: Site, key: StubKey, htmx: bool) -> None:
    """Sent to the key step, or answered as anybody in the street is (CVE-2026-45690 and CVE-2026-45691)."""
    half, stranger = site.visitor(), site.visitor()
    half.log_on(site.account.username, site.password)
    assert half.page.form("/logon/key/begin")
    before = records(site)
    for method, name, route in routes(site):
        if name in HALF_SIGNED_IN_MAY:
            continue
        response = request(half, method, route, key.slug, htmx=htmx)
        end = leads_to(response)
        if end == "/account":  # where / leads whoever has a session; that page leads on
            end = leads_to(half.get("/account"))
        answered = f"{method} {route.path}: {response.status_code} {end}"
        assert response.status_code < 500, answered
        assert end == "/logon/key" or same(response, request(stranger, method, route, key.slug, htmx=htmx)), answered
        assert "A name that nobody may read" not in response.text, answered
        assert site.account.email not in response.text, answered
    assert records(site) == before
    half.get("/logon/key")
    half.log_on_with(key)


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_a_stranger_reaches_nothing_of_an_account(site: Site, key: StubKey, htmx: bool) -> None:
    stranger, nobody = site.visitor(), site.visitor()
    before = records(site)
    for method, name, route in routes(site):
        response = request(stranger, method, route, key.slug, htmx=htmx)
        answered = f"{method} {route.path}: {response.status_code} {leads_to(response)}"
        assert response.status_code < 500, answered
        assert site.account.username not in response.text, answered
        if name.partition(".")[0] in ("account", "binding", "proving", "recovery", "sessions") and name != "account.root":
            assert leads_to(response) == ("reload" if htmx else "/logon"), answered
            assert response.text == "", answered
    assert records(site) == before
    assert nobody.get("/account").headers["location"].startswith("/logon")


@pytest.mark.parametrize("htmx", [False, True], ids=["plain", "htmx"])
def test_without_a_fresh_proof_nothing_is_bound_or_unbound(site: Site, clock: Clock, key: StubKey, htmx: bool) -> None:
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    clock.move(timedelta(minutes=10))
    visitor.get("/account")
    before = records(site)
    assert NEEDS_PROOF <= {name for _, name, _ in routes(site)}
    for method, name, route in routes(site):
        if name in NEEDS_PROOF:
            response = request(visitor, method, route, key.slug, htmx=htmx)
            assert response.status_code == 403 or leads_to(response), f"{route.path}: {response.status_code}"
    assert records(site) == before
    visitor.get("/account/security/u2f")
    assert visitor.page.form("/prove/begin")


def test_a_bound_account_is_not_proven_by_a_code(site: Site, clock: Clock, key: StubKey) -> None:
    """A key is bound: the mailbox alone opens nothing (CVE-2026-3429)."""
    visitor = site.visitor()
    visitor.log_on(site.account.username, site.password, key)
    clock.move(timedelta(minutes=11))
    mails = len(list(site.mailbox.mails()))
    visitor.post("/account/security/u2f/code")
    visitor.post("/account/security/u2f/verify", {"code": "123456"})
    assert len(list(site.mailbox.mails())) == mails
    visitor.get("/account/security/u2f")
    assert visitor.page.form("/prove/begin")
    assert not visitor.page.form("/bind/begin")


def test_another_accounts_key_is_not_unbound_or_renamed(site: Site, key: StubKey) -> None:
    other = site.add_account("other")
    visitor, own = site.visitor(other), StubKey()
    visitor.log_on("other", site.password)
    visitor.bind(own)
    before = records(site)
    for path in (f"/account/security/u2f/keys/{key.slug}/unbind", f"/account/security/u2f/keys/{key.slug}/name"):
        assert visitor.post(path, {"name": "Mine"}).status_code == 404
    assert visitor.get(f"/account/security/u2f/keys/{key.slug}/unbind").status_code == 404
    assert records(site) == before
    visitor.unbind(own)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"])
def test_a_method_that_no_form_has_is_refused(site: Site, method: str) -> None:
    visitor = site.visitor()
    for path in {
        route.path.replace("{key}", "AA").replace("{id}", "x").replace("{session}", "x") for _, _, route in routes(site)
    }:
        response = visitor.client.request(method, path, headers={"origin": visitor.origin})
        assert response.status_code == 405, path
        assert visitor.client.request(method, path).status_code == 403, path
