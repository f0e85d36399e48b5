"""What we know about somebody, to be handed to them: everything in the record and every event, but for what guards the account.

Left out is whatever somebody could use, or guess at, who got hold of the export: hashes, salts, MACs, and ids that a browser
carries. Changes nothing. A field that a record gets in the future is in it, unless it is named here.
"""

from typing import Any

import msgspec

from backends.records import Account, Event, Notification, Opening, RecoveryCode, SecurityKey, Session, VerificationCode
from webapp.accounts.context import Context

PAGE = 500
WITHHELD: dict[type[msgspec.Struct], frozenset[str]] = {
    Account: frozenset({"password_hash", "nonces", "head", "checkpoint", "seal", "version"}),
    SecurityKey: frozenset(),
    Session: frozenset({"id", "token_hash", "device"}),
    VerificationCode: frozenset({"session_id", "salt", "digest"}),
    RecoveryCode: frozenset({"digest"}),
    Notification: frozenset({"id", "holder"}),
    Event: frozenset({"account_id", "mac", "state"}),
    Opening: frozenset({"token_hash"}),
}
"""What is left out of each: what a password, a code or a session could be guessed or taken by, and our own book-keeping."""


async def of(ctx: Context, account: Account) -> dict[str, Any]:
    """All of it, ready for JSON; times as ISO 8601, bytes as base64."""
    events = [_shown(event) for event in await _events(ctx, account)]
    exported: dict[str, Any] = msgspec.to_builtins({"account": _shown(account), "events": events})
    return exported


def _shown(value: Any) -> Any:
    """The same without what is withheld."""
    if isinstance(value, msgspec.Struct):
        withheld = WITHHELD.get(type(value), frozenset())
        return {name: _shown(getattr(value, name)) for name in value.__struct_fields__ if name not in withheld}
    return [_shown(each) for each in value] if isinstance(value, tuple) else value


async def _events(ctx: Context, account: Account) -> list[Event]:
    """All that are left, oldest first."""
    pages: list[list[Event]] = []
    before: int | None = None
    while page := await ctx.backend.events_of(account.id, PAGE, before):
        pages.append(page)
        before = page[0].seq
    return [event for page in reversed(pages) for event in page]
