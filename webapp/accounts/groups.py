"""Groups that accounts are in: what they mean is decided by whoever asks (a setting, an app). Nobody puts themselves into one."""

from collections.abc import Iterable

from msgspec.structs import replace

from backends.records import Account
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.accounts.events import Happened
from webapp.settings import GROUP, NO_GROUPS

MAX_GROUPS = 50


def normalise(names: Iterable[str]) -> tuple[str, ...]:
    """The groups in one spelling, sorted, each once. ValueError says what is wrong, for whoever runs the site."""
    groups = sorted({name.lower() for name in names})
    if len(groups) > MAX_GROUPS:
        raise ValueError(f"an account is in at most {MAX_GROUPS} groups.")
    for group in groups:
        if group in NO_GROUPS:
            raise ValueError(f"{group} cannot be a group: in settings it means {group}.")
        if not GROUP.fullmatch(group):
            raise ValueError(
                f"{group[:64]!r} cannot be a group: use 1 to 64 letters, digits and - . _ and begin with none of these."
            )
    return tuple(groups)


def set_groups(account: Account, act: Act, groups: tuple[str, ...]) -> Decision:
    """In these groups, and in no others; by whoever runs the site."""
    if account.groups == groups:
        return Decision(account)
    return Decision(replace(account, groups=groups), [Happened("groups changed", ", ".join(groups))])
