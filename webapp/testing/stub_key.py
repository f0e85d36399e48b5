"""A security key made of code, together with the browser that it is plugged into. It signs for real; nothing about it is mocked.

`create` and `get` take the options that a page hands to `navigator.credentials` and give the answer that the page would send,
both as JSON. What can be wrong with a key, a browser or an attacker is a keyword. Needs no pytest, no server and no network.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from struct import pack
from typing import Any, Literal, TypedDict, Unpack
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID
from fido2 import cbor
from fido2.cose import ES256, ES384, RS256, CoseKey, EdDSA
from fido2.utils import websafe_decode, websafe_encode

Flavour = Literal["u2f", "ctap2"]
Attestation = Literal["none", "fido-u2f", "packed", "packed-self"]
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

UP, UV, BS, AT = 0x01, 0x04, 0x10, 0x40
AAGUID = b"keystead-stub-k1"
"""The model that a CTAP2 stub says it is. U2F keys say nothing (16 zero bytes)."""


class DOMException(Exception):
    """What the promise of `navigator.credentials` is rejected with; `name` is what a page sends as `failure`."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


class Faults(TypedDict, total=False):
    """What can go wrong. Everything that is not named goes right."""

    cancel: bool
    """The person cancels, or does not touch the key in time: DOMException NotAllowedError."""
    wrong_origin: str
    """The page that asks is at this origin instead, and the browser lets it: http, a sub-domain, another port, a neighbour."""
    wrong_rp: str
    """The key signs for this rp id instead."""
    wrong_challenge: bytes
    """The key answers this challenge instead."""
    wrong_type: str
    """The client data says this instead of webauthn.create or webauthn.get."""
    cross_origin: bool
    """The page says that it is in a frame of another origin."""
    top_origin: str
    """The page says that it is in a frame, and that the window around it is of this origin."""
    related: bool
    """The page may ask for keys of any domain, as if each named it in its /.well-known/webauthn (Related Origin Requests)."""
    no_presence: bool
    """Nobody touched the key, and it answered all the same."""
    backed_up: bool
    """The key says that it is backed up, and that it cannot be."""
    bad_signature: bool
    """One bit of the signature is not what the key made; when binding, of the attestation's, if there is one."""
    counter: int
    """The key says this counter, and counts on from it."""
    counter_back: int
    """The counter is this much below the last one: 0 says the same again."""
    user_handle: bytes
    """The key says that it belongs to this user handle. Only when it is used."""
    algorithm: int
    """The key makes this COSE algorithm (-7, -8, -35, -257), offered or not. Only when it is bound."""
    credential_id: bytes
    """The key says that its new credential has this id, whoever has it already. Only when it is bound."""
    oversize_id: bool
    """The new credential's id has 1,024 bytes, one more than WebAuthn allows. Only when it is bound."""
    unlisted: bool
    """The key is bound although it is excluded, or used (its newest credential of the site) although it was not asked for."""
    truncated_cbor: bool
    """The last bytes of what the key made (attestation object, authenticator data) are missing."""


@dataclass(slots=True)
class Credential:
    """What a key remembers of one site and account."""

    id: bytes
    rp_id: str
    user_handle: bytes
    algorithm: int
    private_key: PrivateKey
    counter: int = 0

    @property
    def slug(self) -> str:
        """The id in base64url, as it stands in addresses."""
        return websafe_encode(self.id)


@dataclass(slots=True, kw_only=True)
class StubKey:
    """One key in the hand. It may hold credentials of many sites and accounts.

    `flavour`: "u2f" is a first-generation key (CTAP1: ES256, no user verification, no user handle), "ctap2" a newer one.
    `attestation`: the format of its statement, whatever the site asked for; None does as browsers do: none unless asked for.
    `verifies_user`: it has a PIN or reads fingerprints, and sets the UV flag when the site does not discourage it.
    `resident`: it remembers the user handle and says it. `counts`: False is a key whose counter is always 0.
    """

    flavour: Flavour = "ctap2"
    attestation: Attestation | None = None
    verifies_user: bool = False
    resident: bool = False
    counts: bool = True
    algorithm: int = ES256.ALGORITHM
    transports: tuple[str, ...] = ("usb",)
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: str, origin: str, **faults: Unpack[Faults]) -> str:
        """Make a credential: the answer to `navigator.credentials.create`, as JSON (RegistrationResponseJSON, WebAuthn L3 §5.1).

        `options` is the JSON that the page would decode (PublicKeyCredentialCreationOptionsJSON), `origin` that of the page,
        such as `https://example.com`. The new credential is the last of `credentials`, and `slug` its id.

        Raises DOMException as a browser would: SecurityError where this origin may not ask for this rp id; NotAllowedError
        where the person cancels, or where the site requires what the key cannot do (verify or remember its user);
        InvalidStateError where a credential of this key is excluded; NotSupportedError where no algorithm of the key is
        offered. A page's mistake is no such thing: options that no browser would take raise KeyError or ValueError.
        """
        asked = json.loads(options)
        wishes = asked.get("authenticatorSelection", {})
        rp_id = asked["rp"].get("id") or urlsplit(origin).hostname or ""
        self._agree(rp_id, origin, wishes, faults)
        if self._known(rp_id, asked.get("excludeCredentials", [])) and not faults.get("unlisted"):
            raise DOMException("InvalidStateError", "this key is bound already")
        algorithm = faults.get("algorithm", self.algorithm)
        if algorithm not in [offer["alg"] for offer in asked["pubKeyCredParams"]] and "algorithm" not in faults:
            raise DOMException("NotSupportedError", "no algorithm that this key knows is offered")

        credential = Credential(
            id=_new_id(self.flavour, faults),
            rp_id=rp_id,
            user_handle=websafe_decode(asked["user"]["id"]),
            algorithm=algorithm,
            private_key=_private_key(algorithm),
        )
        self.credentials.append(credential)
        public_key = cbor.encode(_cose_key(credential))
        attested = self._aaguid + pack(">H", len(credential.id)) + credential.id + public_key
        client_data = _client_data("webauthn.create", asked["challenge"], origin, faults)
        flags = AT | self._flags(wishes, faults)
        data = _authenticator_data(credential, flags, self._count(credential, 0, faults), faults) + attested
        fmt, statement = self._attest(asked.get("attestation") or "none", credential, data, client_data, faults)
        made = cbor.encode({"fmt": fmt, "attStmt": statement, "authData": data})
        return _answer(
            credential,
            {
                "clientDataJSON": websafe_encode(client_data),
                "attestationObject": websafe_encode(_cut(made, faults)),
                "transports": list(self.transports),
            },
        )

    def get(self, options: str, origin: str, **faults: Unpack[Faults]) -> str:
        """Use a credential: the answer to `navigator.credentials.get`, as JSON (AuthenticationResponseJSON, WebAuthn L3 §5.1).

        `options` is PublicKeyCredentialRequestOptionsJSON, `origin` as for `create`. The first credential of the site's list
        that this key has is the one that answers, and its counter goes up by one.

        Raises DOMException as a browser would: SecurityError and NotAllowedError as `create` does, and NotAllowedError also
        where the key has none of the credentials that were asked for (a list that is empty asks for none).
        """
        asked = json.loads(options)
        rp_id = asked.get("rpId") or urlsplit(origin).hostname or ""
        self._agree(rp_id, origin, asked, faults)
        known = self._known(rp_id, asked.get("allowCredentials", []))
        if faults.get("unlisted"):
            known = [credential for credential in reversed(self.credentials) if credential.rp_id == rp_id]
        if not known:
            raise DOMException("NotAllowedError", "this key is none of those that were asked for")

        credential = known[0]
        client_data = _client_data("webauthn.get", asked["challenge"], origin, faults)
        count = self._count(credential, credential.counter + 1, faults)
        data = _authenticator_data(credential, self._flags(asked, faults), count, faults)
        signature = _sign(credential.private_key, credential.algorithm, data + hashlib.sha256(client_data).digest())
        handle = faults.get("user_handle", credential.user_handle if self.resident else None)
        return _answer(
            credential,
            {
                "clientDataJSON": websafe_encode(client_data),
                "authenticatorData": websafe_encode(_cut(data, faults)),
                "signature": websafe_encode(_spoilt(signature, faults)),
                "userHandle": None if handle is None else websafe_encode(handle),
            },
        )

    def clone(self) -> "StubKey":
        """A copy that counts on by itself, as somebody makes who could read the key out."""
        return deepcopy(self, {id(c.private_key): c.private_key for c in self.credentials})

    @property
    def slug(self) -> str:
        """The newest credential's id in base64url, as it stands in addresses."""
        return self.credentials[-1].slug

    @property
    def _aaguid(self) -> bytes:
        return bytes(16) if self.flavour == "u2f" else AAGUID

    def _agree(self, rp_id: str, origin: str, wishes: Mapping[str, Any], faults: Faults) -> None:
        """What browser and key refuse before anybody is asked to touch."""
        host = urlsplit(origin).hostname or ""
        if host != rp_id and not host.endswith(f".{rp_id}") and not faults.get("related"):
            raise DOMException("SecurityError", f"{origin} may not ask for keys of {rp_id}")
        if faults.get("cancel"):
            raise DOMException("NotAllowedError", "cancelled")
        if wishes.get("userVerification") == "required" and not self._can_verify:
            raise DOMException("NotAllowedError", "this key cannot verify its user")
        if wishes.get("residentKey") == "required" and not self.resident:
            raise DOMException("NotAllowedError", "this key cannot remember its user")

    @property
    def _can_verify(self) -> bool:
        return self.verifies_user and self.flavour == "ctap2"

    def _known(self, rp_id: str, descriptors: Sequence[Mapping[str, Any]]) -> list[Credential]:
        """Those of our credentials that are listed, in the order of the list."""
        ours = {credential.id: credential for credential in self.credentials if credential.rp_id == rp_id}
        listed = [websafe_decode(descriptor["id"]) for descriptor in descriptors]
        return [ours[key_id] for key_id in listed if key_id in ours]

    def _flags(self, wishes: Mapping[str, Any], faults: Faults) -> int:
        present = 0 if faults.get("no_presence") else UP
        verified = UV if self._can_verify and wishes.get("userVerification", "preferred") != "discouraged" else 0
        return present | verified | (BS if faults.get("backed_up") else 0)

    def _count(self, credential: Credential, count: int, faults: Faults) -> int:
        """The counter to say now; a key that does not count says 0 each time."""
        if "counter_back" in faults:
            return max(0, credential.counter - faults["counter_back"])
        credential.counter = faults.get("counter", count if self.counts else 0)
        return credential.counter

    def _attest(
        self, conveyance: str, credential: Credential, data: bytes, client_data: bytes, faults: Faults
    ) -> tuple[str, dict[str, Any]]:
        """Format and statement: by whom the key says that it was made."""
        natural: Attestation = "fido-u2f" if self.flavour == "u2f" else "packed"
        fmt = self.attestation or ("none" if conveyance == "none" else natural)
        client_hash = hashlib.sha256(client_data).digest()
        if fmt == "none":
            return "none", {}
        if fmt == "packed-self":
            signature = _sign(credential.private_key, credential.algorithm, data + client_hash)
            return "packed", {"alg": credential.algorithm, "sig": _spoilt(signature, faults)}
        maker, certificate = _maker()
        if fmt == "packed":
            signature = _sign(maker, ES256.ALGORITHM, data + client_hash)
            return "packed", {"alg": ES256.ALGORITHM, "sig": _spoilt(signature, faults), "x5c": [certificate]}
        cose = _cose_key(credential)
        raw_key = b"\x04" + cose[-2] + cose[-3]
        signature = _sign(maker, ES256.ALGORITHM, b"\0" + data[:32] + client_hash + credential.id + raw_key)
        return "fido-u2f", {"sig": _spoilt(signature, faults), "x5c": [certificate]}


def _new_id(flavour: Flavour, faults: Faults) -> bytes:
    if faults.get("oversize_id"):
        return secrets.token_bytes(1024)
    return faults.get("credential_id", secrets.token_bytes(64 if flavour == "u2f" else 48))


def _private_key(algorithm: int) -> PrivateKey:
    if algorithm == EdDSA.ALGORITHM:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == RS256.ALGORITHM:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key({ES256.ALGORITHM: ec.SECP256R1(), ES384.ALGORITHM: ec.SECP384R1()}[algorithm])


def _cose_key(credential: Credential) -> CoseKey:
    return CoseKey.for_alg(credential.algorithm).from_cryptography_key(credential.private_key.public_key())


def _sign(key: PrivateKey, algorithm: int, message: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(message, ec.ECDSA(hashes.SHA384() if algorithm == ES384.ALGORITHM else hashes.SHA256()))


def _client_data(kind: str, challenge: str, origin: str, faults: Faults) -> bytes:
    """What the browser says about the page that asked (WebAuthn L3 §5.8.1.1 gives the order)."""
    data: dict[str, object] = {
        "type": faults.get("wrong_type", kind),
        "challenge": websafe_encode(faults["wrong_challenge"]) if "wrong_challenge" in faults else challenge,
        "origin": faults.get("wrong_origin", origin),
        "crossOrigin": faults.get("cross_origin", "top_origin" in faults),
    }
    if "top_origin" in faults:
        data["topOrigin"] = faults["top_origin"]
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def _authenticator_data(credential: Credential, flags: int, count: int, faults: Faults) -> bytes:
    return hashlib.sha256(faults.get("wrong_rp", credential.rp_id).encode()).digest() + pack(">BI", flags, count)


def _answer(credential: Credential, response: Mapping[str, object]) -> str:
    """The credential as `toJSON()` gives it."""
    return json.dumps(
        {
            "id": credential.slug,
            "rawId": credential.slug,
            "type": "public-key",
            "response": response,
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
        }
    )


def _cut(data: bytes, faults: Faults) -> bytes:
    return data[:-5] if faults.get("truncated_cbor") else data


def _spoilt(signature: bytes, faults: Faults) -> bytes:
    return signature[:-1] + bytes([signature[-1] ^ 1]) if faults.get("bad_signature") else signature


@cache
def _maker() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """The key and the certificate of a maker of keys, as WebAuthn L3 §8.2.1 wants it; one for all stubs, as makers do."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "AQ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Keystead"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Keystead stub key"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate.public_bytes(serialization.Encoding.DER)
