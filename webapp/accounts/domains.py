"""The domains that keys are bound to: ours, and those that the site moved from (`KEYSTEAD_MOVED_FROM`).

A browser asks for the keys of one domain at a time, so one has to be chosen. A key of a domain that is none of these opens
nothing here, and is still a key: an account that has one is never opened by its password for that.
"""

from collections.abc import Sequence
from typing import NamedTuple

from backends.records import SecurityKey
from webapp.settings import Settings


class Choice(NamedTuple):
    """The keys of the domain that is asked for, and the other domains that could be. No keys where none can be asked for."""

    domain: str
    keys: tuple[SecurityKey, ...]
    others: tuple[str, ...]
    is_earlier: bool


def choose(settings: Settings, keys: Sequence[SecurityKey], wanted: str = "") -> Choice:
    """Of these keys, those of the wanted domain; else ours; else those of the first that we moved from."""
    found = [domain for domain in settings.rp_ids if any(key.rp_id == domain for key in keys)]
    domain = wanted if wanted in found else next(iter(found), settings.rp_id)
    chosen = tuple(key for key in keys if key.rp_id == domain)
    return Choice(domain, chosen, tuple(other for other in found if other != domain), domain != settings.rp_id)


def is_only_elsewhere(settings: Settings, keys: Sequence[SecurityKey], key: SecurityKey) -> bool:
    """Whether this one is bound to another domain and, as far as names tell, not to ours as well."""
    return not any(each.name == key.name and each.rp_id == settings.rp_id for each in keys)
