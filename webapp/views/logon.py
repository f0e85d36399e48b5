"""Log on: the password, then the key. Never says which of username and password was wrong."""

from dataclasses import replace

from starlette.background import BackgroundTask
from starlette.responses import Response

from backends.records import Account
from webapp import alarms, ceremonies, events, guards, limits, pages, passwords, preview, sessions
from webapp.ceremonies import Ceremony, Failed, Failure
from webapp.guards import HalfSignedIn
from webapp.state import Request

WRONG = "The username or the password is wrong."
NOTICES = {"off": "You are logged off.", "ended": "Your logon took too long, or was ended elsewhere. Please log on again."}


@guards.anyone
async def show(request: Request) -> Response:
    """The form; who is signed in already goes on."""
    session = await sessions.find(request)
    if session is not None and session.stage == "full":
        return pages.go_to(request, _next(request, request.query_params.get("next", "")))
    return _form(request, request.query_params.get("next", ""), notice=NOTICES.get(request.query_params.get("notice", "")))


@guards.anyone
async def submit(request: Request) -> Response:
    """The password is right: on to the key, or in. Wrong or too often: the form says so."""
    form = await guards.form(request)
    username, wanted = form.get("username", "").strip(), form.get("next", "")
    here = limits.neighbourhood(limits.address(request))
    await limits.count(request, limits.LOGON_ADDRESS, here)
    await limits.count(request, limits.LOGON_PAIR, username.casefold(), here)
    account = await _account(request, username, form.get("password", ""))
    if account is None:
        return _form(request, wanted, username=username, error=WRONG, status=401)
    await limits.forget(request, limits.LOGON_PAIR, username.casefold(), here)
    await limits.take_back(request, limits.LOGON_ADDRESS, here)
    return await _begin(request, account, wanted)


@guards.half_signed_in
async def key(request: Request, who: HalfSignedIn) -> Response:
    """Insert your key and touch it."""
    return _panel(request, who, wanted=request.query_params.get("next", ""))


@guards.half_signed_in
async def begin_key(request: Request, who: HalfSignedIn) -> Response:
    """The ceremony form."""
    form = await guards.form(request)
    if not who.keys:  # unbound elsewhere, or by the deployer, since the password was given
        return await _signed_in(request, who, form.get("next", ""))
    return _panel(request, who, wanted=form.get("next", ""), ceremony=ceremonies.begin_use(request, "logon", who))


@guards.half_signed_in
async def finish_key(request: Request, who: HalfSignedIn) -> Response:
    """Signed in, or why not."""
    form = await guards.form(request)
    wanted = form.get("next", "")
    try:
        used = await ceremonies.finish_use(request, form, "logon", who)
    except Failed as failed:
        return _panel(
            request,
            who,
            wanted=wanted,
            failure=failed.failure,
            status=422,
            task=await alarms.raised(request, who.account, failed),
        )
    session = await sessions.step_up(request, who.session, proof="key")
    if session is None:
        raise guards.NotSignedIn
    await events.add(request, who.account.id, "logged on", used.name)
    return pages.go_to(request, _next(request, wanted))


@guards.anyone
async def log_off(request: Request) -> Response:
    """Out, from whatever stage."""
    session = await sessions.find(request)
    await sessions.end(request)
    if session is not None and session.stage == "full":
        await events.add(request, session.account_id, "logged off")
    return pages.go(request, "logon.show", {"notice": "off"})


async def _account(request: Request, username: str, password: str) -> Account | None:
    """The account, if this is its username and password. Takes as long for a name that nobody has."""
    account = await request.state.backend.account_named(username) if len(username) <= 256 else None
    right = await passwords.verify(account.password_hash if account else None, password)
    if account is None or not right or account.frozen_at:
        return None
    if not passwords.outdated(account.password_hash):
        return account
    stronger = replace(account, password_hash=await passwords.hash(password))
    return stronger if await request.state.backend.record_account(account, stronger) else account


async def _begin(request: Request, account: Account, wanted: str) -> Response:
    """A session for whoever gave the password.

    It is put down before the keys are counted: a key that is bound at this very moment is either seen here, or its binding ends
    this session.
    """
    who = HalfSignedIn(account, await sessions.begin(request, account), await request.state.backend.keys_of(account.id))
    if who.keys and preview.includes(request.state.settings, account):
        return pages.go(request, "logon.key", {"next": wanted} if wanted else None)
    return await _signed_in(request, who, wanted)


async def _signed_in(request: Request, who: HalfSignedIn, wanted: str) -> Response:
    """In by password alone: this account owes no key."""
    if await sessions.step_up(request, who.session) is None:
        raise guards.NotSignedIn
    await events.add(request, who.account.id, "logged on")
    return pages.go_to(request, _next(request, wanted))


def _next(request: Request, wanted: str) -> str:
    return guards.local_path(wanted, pages.url(request, "account.show"))


def _form(
    request: Request, wanted: str, *, username: str = "", error: str | None = None, notice: str | None = None, status: int = 200
) -> Response:
    return pages.page(request, "logon.html", status, username=username, next=wanted, error=error, notice=notice)


def _panel(
    request: Request,
    who: HalfSignedIn,
    *,
    wanted: str,
    ceremony: Ceremony | None = None,
    failure: Failure | None = None,
    status: int = 200,
    task: BackgroundTask | None = None,
) -> Response:
    answer = pages.panel(
        request,
        "logon_key.html",
        "_key.html",
        status,
        keys=pages.keys(who.keys),
        username=who.account.username,
        next=wanted,
        device=pages.device(request),
        ceremony=ceremony,
        failure=failure,
    )
    answer.background = task
    return answer
