"""Accounts whose records are damaged: whoever looks at all of them passes by, and names them in the log. Never mends one."""

import logging

from backends.protocol import Damaged
from webapp import logs

log = logging.getLogger("keystead")


def name(damaged: Damaged) -> None:
    """A line for each, as often as it is met."""
    logs.write(log, logging.ERROR, "damaged (run: keystead doctor)", account=damaged.account_id, reason=damaged)
