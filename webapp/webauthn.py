"""All of fido2: the options that a ceremony begins with, and the judgement on the answer that ends it. Holds no state.

An answer is hostile text until it was judged. Whatever is wrong with it comes out as `Rejected`, and nothing else does: fido2
2.2.1 raises at least eight other kinds of error on bytes that are not what they claim, and checks less than WebAuthn asks for.
Never trusts anything that the browser could have chosen: what was offered is decided here, what was bound is handed in.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from struct import unpack_from
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import ES256, RS256, CoseKey, EdDSA
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AuthenticatorData

from backends.records import Account, SecurityKey

if TYPE_CHECKING:
    from fido2.attestation.base import Attestation

ALGORITHMS: dict[int, type[CoseKey]] = {kind.ALGORITHM: kind for kind in (ES256, EdDSA, RS256)}
"""What we offer, best first: ES256 is all that a U2F key knows; with -8 and -257 it is the list that WebAuthn L3 §5.4 recommends,
and Chromium warns where ES256 or RS256 is missing. Not ES512, ES256K, PS256: hardly a key has them, and each is one more way to
be wrong."""
_SHAPES: dict[type[CoseKey], tuple[dict[int, object], dict[int, range]]] = {
    ES256: ({1: 2, 3: ES256.ALGORITHM, -1: 1}, {-2: range(32, 33), -3: range(32, 33)}),
    EdDSA: ({1: 1, 3: EdDSA.ALGORITHM, -1: 6}, {-2: range(32, 33)}),
    RS256: ({1: 3, 3: RS256.ALGORITHM, -2: b"\x01\x00\x01"}, {-1: range(256, 513)}),
}
"""The parameters that a key must have: what each is, or of how many bytes (§5.8.5: P-256 uncompressed, Ed25519; RSA of 2,048 to
4,096 bits, and the one exponent that keys make)."""
TRANSPORTS = ("ble", "hybrid", "internal", "nfc", "smart-card", "usb")
LONGEST_ANSWER = 32 * 1024
"""Characters. A U2F answer has 2,000, a packed one with three certificates 8,000."""
LONGEST_ID = 1023
"""Bytes of a credential id (WebAuthn L3 §7.1 step 25)."""

_UP, _BE, _BS, _AT, _ED = (int(AuthenticatorData.FLAG[name]) for name in ("UP", "BE", "BS", "AT", "ED"))
_HEADER = 37
"""Bytes of authenticator data before anything optional: hash of the rp id, flags, counter (§6.1)."""
_CBOR_DEPTH, _CBOR_ITEMS = 4, 128
"""An attestation object nests three deep, and CTAP2 §8 forbids more than four; with ten certificates it has 30 items."""

T = TypeVar("T")


class Rejected(Exception):
    """This answer proves nothing. `reason` is short and technical, for the log only, and quotes nothing from outside."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotYours(Rejected):
    """A key answered, but none of the keys that were asked for."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: this site, as browsers and keys see it. `origin` is the only one that is accepted."""

    id: str
    name: str
    origin: str
    attestation: Literal["none", "direct"] = "none"


@dataclass(frozen=True, slots=True)
class BoundKey:
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
class UsedKey:
    """A bound key that answered. Whether `sign_count` is above the stored one is for `record_use` to say (§7.2 step 22)."""

    id: bytes
    sign_count: int


# the options a ceremony begins with


def creation_options(
    rp: RelyingParty, *, challenge: bytes, account: Account, keys: Sequence[SecurityKey], timeout: timedelta
) -> str:
    """PublicKeyCredentialCreationOptionsJSON (WebAuthn L3 §5.1.8) for a key that is none of `keys`."""
    return _json(
        {
            "rp": {"id": rp.id, "name": rp.name},
            "user": {
                "id": websafe_encode(account.id.encode()),  # opaque: the user handle holds nothing personal (§14.6.1)
                "name": account.username,
                "displayName": account.username,
            },
            "challenge": websafe_encode(challenge),
            "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in ALGORITHMS],
            "timeout": _milliseconds(timeout),
            "excludeCredentials": [_descriptor(key) for key in keys],
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


def request_options(rp: RelyingParty, *, challenge: bytes, keys: Sequence[SecurityKey], timeout: timedelta) -> str:
    """PublicKeyCredentialRequestOptionsJSON (WebAuthn L3 §5.1.9) for one of `keys`; ValueError if there is none.

    An empty allowCredentials would ask for *any* discoverable credential of the rp id, whoever it belongs to.
    """
    if not keys:
        raise ValueError("there is no key to ask for")
    return _json(
        {
            "challenge": websafe_encode(challenge),
            "timeout": _milliseconds(timeout),
            "rpId": rp.id,
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
    return json.dumps(options, separators=(",", ":"))


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


# the answer that ends it


def verify_bind(answer: str, *, challenge: bytes, rp: RelyingParty) -> BoundKey:
    """The key that answered `creation_options`, checked as WebAuthn L3 §7.1 says; raises Rejected only.

    Step 26, that the id is not bound to any account, is for `add_key` to say: only the backend can without a race.
    """
    with _judging():
        key_id, response = _credential(answer)
        client_hash = _client_data(response, "webauthn.create", challenge, rp)
        fmt, statement, raw = _attestation_object(_bytes(response, "attestationObject"))  # step 13
        data = _authenticator_data(raw, rp)
        credential = data.credential_data or _reject("no attested credential")
        if credential.credential_id != key_id:
            _reject("attested id is another")
        public_key = _offered(credential.public_key)
        _attest(fmt, statement, data, client_hash)
        return BoundKey(
            id=key_id,
            public_key=cbor.encode(public_key),
            sign_count=data.counter,
            aaguid=bytes(credential.aaguid),
            attestation=fmt,
            transports=_transports(response),
        )


def verify_use(answer: str, *, challenge: bytes, rp: RelyingParty, account_id: str, keys: Sequence[SecurityKey]) -> UsedKey:
    """The one of `keys` that answered `request_options`, checked as WebAuthn L3 §7.2 says; raises Rejected (NotYours) only."""
    with _judging():
        key_id, response = _credential(answer)
        key = next((key for key in keys if key.id == key_id), None)  # steps 5 and 6
        if key is None:
            raise NotYours("none of the keys that were asked for")
        _user_handle(response, account_id)
        client_hash = _client_data(response, "webauthn.get", challenge, rp)
        data = _authenticator_data(_bytes(response, "authenticatorData"), rp)
        try:
            CoseKey.parse(_mapping(cbor.decode(key.public_key))).verify(data + client_hash, _bytes(response, "signature"))
        except InvalidSignature:
            _reject("signature does not verify")  # step 21
        return UsedKey(id=key_id, sign_count=data.counter)


@contextmanager
def _judging() -> Iterator[None]:
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


def _reject(reason: str) -> NoReturn:
    raise Rejected(reason)


def _credential(answer: str) -> tuple[bytes, Mapping[str, Any]]:
    """The credential id and the response of a credential in JSON (§5.1: RegistrationResponseJSON, AuthenticationResponseJSON)."""
    if len(answer) > LONGEST_ANSWER:
        _reject("longer than an answer can be")
    credential = _mapping(json.loads(answer))
    if credential["type"] != "public-key":
        _reject("not a public key credential")
    key_id = _bytes(credential, "rawId")
    if credential["id"] != credential["rawId"]:
        _reject("id is not rawId")
    if not 1 <= len(key_id) <= LONGEST_ID:
        _reject("length of the id")  # §7.1 step 25
    return key_id, _mapping(credential["response"])


def _client_data(response: Mapping[str, Any], kind: str, challenge: bytes, rp: RelyingParty) -> bytes:
    """The hash of the client data, once it is for this ceremony. The numbers are those of §7.1; §7.2 has the same three later."""
    raw = _bytes(response, "clientDataJSON")
    client = _mapping(json.loads(raw.decode()))  # steps 5, 6
    if client["type"] != kind:
        _reject("type of the client data")  # step 7
    if not hmac.compare_digest(_of(str, client["challenge"]).encode(), websafe_encode(challenge).encode()):
        _reject("challenge")  # step 8
    if client["origin"] != rp.origin:
        _reject("origin")  # step 9: the whole of it, so no sub-domain, no other port, no http
    if client.get("crossOrigin", False) is not False or "topOrigin" in client:
        _reject("asked for within another origin")  # steps 10, 11
    return hashlib.sha256(raw).digest()  # step 12


def _authenticator_data(raw: bytes, rp: RelyingParty) -> AuthenticatorData:
    """What the key signed, once it is for this rp id and somebody touched the key. The numbers are those of §7.1."""
    if len(raw) < _HEADER:
        _reject("authenticator data cut short")
    end, flags = _HEADER, raw[32]
    if flags & _AT:
        (length,) = unpack_from(">H", raw, _HEADER + 16)
        end = _end_of_cbor(raw, _HEADER + 18 + length)
    if flags & _ED:  # extensions are ignored: none was asked for
        end = _end_of_cbor(raw, end)
    if end != len(raw):
        _reject("length of the authenticator data")
    data = AuthenticatorData(raw)
    if not hmac.compare_digest(data.rp_id_hash, hashlib.sha256(rp.id.encode()).digest()):
        _reject("rp id")  # step 14
    if not flags & _UP:
        _reject("nobody was present")  # step 15
    if flags & _BS and not flags & _BE:
        _reject("backed up, but not eligible for it")  # step 17
    return data


def _attestation_object(raw: bytes) -> tuple[str, Mapping[str, Any], bytes]:
    """Format, statement and authenticator data (§6.5.4).

    Not by fido2's AttestationObject: that makes `bytes(n)` of an authData that is a number, which is n bytes of memory.
    """
    if _end_of_cbor(raw, 0) != len(raw):
        _reject("length of the attestation object")
    parts = _mapping(cbor.decode(raw))
    return _of(str, parts["fmt"]), _mapping(parts["attStmt"]), _of(bytes, parts["authData"])


def _attest(fmt: str, statement: Mapping[str, Any], data: AuthenticatorData, client_hash: bytes) -> None:
    """§7.1 steps 21 and 22. Fails on a false statement also where none was asked for: an honest browser sends no such thing."""
    attestation = _attestations().get(fmt) or _reject("attestation format")
    certificates = _of(list, statement.get("x5c", []))
    if "x5c" in statement and not certificates:
        _reject("no attestation certificate")
    if fmt == "fido-u2f" and len(certificates) != 1:
        _reject("more than one U2F certificate")  # §8.6
    if fmt == "packed" and statement["alg"] not in ALGORITHMS:
        _reject("algorithm of the attestation")  # fido2 would take RS1, which is SHA-1
    attestation.verify(statement, data, client_hash)


@cache
def _attestations() -> "dict[str, Attestation]":
    """The formats that are accepted. Imported when the first key is bound: X.509 comes along, a fifth of the time to start."""
    from fido2.attestation.base import NoneAttestation
    from fido2.attestation.packed import PackedAttestation
    from fido2.attestation.u2f import FidoU2FAttestation

    return {"fido-u2f": FidoU2FAttestation(), "packed": PackedAttestation(), "none": NoneAttestation()}


def _offered(cose: CoseKey) -> CoseKey:
    """The public key without what a key need not have, if it is of an algorithm we offered (§7.1 step 20) and can be asked again.

    With attestation none nothing else looks at the key, and one that is no point of its curve would lock its owner out.
    """
    kind = ALGORITHMS.get(cose[3]) or _reject("algorithm not offered")
    fixed, sized = _SHAPES[kind]
    if any(cose[n] != value for n, value in fixed.items()) or any(len(_of(bytes, cose[n])) not in sized[n] for n in sized):
        _reject("shape of the public key")
    key: CoseKey = kind({**fixed, **{n: cose[n] for n in sized}})
    with suppress(InvalidSignature):
        key.verify(b"", b"")
    return key


def _user_handle(response: Mapping[str, Any], account_id: str) -> None:
    """§7.2 step 6: a key that says whose it is must say this account. U2F keys say nothing, or no bytes in old browsers."""
    if response.get("userHandle") and _bytes(response, "userHandle") != account_id.encode():
        _reject("user handle of another account")


def _transports(response: Mapping[str, Any]) -> tuple[str, ...]:
    """How the browser says the key can be reached; the words that we know of. Only ever handed back to browsers."""
    said = _of(list, response.get("transports") or [])
    return tuple(transport for transport in TRANSPORTS if transport in said)


def _mapping(value: object) -> Mapping[Any, Any]:
    return _of(dict, value)


def _of(kind: type[T], value: object) -> T:
    return value if isinstance(value, kind) else _reject("type of a field")


def _bytes(fields: Mapping[str, Any], name: str) -> bytes:
    """The bytes of a field in base64url, of which there is one spelling only: fido2 skips what is not of the alphabet."""
    text = _of(str, fields[name])
    data = websafe_decode(text)
    return data if websafe_encode(data) == text else _reject("base64url")


def _end_of_cbor(data: bytes, at: int) -> int:
    """Where the item of CBOR ends that begins at `at`, if it is whole, has only what CTAP2 §8 allows, and is small.

    fido2 takes a string that is cut short for a shorter one, recurses as deep as it is told, and copies the rest for each item.
    """
    owed = [1]  # items that are still to come, for each level
    for _ in range(_CBOR_ITEMS):
        owed[-1] -= 1
        kind, length, at = _cbor_head(data, at)
        if kind in (2, 3):
            at += length
        elif kind in (4, 5):
            owed.append(length * (kind - 3))
        elif kind == 6:
            _reject("CBOR tag")
        if at > len(data) or len(owed) - 1 > _CBOR_DEPTH:
            _reject("CBOR cut short or nested")
        while owed and owed[-1] == 0:
            owed.pop()
        if not owed:
            return at
    _reject("CBOR of too many items")


def _cbor_head(data: bytes, at: int) -> tuple[int, int, int]:
    """The major type of the item that begins at `at`, its length or value, and where that ends."""
    kind, more = data[at] >> 5, data[at] & 31
    if more < 24:
        return kind, more, at + 1
    if more > 27 or kind == 7:
        _reject("CBOR of indefinite length, or a number with a point")
    size = 1 << more - 24
    return kind, int.from_bytes(data[at + 1 : at + 1 + size]), at + 1 + size
