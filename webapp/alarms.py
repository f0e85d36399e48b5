"""What is put down and written when something looks wrong on an account. Never refuses anything itself."""

from starlette.background import BackgroundTask

from backends.records import Account
from webapp import events, letters
from webapp.ceremonies import Failed
from webapp.state import Request


async def raised(request: Request, account: Account, failed: Failed) -> BackgroundTask | None:
    """The mail to send about a ceremony that failed; None where nothing looks wrong."""
    if failed.suspect is None:
        return None
    await events.add(request, account.id, "clone suspected", failed.suspect.name)
    return letters.clone_suspected(request, account, failed.suspect)
