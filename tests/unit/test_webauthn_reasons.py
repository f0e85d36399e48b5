"""Why an answer was rejected goes to the log, so that it may hold nothing of the answer."""

import pytest

from tests.unit.test_webauthn import create, register
from webapp.testing.stub_key import StubKey
from webapp.webauthn import Rejected, verification


@pytest.mark.parametrize("kind", [ValueError, KeyError, RecursionError, UnicodeError])
def test_a_reason_does_not_repeat_what_a_library_says(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    """An error of fido2's, cryptography's or Python's may quote what it stumbled over."""

    def stumbles(*_: object) -> None:
        raise kind("NOBODY-MAY-LOG-THIS")

    monkeypatch.setattr(verification, "_attest", stumbles)
    with pytest.raises(Rejected) as rejected:
        register(create(StubKey()))
    assert rejected.value.reason == f"malformed: {kind.__name__}"
    assert str(rejected.value) == rejected.value.reason
    assert rejected.value.__cause__ is None
