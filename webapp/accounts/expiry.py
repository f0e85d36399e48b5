"""What is over is left out of an account when it is next committed: codes, sessions, nonces and a pass. Never what is still in
force.
"""

from datetime import datetime

from msgspec.structs import replace

from backends.records import Account
from webapp.accounts import codes, opening


def expire(account: Account, now: datetime) -> Account:
    """The account without what has expired; the same one if nothing has."""
    if account.opening and opening.is_over(account.opening, now):
        account, _ = opening.stop(account)
    sessions = tuple(each for each in account.sessions if each.expires_at > now)
    sent = tuple(each for each in account.codes if each.expires_at + codes.KEPT > now)
    nonces = tuple(each for each in account.nonces if each.expires_at > now)
    if len(sessions) + len(sent) + len(nonces) == len(account.sessions) + len(account.codes) + len(account.nonces):
        return account
    return replace(account, sessions=sessions, codes=sent, nonces=nonces)
