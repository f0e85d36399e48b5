"""Ways back: what opens an account when a key is gone, counted from what there is. Decides nothing."""

from dataclasses import dataclass

from backends.records import Account, SecurityKey
from webapp.accounts import recovery, sessions


@dataclass(frozen=True, slots=True)
class Ways:
    """The keys that are asked for at logon, of which any will do, and how many recovery codes can still be used."""

    keys: tuple[SecurityKey, ...]
    codes: int

    @property
    def spare(self) -> int:
        """How many keys are left when one is lost."""
        return max(0, len(self.keys) - 1)

    @property
    def count(self) -> int:
        """How many ways back there are: each spare key is one, and all codes together are one."""
        return self.spare + bool(self.codes)


def back(account: Account) -> Ways:
    """What opens the account beside the key that may be lost today. Meaningless where no key is bound."""
    return Ways(sessions.keys_in_force(account), recovery.left(account))
