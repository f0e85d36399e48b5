"""What is signed for a browser to carry."""

import hashlib

from itsdangerous import Signer

from webapp import signing

OLD, NEW = "of-the-tests-only-" * 3, "another-of-the-tests-" * 3
TEXT = "account.token é"


def test_a_signature_is_the_one_that_itsdangerous_makes_and_so_what_was_signed_before_still_holds() -> None:
    made = Signer(NEW, salt="keystead.cookie", digest_method=hashlib.sha256).sign(TEXT).decode()
    assert signing.sign((NEW, OLD), "cookie", TEXT) == made
    assert signing.unsign((NEW, OLD), "cookie", made) == TEXT


def test_the_first_secret_signs_and_every_one_verifies() -> None:
    before = signing.sign((OLD,), "cookie", TEXT)
    assert signing.unsign((NEW, OLD), "cookie", before) == TEXT
    assert signing.unsign((NEW,), "cookie", before) is None
    assert signing.sign((NEW, OLD), "cookie", TEXT) == signing.sign((NEW,), "cookie", TEXT)


def test_what_was_signed_for_one_purpose_is_nothing_for_another() -> None:
    assert signing.unsign((NEW,), "ceremony", signing.sign((NEW,), "cookie", TEXT)) is None


def test_nothing_else_is_ours() -> None:
    signed = signing.sign((NEW,), "cookie", TEXT)
    text, _, signature = signed.rpartition(".")
    cut = (signed[:-1], text, signature, f"{text}.", f".{signature}", ".", "")
    added = (f"{signed}=", f"{signed}A", f"x{signed}", f"{signed[:-1]}é", f"{signed[:-1]}\udc80", f"\udc80{signed}")
    assert [signing.unsign((NEW, OLD), "cookie", other) for other in (*cut, *added)] == [None] * 13


def test_a_signature_has_one_spelling() -> None:
    """The last letter of 43 has two bits that say nothing."""
    signed = signing.sign((NEW,), "cookie", TEXT)
    others = {f"{signed[:-1]}{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"} - {
        signed
    }
    assert all(signing.unsign((NEW,), "cookie", other) is None for other in others)
