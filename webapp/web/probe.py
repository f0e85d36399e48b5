"""What `keystead doctor` asks a running server, and what it is told: how its request arrived. Nobody else is told anything.

The question is signed with our secrets, so that an answer also shows that the server has the same ones.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from itsdangerous import BadData, URLSafeSerializer

from webapp import clock

HEADER = "keystead-doctor"
QUERY = "doctor"
"""Where the question stands at the host of an app, at which nobody may send such a header."""
COOKIE = "keystead-doctor"
CLAIM = "192.0.2.99"
"""The address that doctor says it comes from, and does not (TEST-NET-1, RFC 5737)."""
WORTH = timedelta(days=1)
"""How old a question may be. It is long, because clocks that differ are one of the things to find."""


def question(keys: Sequence[str]) -> str:
    """What to send in the header."""
    return str(_serializer(keys[:1]).dumps(clock.now().timestamp()))


def is_doctors(keys: Sequence[str], text: str) -> bool:
    """Whether somebody with one of our secrets asked this, a day ago at most."""
    try:
        asked_at = _serializer(keys).loads(text)
    except BadData:
        return False
    return isinstance(asked_at, int | float) and abs(clock.now().timestamp() - asked_at) < WORTH.total_seconds()


def _serializer(keys: Sequence[str]) -> URLSafeSerializer:
    return URLSafeSerializer(list(reversed(keys)), salt="keystead.doctor", signer_kwargs={"digest_method": hashlib.sha256})
