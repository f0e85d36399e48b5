"""*This was not me*: what the link in every mail of news leads to. Following it changes nothing; the button does."""

from starlette.responses import Response

from webapp import clock
from webapp.accounts import commits, history, identities, links
from webapp.accounts.decision import Refused
from webapp.languages import _
from webapp.web import client, guards, responses, wording
from webapp.web.state import Request


@guards.anyone
async def show(request: Request) -> Response:
    """What it is about, and what the button will do."""
    token = request.query_params.get("token", "")
    link = links.read(request.state.settings, "not me", token, clock.now())
    account = await request.state.backend.account(link.account_id) if link else None
    if link is None or account is None:
        return _over(request)
    events = await history.at(request.state.backend, account, links.moment(link))
    return responses.page(
        request,
        "not_me.html",
        token=token,
        who=f"{identities.masked_name(account.username)} ({identities.masked(account.email)})",
        happened=[(wording.event(event.kind), wording.detail(event.kind, event.detail), event) for event in events],
        moment=links.moment(link),
    )


@guards.anyone
async def freeze(request: Request) -> Response:
    """Freeze the account, end its sessions, and suspend what was bound since the event that the mail was about."""
    link = links.read(request.state.settings, "not me", request.state.form.get("token", ""), clock.now())
    account = await request.state.backend.account(link.account_id) if link else None
    if link is None or account is None:
        return _over(request)
    try:
        await commits.change(client.context(request), account, identities.not_me, link)
    except Refused:
        return _over(request)
    return responses.page(request, "frozen.html")


def _over(request: Request) -> Response:
    text = _("It works once, for seven days. If you think that somebody else uses your account, set a new password now.")
    link = (responses.url(request, "forgotten.show"), _("Set a new password"))
    return responses.refusal(request, 410, _("This link is over"), text, link=link)
