"""What is signed for a browser to carry."""

from webapp import signing

OLD, NEW = "of-the-tests-only-" * 3, "another-of-the-tests-" * 3
TEXT = "account.token é"


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
    added = (f"{signed}A", f"x{signed}", f"{signed[:-1]}é", f"{signed[:-1]}\udc80", f"\udc80{signed}")
    assert [signing.unsign((NEW, OLD), "cookie", other) for other in (*cut, *added)] == [None] * 12
