"""Which accounts share an e-mail address: whoever types it at the logon is found by neither. Changes nothing.

Holds 8 bytes for each account, and usernames only of those that share.
"""

import hashlib
from array import array
from collections import defaultdict
from itertools import pairwise

from backends.protocol import Backend, Damaged, fold
from backends.records import Account


class Seen:
    """Accounts that were looked at, of whose addresses only digests are kept."""

    def __init__(self) -> None:
        self._digests = array("Q")

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, account: Account) -> None:
        self._digests.append(_digest(account))

    async def shared(self, backend: Backend) -> list[tuple[str, ...]]:
        """The usernames of accounts that have one address together."""
        repeated = {digest for digest, following in pairwise(sorted(self._digests)) if digest == following}
        found: defaultdict[str, list[str]] = defaultdict(list)
        if repeated:
            async for account in backend.accounts(damaged=_pass_by):
                if _digest(account) in repeated:
                    found[fold(account.email)].append(account.username)
        return [tuple(usernames) for usernames in found.values() if len(usernames) > 1]


def _digest(account: Account) -> int:
    return int.from_bytes(hashlib.sha256(fold(account.email).encode()).digest()[:8])


def _pass_by(damaged: Damaged) -> None:
    """Whoever looked at all accounts before has met it."""
