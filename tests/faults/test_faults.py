"""Every POST route, with every query of the backend failing once: the old account or the new one, and the page says which.

A scene brings an account to where a route can be asked, and asks it. It is played once as it should go, to learn which queries it
makes and what becomes of the account; then once for each query and way of failing, each time with an account of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

import backends
from backends.contract.faults import Fault, FaultyBackend, When
from backends.protocol import Backend
from backends.records import Account
from tests import hashes, mongo_server
from webapp import clock
from webapp.accounts import apps, helpdesk, joining, keys, links, recovery
from webapp.routes import ROUTES
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

PLUGIN = Path(__file__).parents[1] / "plugin"
WIKI, BOARD = "http://wiki.localhost:9001", "http://board.localhost:9002"
VISITORS = ip_network("192.0.2.0/24")
"""Each may speak for others, so that an app's host is one when they ask there."""
NEW_PASSWORD = "another horse battery staple"
OLD, NEW, EITHER = "the old one", "the new one", "one or the other"
WAYS: list[tuple[When, bool]] = [("before", False), ("after", False), ("before", True), ("after", True)]
"""A query fails alone, or every one behind it fails as well."""


@dataclass
class Stage:
    """Where a scene is played: an account, its visitor, its key."""

    site: Site
    clock: Clock
    account: Account
    visitor: Visitor
    key: StubKey

    @property
    def now(self) -> Account:
        found = self.site.call(self.faulty.backend.account, self.account.id)
        assert found is not None
        return found

    @property
    def faulty(self) -> FaultyBackend:
        return cast(FaultyBackend, self.site.backend)

    def log_on(self, *, bound: bool = False) -> None:
        self.visitor.log_on(self.account.username, self.site.password)
        if bound:
            self.visitor.bind(self.key)

    def owe_key(self) -> None:
        """The password is given, the key is owed."""
        self.log_on(bound=True)
        self.visitor.log_off()
        self.visitor.follow(self.visitor.submit_password(self.account.username, self.site.password))

    def link(self, purpose: links.Purpose, fact: str = "") -> str:
        made = links.make(self.site.settings, purpose, self.account.id, fact, clock.now())
        return made.partition("?token=")[2]


Ask = Callable[[], httpx2.Response]
SCENES: dict[str, Callable[[Stage], Ask]] = {}
"""By the names of routes; a word behind a comma tells apart what one route can come to."""


def scene(name: str) -> Callable[[Callable[[Stage], Ask]], Callable[[Stage], Ask]]:
    def add(play: Callable[[Stage], Ask]) -> Callable[[Stage], Ask]:
        SCENES[name] = play
        return play

    return add


@scene("logon.submit")
def _submit(stage: Stage) -> Ask:
    stage.visitor.get("/logon")
    return lambda: stage.visitor.submit("/logon", username=stage.account.username, password=stage.site.password)


@scene("logon.submit, wrong")
def _submit_wrong(stage: Stage) -> Ask:
    stage.visitor.get("/logon")
    return lambda: stage.visitor.submit("/logon", username=stage.account.username, password="wrong")


@scene("logon.submit, key owed")
def _submit_with_key(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.log_off()
    return _submit(stage)


@scene("logon.begin_key")
def _begin_key(stage: Stage) -> Ask:
    stage.owe_key()
    return stage.visitor.begin_key


@scene("logon.begin_key, unbound meanwhile")
def _begin_key_unbound(stage: Stage) -> Ask:
    stage.owe_key()
    stage.site.change(stage.now, keys.unbind, [stage.now.keys[0].id])
    return stage.visitor.begin_key


@scene("logon.finish_key")
def _finish_key(stage: Stage) -> Ask:
    stage.owe_key()
    stage.visitor.begin_key()
    return lambda: stage.visitor.finish_key(stage.key)


@scene("logon.finish_key, forged")
def _finish_key_forged(stage: Stage) -> Ask:
    stage.owe_key()
    stage.visitor.begin_key()
    return lambda: stage.visitor.finish_key(stage.key, bad_signature=True)


@scene("logon.use_recovery_code")
def _use_recovery_code(stage: Stage) -> Ask:
    code = _with_recovery_codes(stage)[0]
    stage.visitor.log_off()
    stage.visitor.follow(stage.visitor.submit_password(stage.account.username, stage.site.password))
    stage.visitor.get("/logon/recovery")
    return lambda: stage.visitor.submit("/logon/recovery", code=code)


@scene("logon.use_recovery_code, wrong")
def _use_wrong_recovery_code(stage: Stage) -> Ask:
    _use_recovery_code(stage)
    return lambda: stage.visitor.submit("/logon/recovery", code="AAAA-BBBB-CCCC-DDDD")


@scene("recovery.rehearse")
def _rehearse(stage: Stage) -> Ask:
    code = _with_recovery_codes(stage)[0]
    stage.visitor.get("/account/recovery/rehearsal")
    return lambda: stage.visitor.submit("/account/recovery/rehearsal", code=code)


@scene("logon.ask_to_open")
def _ask_to_open(stage: Stage) -> Ask:
    stage.owe_key()
    stage.visitor.get("/logon/wait")
    return lambda: stage.visitor.submit("/logon/wait")


@scene("logon.ask_to_open, over")
def _open_after_the_wait(stage: Stage) -> Ask:
    _ask_to_open(stage)()
    stage.clock.move(timedelta(hours=73))
    stage.visitor.follow(stage.visitor.submit_password(stage.account.username, stage.site.password))
    stage.visitor.get("/logon/wait")
    return lambda: stage.visitor.submit("/logon/wait")


@scene("helpdesk.ask")
def _ask_for_a_number(stage: Stage) -> Ask:
    stage.owe_key()
    stage.visitor.get("/logon/help")
    return lambda: stage.visitor.submit("/logon/help")


@scene("helpdesk.enter")
def _enter_with_a_pass(stage: Stage) -> Ask:
    _ask_for_a_number(stage)()
    stage.site.change(stage.now, helpdesk.give_pass, stage.now.sessions[-1].id)
    stage.clock.move(timedelta(hours=25))
    stage.visitor.follow(stage.visitor.submit_password(stage.account.username, stage.site.password))
    return lambda: stage.visitor.submit("/logon/help/enter")


@scene("logon.log_off")
def _log_off(stage: Stage) -> Ask:
    stage.log_on()
    return stage.visitor.log_off


@scene("forgotten.submit")
def _forgotten(stage: Stage) -> Ask:
    stage.visitor.get("/logon/forgotten")
    return lambda: stage.visitor.submit("/logon/forgotten", username=stage.account.username)


@scene("forgotten.submit_reset")
def _reset(stage: Stage) -> Ask:
    token = stage.link("reset", links.fingerprint(stage.now))
    stage.visitor.get(f"/logon/reset?token={token}")
    return lambda: stage.visitor.submit("/logon/reset", new=NEW_PASSWORD)


@scene("forgotten.ask_to_know")
def _ask_to_know(stage: Stage) -> Ask:
    return lambda: stage.visitor.post("/logon/known/ask", {"username": stage.account.username})


@scene("forgotten.make_known")
def _make_known(stage: Stage) -> Ask:
    stage.visitor.get(f"/logon/known?token={stage.link('known browser')}")
    return lambda: stage.visitor.submit("/logon/known")


@scene("joining.submit")
def _ask_to_join(stage: Stage) -> Ask:
    stage.visitor.get("/join")
    return lambda: stage.visitor.submit("/join", email=stage.account.email)


@scene("joining.join")
def _join(stage: Stage) -> Ask:
    _invited(stage)
    return lambda: stage.visitor.submit("/join/account", username=f"joins-{stage.account.id}", password=NEW_PASSWORD)


@scene("joining.join, weak")
def _join_with_a_weak_password(stage: Stage) -> Ask:
    _invited(stage)
    return lambda: stage.visitor.submit("/join/account", username=f"joins-{stage.account.id}", password="short")


@scene("proving.send_code")
def _send_code(stage: Stage) -> Ask:
    stage.log_on()
    stage.visitor.get("/account/security/u2f")
    return stage.visitor.send_code


@scene("proving.verify")
def _verify(stage: Stage) -> Ask:
    _send_code(stage)()
    code = stage.site.mailbox.code(stage.account.email)
    stage.visitor.get("/account/security/u2f")
    return lambda: stage.visitor.verify(code)


@scene("proving.verify, wrong")
def _verify_wrong(stage: Stage) -> Ask:
    _send_code(stage)()
    right = stage.site.mailbox.code(stage.account.email)
    stage.visitor.get("/account/security/u2f")
    return lambda: stage.visitor.verify("111111" if right != "111111" else "222222")


@scene("proving.begin_prove")
def _begin_prove(stage: Stage) -> Ask:
    _unproven(stage)
    stage.visitor.get("/account/security/u2f")
    return stage.visitor.begin_prove


@scene("proving.finish_prove")
def _finish_prove(stage: Stage) -> Ask:
    _begin_prove(stage)()
    return lambda: stage.visitor.finish_prove(stage.key)


@scene("binding.begin_bind")
def _begin_bind(stage: Stage) -> Ask:
    code = _verify(stage)
    stage.visitor.follow(code())
    return stage.visitor.begin_bind


@scene("binding.finish_bind")
def _finish_bind(stage: Stage) -> Ask:
    _begin_bind(stage)()
    return lambda: stage.visitor.finish_bind(stage.key)


@scene("binding.name_key")
def _name_key(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get(f"/account/security?rename={stage.key.slug}")
    return lambda: stage.visitor.submit(f"/keys/{stage.key.slug}/name", name="Blue key")


@scene("language.choose")
def _choose_a_language(stage: Stage) -> Ask:
    stage.log_on()
    stage.visitor.get("/account")
    return lambda: stage.visitor.submit("/language", language="zh-CN")


@scene("trying.tell_which")
def _tell_which(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get("/account/security/u2f/try")
    return lambda: stage.visitor.finish(stage.key)


@scene("trying.finish")
def _try(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get(f"/account/security/u2f/keys/{stage.key.slug}/try")
    return lambda: stage.visitor.finish(stage.key)


@scene("mislaying.mislay")
def _mislay(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get(f"/account/security/u2f/keys/{stage.key.slug}/mislaid")
    return lambda: stage.visitor.submit("/mislaid")


@scene("mislaying.find")
def _find(stage: Stage) -> Ask:
    stage.visitor.follow(_mislay(stage)())
    stage.visitor.get(f"/account/security/u2f/keys/{stage.key.slug}/found")
    return lambda: stage.visitor.finish(stage.key)


@scene("binding.reinstate")
def _reinstate(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.bind(StubKey(), "Another", prove_with=stage.key)
    stage.site.change(stage.now, _suspend_the_first)
    stage.visitor.get("/account/security")
    return lambda: stage.visitor.submit(f"/keys/{stage.key.slug}/reinstate")


@scene("binding.unbind")
def _unbind(stage: Stage) -> Ask:
    _with_recovery_codes(stage)
    stage.visitor.confirm_unbind(stage.key.slug)
    return lambda: stage.visitor.finish_unbind(stage.key.slug)


@scene("recovery.make")
def _make(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get("/account/recovery")
    return lambda: stage.visitor.submit("/account/recovery")


@scene("recovery.make, in the place of others")
def _make_others(stage: Stage) -> Ask:
    _with_recovery_codes(stage)
    stage.visitor.get("/account/recovery")
    return lambda: stage.visitor.submit("/account/recovery")


@scene("recovery.confirm")
def _confirm(stage: Stage) -> Ask:
    _with_recovery_codes(stage)
    _, codes = _offered(stage)
    fields = {"token": codes.token, "code": codes.codes[0]}
    return lambda: stage.visitor.post("/account/recovery/confirm", fields)


@scene("sessions.end_others")
def _end_others(stage: Stage) -> Ask:
    stage.site.visitor(stage.account).log_on(stage.account.username, stage.site.password)
    stage.log_on()
    stage.visitor.get("/account/sessions")
    return lambda: stage.visitor.submit("/end-others")


@scene("activity.take_back")
def _take_back(stage: Stage) -> Ask:
    _with_recovery_codes(stage)
    made = stage.now.head.seq
    stage.visitor.get(f"/account/activity/{made}")
    return lambda: stage.visitor.submit("/take-back")


@scene("sessions.end")
def _end(stage: Stage) -> Ask:
    stage.log_on()
    stage.visitor.get("/account/sessions")
    return lambda: stage.visitor.submit(f"/{stage.now.sessions[0].id}/end")


@scene("password.submit_change")
def _change_password(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get("/account/password")
    return lambda: stage.visitor.submit("/account/password", old=stage.site.password, new=NEW_PASSWORD)


@scene("email.send_code")
def _send_email_code(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    stage.visitor.get("/account/email")
    return lambda: stage.visitor.submit("/account/email", email=f"new-{stage.account.email}")


@scene("email.verify")
def _verify_email(stage: Stage) -> Ask:
    stage.visitor.follow(_send_email_code(stage)())
    code = stage.site.mailbox.code(f"new-{stage.account.email}")
    return lambda: stage.visitor.submit("/account/email/verify", code=code)


@scene("apps.begin_touch")
def _begin_touch(stage: Stage) -> Ask:
    _unproven(stage)
    stage.visitor.get(f"/apps/enter?to={BOARD}/&nonce={'a' * 64}")
    _forget_apps(stage)
    return lambda: stage.visitor.submit("/apps/touch/begin")


@scene("apps.finish_touch")
def _finish_touch(stage: Stage) -> Ask:
    _begin_touch(stage)()
    _forget_apps(stage)
    return lambda: stage.visitor.finish(stage.key)


@scene("apps.finish_touch, forged")
def _finish_touch_forged(stage: Stage) -> Ask:
    _finish_touch(stage)
    return lambda: stage.visitor.finish(stage.key, bad_signature=True)


@scene("app_host.end")
def _come_into_an_app(stage: Stage) -> Ask:
    stage.log_on()
    begun = stage.visitor.client.get(f"{WIKI}/.keystead/begin")
    entered = stage.visitor.client.get(begun.headers["location"])
    _forget_apps(stage)
    return lambda: stage.visitor.client.get(entered.headers["location"])


@scene("app_host.leave")
def _leave_by_an_app(stage: Stage) -> Ask:
    _come_into_an_app(stage)()
    _forget_apps(stage)
    link = {"sec-fetch-site": "same-origin", "sec-fetch-dest": "document"}
    return lambda: stage.visitor.client.get(f"{WIKI}/.keystead/leave", headers=link)


@scene("not_me.freeze")
def _freeze(stage: Stage) -> Ask:
    stage.log_on(bound=True)
    token = stage.link("not me", str(round(stage.now.keys[0].bound_at.timestamp() * 1000)))
    stage.visitor.get(f"/not-me?token={token}")
    return lambda: stage.visitor.submit("/not-me")


def _forget_apps(stage: Stage) -> None:
    """They are read anew, so that a scene makes the same queries each time."""
    stage.site.state["apps"].forget()


def _invited(stage: Stage) -> None:
    """The stage's account is the invitation."""
    invited = stage.site.call(joining.invite, stage.site.context, f"invited-{stage.account.email}", ("staff",))
    assert invited
    stage.account = invited
    stage.visitor.get(f"/join/account?token={stage.link('invitation')}")


def _unproven(stage: Stage) -> None:
    stage.log_on(bound=True)
    stage.clock.move(timedelta(minutes=11))


def _offered(stage: Stage) -> tuple[str, recovery.CodeSet]:
    settings, session = stage.site.settings, stage.now.sessions[0]
    offer = recovery.offer(settings, stage.account.id, session.id, clock.now())
    return offer, recovery.offered(settings, stage.account.id, session.id, offer, clock.now())


def _with_recovery_codes(stage: Stage) -> Sequence[str]:
    stage.log_on(bound=True)
    offer, codes = _offered(stage)
    stage.site.change(stage.now, recovery.make, stage.now.sessions[0].id, offer)
    return codes.codes


def _suspend_the_first(account: Account, act: Any) -> Any:
    from msgspec.structs import replace

    from webapp.accounts.decision import Decision

    first, *others = account.keys
    return Decision(replace(account, keys=(replace(first, suspended_at=act.now), *others)))


# playing


def test_every_post_route_has_a_scene_and_so_has_whatever_else_commits() -> None:
    posts = {"app_host.end", "app_host.leave"} | {
        f"{view.__module__.rpartition('.')[2]}.{view.__name__}" for method, _, view in ROUTES if method == "POST"
    }
    assert {name.partition(",")[0] for name in SCENES} == posts


def outline(account: Account, events: list[Any]) -> dict[str, Any]:
    """What an account is, without what differs each time that a scene is played: ids, tokens and times."""
    return {
        "names": (account.username.partition("-")[0], account.email.partition("-")[0], account.listed),
        "password": account.password_at == account.created_at,
        "frozen": account.frozen_at is not None,
        "invited": account.invitation is not None,
        "opening": account.opening is not None,
        "keys": [(key.name, key.sign_count > 0, key.used_at is None, key.suspended_at is None) for key in account.keys],
        "sessions": [(each.stage, each.proof) for each in account.sessions],
        "codes": [(code.purpose, code.tries_left) for code in account.codes],
        "recovery": [code.spent_at is None for code in account.recovery_codes],
        "nonces": len(account.nonces),
        "letters": [letter.kind for letter in account.notifications],
        "events": [event.kind for event in events],
        "head": account.head.seq,
    }


def outline_now(stage: Stage) -> dict[str, Any]:
    backend = stage.faulty.backend
    return outline(stage.now, stage.site.call(backend.events_of, stage.account.id, 1000))


def said(response: httpx2.Response) -> str:
    """Which account the page says there is now."""
    if response.status_code != 503:
        return NEW
    if "Nothing was changed" in response.text:
        return OLD
    assert "may or may not have been done" in response.text, response.text
    return EITHER


@dataclass
class Theatre:
    """One site for all scenes; each is played with an account of its own."""

    site: Site
    clock: Clock
    backend: str
    played: int = 0

    def cases(self, queries: list[str]) -> list[tuple[int, When, bool]]:
        """Which query fails, and how: on the file each in every way; elsewhere what depends on the backend."""
        if self.backend == "file_url":
            return [(number, when, outage) for number in range(len(queries)) for when, outage in WAYS]
        return [(number, when, False) for number, name in enumerate(queries) if name == "commit" for when in ("before", "after")]

    def stage(self) -> Stage:
        self.played += 1
        account = self.site.add_account(f"user-{self.played}")
        visitor = self.site.visitor(account, address=f"192.0.2.{self.played % 250}")
        return Stage(self.site, self.clock, account, visitor, StubKey())


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A site on a new backend whose address the parameter's fixture makes; its letters stay owed, so that they can be counted."""
    url = request.getfixturevalue(request.param)()
    opened = backends.open_backend

    async def open_faulty(url: str) -> Backend:
        return cast(Backend, FaultyBackend(await opened(url)))

    with hashes.cheap(), pytest.MonkeyPatch.context() as patch, Clock() as time:
        patch.setattr("webapp.app.open_backend", open_faulty)
        wishes: dict[str, Any] = {"wait": timedelta(hours=72), "join": ("example.com",), "trusted_proxies": (VISITORS,)}
        with running(tmp_path_factory.mktemp("site"), backend=url, **wishes) as site:
            for name, origin, fresh in (("wiki", WIKI, None), ("board", BOARD, timedelta(minutes=5))):
                app = apps.new(site.settings, name, [origin], clock.now(), fresh=fresh)
                site.call(apps.change, site.context, "add", app)
            site.state["apps"].forget()
            patch.setattr(site.state["sender"], "owes", lambda account, letters: None)
            patch.setattr(site.state["sender"], "look", _look_away)
            patch.setattr(site.state["sender"], "later", lambda work: None)
            yield Theatre(site, time, request.param)


async def _look_away() -> None:
    """Send nothing."""


@pytest.fixture(scope="module")
def file_url(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """A process that takes tests over from another one comes by twice, and begins anew."""

    def address() -> str:
        return (tmp_path_factory.mktemp("file") / "keystead.db").as_uri()

    return address


@pytest.fixture(scope="module")
def shelf_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """The example of a plug-in, found as if it were built in: how it is found otherwise is tested beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        patch.setitem(backends.BUILT_IN, "shelf", "keystead_shelf:ShelfBackend")
        yield lambda: f"shelf://{tmp_path_factory.mktemp('shelf')}/shelf"


@pytest.fixture(scope="module")
def mongodb_url() -> Iterator[Callable[[], str]]:
    with mongo_server.running() as address:
        yield lambda: mongo_server.database(address)


@pytest.mark.parametrize("theatre", ["file_url", "shelf_url", "mongodb_url"], indirect=True)
@pytest.mark.parametrize("name", SCENES)
def test_whatever_query_fails_the_account_is_the_old_or_the_new_one_and_the_page_says_which(
    theatre: Theatre, name: str, record_property: Callable[[str, object], None]
) -> None:
    play = SCENES[name]
    stage = theatre.stage()
    ask = play(stage)
    stage.faulty.fault = fault = Fault(-1, "before")
    response = ask()
    stage.faulty.fault = None
    assert said(response) == NEW, response.text
    new, queries = outline_now(stage), fault.asked
    cases = theatre.cases(queries)
    for number, when, outage in cases:
        stage = theatre.stage()
        ask = play(stage)
        old = outline_now(stage)
        stage.faulty.fault = Fault(number, when, outage)
        response = ask()
        stage.faulty.fault = None
        now, told = outline_now(stage), said(response)
        what = f"{queries[number]} (query {number + 1} of {queries}) fails {when}{', and all behind it' if outage else ''}"
        assert now in (old, new), f"{what}: half done"
        if told != EITHER and old != new:
            assert now == (old if told == OLD else new), f"{what}: the page tells of {told}"
    record_property("cases", len(cases))
