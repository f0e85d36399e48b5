"""What is put down and written when something looks wrong on an account. Never refuses anything itself."""

from datetime import timedelta

from starlette.background import BackgroundTask

from backends.records import Account
from webapp import events, letters, limits
from webapp.ceremonies import Failed
from webapp.limits import Limit, TooOften
from webapp.state import Request

MAILS = Limit("alarm", 3, timedelta(hours=1))
"""Enough to be told, and too few to be flooded by whoever knows the password."""


async def raised(request: Request, account: Account, failed: Failed) -> BackgroundTask | None:
    """The mail to send about a ceremony that failed; None where nothing looks wrong."""
    if failed.suspect:
        await events.add(request, account.id, "clone suspected", failed.suspect.name)
        return letters.clone_suspected(request, account, failed.suspect.name)
    return None


async def key_refused(request: Request, account: Account, failed: Failed | None = None) -> BackgroundTask | None:
    """The mail to send when the key step fails after a right password; None where nothing looks wrong, or enough was mailed.

    A person who cancels is no reason to worry; an answer that was judged and refused is.
    """
    if failed and failed.suspect:
        return await raised(request, account, failed)
    if failed and not failed.judged:
        return None
    await events.add(request, account.id, "key refused")
    try:
        await limits.count(request, MAILS, account.id)
    except TooOften:
        return None
    return letters.key_refused(request, account)
