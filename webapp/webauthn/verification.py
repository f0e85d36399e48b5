"""The answer that ends a ceremony: what it proves, checked as WebAuthn L3 §7.1 and §7.2 say. The steps' numbers are in the code.

An answer is hostile text until it was verified. Whatever is wrong with it comes out as `Rejected`, and nothing else does: fido2
2.2.1 raises at least eight other kinds of error on bytes that are not what they claim, and checks less than WebAuthn asks for.
Never trusts anything that the browser could have chosen: what was offered and what was bound is handed in.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from fido2.cose import CoseKey
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AuthenticatorData

from backends.records import SecurityKey
from webapp.webauthn import cbor, public_keys
from webapp.webauthn.options import TRANSPORTS, RelyingParty
from webapp.webauthn.public_keys import ALGORITHMS
from webapp.webauthn.rejection import NotYours, Rejected, mapping, of, reject

if TYPE_CHECKING:
    from fido2.attestation.base import Attestation

MAX_ANSWER = 32 * 1024
"""Characters. A U2F answer has 2,000, a packed one with three certificates 8,000."""
MAX_ID = 1023
"""Bytes of a credential id (WebAuthn L3 §7.1 step 25)."""

_UP, _BE, _BS, _AT, _ED = (int(AuthenticatorData.FLAG[name]) for name in ("UP", "BE", "BS", "AT", "ED"))
_HEADER = 37
"""Bytes of authenticator data before anything optional: hash of the rp id, flags, counter (§6.1)."""


@dataclass(frozen=True, slots=True)
class RegisteredCredential:
    """A key that may be bound: it answered this challenge here, somebody touched it, and it can be asked again.

    `public_key` is a COSE key in CBOR. `attestation` names the statement's format; the statement was consistent, but says nothing
    about who made the key, because no list of roots was asked.
    """

    id: bytes
    public_key: bytes
    sign_count: int
    aaguid: bytes
    attestation: str
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """A bound key that answered. Whether `sign_count` is above the stored one is for whoever records it to say (§7.2 step 22)."""

    id: bytes
    sign_count: int


def verify_registration(answer: str, *, challenge: bytes, rp: RelyingParty) -> RegisteredCredential:
    """The key that answered `creation_options`, checked as WebAuthn L3 §7.1 says; raises Rejected only.

    Step 26, that the id is not bound to any account, is for the commit to say: only the backend can without a race.
    """
    with _verifying():
        key_id, response = _credential(answer)
        client_hash = _client_data(response, "webauthn.create", challenge, rp)
        fmt, statement, raw = _attestation_object(_bytes(response, "attestationObject"))  # step 13
        _check_authenticator_data(raw, rp.id)
        data = AuthenticatorData(raw)
        credential = data.credential_data or reject("no attested credential")
        if credential.credential_id != key_id:
            reject("attested id is another")
        public_key = public_keys.offered(credential.public_key)
        _attest(fmt, statement, data, client_hash)
        return RegisteredCredential(
            id=key_id,
            public_key=cbor.encode(public_key),
            sign_count=data.counter,
            aaguid=bytes(credential.aaguid),
            attestation=fmt,
            transports=_transports(response),
        )


def verify_assertion(
    answer: str, *, challenge: bytes, rp: RelyingParty, account_id: str, keys: Sequence[SecurityKey]
) -> Assertion:
    """The one of `keys` that answered `request_options`, checked as WebAuthn L3 §7.2 says; raises Rejected (NotYours) only.

    A key is verified by the rp id that it is bound to, which must be one of the relying party's: that a browser let this origin
    ask for it says nothing (§5.11).
    """
    with _verifying():
        key_id, response = _credential(answer)
        key = next((key for key in keys if key.id == key_id), None)  # steps 5 and 6
        if key is None:
            raise NotYours("none of the keys that were asked for")
        if key.rp_id not in (rp.id, *rp.earlier):
            reject("bound to a domain that is none of ours")
        _user_handle(response, account_id)
        client_hash = _client_data(response, "webauthn.get", challenge, rp)
        data = _bytes(response, "authenticatorData")
        _check_authenticator_data(data, key.rp_id)
        try:
            CoseKey.parse(mapping(cbor.decode(key.public_key))).verify(data + client_hash, _bytes(response, "signature"))
        except InvalidSignature:
            reject("signature does not verify")  # step 21
        return Assertion(id=key_id, sign_count=int.from_bytes(data[33:_HEADER]))


@contextmanager
def _verifying() -> Iterator[None]:
    """Whatever goes wrong in here is the answer's fault, and is said without quoting it.

    That takes in RecursionError (nested JSON) and what is no Exception at all, the panic of cryptography's Rust code on a
    certificate that it did not foresee. Not MemoryError: an answer of bounded length cannot cause it, so it speaks of the
    machine, not of the key.
    """
    try:
        yield
    except (Rejected, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise Rejected(f"malformed: {type(error).__name__}") from None


def _credential(answer: str) -> tuple[bytes, Mapping[str, Any]]:
    """The credential id and the response of a credential in JSON (§5.1: RegistrationResponseJSON, AuthenticationResponseJSON)."""
    if len(answer) > MAX_ANSWER:
        reject("longer than an answer can be")
    credential = mapping(json.loads(answer))
    if credential["type"] != "public-key":
        reject("not a public key credential")
    key_id = _bytes(credential, "rawId")
    if credential["id"] != credential["rawId"]:
        reject("id is not rawId")
    if not 1 <= len(key_id) <= MAX_ID:
        reject("length of the id")  # §7.1 step 25
    return key_id, mapping(credential["response"])


def _client_data(response: Mapping[str, Any], kind: str, challenge: bytes, rp: RelyingParty) -> bytes:
    """The hash of the client data, once it is for this ceremony. The numbers are those of §7.1; §7.2 has the same three later."""
    raw = _bytes(response, "clientDataJSON")
    client = mapping(json.loads(raw.decode()))  # steps 5, 6
    if client["type"] != kind:
        reject("type of the client data")  # step 7
    if not hmac.compare_digest(of(str, client["challenge"]).encode(), websafe_encode(challenge).encode()):
        reject("challenge")  # step 8
    if client["origin"] != rp.origin:
        reject("origin")  # step 9: the whole of it, so no sub-domain, no other port, no http
    if client.get("crossOrigin", False) is not False or "topOrigin" in client:
        reject("asked for within another origin")  # steps 10, 11
    return hashlib.sha256(raw).digest()  # step 12


def _check_authenticator_data(raw: bytes, rp_id: str) -> None:
    """That what the key signed is whole, for this rp id, and that somebody touched the key. The numbers are those of §7.1."""
    if len(raw) < _HEADER:
        reject("authenticator data cut short")
    end, flags = _HEADER, raw[32]
    if flags & _AT:
        (length,) = unpack_from(">H", raw, _HEADER + 16)
        end = cbor.end_of_item(raw, _HEADER + 18 + length)
    if flags & _ED:  # extensions are ignored: none was asked for
        end = cbor.end_of_item(raw, end)
    if end != len(raw):
        reject("length of the authenticator data")
    if not hmac.compare_digest(raw[:32], hashlib.sha256(rp_id.encode()).digest()):
        reject("rp id")  # step 14
    if not flags & _UP:
        reject("nobody was present")  # step 15
    if flags & _BS and not flags & _BE:
        reject("backed up, but not eligible for it")  # step 17


def _attestation_object(raw: bytes) -> tuple[str, Mapping[str, Any], bytes]:
    """Format, statement and authenticator data (§6.5.4).

    Not by fido2's AttestationObject: that makes `bytes(n)` of an authData that is a number, which is n bytes of memory.
    """
    if cbor.end_of_item(raw, 0) != len(raw):
        reject("length of the attestation object")
    parts = mapping(cbor.decode(raw))
    return of(str, parts["fmt"]), mapping(parts["attStmt"]), of(bytes, parts["authData"])


def _attest(fmt: str, statement: Mapping[str, Any], data: AuthenticatorData, client_hash: bytes) -> None:
    """§7.1 steps 21 and 22. Fails on a false statement also where none was asked for: an honest browser sends no such thing."""
    attestation = _attestations().get(fmt) or reject("attestation format")
    certificates = of(list, statement.get("x5c", []))
    if "x5c" in statement and not certificates:
        reject("no attestation certificate")
    if fmt == "fido-u2f" and len(certificates) != 1:
        reject("more than one U2F certificate")  # §8.6
    if fmt == "packed" and statement["alg"] not in ALGORITHMS:
        reject("algorithm of the attestation")  # fido2 would take RS1, which is SHA-1
    attestation.verify(statement, data, client_hash)


@cache
def _attestations() -> "dict[str, Attestation]":
    """The formats that are accepted. Imported when the first key is bound: X.509 comes along, a fifth of the time to start."""
    from fido2.attestation.base import NoneAttestation
    from fido2.attestation.packed import PackedAttestation
    from fido2.attestation.u2f import FidoU2FAttestation

    return {"fido-u2f": FidoU2FAttestation(), "packed": PackedAttestation(), "none": NoneAttestation()}


def _user_handle(response: Mapping[str, Any], account_id: str) -> None:
    """§7.2 step 6: a key that says whose it is must say this account. U2F keys say nothing, or no bytes in old browsers."""
    if response.get("userHandle") and _bytes(response, "userHandle") != account_id.encode():
        reject("user handle of another account")


def _transports(response: Mapping[str, Any]) -> tuple[str, ...]:
    """How the browser says the key can be reached; the words that we know of. Only ever handed back to browsers."""
    said = of(list, response.get("transports") or [])
    return tuple(transport for transport in TRANSPORTS if transport in said)


def _bytes(fields: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a field in base64url, of which there is one spelling only: fido2 skips what is not of the alphabet."""
    text = of(str, fields[name])
    data = websafe_decode(text)
    return data if websafe_encode(data) == text else reject("base64url")
