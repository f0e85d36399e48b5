"""The options that a ceremony begins with, as JSON for the browser. Whatever is offered here is verified in `verification`.

Never asks for a key without saying which: without a list a browser would offer any credential of the rp id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import msgspec
from fido2.utils import websafe_encode

from backends.records import SecurityKey
from webapp.webauthn.public_keys import ALGORITHMS

TRANSPORTS = ("ble", "hybrid", "internal", "nfc", "smart-card", "usb")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: this site, as browsers and keys see it. `origin` is the only one that is accepted.

    New keys are bound to `id`. Those that were bound to a domain of `earlier` are taken too (WebAuthn L3 §5.11).
    """

    id: str
    name: str
    origin: str
    attestation: Literal["none", "direct"] = "none"
    earlier: tuple[str, ...] = ()


def creation_options(
    rp: RelyingParty, *, challenge: bytes, account_id: str, username: str, keys: Sequence[SecurityKey], timeout: timedelta
) -> str:
    """PublicKeyCredentialCreationOptionsJSON (WebAuthn L3 §5.1.8) for a key that is none of `keys`.

    One that is bound to an earlier domain only is not excluded: it can be bound here too.
    """
    return _json(
        {
            "rp": {"id": rp.id, "name": rp.name},
            "user": {
                "id": websafe_encode(account_id.encode()),  # opaque: the user handle holds nothing personal (§14.6.1)
                "name": username,
                "displayName": username,
            },
            "challenge": websafe_encode(challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in ALGORITHMS],
            "timeout": _milliseconds(timeout),
            "excludeCredentials": [_descriptor(key) for key in keys if key.rp_id == rp.id],
            "authenticatorSelection": {
                # The hint is the newer way to say it; browsers without hints need the attachment, or Windows and macOS
                # offer their own authenticator first. §5.8.7: with the hint security-key, it SHOULD be set.
                "authenticatorAttachment": "cross-platform",
                "residentKey": "discouraged",
                "requireResidentKey": False,
                "userVerification": "discouraged",
            },
            "hints": ["security-key"],
            "attestation": rp.attestation,
        }
    )


def request_options(*, challenge: bytes, keys: Sequence[SecurityKey], timeout: timedelta) -> str:
    """PublicKeyCredentialRequestOptionsJSON (WebAuthn L3 §5.1.9) for one of `keys`, all of one domain.

    ValueError if there is none, or if they are of several: a browser asks for those of one rp id. An empty allowCredentials would
    ask for *any* discoverable credential of the rp id, whoever it belongs to.
    """
    if len({key.rp_id for key in keys}) != 1:
        raise ValueError("there is no key to ask for, or there are keys of several domains")
    return _json(
        {
            "challenge": websafe_encode(challenge),
            "timeout": _milliseconds(timeout),
            "rpId": keys[0].rp_id,
            "allowCredentials": [_descriptor(key) for key in keys],
            "userVerification": "discouraged",
            "hints": ["security-key"],
        }
    )


def _descriptor(key: SecurityKey) -> dict[str, object]:
    """Without transports, where none are known, a browser tries them all; with an empty list some try none."""
    descriptor: dict[str, object] = {"type": "public-key", "id": websafe_encode(key.id)}
    return {**descriptor, "transports": key.transports} if key.transports else descriptor


def _json(options: dict[str, object]) -> str:
    return msgspec.json.encode(options).decode()


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
