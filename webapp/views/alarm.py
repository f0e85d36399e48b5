"""*This was not me*: what the link in every mail of news leads to. Following it changes nothing; the button does."""

from dataclasses import replace
from datetime import UTC, datetime

from starlette.responses import Response

from backends.records import Account
from webapp import clock, events, guards, links, pages
from webapp.state import Request


@guards.anyone
async def show(request: Request) -> Response:
    """What the button will do."""
    token = request.query_params.get("token", "")
    return pages.page(request, "alarm.html", token=token) if links.read(request, "not me", token) else _over(request)


@guards.anyone
async def freeze(request: Request) -> Response:
    """Freeze the account, end its sessions, and take back what was bound since the event that the mail was about."""
    form = await guards.form(request)
    link = links.read(request, "not me", form.get("token", ""))
    if link is None or not await links.spend(request, link):
        return _over(request)
    account = await _frozen(request, link.account_id)
    if account is None:
        return _over(request)
    await request.state.backend.remove_sessions_of(account.id)
    await _take_back(request, account, since=datetime.fromtimestamp(int(link.fact) / 1000, UTC))
    await events.add(request, account.id, "frozen")
    return pages.page(request, "frozen.html")


async def _frozen(request: Request, account_id: str) -> Account | None:
    """The account, frozen now; somebody may be changing it at this very moment, so it is tried until it holds."""
    while account := await request.state.backend.account(account_id):
        frozen = replace(account, frozen_at=clock.now())
        if await request.state.backend.record_account(account, frozen):
            return frozen
    return None


async def _take_back(request: Request, account: Account, since: datetime) -> None:
    """Keys bound, and recovery codes made, since then are gone."""
    keys = await request.state.backend.keys_of(account.id)
    for key in keys:
        if key.bound_at >= since and await request.state.backend.remove_key(account.id, key.id):
            await events.add(request, account.id, "key unbound", key.name)
    codes = await request.state.backend.recovery_codes_of(account.id)
    if codes and (codes[0].made_at >= since or all(key.bound_at >= since for key in keys)):
        await request.state.backend.put_recovery_codes(account.id, [], clock.now())
        await events.add(request, account.id, "recovery codes void")


def _over(request: Request) -> Response:
    text = "It works once, for seven days. If you think that somebody else uses your account, set a new password now."
    link = (pages.url(request, "password.forgotten"), "Set a new password")
    return pages.refusal(request, 410, "This link is over", text, link=link)
