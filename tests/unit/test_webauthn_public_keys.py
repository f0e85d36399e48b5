"""Public keys that would prove nothing, or could never be asked again, although fido2 and OpenSSL take them."""

import hashlib
from contextlib import suppress

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fido2.cose import ES256, RS256, CoseKey, EdDSA

from webapp.webauthn import Rejected, public_keys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def plus(a: Point, b: Point) -> Point:
    """The addition law of edwards25519 (RFC 8032 §5.1.4), in affine coordinates."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def times(n: int, point: Point) -> Point:
    result = IDENTITY
    for bit in f"{n:b}":
        result = plus(result, result)
        result = plus(result, point) if bit == "1" else result
    return result


def root(square: int) -> int | None:
    """A square root in the field, if there is one (RFC 8032 §5.1.1)."""
    candidate = pow(square, (P + 3) // 8, P)
    for x in (candidate, candidate * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square % P:
            return x
    return None


def with_y(y: int) -> Point | None:
    x = root((y * y - 1) * pow(D * y * y + 1, -1, P))
    return None if x is None else (x, y)


def small_order_points() -> list[Point]:
    """All eight, as multiples of one of order 8: what is left of some point once its part of large order is gone."""
    for y in range(2, 100):
        if (point := with_y(y)) and times(4, part := times(L, point)) != IDENTITY:
            return [times(n, part) for n in range(8)]
    raise AssertionError


def encodings(y: int) -> list[bytes]:
    """Every 32 bytes that a lenient reader takes for this y: with either sign, and with p added where there is room."""
    return [(z | sign << 255).to_bytes(32, "little") for z in (y, y + P) if z < 2**255 for sign in (0, 1)]


SMALL_ORDER = sorted({encoding for _, y in small_order_points() for encoding in encodings(y)})


def ed25519_key(x: bytes) -> CoseKey:
    return EdDSA({1: 1, 3: EdDSA.ALGORITHM, -1: 6, -2: x})


def rsa_key(modulus: bytes) -> CoseKey:
    return RS256({1: 3, 3: RS256.ALGORITHM, -1: modulus, -2: b"\x01\x00\x01"})


def p256_key(x: int, y: int) -> CoseKey:
    return ES256({1: 2, 3: ES256.ALGORITHM, -1: 1, -2: x.to_bytes(32), -3: y.to_bytes(32)})


def test_the_points_of_small_order_are_those_of_the_literature() -> None:
    assert len(set(small_order_points())) == 8
    assert len(SMALL_ORDER) == 8 + 6
    assert {y for _, y in small_order_points()} == public_keys._SMALL_ORDER


@pytest.mark.parametrize("x", SMALL_ORDER, ids=bytes.hex)
def test_a_key_that_anybody_can_sign_for_is_not_bound(x: bytes) -> None:
    with pytest.raises(Rejected, match="point of the public key"):
        public_keys.offered(ed25519_key(x))


@pytest.mark.parametrize("x", SMALL_ORDER, ids=bytes.hex)
def test_anybody_can_sign_for_it(x: bytes) -> None:
    """Why they are refused: with S = 0 one message in eight or more verifies for some R of small order."""
    key, taken = ed25519.Ed25519PublicKey.from_public_bytes(x), 0
    for n in range(100):
        message = hashlib.sha256(bytes([n])).digest()
        with suppress(InvalidSignature):
            key.verify((1).to_bytes(32, "little") + bytes(32), message)
            taken += 1
    assert taken > 0


def test_a_y_that_is_written_as_no_number_below_p_is_not_bound() -> None:
    written_otherwise = [y for y in range(2, 19) if with_y(y)]
    assert written_otherwise
    for y in written_otherwise:
        public_keys.offered(ed25519_key(y.to_bytes(32, "little")))
        for x in encodings(y)[2:]:
            with pytest.raises(Rejected, match="point of the public key"):
                public_keys.offered(ed25519_key(x))


def test_an_ed25519_key_that_is_no_point_of_the_curve_is_not_bound() -> None:
    for y in range(2, 60):
        key = ed25519_key(y.to_bytes(32, "little"))
        if with_y(y):
            assert public_keys.offered(key) == key
        else:
            with pytest.raises(Rejected, match="point of the public key"):
                public_keys.offered(key)


def test_ed25519_keys_as_they_are_made_are_bound() -> None:
    for _ in range(50):
        key = ed25519_key(ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        assert public_keys.offered(key) == key


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096])
def test_an_rsa_modulus_of_these_bits_is_bound(bits: int) -> None:
    modulus = ((1 << bits - 1) + 1).to_bytes((bits + 7) // 8)
    assert public_keys.offered(rsa_key(modulus))[-1] == modulus


@pytest.mark.parametrize(
    "modulus",
    [
        pytest.param(((1 << 2047) - 1).to_bytes(256), id="2,047 bits in 256 bytes"),
        pytest.param(b"\x01" + b"\xff" * 255, id="2,041 bits in 256 bytes"),
        pytest.param(b"\0" * 255 + b"\x0f", id="4 bits in 256 bytes"),
        pytest.param(b"\0" + b"\xff" * 255, id="2,040 bits after a zero"),
        pytest.param(b"\0" * 256 + b"\xff" * 128, id="1,024 bits after zeros"),
        pytest.param(b"\0" + b"\xff" * 256, id="2,048 bits after a zero"),
        pytest.param(b"\x01" + b"\0" * 511 + b"\x01", id="4,097 bits"),
        pytest.param(b"\0" + b"\xff" * 512, id="4,096 bits after a zero"),
        pytest.param(b"\xff" * 255 + b"\xfe", id="even"),
        pytest.param(b"\0" * 256, id="zero"),
    ],
)
def test_an_rsa_modulus_that_is_not_is_not_bound(modulus: bytes) -> None:
    with pytest.raises(Rejected, match="public key"):
        public_keys.offered(rsa_key(modulus))


def test_an_rsa_key_as_it_is_made_is_bound() -> None:
    key = rsa_key(rsa.generate_private_key(65537, 2048).public_key().public_numbers().n.to_bytes(256))
    assert public_keys.offered(key) == key


def test_a_point_that_is_not_on_p256_is_not_bound() -> None:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    public_keys.offered(p256_key(numbers.x, numbers.y))
    for x, y in [(numbers.x, numbers.y ^ 1), (numbers.y, numbers.x), (0, 0), (numbers.x, 0), (2**256 - 1, numbers.y)]:
        with pytest.raises((Rejected, ValueError)):
            public_keys.offered(p256_key(x, y))


def test_a_coordinate_on_p256_that_is_not_below_p_is_not_bound() -> None:
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    x, y = 5, pow(5**3 - 3 * 5 + 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B, (p + 1) // 4, p)
    public_keys.offered(p256_key(x, y))
    with pytest.raises(Rejected, match="point of the public key"):
        public_keys.offered(p256_key(x + p, y))
