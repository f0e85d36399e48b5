"""What was refused to whom, for the log: a line that fail2ban and its like can act on (`deploy/fail2ban`).

It has the address and the account's id, and never what was typed: many type a password, or an e-mail address, where a username
should be.
"""

import logging

from webapp import logs
from webapp.accounts.context import Context

NOBODY = "unknown"
"""In the place of an account's id, where there is none of that name."""

log = logging.getLogger("keystead.refusals")


def record(ctx: Context, what: str, account_id: str = NOBODY, **why: str) -> None:
    """`what` (a password, a code, a key, a recovery code; or the logon, though the password may be right) was refused."""
    logs.write(log, logging.INFO, f"refused {what}", **why, account=account_id, address=ctx.address)
