"""Join: choose a name and a password, by an invitation that came by mail; or ask for one, where the deployer lets a mail domain.

Whoever asks gets the same answer, in the same time, for every address of the domain: the mail is seen to once the answer has
gone. Following the link of an invitation changes nothing; the form behind it uses it up.
"""

from functools import partial

from starlette.responses import Response

from backends.protocol import MAX_NAME, UsernameTaken
from backends.records import Account
from webapp import clock
from webapp.accounts import commits, devices, identities, joining, limits, links, passwords, sessions
from webapp.accounts.context import Context
from webapp.accounts.decision import Refused
from webapp.accounts.limits import TooOften
from webapp.languages import Text, _
from webapp.web import client, cookies, guards, responses, wording
from webapp.web.state import Request

NAME = _("Use 1 to %(most)s characters, without @ and without blanks around them.", most=identities.MAX_USERNAME)
TAKEN = _("That name is taken. Choose another.")


@guards.anyone
async def show(request: Request) -> Response:
    """Ask for an invitation."""
    return _ask(request) if request.state.settings.join else _only_invited(request)


@guards.anyone
async def submit(request: Request) -> Response:
    """The same answer for every address of the domain; the mail has an invitation, or says that there is an account."""
    ctx, email = client.context(request), request.state.form.get("email", "").strip()
    if not ctx.settings.join:
        return _only_invited(request)
    if not joining.may_ask(email, ctx.settings):
        return _ask(request, email=email[:MAX_NAME], wrong=True, status=422)
    again_in = await _allowed(ctx, email)
    if again_in is None:
        request.state.sender.later(partial(_invite, ctx, email))
    return _ask(request, email=email, sent=True, again_in=again_in)


@guards.anyone
async def choose(request: Request) -> Response:
    """The page behind the link: a name and a password."""
    token = request.query_params.get("token", "")
    account = await _invited(request, token)
    return _choose(request, account, token) if account else _over(request)


@guards.anyone
async def join(request: Request) -> Response:
    """Joined, and logged on; on to binding a key."""
    form, ctx = request.state.form, client.context(request)
    token, username, password = form.get("token", ""), form.get("username", "").strip(), form.get("password", "")
    account = await _invited(request, token)
    if account is None or account.invitation is None:
        return _over(request)
    await limits.count(ctx, limits.JOINING, account.id)
    wrong = await _wrong_name(ctx, username)
    weakness = passwords.weakness(password, (username, account.invitation.email, ctx.settings.name))
    if wrong or weakness:
        weak = wording.WEAK_PASSWORDS[weakness] if weakness else None
        error = _("%(name)s %(password)s", name=wrong, password=weak) if wrong and weak else wrong or weak
        return _choose(request, account, token, username, error=error, field="username" if wrong else "password", status=422)
    try:
        return await _join(request, ctx, account, username, password)
    except UsernameTaken:
        return _choose(request, account, token, username, error=TAKEN, status=409)


async def _join(request: Request, ctx: Context, account: Account, username: str, password: str) -> Response:
    hash, session, before = await passwords.hash(password), sessions.new_token(account.id), cookies.token(request)
    try:
        account = await commits.change(ctx, account, joining.join, username, hash, session)
    except Refused:
        return _over(request)
    if before:
        await guards.end_session(ctx, before)
    cookies.hand_out(request, session)
    cookies.remember(request, devices.known_to(ctx.device, account))
    return responses.go(request, "binding.show", {"notice": "joined"})


async def _wrong_name(ctx: Context, username: str) -> Text | None:
    """Why nobody can be called this; None if they can. Whether it is taken is decided by the commit."""
    if not joining.may_be_called(username):
        return NAME
    return TAKEN if await ctx.backend.account_named(username) else None


async def _allowed(ctx: Context, email: str) -> int | None:
    """None if a mail may go to this address; or in how many minutes it may again. TooOften for the asker, and for all of them."""
    await limits.count(ctx, limits.JOIN_ASKER, limits.here(ctx))
    try:
        await limits.count(ctx, limits.JOIN_ADDRESS, limits.folded(email))
        await limits.count(ctx, limits.JOIN_ADDRESS_DAY, limits.folded(email))
    except TooOften as often:
        return -(-often.seconds // 60)
    await limits.count(ctx, limits.JOIN_WHOLE)
    return None


async def _invite(ctx: Context, email: str) -> None:
    if await joining.invite(ctx, email, None) is None and (account := await ctx.backend.account_named(email)):
        await commits.change(ctx, account, joining.owe_that_there_is_one)


async def _invited(request: Request, token: str) -> Account | None:
    """The invitation that the link is for, if it can be used."""
    link = links.read(request.state.settings, "invitation", token, clock.now())
    account = await request.state.backend.account(link.account_id) if link else None
    return account if joining.is_open(account, clock.now()) else None


def _ask(
    request: Request, *, email: str = "", sent: bool = False, again_in: int | None = None, wrong: bool = False, status: int = 200
) -> Response:
    domains = request.state.settings.join
    return responses.page(request, "join.html", status, domains=domains, email=email, sent=sent, again_in=again_in, wrong=wrong)


def _choose(
    request: Request,
    account: Account,
    token: str,
    username: str = "",
    *,
    error: Text | None = None,
    field: str = "username",
    status: int = 200,
) -> Response:
    return responses.panel(
        request,
        "join_account.html",
        "_weak.html",
        status,
        invitation=account.invitation,
        token=token,
        username=username[: identities.MAX_USERNAME],
        error=error,
        field=field,
        shortest=passwords.MIN_LENGTH,
    )


def _over(request: Request) -> Response:
    link = (responses.url(request, "logon.show"), _("Log on"))
    text = _("An invitation works once, for seven days. If you have joined, log on; if not, ask for another one.")
    return responses.refusal(request, 410, _("This invitation is over"), text, link=link)


def _only_invited(request: Request) -> Response:
    name, link = request.state.settings.name, (responses.url(request, "logon.show"), _("Log on"))
    text = _("Who has no account at %(name)s yet is invited by mail. Ask whoever runs it for an invitation.", name=name)
    return responses.refusal(request, 403, _("People join by invitation"), text, link=link)
