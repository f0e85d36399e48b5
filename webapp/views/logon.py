"""Log on: the password, then the key. Never says which of username and password was wrong."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from backends.protocol import MAX_NAME, Unavailable
from backends.records import Account
from webapp import clock, templating
from webapp.accounts import (
    commits,
    devices,
    domains,
    keys,
    limits,
    logon,
    opening,
    passwords,
    recovery,
    refusals,
    sessions,
)
from webapp.accounts.ceremonies import Ceremony, Failed
from webapp.accounts.context import Context
from webapp.accounts.decision import Refused
from webapp.accounts.limits import TooOften
from webapp.accounts.passwords import Busy
from webapp.languages import Text, _
from webapp.settings import Settings
from webapp.web import client, cookies, guards, paths, responses, steps, touches, wording
from webapp.web.guards import PasswordOnly
from webapp.web.state import Request

WRONG = _("The username or the password is wrong.")
WRONG_ADDRESS = _("The e-mail address or the password is wrong. Your username works here too.")
BUSY = _("Very many people are logging on at the moment. Nothing was changed. Try again in a few seconds.")
FROZEN = _("This account is frozen, because somebody said that it was used by someone else. Set a new password to open it again.")
NOTICES = {
    "off": _("You are logged off."),
    "ended": _(
        "Your logon has ended: it was too long ago, or was ended elsewhere. Log on again, and you are back where you were."
    ),
    "password": _("Your password is set. Log on with it."),
    "known": _("This browser is known now. Log on with your password."),
}


@guards.anyone
async def show(request: Request) -> Response:
    """The form; who is signed in already goes on."""
    wanted = request.query_params.get("next", "")
    if await guards.visitor(request):
        return responses.go_to(request, _next(request, wanted))
    await responses.look_ahead(request, wanted)
    return _form(request, wanted, notice=NOTICES.get(request.query_params.get("notice", "")))


@guards.anyone
async def submit(request: Request) -> Response:
    """The password is right: on to the key, or in. Wrong or too often: the form says so."""
    form, ctx = request.state.form, client.context(request)
    name, password, wanted = form.get("username", "").strip(), form.get("password", ""), form.get("next", "")
    found = await ctx.backend.account_named(name)
    known = found is not None and devices.knows(ctx.device, found)
    try:
        await limits.logon(ctx, name, known=known)
    except TooOften as often:
        refusals.record(ctx, "logon", found.id if found else refusals.NOBODY, why=often.limit)
        return _too_often(request, often, name, wanted)
    hash, census = found.password_hash if found else None, request.state.census
    census.meet(hash)
    try:
        right = await passwords.verify(hash, password, known=known, like=census.like(name))
    except Busy as busy:
        return _form(request, wanted, username=name, error=BUSY, status=503, headers={"retry-after": str(busy.retry_after)})
    await limits.logon_was(ctx, name, known=known, right=right)
    if found is None or not right:
        refusals.record(ctx, "password", found.id if found else refusals.NOBODY)
        return _form(request, wanted, username=name, error=WRONG_ADDRESS if "@" in name else WRONG, status=401)
    return await _begin(request, ctx, found, name, password, wanted)


@guards.password_only
async def key(request: Request, who: PasswordOnly) -> Response:
    """Insert your key and touch it. Who has just given the password is asked at once, which the page's script sees to."""
    follows = paths.referred(request) == responses.url(request, "logon.show")
    return _panel(request, who, wanted=request.query_params.get("next", ""), at_once=follows)


@guards.password_only
async def begin_key(request: Request, who: PasswordOnly) -> Response:
    """The ceremony form."""
    form, asked = request.state.form, keys.asked(who.account, who.settings)
    wanted, domain = form.get("next", ""), form.get("domain", "")
    if not asked:  # unbound elsewhere, or by the deployer, since the password was given
        token = who.new_token()
        return _entered(
            request, who.context, await who.change(logon.without_key, who.session.id, token), token, _next(request, wanted)
        )
    begun = touches.begin(who, "logon", asked, domain)
    at_once = "ceremony" in begun and form.get("at_once") == "1"
    return _panel(request, who, wanted=wanted, domain=domain, at_once=at_once, **begun)


@guards.password_only
async def finish_key(request: Request, who: PasswordOnly) -> Response:
    """Signed in, or why not."""
    form, token, here = request.state.form, who.new_token(), limits.here(who.context)
    wanted = form.get("next", "")
    await limits.look(who.context, limits.KEY_STEP, who.account.id, here)
    try:
        account = await touches.finish(who, "logon", logon.with_key, who.session.id, touches.answer(request), token)
    except Failed as failed:
        with suppress(Unavailable):  # what was refused is committed, and is told
            await limits.count(who.context, limits.KEY_STEP, who.account.id, here)
        return _panel(request, who, wanted=wanted, domain=form.get("domain", ""), failure=failed.kind, status=422)
    return _entered(request, who.context, account, token, _behind_the_key(request, account, wanted))


@guards.password_only
async def recovery_code(request: Request, who: PasswordOnly) -> Response:
    """For whoever does not have the key: type a recovery code."""
    return _recovery(request, who)


@guards.password_only
async def use_recovery_code(request: Request, who: PasswordOnly) -> Response:
    """Signed in by a recovery code, which is used up; every other session is ended."""
    await limits.count(who.context, limits.RECOVERY, who.account.id, limits.here(who.context))
    token, typed = who.new_token(), request.state.form.get("code", "")
    try:
        account = await who.change(logon.with_recovery_code, who.session.id, typed, token)
    except Refused as refused:
        return _recovery(request, who, typed=typed, error=wording.RECOVERY_CODES[refused.kind], status=422)
    return _entered(request, who.context, account, token, responses.url(request, "account.security") + "?notice=recovered")


@guards.password_only
async def wait(request: Request, who: PasswordOnly) -> Response:
    """For whoever has neither key nor recovery code, where the deployer allows it: opening after a wait."""
    return _wait(request, who)


@guards.password_only
async def ask_to_open(request: Request, who: PasswordOnly) -> Response:
    """The wait begins; or, once it is over, the account opens."""
    if keys.asked(who.account, who.settings) and not _has_passed(who):
        with suppress(Refused):  # not allowed here: the page says what is
            await who.change(opening.ask)
        return responses.go(request, "logon.wait")
    token = who.new_token()
    account = await who.change(logon.without_key, who.session.id, token)
    return _entered(request, who.context, account, token, responses.url(request, "account.security") + "?notice=opened")


@guards.anyone
async def log_off(request: Request) -> Response:
    """Out, from whatever stage."""
    token = cookies.token(request)
    ctx = client.context(request)
    account = await ctx.backend.account(sessions.account_of(token)) if token else None
    if token and account:
        await commits.change(ctx, account, sessions.log_off, sessions.hash_token(token))
    cookies.take_away(request)
    return responses.go(request, "logon.show", {"notice": "off"})


async def _begin(request: Request, ctx: Context, found: Account, name: str, password: str, wanted: str) -> Response:
    """A session for whoever gave the password."""
    hash, token = found.password_hash, sessions.new_token(found.id)
    before = cookies.token(request)
    try:
        account = await _begun(ctx, found, hash, password, token, before)
    except Refused as refused:
        if refused.kind != "frozen":
            raise sessions.NotSignedIn from None
        refusals.record(ctx, "logon", found.id, why="frozen")
        error = _barred(ctx.settings) if refused.account.barred else FROZEN
        return _form(request, wanted, username=name, error=error, status=403)
    if before and sessions.account_of(before) != account.id:
        await guards.end_session(ctx, before)
    if not sessions.is_authenticated(account, token):
        cookies.hand_out(request, token)
        if opening.is_pass_of(account, sessions.hash_token(token)):
            return responses.go(request, "helpdesk.show")
        return responses.go(request, "logon.key", {"next": wanted} if wanted else None)
    return _entered(request, ctx, account, token, _next(request, wanted))


async def _begun(ctx: Context, found: Account, hash: str, password: str, token: str, before: str | None) -> Account:
    """The account with the session. If a logon elsewhere has just given it a new hash of the same password, that one counts."""
    stronger = await _stronger(hash, password)
    try:
        return await commits.change(ctx, found, logon.begin, hash, token, stronger=stronger, before=before)
    except Refused as refused:
        if refused.kind != "changed" or not await passwords.verify(refused.account.password_hash, password, known=True):
            raise
        now = refused.account
        return await commits.change(ctx, now, logon.begin, now.password_hash, token, before=before)


async def _stronger(hash: str, password: str) -> str | None:
    """A new hash, where today's are stronger; not while many wait."""
    with suppress(Busy):
        return await passwords.hash(password) if passwords.outdated(hash) else None
    return None


def _barred(settings: Settings) -> Text:
    return _("This account is frozen, and a new password does not open it. Ask %(helper)s.", helper=templating.helper(settings))


def _entered(request: Request, ctx: Context, account: Account, token: str, path: str) -> Response:
    """In: the cookie of the session, and this browser is known from now on."""
    cookies.hand_out(request, token)
    cookies.remember(request, devices.known_to(ctx.device, account))
    return responses.go_to(request, path)


def _next(request: Request, wanted: str) -> str:
    return paths.local(request, wanted, responses.url(request, "account.show"))


def _behind_the_key(request: Request, account: Account, wanted: str) -> str:
    """Where the person wanted to; by way of binding the key here too, if it is bound to an earlier domain only."""
    used = keys.last_used(account)
    if used is None or not domains.is_only_elsewhere(request.state.settings, account.keys, used):
        return _next(request, wanted)
    again = responses.url(request, "binding.again", key=keys.slug(used.id))
    return f"{again}?{urlencode({'next': wanted})}" if wanted else again


def _form(
    request: Request,
    wanted: str,
    *,
    username: str = "",
    error: Text | None = None,
    notice: Text | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    shown: dict[str, Any] = {"username": username[:MAX_NAME], "next": wanted, "error": error, "notice": notice}
    shown["app"] = responses.app_ahead(request, paths.local(request, wanted))
    return responses.page(request, "logon.html", status, headers, can_join=bool(request.state.settings.join), **shown)


def _too_often(request: Request, often: TooOften, name: str, wanted: str) -> Response:
    """As everywhere; and how to get in all the same, for whoever owns the account that strangers guess at."""
    headers = {"retry-after": str(often.seconds)}
    return responses.page(
        request, "too_often.html", 429, headers=headers, wait=often.seconds, username=name[:MAX_NAME], next=wanted
    )


def _recovery(request: Request, who: PasswordOnly, *, typed: str = "", error: Text | None = None, status: int = 200) -> Response:
    shown = steps.recovery(who.settings, who.account, typed)
    return responses.page(request, "logon_recovery.html", status, rehearsal=False, would=False, error=error, **shown)


def _has_passed(who: PasswordOnly) -> bool:
    return opening.has_passed(who.account, who.settings, who.session, clock.now())


def _wait(request: Request, who: PasswordOnly) -> Response:
    settings, account = who.settings, who.account
    if settings.wait is None or opening.is_pass(account):
        return responses.go(request, "logon.recovery_code")
    return responses.page(
        request,
        "logon_wait.html",
        username=account.username,
        opening=account.opening,
        over=_has_passed(who),
        hours=steps.hours(settings.wait),
    )


def _panel(
    request: Request,
    who: PasswordOnly,
    *,
    wanted: str,
    domain: str = "",
    ceremony: Ceremony | None = None,
    failure: str | None = None,
    at_once: bool = False,
    status: int = 200,
) -> Response:
    ask = domains.choose(who.settings, keys.asked(who.account, who.settings), domain)
    own_pass = opening.is_pass_of(who.account, who.session.token_hash)
    return responses.panel(
        request,
        "logon_key.html",
        "_key.html",
        status,
        ask=ask,
        keys=responses.keys(ask.keys),
        username=who.account.username,
        codes_left=recovery.left(who.account),
        next=wanted,
        device=responses.device(request),
        opening=who.account.opening,
        own_pass=own_pass,
        at_once=at_once and not own_pass,
        **touches.shown(request, ceremony, failure),
    )
