"""Whatever arrives, `Rejected` is all that comes out: real answers with something changed, and what never was an answer."""

import dataclasses
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fido2 import cbor
from fido2.utils import websafe_decode, websafe_encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backends.records import SecurityKey
from webapp import webauthn
from webapp.testing.stub_key import StubKey
from webapp.webauthn import Rejected, RelyingParty

often = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Without a deadline: a busy machine is no fault of an example."""

NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
CHALLENGE = bytes(range(32))
SITE = RelyingParty(id="localhost", name="Keystead", origin="http://localhost:8000")
ACCOUNT_ID = "a-1"


def bind_answer(key: StubKey) -> str:
    options = webauthn.creation_options(
        SITE, challenge=CHALLENGE, account_id=ACCOUNT_ID, username="Zoë", keys=[], timeout=timedelta(minutes=5)
    )
    return key.create(options, SITE.origin)


KEYS = [
    StubKey(flavour="u2f", attestation="fido-u2f"),
    StubKey(attestation="packed"),
    StubKey(attestation="packed-self"),
    StubKey(),
]
BIND_ANSWERS = [bind_answer(key) for key in KEYS]
BOUND = [
    SecurityKey(
        **dataclasses.asdict(webauthn.verify_registration(answer, challenge=CHALLENGE, rp=SITE)),
        name="Key",
        rp_id=SITE.id,
        bound_at=NOW,
    )
    for answer in BIND_ANSWERS
]
USE_OPTIONS = webauthn.request_options(challenge=CHALLENGE, keys=BOUND, timeout=timedelta(minutes=5))
USE_ANSWERS = [key.get(USE_OPTIONS, SITE.origin, user_handle=b"a-1") for key in KEYS]

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
CBOR: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-10, 10) | st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def bind(answer: str) -> None:
    with suppress(Rejected):
        webauthn.verify_registration(answer, challenge=CHALLENGE, rp=SITE)


def use(answer: str) -> None:
    with suppress(Rejected):
        webauthn.verify_assertion(answer, challenge=CHALLENGE, rp=SITE, account_id=ACCOUNT_ID, keys=BOUND)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something could be changed: every place in a tree."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, child in inner for path in paths(child, (*at, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy


@often
@given(st.text())
def test_any_text(text: str) -> None:
    bind(text)
    use(text)


@often
@given(JSON)
def test_any_json(value: Any) -> None:
    bind(json.dumps(value))
    use(json.dumps(value))


@often
@given(st.data())
def test_a_real_answer_with_anything_in_any_place(data: st.DataObject) -> None:
    answer = json.loads(data.draw(st.sampled_from(BIND_ANSWERS + USE_ANSWERS)))
    changed = replaced(answer, data.draw(st.sampled_from(paths(answer))), data.draw(JSON))
    bind(json.dumps(changed))
    use(json.dumps(changed))


@often
@given(st.data())
def test_a_real_attestation_object_with_anything_in_any_place(data: st.DataObject) -> None:
    answer = json.loads(data.draw(st.sampled_from(BIND_ANSWERS)))
    parts = cbor.decode(websafe_decode(answer["response"]["attestationObject"]))
    changed = replaced(parts, data.draw(st.sampled_from(paths(parts))), data.draw(CBOR))
    answer["response"]["attestationObject"] = websafe_encode(cbor.encode(changed))
    bind(json.dumps(answer))


@often
@given(st.data())
def test_a_real_public_key_with_anything_in_any_place(data: st.DataObject) -> None:
    answer = json.loads(data.draw(st.sampled_from(BIND_ANSWERS)))
    parts: Any = cbor.decode(websafe_decode(answer["response"]["attestationObject"]))
    start = 55 + int.from_bytes(parts["authData"][53:55])
    key = cbor.decode(parts["authData"][start:])
    changed = replaced(key, data.draw(st.sampled_from(paths(key))), data.draw(CBOR))
    parts["authData"] = parts["authData"][:start] + cbor.encode(changed)
    answer["response"]["attestationObject"] = websafe_encode(cbor.encode(parts))
    bind(json.dumps(answer))


@often
@given(st.data())
def test_real_bytes_with_some_of_them_changed(data: st.DataObject) -> None:
    answer = json.loads(data.draw(st.sampled_from(BIND_ANSWERS + USE_ANSWERS)))
    name = data.draw(st.sampled_from([name for name, value in answer["response"].items() if isinstance(value, str)]))
    raw = bytearray(websafe_decode(answer["response"][name]))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    answer["response"][name] = websafe_encode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    bind(json.dumps(answer))
    use(json.dumps(answer))


@often
@given(st.sampled_from(USE_ANSWERS), st.data())
def test_no_change_to_what_was_signed_goes_unnoticed(text: str, data: st.DataObject) -> None:
    answer = json.loads(text)
    name = data.draw(st.sampled_from(["clientDataJSON", "authenticatorData"]))
    raw = bytearray(websafe_decode(answer["response"][name]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    answer["response"][name] = websafe_encode(bytes(raw))
    with pytest.raises(Rejected):
        webauthn.verify_assertion(json.dumps(answer), challenge=CHALLENGE, rp=SITE, account_id=ACCOUNT_ID, keys=BOUND)


@often
@given(st.binary(max_size=300))
def test_any_bytes_in_the_place_of_cbor(raw: bytes) -> None:
    answer = json.loads(BIND_ANSWERS[0])
    answer["response"]["attestationObject"] = websafe_encode(raw)
    bind(json.dumps(answer))


@often
@given(CBOR)
def test_any_cbor_in_the_place_of_an_attestation_object(value: Any) -> None:
    answer = json.loads(BIND_ANSWERS[0])
    answer["response"]["attestationObject"] = websafe_encode(cbor.encode(value))
    bind(json.dumps(answer))


@often
@given(st.binary(max_size=60))
def test_a_stored_key_that_is_damaged_proves_nothing(public_key: bytes) -> None:
    damaged = [replace(BOUND[0], public_key=public_key)]
    with pytest.raises(Rejected):
        webauthn.verify_assertion(USE_ANSWERS[0], challenge=CHALLENGE, rp=SITE, account_id=ACCOUNT_ID, keys=damaged)
