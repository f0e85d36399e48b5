"""Which public keys can be bound: of an algorithm that was offered, written in its one way, and strong enough to prove anything.

With attestation none nobody else looks at the key. One that is no point of its curve would lock its owner out; one of small order
takes signatures that nobody made. Never verifies an answer: `verification` does.
"""

from collections.abc import Callable
from contextlib import suppress

from cryptography.exceptions import InvalidSignature
from fido2.cose import ES256, RS256, CoseKey, EdDSA

from webapp.webauthn.rejection import of, reject

ALGORITHMS: dict[int, type[CoseKey]] = {kind.ALGORITHM: kind for kind in (ES256, EdDSA, RS256)}
"""What we offer, best first: ES256 is all that a U2F key knows; with -8 and -257 it is the list that WebAuthn L3 §5.4 recommends,
and Chromium warns where ES256 or RS256 is missing. Not ES512, ES256K, PS256: hardly a key has them, and each is one more way to
be wrong."""


def offered(cose: CoseKey) -> CoseKey:
    """The key without what it need not have, if its algorithm was offered (WebAuthn L3 §7.1 step 20) and can prove anything."""
    kind = ALGORITHMS.get(cose[3]) or reject("algorithm not offered")
    fixed, sized = _SHAPES[kind]
    if any(cose[n] != value for n, value in fixed.items()) or any(len(of(bytes, cose[n])) not in sized[n] for n in sized):
        reject("shape of the public key")
    _CHECKS[kind](cose)
    key: CoseKey = kind({**fixed, **{n: cose[n] for n in sized}})
    with suppress(InvalidSignature):
        key.verify(b"", b"")
    return key


def _check_p256(cose: CoseKey) -> None:
    """Coordinates below p (SEC 1 §2.3.6): OpenSSL reduces them. It loads the points of the curve only; none has a small order."""
    if max(int.from_bytes(cose[n]) for n in (-2, -3)) >= _P256:
        reject("point of the public key")


def _check_rsa(cose: CoseKey) -> None:
    """A modulus of 2,048 bits and more, in as few bytes as it needs (RFC 8230 §4), and odd, as a product of large primes is."""
    modulus = int.from_bytes(cose[-1])
    if modulus.bit_length() < 2048 or cose[-1][0] == 0 or modulus % 2 == 0:
        reject("modulus of the public key")


def _check_ed25519(cose: CoseKey) -> None:
    """y below p (RFC 8032 §5.1.3 step 1), an x to it (steps 2 and 3), and not one of the eight points of small order.

    Under those anybody can sign (the identity takes S = 0 and R = the identity for every message), and OpenSSL verifies it.
    """
    y = int.from_bytes(cose[-2], "little") & (1 << 255) - 1  # the highest bit is the sign of x
    if y >= _P or y in _SMALL_ORDER or not _on_curve(y):
        reject("point of the public key")


def _on_curve(y: int) -> bool:
    """Whether x² = (y² - 1) / (dy² + 1) has a solution, by Euler's criterion; a product is a square when the quotient is."""
    return pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) != _P - 1


_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
"""The field of P-256 (NIST SP 800-186 §3.2.1.3)."""
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
"""The field and the constant of edwards25519 (RFC 8032 §5.1)."""
_SMALL_ORDER = frozenset(
    (
        0,  # order 4
        1,  # order 1, the identity
        _P - 1,  # order 2
        2707385501144840649318225287225658788936804267575313519463743609750303402022,  # order 8
        55188659117513257062467267217118295137698188065244968500265048394206261417927,  # order 8
    )
)
"""y of the eight points of small order, as libsodium refuses them (ge25519_has_small_order in ed25519_ref10.c; it also has p and
p + 1, which are 0 and 1 written otherwise). With either sign of x they make the 8 + 6 encodings that C2SP's test vectors count
(CCTV, ed25519/README.md)."""

_SHAPES: dict[type[CoseKey], tuple[dict[int, object], dict[int, range]]] = {
    ES256: ({1: 2, 3: ES256.ALGORITHM, -1: 1}, {-2: range(32, 33), -3: range(32, 33)}),
    EdDSA: ({1: 1, 3: EdDSA.ALGORITHM, -1: 6}, {-2: range(32, 33)}),
    RS256: ({1: 3, 3: RS256.ALGORITHM, -2: b"\x01\x00\x01"}, {-1: range(256, 513)}),
}
"""The parameters that a key must have: what each is, or of how many bytes (§5.8.5: P-256 uncompressed, Ed25519; RSA of 2,048 to
4,096 bits, and the one exponent that keys make)."""
_CHECKS: dict[type[CoseKey], Callable[[CoseKey], None]] = {ES256: _check_p256, EdDSA: _check_ed25519, RS256: _check_rsa}
