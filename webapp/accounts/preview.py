"""The preview: whether an account is asked for its key at logon. The deployer decides; a bound key alone does not.

A percentage is stable: it follows from the account's id, so that nobody is asked today and not tomorrow; raising it only adds.
"""

import hashlib

from backends.records import Account
from webapp.accounts import required
from webapp.settings import Settings


def includes(settings: Settings, account: Account) -> bool:
    """Whether this account is asked for its key at logon, once it has one.

    An account that is listed is in every preview, and so is one of which a key is required.
    """
    if settings.preview == "everyone" or account.listed or required.of(account, settings):
        return True
    return settings.preview != "listed" and _share(account) < settings.preview


def _share(account: Account) -> int:
    """A number from 0 to 99 that an account keeps for ever."""
    return int.from_bytes(hashlib.sha256(account.id.encode()).digest()[:8]) % 100
