"""CBOR from outside: its bounds are checked before fido2 decodes it.

fido2 2.2.1 takes a string that is cut short for a shorter one, recurses as deep as it is told, and copies the rest for each item.
Never decodes what was not measured here, except what Keystead stored itself.
"""

from fido2.cbor import decode, encode

from webapp.webauthn.rejection import reject

__all__ = ["decode", "encode", "end_of_item"]

_MAX_DEPTH, _MAX_ITEMS = 4, 128
"""An attestation object nests three deep, and CTAP2 §8 forbids more than four; with ten certificates it has 30 items."""


def end_of_item(data: bytes, at: int) -> int:
    """Where the item ends that begins at `at`, if it is whole, has only what CTAP2 §8 allows, and is small; else Rejected."""
    owed = [1]  # items that are still to come, for each level
    for _ in range(_MAX_ITEMS):
        owed[-1] -= 1
        kind, length, at = _head(data, at)
        if kind in (2, 3):
            at += length
        elif kind in (4, 5):
            owed.append(length * (kind - 3))
        elif kind == 6:
            reject("CBOR tag")
        if at > len(data) or len(owed) - 1 > _MAX_DEPTH:
            reject("CBOR cut short or nested")
        while owed and owed[-1] == 0:
            owed.pop()
        if not owed:
            return at
    reject("CBOR of too many items")


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """The major type of the item that begins at `at`, its length or value, and where that ends."""
    kind, more = data[at] >> 5, data[at] & 31
    if more < 24:
        return kind, more, at + 1
    if more > 27 or kind == 7:
        reject("CBOR of indefinite length, or a number with a point")
    size = 1 << more - 24
    return kind, int.from_bytes(data[at + 1 : at + 1 + size]), at + 1 + size
