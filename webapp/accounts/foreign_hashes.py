"""Password hashes that other software made: bcrypt, scrypt, PBKDF2 and argon2, as crypt, Django, passlib and Werkzeug write them.

They are verified as their makers would, until the first right password replaces them by ours. What a check may cost is bounded
before it is made: a record that came from elsewhere must not decide how much of this machine one logon takes. Never holds a
password, and never says one.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import argon2
from argon2.low_level import hash_secret_raw

Reason = Literal["none", "weak", "unknown", "damaged", "costly", "needs bcrypt"]

MAX_LENGTH = 512
"""Characters of a hash: looked at before anything else is."""
MIN_DIGEST, MAX_DIGEST = 16, 64
"""Bytes. Of a shorter one somebody could guess a password that fits; a longer one costs more than its rounds say."""
MAX_MEMORY = 128 * 1024 * 1024
"""Bytes that one check may take: what OWASP asks of scrypt, and more than Django takes for argon2."""
MAX_ARGON2 = 1024 * 1024
"""KiB filled, over all passes: about half a second."""
MAX_SCRYPT = 2**20
"""N·r·p: what OWASP asks for, about half a second."""
MAX_PARALLEL = 16
MIN_ROUNDS, MAX_ROUNDS = 1000, 2_000_000
"""Of PBKDF2. Django asks for 1,200,000 of SHA-256, half a second; below a thousand it hides a password hardly at all."""
MAX_BCRYPT_COST = 14
"""About a second; 12 is usual."""
BCRYPT_BYTES = 72
"""bcrypt takes no more of a password. Its library refuses longer ones since version 5; what made the hash cut them off."""


class NotKept(Exception):
    """This hash cannot be kept: its owner must set a new password. `reason` is a word of ours."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class ForeignHash:
    """A hash that can be kept. Checks of one `kind` cost the same."""

    kind: str
    expected: bytes
    derive: Callable[[bytes], bytes]

    def is_of(self, password: bytes) -> bool:
        """Whether it was made of this password. Takes the time of its kind: call it in its turn."""
        return hmac.compare_digest(self.derive(password), self.expected)


def read(text: str) -> ForeignHash:
    """The hash that this text is; NotKept says why it is none, or none that we verify."""
    if len(text) > MAX_LENGTH:
        raise NotKept("unknown")
    if _NONE.fullmatch(text):
        raise NotKept("none")
    if _WEAK.fullmatch(text):
        raise NotKept("weak")
    for form, made in _FORMS:
        if found := form.fullmatch(text):
            return made(**found.groupdict())
    raise NotKept("damaged" if _BEGINNINGS.match(text) else "unknown")


_NONE = re.compile(r"|[!*].*", re.DOTALL)
"""No password: of Django's and others' accounts that log on by other means, or not at all."""
_WEAK = re.compile(
    r"\$(apr1|1|md5|sha1|5|6)\$.*|\{(SHA|SSHA|MD5|SMD5|CRYPT)\}.*|(unsalted_)?(md5|sha1|crypt)\$.*|[0-9a-f]{32}|[0-9a-f]{40}"
    r"|[0-9a-f]{64}|[0-9a-f]{128}|[./0-9A-Za-z]{13}",
    re.DOTALL | re.IGNORECASE,
)
"""MD5, SHA and DES, which are guessed at by the billion; and what crypt(3) makes of SHA-2, which Python no longer does."""


def _argon2(kind: str, version: str | None, m: str, t: str, p: str, salt: str, digest: str) -> ForeignHash:
    memory, time, parallel = int(m), int(t), int(p)
    if memory * 1024 > MAX_MEMORY or memory * time > MAX_ARGON2 or parallel > MAX_PARALLEL:
        raise NotKept("costly")
    salted, expected = _decoded(salt), _digest(_decoded(digest))
    if len(salted) < 8 or time < 1 or parallel < 1 or memory < 8 * parallel:
        raise NotKept("damaged")
    derive = partial(
        hash_secret_raw, salt=salted, time_cost=time, memory_cost=memory, parallelism=parallel, hash_len=len(expected),
        type=argon2.Type[kind.upper()], version=int(version or 16),
    )  # fmt: skip
    return ForeignHash(f"argon2{kind} m={memory} t={time} p={parallel}", expected, derive)


def _bcrypt(before: str | None, variant: str, cost: str, salt: str, digest: str) -> ForeignHash:
    """What a salt's last character holds beyond 128 bits does not count, and the library wants it to be nothing."""
    if int(cost) > MAX_BCRYPT_COST:
        raise NotKept("costly")
    if int(cost) < 4:
        raise NotKept("damaged")
    try:
        from bcrypt import hashpw  # only where such hashes are
    except ImportError:
        raise NotKept("needs bcrypt") from None
    setting = f"$2{variant}${cost}${salt[:-1]}{_DIGITS[_DIGITS.index(salt[-1]) // 16 * 16]}".encode()
    prepared = _hexed if before and before.startswith("bcrypt_sha256") else bytes

    def derive(password: bytes) -> bytes:
        return hashpw(prepared(password)[:BCRYPT_BYTES], setting)[-len(digest) :]

    return ForeignHash(f"bcrypt {int(cost)}", digest.encode(), derive)


_DIGITS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _hexed(password: bytes) -> bytes:
    """As Django does, so that no more than 72 bytes go into bcrypt."""
    return hashlib.sha256(password).hexdigest().encode()


def _scrypt(n: int, r: int, p: int, salt: bytes, expected: bytes) -> ForeignHash:
    if 128 * n * r > MAX_MEMORY or n * r * p > MAX_SCRYPT or p > MAX_PARALLEL:
        raise NotKept("costly")
    if n < 2 or n & (n - 1) or r < 1 or p < 1:
        raise NotKept("damaged")
    derive = partial(_scrypted, salt=salt, n=n, r=r, p=p, dklen=len(_digest(expected)))
    return ForeignHash(f"scrypt N={n} r={r} p={p}", expected, derive)


def _scrypted(password: bytes, *, salt: bytes, n: int, r: int, p: int, dklen: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=dklen, maxmem=128 * r * (n + p + 2))


def _scrypt_of_crypt(log: str, r: str, p: str, salt: str, digest: str) -> ForeignHash:
    if int(log) > 30:
        raise NotKept("costly")
    return _scrypt(2 ** int(log), int(r), int(p), _decoded(salt), _decoded(digest))


def _scrypt_of_django(n: str, salt: str, r: str, p: str, digest: str) -> ForeignHash:
    return _scrypt(int(n), int(r), int(p), salt.encode(), _decoded(digest))


def _scrypt_of_werkzeug(n: str, r: str, p: str, salt: str, digest: str) -> ForeignHash:
    return _scrypt(int(n), int(r), int(p), salt.encode(), bytes.fromhex(digest))


def _pbkdf2(name: str, rounds: int, salt: bytes, expected: bytes) -> ForeignHash:
    blocks = -(-len(_digest(expected)) // hashlib.new(name).digest_size)
    if rounds * blocks > MAX_ROUNDS:
        raise NotKept("costly")
    if rounds < MIN_ROUNDS:
        raise NotKept("weak")
    derive = partial(_pbkdf2_derived, name=name, salt=salt, rounds=rounds, length=len(expected))
    return ForeignHash(f"PBKDF2-{name} {float(f'{rounds * blocks:.2g}'):.0f}", expected, derive)


def _pbkdf2_derived(password: bytes, *, name: str, salt: bytes, rounds: int, length: int) -> bytes:
    return hashlib.pbkdf2_hmac(name, password, salt, rounds, length)


def _pbkdf2_of_crypt(name: str | None, rounds: str, salt: str, digest: str) -> ForeignHash:
    return _pbkdf2(name or "sha1", int(rounds), _decoded(salt), _decoded(digest))


def _pbkdf2_of_django(name: str, rounds: str, salt: str, digest: str) -> ForeignHash:
    return _pbkdf2(name, int(rounds), salt.encode(), _decoded(digest))


def _pbkdf2_of_werkzeug(name: str, rounds: str, salt: str, digest: str) -> ForeignHash:
    return _pbkdf2(name, int(rounds), salt.encode(), bytes.fromhex(digest))


_SPELLINGS: dict[str, Callable[..., ForeignHash]] = {
    r"(argon2)?\$argon2(?P<kind>id|i|d)\$(v=(?P<version>16|19)\$)?m=(?P<m>NUMBER),t=(?P<t>NUMBER),p=(?P<p>NUMBER)\$BOTH": _argon2,
    r"(?P<before>bcrypt(_sha256)?\$)?\$2(?P<variant>[aby])\$(?P<cost>\d\d)\$(?P<salt>CRYPT{22})(?P<digest>CRYPT{31})": _bcrypt,
    r"\$scrypt\$ln=(?P<log>NUMBER),r=(?P<r>NUMBER),p=(?P<p>NUMBER)\$BOTH": _scrypt_of_crypt,
    r"scrypt\$(?P<n>NUMBER)\$TEXT\$(?P<r>NUMBER)\$(?P<p>NUMBER)\$(?P<digest>BASE64)": _scrypt_of_django,
    r"scrypt:(?P<n>NUMBER):(?P<r>NUMBER):(?P<p>NUMBER)\$TEXT\$HEX": _scrypt_of_werkzeug,
    r"\$pbkdf2(-(?P<name>sha256|sha512))?\$(?P<rounds>NUMBER)\$BOTH": _pbkdf2_of_crypt,
    r"pbkdf2_(?P<name>sha256|sha1)\$(?P<rounds>NUMBER)\$TEXT\$(?P<digest>BASE64)": _pbkdf2_of_django,
    r"pbkdf2:(?P<name>sha256|sha512|sha1):(?P<rounds>NUMBER)\$TEXT\$HEX": _pbkdf2_of_werkzeug,
}


def _compiled(spelling: str) -> re.Pattern[str]:
    for word, form in _WORDS.items():
        spelling = spelling.replace(word, form)
    return re.compile(spelling, re.ASCII)


_WORDS = {
    "BOTH": r"(?P<salt>BASE64)\$(?P<digest>BASE64)",
    "TEXT": r"(?P<salt>[^$\ud800-\udfff]+)",
    "HEX": r"(?P<digest>([0-9a-f]{2})+)",
    "BASE64": r"[A-Za-z0-9+/.]*={0,2}",
    "NUMBER": r"[0-9]{1,10}",
    "CRYPT": r"[./0-9A-Za-z]",
}
_FORMS = [(_compiled(spelling), made) for spelling, made in _SPELLINGS.items()]
_BEGINNINGS = re.compile(r"(argon2)?\$argon2|(bcrypt(_sha256)?\$)?\$2[aby]\$|\$?scrypt[$:]|\$?pbkdf2[-_:$]")


def _digest(octets: bytes) -> bytes:
    if not MIN_DIGEST <= len(octets) <= MAX_DIGEST:
        raise NotKept("damaged")
    return octets


def _decoded(text: str) -> bytes:
    """Base64 of any of these: with or without padding, and with a dot for the plus (passlib)."""
    plain = text.rstrip("=").replace(".", "+")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise NotKept("damaged") from None
