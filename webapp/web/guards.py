"""Refusals before a view runs. Every view is wrapped by one of these, and is handed what the guard has checked.

    @guards.anyone         nobody in particular              view(request)
    @guards.password_only  password accepted, key owed       view(request, who: PasswordOnly)
    @guards.to_bind        logged on, to bind a key           view(request, who: ToBind)
    @guards.proven_to_bind … with a proof of ten minutes     view(request, who: ProvenToBind)
    @guards.authenticated  everything given that is owed     view(request, who: Authenticated)
    @guards.proven         … with a proof of ten minutes     view(request, who: Proven)
    @guards.fresh          … with a proof of one minute      view(request, who: Fresh)

A form is read first and put into `request.state.form`; only then is the session judged, and every commit judges it again. A
session that owes its key is never taken for an authenticated one (CVE-2026-45690): the two are different types here.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import ParamSpec, TypeVar

from starlette.responses import Response

from backends.protocol import Unavailable
from backends.records import Account, Session
from webapp import clock, languages
from webapp.accounts import commits, sessions
from webapp.accounts.commits import Uncertain
from webapp.accounts.context import Claim, Context, Level
from webapp.accounts.decision import AccountGone, Operation
from webapp.accounts.sessions import KeyOwed, NotSignedIn
from webapp.settings import Settings
from webapp.web import client, cookies, forms
from webapp.web.state import Request

View = Callable[[Request], Awaitable[Response]]
P = ParamSpec("P")


@dataclass(frozen=True)
class Somebody:
    """Whose session acts. `account` is as it was when the session was judged, and `claim` what it was judged by."""

    request: Request
    claim: Claim
    account: Account
    session: Session

    @cached_property
    def context(self) -> Context:
        """What they act with: put together when they first do, for most who only look."""
        return client.context(self.request, self.claim)

    @property
    def settings(self) -> Settings:
        """Those of the site."""
        return self.request.state.settings

    async def change(self, operation: Operation[P], *args: P.args, **kwargs: P.kwargs) -> Account:
        """The account as it is once what the operation decides is committed; the session is judged again by the commit."""
        return await commits.change(self.context, self.account, operation, *args, **kwargs)

    def demanding(self, level: Level) -> "Somebody":
        """The same, whose next change is judged by this level."""
        return replace(self, claim=Claim(self.session.token_hash, level))

    def new_token(self) -> str:
        """A token for this account's session to go on under."""
        return sessions.new_token(self.account.id)


class PasswordOnly(Somebody):
    """The password was right; the key is still owed."""


class ToBind(Somebody):
    """Logged on, to bind a key: perhaps one is required, and nothing else is open until it is bound."""


class ProvenToBind(ToBind):
    """The same, and shown within ten minutes to be the person."""


class Authenticated(ToBind):
    """Logged on, with everything that this account owes."""


class Proven(Authenticated):
    """Authenticated, and shown within ten minutes to be the person: by a key if any is bound, by a code otherwise."""


class Fresh(Proven):
    """Proven within a minute: a touch for this act."""


W = TypeVar("W", bound=Somebody)


def anyone(view: View) -> View:
    """Says in the source that a view is open to everybody."""

    @wraps(view)
    async def guarded(request: Request) -> Response:
        await _read_form(request)
        return await view(request)

    return guarded


def _guard(
    kind: type[W], level: Level, *, to_bind: bool = False
) -> Callable[[Callable[[Request, W], Awaitable[Response]]], View]:
    def guard(view: Callable[[Request, W], Awaitable[Response]]) -> View:
        @wraps(view)
        async def guarded(request: Request) -> Response:
            await _read_form(request)
            return await view(request, await _somebody(request, kind, level, to_bind=to_bind))

        return guarded

    return guard


password_only = _guard(PasswordOnly, "password_only")
to_bind = _guard(ToBind, "authenticated", to_bind=True)
proven_to_bind = _guard(ProvenToBind, "proven", to_bind=True)
authenticated = _guard(Authenticated, "authenticated")
proven = _guard(Proven, "proven")
fresh = _guard(Fresh, "fresh")


async def visitor(request: Request) -> Authenticated | None:
    """Who is authenticated, for a page that is open to everybody."""
    try:
        return await _somebody(request, Authenticated, "authenticated")
    except (NotSignedIn, KeyOwed):
        return None


async def chooser(request: Request) -> ToBind | None:
    """Who is logged on, even if a key must be bound before anything else, for what anybody may choose for themselves."""
    try:
        return await _somebody(request, ToBind, "authenticated", to_bind=True)
    except (NotSignedIn, KeyOwed):
        return None


async def look(request: Request) -> None:
    """See whose page it is, for a refusal that came before anybody was judged: nobody's, where that cannot be known."""
    with suppress(Unavailable, Uncertain, AccountGone):
        await chooser(request)


async def end_session(ctx: Context, token: str) -> None:
    """End the session whose token this browser no longer carries. If the backend cannot, it expires by itself."""
    with suppress(Unavailable, Uncertain):
        if account := await ctx.backend.account(sessions.account_of(token)):
            await commits.change(ctx, account, sessions.log_off, sessions.hash_token(token))


def is_proven(who: ToBind, *, now: bool = False) -> bool:
    """Whether the session's proof is of the last ten minutes; with `now`, of the last one."""
    within = sessions.FRESH if now else sessions.PROOF_LIFETIME
    return sessions.is_proven(who.account, who.session, clock.now(), within)


async def _read_form(request: Request) -> None:
    if request.method == "POST":
        request.state.form = await forms.read(request)


async def _somebody(request: Request, kind: type[W], level: Level, *, to_bind: bool = False) -> W:
    token = cookies.token(request)
    account = await request.state.backend.account(sessions.account_of(token)) if token else None
    if token is None or account is None:
        raise NotSignedIn
    claim = Claim(sessions.hash_token(token), level, to_bind)
    session = sessions.require(account, claim, clock.now(), request.state.settings)
    if account.language in languages.KNOWN:
        request.state.language = languages.of(account.language)
    who = kind(request, claim, account, session)
    if session.stage == "authenticated" and clock.now() - session.seen_at >= sessions.SEEN_EVERY:
        account = await who.change(sessions.seen, session.id)
        who = replace(who, account=account, session=sessions.get(account, session.id))
    if session.stage == "authenticated":
        request.state.account = account
    return who
