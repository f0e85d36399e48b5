"""The key made of code: another implementation accepts what it signs, and each fault is the one that its keyword says."""

import hashlib
import json
import subprocess
import sys
from typing import Any

import pytest
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    UserVerificationRequirement,
)

from webapp.testing.stub_key import UP, UV, DOMException, Flavour, StubKey

ORIGIN = "https://www.example.com"
SERVER = Fido2Server(PublicKeyCredentialRpEntity(id="example.com", name="Example"))
USER = PublicKeyCredentialUserEntity(id=b"a-1", name="zoe", display_name="Zoë")


def creation(**changes: Any) -> str:
    """The least that a page may ask for."""
    return json.dumps(
        {
            "rp": {"id": "example.com", "name": "Example"},
            "user": {"id": "YS0x", "name": "zoe", "displayName": "Zoë"},
            "challenge": websafe_encode(bytes(32)),
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        }
        | changes
    )


def request(*keys: StubKey, **changes: Any) -> str:
    allowed = [{"type": "public-key", "id": key.slug} for key in keys]
    return json.dumps({"challenge": websafe_encode(bytes(32)), "rpId": "example.com", "allowCredentials": allowed} | changes)


def made(answer: str) -> AuthenticatorData:
    return AttestationObject(websafe_decode(json.loads(answer)["response"]["attestationObject"])).auth_data


def signed(answer: str) -> AuthenticatorData:
    return AuthenticatorData(websafe_decode(json.loads(answer)["response"]["authenticatorData"]))


def client(answer: str) -> dict[str, Any]:
    data = json.loads(websafe_decode(json.loads(answer)["response"]["clientDataJSON"]))
    assert isinstance(data, dict)
    return data


@pytest.fixture
def key() -> StubKey:
    """A key with one credential."""
    key = StubKey()
    key.create(creation(), ORIGIN)
    return key


def refused(name: str) -> Any:
    return pytest.raises(DOMException, match=f"^{name}")


@pytest.mark.parametrize("flavour", ["u2f", "ctap2"])
@pytest.mark.parametrize("algorithm", [-7, -8, -35, -257])
def test_fido2s_own_server_accepts_it(flavour: Flavour, algorithm: int) -> None:
    key = StubKey(flavour=flavour, algorithm=algorithm, attestation=None if algorithm == -7 else "packed-self")
    options, state = SERVER.register_begin(USER)
    answer = key.create(json.dumps(dict(options.public_key)), ORIGIN)
    credential = SERVER.register_complete(state, json.loads(answer)).credential_data
    assert isinstance(credential, AttestedCredentialData)
    asked, state = SERVER.authenticate_begin([credential])
    answer = key.get(json.dumps(dict(asked.public_key)), ORIGIN)
    assert SERVER.authenticate_complete(state, [credential], json.loads(answer)) == credential
    with pytest.raises(ValueError, match="signature"):
        SERVER.authenticate_complete(
            state, [credential], json.loads(key.get(json.dumps(dict(asked.public_key)), ORIGIN, bad_signature=True))
        )


def test_a_key_makes_no_second_credential_where_it_is_excluded(key: StubKey) -> None:
    excluded = [{"type": "public-key", "id": key.slug}]
    with refused("InvalidStateError"):
        key.create(creation(excludeCredentials=excluded), ORIGIN)
    StubKey().create(creation(excludeCredentials=excluded), ORIGIN)
    assert len(key.credentials) == 1


def test_one_key_holds_several_credentials(key: StubKey) -> None:
    key.create(creation(), ORIGIN)
    first, second = key.credentials
    asked = request(allowCredentials=[{"type": "public-key", "id": first.slug}])
    assert json.loads(key.get(asked, ORIGIN))["id"] == first.slug
    assert json.loads(key.get(request(key), ORIGIN))["id"] == second.slug


def test_a_key_that_was_not_asked_for_does_not_answer(key: StubKey) -> None:
    with refused("NotAllowedError"):
        StubKey().get(request(key), ORIGIN)
    with refused("NotAllowedError"):
        key.get(request(), ORIGIN)
    with refused("NotAllowedError"):
        key.get(request(key, rpId="www.example.com"), ORIGIN)
    assert json.loads(key.get(request(), ORIGIN, unlisted=True))["id"] == key.slug


def test_a_person_who_cancels_gives_no_answer(key: StubKey) -> None:
    with refused("NotAllowedError"):
        key.create(creation(), ORIGIN, cancel=True)
    with refused("NotAllowedError"):
        key.get(request(key), ORIGIN, cancel=True)


@pytest.mark.parametrize("origin", ["https://example.org", "https://badexample.com", "https://com"])
def test_a_browser_asks_for_no_key_of_another_site(key: StubKey, origin: str) -> None:
    with refused("SecurityError"):
        key.create(creation(), origin)
    with refused("SecurityError"):
        key.get(request(key), origin)


def test_a_key_does_not_make_what_is_not_offered() -> None:
    with refused("NotSupportedError"):
        StubKey(algorithm=-8).create(creation(), ORIGIN)
    assert dict(made(StubKey().create(creation(), ORIGIN, algorithm=-8)).credential_data.public_key)[3] == -8  # type: ignore[union-attr]  # None fails too


def test_a_first_generation_key_knows_no_user() -> None:
    key = StubKey(flavour="u2f", verifies_user=True)
    wanted = {"userVerification": "preferred"}
    assert made(key.create(creation(authenticatorSelection=wanted), ORIGIN)).flags & (UP | UV) == UP
    answer = key.get(request(key, **wanted), ORIGIN)
    assert signed(answer).flags == UP
    assert json.loads(answer)["response"]["userHandle"] is None
    with refused("NotAllowedError"):
        key.get(request(key, userVerification="required"), ORIGIN)


@pytest.mark.parametrize(
    ("wish", "able", "verified"),
    [("required", True, True), ("preferred", True, True), ("discouraged", True, False), ("preferred", False, False)],
)
def test_a_key_verifies_its_user_where_it_can_and_should(wish: UserVerificationRequirement, able: bool, verified: bool) -> None:
    key = StubKey(verifies_user=able)
    key.create(creation(), ORIGIN)
    assert bool(signed(key.get(request(key, userVerification=wish), ORIGIN)).flags & UV) is verified


def test_a_key_counts(key: StubKey) -> None:
    assert [signed(key.get(request(key), ORIGIN)).counter for _ in range(3)] == [1, 2, 3]
    assert signed(key.get(request(key), ORIGIN, counter_back=0)).counter == 3
    assert signed(key.get(request(key), ORIGIN, counter_back=2)).counter == 1
    assert signed(key.get(request(key), ORIGIN)).counter == 4
    assert signed(key.get(request(key), ORIGIN, counter=100)).counter == 100
    assert signed(key.get(request(key), ORIGIN)).counter == 101


def test_a_key_that_does_not_count_says_zero() -> None:
    key = StubKey(counts=False)
    key.create(creation(), ORIGIN)
    assert [signed(key.get(request(key), ORIGIN)).counter for _ in range(2)] == [0, 0]


def test_a_clone_counts_by_itself(key: StubKey) -> None:
    clone = key.clone()
    assert [signed(key.get(request(key), ORIGIN)).counter for _ in range(3)] == [1, 2, 3]
    assert signed(clone.get(request(key), ORIGIN)).counter == 1
    assert clone.slug == key.slug


def test_each_fault_is_the_one_that_its_keyword_says(key: StubKey) -> None:
    asked = request(key)
    good = client(key.get(asked, ORIGIN))
    assert good == {"type": "webauthn.get", "challenge": "A" * 43, "origin": ORIGIN, "crossOrigin": False}
    assert client(key.get(asked, ORIGIN, wrong_origin="http://x")) == good | {"origin": "http://x"}
    assert client(key.get(asked, ORIGIN, wrong_challenge=b"x")) == good | {"challenge": "eA"}
    assert client(key.get(asked, ORIGIN, wrong_type="payment.get")) == good | {"type": "payment.get"}
    assert client(key.get(asked, ORIGIN, cross_origin=True)) == good | {"crossOrigin": True}
    assert client(key.get(asked, ORIGIN, top_origin="https://y")) == good | {"crossOrigin": True, "topOrigin": "https://y"}
    assert signed(key.get(asked, ORIGIN, wrong_rp="z")).rp_id_hash == hashlib.sha256(b"z").digest()
    assert client(key.get(asked, "https://moved.example", related=True)) == good | {"origin": "https://moved.example"}
    assert not signed(key.get(asked, ORIGIN, no_presence=True)).flags & UP
    assert json.loads(key.get(asked, ORIGIN, user_handle=b"a-2"))["response"]["userHandle"] == "YS0y"
    with pytest.raises(ValueError, match="Not enough data"):
        signed(key.get(asked, ORIGIN, truncated_cbor=True))
    oversize = made(key.create(creation(), ORIGIN, oversize_id=True)).credential_data
    assert oversize is not None
    assert len(oversize.credential_id) == 1024
    assert json.loads(key.create(creation(), ORIGIN, credential_id=b"theirs"))["id"] == websafe_encode(b"theirs")


def test_a_statement_is_made_where_it_was_asked_for() -> None:
    def fmt(key: StubKey, **changes: Any) -> str:
        return AttestationObject(
            websafe_decode(json.loads(key.create(creation(**changes), ORIGIN))["response"]["attestationObject"])
        ).fmt

    assert fmt(StubKey()) == fmt(StubKey(flavour="u2f")) == "none"
    assert fmt(StubKey(), attestation="direct") == "packed"
    assert fmt(StubKey(flavour="u2f"), attestation="direct") == "fido-u2f"
    assert fmt(StubKey(attestation="packed-self")) == "packed"
    assert fmt(StubKey(attestation="none"), attestation="direct") == "none"


def test_what_a_page_says_is_read_as_fido2_reads_it(key: StubKey) -> None:
    raw = websafe_decode(
        json.loads(key.get(request(key), ORIGIN, wrong_origin="https://bücher.example"))["response"]["clientDataJSON"]
    )
    assert CollectedClientData(raw).origin == "https://bücher.example"


def test_it_needs_neither_pytest_nor_a_server() -> None:
    code = "import sys, webapp.testing.stub_key; sys.exit(bool({'pytest', 'starlette', 'httpx2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
