"""Change a password, or set a new one by mail when it is forgotten. Neither logs anybody on or takes the place of the key."""

from dataclasses import replace

from starlette.background import BackgroundTask
from starlette.responses import Response

from backends.records import Account
from webapp import clock, events, guards, letters, limits, links, pages, passwords, sessions
from webapp.guards import Proven
from webapp.limits import TooOften
from webapp.links import Link
from webapp.state import Request


@guards.proven
async def change(request: Request, who: Proven) -> Response:
    """The form."""
    return _change(request, who)


@guards.proven
async def submit_change(request: Request, who: Proven) -> Response:
    """Changed, with every other session ended; or why not."""
    form = await guards.form(request)
    await limits.count(request, limits.LOGON_PAIR, who.account.id, limits.here(request))
    if not await passwords.verify(who.account.password_hash, form.get("old", "")):
        return _change(request, who, error="The old password is wrong.", status=422)
    await limits.forget(request, limits.LOGON_PAIR, who.account.id, limits.here(request))
    if weak := passwords.weakness(form.get("new", ""), who.account, request.state.settings.name):
        return _change(request, who, error=weak, status=422)
    if not await _record(request, who.account, form["new"]):
        return _change(request, who, error="Your account was changed in another tab. Please try again.", status=409)
    await request.state.backend.remove_sessions_of(who.account.id, keep=who.session.id)
    await sessions.step_up(request, who.session)
    await events.add(request, who.account.id, "password changed")
    task = letters.password_changed(request, who.account)
    return pages.go(request, "account.security", {"notice": "password"}, task=task)


@guards.anyone
async def forgotten(request: Request) -> Response:
    """Ask for the mail."""
    return pages.page(request, "forgotten.html", sent=False)


@guards.anyone
async def submit_forgotten(request: Request) -> Response:
    """The same answer for every username; a mail goes out where there is an account."""
    form = await guards.form(request)
    await limits.count(request, limits.RESET_ADDRESS, limits.here(request))
    answer = pages.page(request, "forgotten.html", sent=True)
    answer.background = BackgroundTask(_mail, request, form.get("username", "").strip())
    return answer


@guards.anyone
async def reset(request: Request) -> Response:
    """The page behind the link: a new password."""
    link, account = await _known(request, request.query_params.get("token", ""))
    return _reset(request, request.query_params.get("token", "")) if link and account else _over(request)


@guards.anyone
async def submit_reset(request: Request) -> Response:
    """Set, with every session ended; on to the logon, which asks for the key as ever."""
    form = await guards.form(request)
    token, new = form.get("token", ""), form.get("new", "")
    link, account = await _known(request, token)
    if not link or not account:
        return _over(request)
    if weak := passwords.weakness(new, account, request.state.settings.name):
        return _reset(request, token, error=weak, status=422)
    if not await links.spend(request, link) or not await _record(request, account, new):
        return _over(request)
    await request.state.backend.remove_sessions_of(account.id)
    await events.add(request, account.id, "password reset")
    return pages.go(request, "logon.show", {"notice": "password"}, task=letters.password_changed(request, account))


async def _mail(request: Request, username: str) -> None:
    """Once the answer has gone out, so that its time tells nothing either."""
    account = await request.state.backend.account_named(username)
    if account is None:
        return
    try:
        await limits.count(request, limits.RESET_ACCOUNT, account.id)
    except TooOften:
        return  # said to nobody: the answer is the same for every name
    await letters.send_reset(request, account)


async def _known(request: Request, token: str) -> tuple[Link | None, Account | None]:
    """What the link says, and its account, if its password is still the one that was forgotten."""
    link = links.read(request, "reset", token)
    account = await request.state.backend.account(link.account_id) if link else None
    return (link, account) if link and account and links.fingerprint(account) == link.fact else (None, None)


async def _record(request: Request, account: Account, password: str) -> bool:
    changed = replace(account, password_hash=await passwords.hash(password), password_at=clock.now())
    return await request.state.backend.record_account(account, changed)


def _change(request: Request, who: Proven, *, error: str | None = None, status: int = 200) -> Response:
    return pages.page(request, "password.html", status, account=who.account, error=error, shortest=passwords.SHORTEST)


def _reset(request: Request, token: str, *, error: str | None = None, status: int = 200) -> Response:
    return pages.page(request, "reset.html", status, token=token, error=error, shortest=passwords.SHORTEST)


def _over(request: Request) -> Response:
    link = (pages.url(request, "password.forgotten"), "Ask for a new mail")
    text = "A link works once, for 30 minutes, and only the newest of them. If you still need a new password, ask again."
    return pages.refusal(request, 410, "This link is over", text, link=link)
