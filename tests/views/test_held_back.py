"""Who lost the right to do something while it was on its way has not done it: a form that is held back, a commit that is second.

A stolen session sends a form but for its last byte, waits until the owner has ended all sessions, and sends that byte. What
counts is what is true when the form has arrived, and again what is true when it is committed.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import httpx2
import pytest

from backends.records import Account
from tests.views import app_walks
from tests.views.mails import mails
from tests.views.meanwhile import held_back, meddle
from tests.views.people import NEW, bound, shown_codes
from tests.views.unchanged import nothing_changes, records
from webapp.accounts import commits, identities, keys, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F, Visitor


class Sent(NamedTuple):
    """A form on its way: its address and its fields."""

    path: str
    fields: dict[str, str]


def unbinds(site: Site, visitor: Visitor) -> Sent:
    return Sent(f"{U2F}/keys/{_slug(site)}/unbind", {"sure": "yes"})


def mislays(site: Site, visitor: Visitor) -> Sent:
    return Sent(f"{U2F}/keys/{_slug(site)}/mislaid", {"sure": "yes"})


def renames(site: Site, visitor: Visitor) -> Sent:
    return Sent(f"{U2F}/keys/{_slug(site)}/name", {"name": "Theirs"})


def binds(site: Site, visitor: Visitor) -> Sent:
    visitor.begin_bind("Theirs")
    return Sent(f"{U2F}/bind/finish", visitor.answer(StubKey()))


def changes_the_password(site: Site, visitor: Visitor) -> Sent:
    return Sent("/account/password", {"old": site.password, "new": NEW})


def asks_for_another_address(site: Site, visitor: Visitor) -> Sent:
    return Sent("/account/email", {"email": "thief@example.org"})


def changes_the_address(site: Site, visitor: Visitor) -> Sent:
    visitor.get("/account/email")
    visitor.follow(visitor.submit("/account/email", email="thief@example.org"))
    return Sent("/account/email/verify", {"code": site.mailbox.code("thief@example.org")})


def makes_recovery_codes(site: Site, visitor: Visitor) -> Sent:
    visitor.get("/account/recovery")
    form = visitor.page.form("/account/recovery")
    assert form
    return Sent("/account/recovery", form.fields)


def replaces_recovery_codes(site: Site, visitor: Visitor) -> Sent:
    shown_codes(visitor)
    codes = shown_codes(visitor)
    form = visitor.page.form("/recovery/confirm")
    assert form
    return Sent("/account/recovery/confirm", form.fields | {"code": codes[0]})


Prepared = Callable[[Site, Visitor], Sent]
Happens = Callable[[Account, Act], Decision]
COMMITS: list[Prepared] = [
    unbinds, mislays, renames, binds, changes_the_password, asks_for_another_address, changes_the_address,
    makes_recovery_codes, replaces_recovery_codes,
]  # fmt: skip


def deeds(among: list[Prepared]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("deed", among, ids=lambda deed: deed.__name__)


def _slug(site: Site) -> str:
    return keys.slug(site.read().keys[0].id)


def everything_ended(account: Account, act: Act) -> Decision:
    return Decision(sessions.keep_only(account, None))


def frozen(account: Account, act: Act) -> Decision:
    return identities.freeze(account, act)


def seen_elsewhere(account: Account, act: Act) -> Decision:
    """Something that has nothing to do with it, so that the commit is second all the same."""
    return identities.list_for_preview(account, act, not account.listed)


meanwhile = pytest.mark.parametrize("happens", [everything_ended, frozen], ids=lambda happens: happens.__name__)


def protection(account: Account) -> tuple[object, ...]:
    """What a thief would want to change."""
    return account.keys, account.email, account.password_hash, account.recovery_codes


@deeds(COMMITS)
def test_a_form_that_arrives_in_time_is_carried_out(keystead: Site, stub_key: StubKey, deed: Prepared) -> None:
    """Without this, everything below could pass because nothing ever succeeds."""
    visitor = bound(keystead, stub_key)
    sent, before = deed(keystead, visitor), records(keystead)
    with held_back(keystead, visitor, *sent) as arrive:
        answer = arrive()
    assert records(keystead) != before
    assert "notice=late" not in answer.headers.get("location", "")


@meanwhile
@deeds(COMMITS)
def test_a_form_that_arrives_after_its_session_has_ended_changes_nothing(
    keystead: Site, stub_key: StubKey, deed: Prepared, happens: Happens
) -> None:
    thief = bound(keystead, stub_key)
    with held_back(keystead, thief, *deed(keystead, thief)) as arrive:
        keystead.change(keystead.account, happens)
        with nothing_changes(keystead):
            assert arrive().headers["location"] == "/logon?notice=ended"


@deeds(COMMITS)
def test_a_form_that_arrives_when_its_proof_is_too_old_changes_nothing(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock, deed: Prepared
) -> None:
    thief = bound(keystead, stub_key)
    with held_back(keystead, thief, *deed(keystead, thief)) as arrive:
        keystead_clock.move(timedelta(minutes=10))
        with nothing_changes(keystead):
            is_late(arrive())


@deeds([unbinds, asks_for_another_address, makes_recovery_codes])
def test_what_wants_a_touch_for_the_act_is_late_after_a_minute(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock, deed: Prepared
) -> None:
    thief = bound(keystead, stub_key)
    with held_back(keystead, thief, *deed(keystead, thief)) as arrive:
        keystead_clock.move(timedelta(minutes=1))
        with nothing_changes(keystead):
            is_late(arrive())


@meanwhile
@deeds(COMMITS)
def test_a_commit_that_comes_second_finds_its_session_ended(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, stub_key: StubKey, deed: Prepared, happens: Happens
) -> None:
    thief = bound(keystead, stub_key)
    sent = deed(keystead, thief)
    before, mailed = protection(keystead.read()), mails(keystead, "thief@example.org")
    meddle(keystead, monkeypatch, partial(commits.change, keystead.context, keystead.read(), happens))
    assert thief.post(*sent).headers["location"] == "/logon?notice=ended"
    assert protection(keystead.read()) == before
    assert len(mails(keystead, "thief@example.org")) == len(mailed)


@deeds(COMMITS)
def test_a_commit_that_comes_second_finds_its_proof_too_old(
    keystead: Site, monkeypatch: pytest.MonkeyPatch, keystead_clock: Clock, stub_key: StubKey, deed: Prepared
) -> None:
    thief = bound(keystead, stub_key)
    sent = deed(keystead, thief)
    was = keystead.read()

    async def ten_minutes_pass() -> None:
        keystead_clock.move(timedelta(minutes=10))
        await commits.change(keystead.context, was, seen_elsewhere)

    meddle(keystead, monkeypatch, ten_minutes_pass)
    is_late(thief.post(*sent))
    assert protection(keystead.read()) == protection(was)


def test_a_touch_that_arrives_after_the_freeze_opens_nothing(keystead: Site, half_signed_in: Visitor, stub_key: StubKey) -> None:
    half_signed_in.get("/logon/key")
    half_signed_in.begin_key()
    answer = half_signed_in.answer(stub_key)
    with held_back(keystead, half_signed_in, "/logon/key/finish", answer) as arrive:
        keystead.change(keystead.account, frozen)
        with nothing_changes(keystead):
            assert arrive().headers["location"] == "/logon?notice=ended"


@meanwhile
def test_a_touch_for_an_app_that_arrives_after_its_session_has_ended_opens_nothing(
    keystead: Site, stub_key: StubKey, keystead_clock: Clock, happens: Happens
) -> None:
    app_walks.add(keystead, fresh=timedelta(minutes=5))
    thief = bound(keystead, stub_key)
    keystead_clock.move(timedelta(minutes=6))
    thief.get(f"/apps/enter?to={app_walks.WIKI}/&nonce={'a' * 64}")
    thief.submit("/apps/touch/begin")
    with held_back(keystead, thief, "/apps/touch/finish", thief.answer(stub_key)) as arrive:
        keystead.change(keystead.account, happens)
        with nothing_changes(keystead):
            assert arrive().headers["location"].startswith("/logon?next=%2Fapps%2Fenter%3F")


def is_late(answer: httpx2.Response) -> None:
    """Whoever sent it is asked to prove once more that it is them."""
    assert answer.status_code == 403 or "notice=late" in answer.headers["location"]
