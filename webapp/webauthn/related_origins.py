"""The file by which another domain lets our pages ask for its keys (WebAuthn L3 §5.11, Related Origin Requests).

It gives nothing away: whose keys are taken here is decided by `KEYSTEAD_MOVED_FROM` alone.
"""

import json

from webapp.settings import Settings

PATH = "/.well-known/webauthn"
MAX_NAMES = 5
"""Of how many names (*example* of www.example.com and example.de) a browser reads the origins, at the least."""


def file(settings: Settings) -> str:
    """What each domain that we moved from is to serve under PATH, as application/json."""
    return json.dumps({"origins": [settings.origin]})


def needed(settings: Settings) -> list[str]:
    """The domains that have to serve it; one that our host lies in has not."""
    return [domain for domain in settings.rp_ids if not f".{settings.rp_id}".endswith(f".{domain}")]
