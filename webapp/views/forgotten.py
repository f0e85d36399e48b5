"""For whoever cannot get in: username and a new password by mail, or a link that makes this browser known. Neither logs on or
replaces the key.

The same answer, in the same time, for every name: the mail is seen to once the answer has gone. Who asks too often is refused by
an allowance of the asker; an account's owner is never refused because of what strangers asked: the newest mail still works, and
the page says when it was sent.
"""

from functools import partial
from typing import Any

from starlette.responses import Response

from backends.protocol import MAX_NAME
from backends.records import Account
from webapp import clock
from webapp.accounts import commits, devices, identities, limits, links, passwords
from webapp.accounts.context import Context
from webapp.accounts.decision import Operation, Refused
from webapp.accounts.limits import TooOften
from webapp.accounts.links import Link
from webapp.languages import Text, _
from webapp.web import client, cookies, guards, responses, wording
from webapp.web.state import Request


@guards.anyone
async def show(request: Request) -> Response:
    """Ask for the mail."""
    return responses.page(request, "forgotten.html")


@guards.anyone
async def submit(request: Request) -> Response:
    """The same answer for every name; a mail goes out where there is an account."""
    return await _mail(request, "reset", identities.owe_reset)


@guards.anyone
async def reset(request: Request) -> Response:
    """The page behind the link: a new password."""
    token = request.query_params.get("token", "")
    link, account = await _known(request, token)
    return _reset(request, token) if link and account else _over(request)


@guards.anyone
async def submit_reset(request: Request) -> Response:
    """Set, with every session ended; on to the logon, which asks for the key as ever."""
    token, new = request.state.form.get("token", ""), request.state.form.get("new", "")
    link, account = await _known(request, token)
    if not link or not account:
        return _over(request)
    if weakness := passwords.weakness(new, identities.names(account, request.state.settings)):
        return _reset(request, token, error=wording.WEAK_PASSWORDS[weakness], status=422)
    try:
        new_hash = await passwords.hash(new)
        await commits.change(client.context(request), account, identities.reset_password, link, new_hash)
    except Refused:
        return _over(request)
    return responses.go(request, "logon.show", {"notice": "password"})


@guards.anyone
async def ask_to_know(request: Request) -> Response:
    """The mail with the link that makes this browser known: for an account that strangers guess at. The same answer for every
    name.
    """
    return await _mail(request, "known browser", identities.owe_known_browser)


@guards.anyone
async def known(request: Request) -> Response:
    """The page behind the link: make this browser known."""
    token = request.query_params.get("token", "")
    link = links.read(request.state.settings, "known browser", token, clock.now())
    return responses.page(request, "known.html", token=token) if link else _known_over(request)


@guards.anyone
async def make_known(request: Request) -> Response:
    """This browser has an allowance of its own for this account from now on. It still needs the password, and the key."""
    link = links.read(request.state.settings, "known browser", request.state.form.get("token", ""), clock.now())
    account = await request.state.backend.account(link.account_id) if link else None
    if not link or not account:
        return _known_over(request)
    try:
        account = await commits.change(client.context(request), account, identities.use_known_browser_link, link)
    except Refused:
        return _known_over(request)
    cookies.remember(request, devices.known_to(cookies.device(request), account))
    return responses.go(request, "logon.show", {"notice": "known"})


async def _mail(request: Request, what: links.Purpose, operation: Operation[[]]) -> Response:
    """See to the mail, unless one was sent just now; the page says when it can be sent again. TooOften for the asker."""
    ctx, name = client.context(request), request.state.form.get("username", "").strip()
    await limits.count(ctx, limits.RESET_ASKER, limits.here(ctx))
    shown: dict[str, Any] = {"what": what, "username": name[:MAX_NAME]}
    try:
        await limits.count(ctx, limits.RESET_NAME, what, limits.folded(name))
    except TooOften as often:
        return responses.page(request, "mail_sent.html", new=False, wait=often.seconds, **shown)
    request.state.sender.later(partial(_owe, ctx, name, operation))
    return responses.page(request, "mail_sent.html", new=True, wait=limits.RESET_NAME.window.seconds, **shown)


async def _owe(ctx: Context, name: str, operation: Operation[[]]) -> None:
    account = await ctx.backend.account_named(name)
    if account is not None:
        await commits.change(ctx, account, operation)


async def _known(request: Request, token: str) -> tuple[Link | None, Account | None]:
    """What the link says, and its account, if its password is still the one that was forgotten."""
    link = links.read(request.state.settings, "reset", token, clock.now())
    account = await request.state.backend.account(link.account_id) if link else None
    return (link, account) if link and account and links.fingerprint(account) == link.fact else (None, None)


def _reset(request: Request, token: str, *, error: Text | None = None, status: int = 200) -> Response:
    shown: dict[str, Any] = {"token": token, "error": error, "field": "new", "shortest": passwords.MIN_LENGTH}
    return responses.panel(request, "reset.html", "_weak.html", status, **shown)


def _over(request: Request) -> Response:
    link = (responses.url(request, "forgotten.show"), _("Ask for a new mail"))
    text = _("A link works once, for 30 minutes. If you still need a new password, ask again.")
    return responses.refusal(request, 410, _("This link is over"), text, link=link)


def _known_over(request: Request) -> Response:
    link = (responses.url(request, "logon.show"), _("Log on"))
    text = _(
        "A link works once, for 30 minutes. Try to log on: if this browser has to wait, you can have another one mailed there."
    )
    return responses.refusal(request, 410, _("This link is over"), text, link=link)
