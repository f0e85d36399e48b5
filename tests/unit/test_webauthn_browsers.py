"""Answers that Chromium and Firefox gave, recorded once from their virtual keys: the stub is not the only key there is."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fido2.utils import websafe_decode, websafe_encode

from backends.records import SecurityKey
from webapp import webauthn
from webapp.webauthn import Rejected, RelyingParty

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("browser_answers.json").read_text())
BIND_CHALLENGE = bytes(range(32))
USE_CHALLENGE = BIND_CHALLENGE[::-1]

recorded = pytest.mark.parametrize(
    "recording", [pytest.param(r, id=f"{r['browser']} {r['key']} {r['attestation']}-{n}") for n, r in enumerate(RECORDED)]
)


def site(recording: dict[str, Any]) -> RelyingParty:
    return RelyingParty(id="localhost", name="Keystead", origin=recording["origin"])


def bind(recording: dict[str, Any]) -> SecurityKey:
    made = webauthn.verify_registration(json.dumps(recording["bind"]), challenge=BIND_CHALLENGE, rp=site(recording))
    assert made.attestation == recording["attestation"]
    bound_at = datetime(2026, 11, 24, tzinfo=UTC)
    return SecurityKey(**dataclasses.asdict(made), name="Key", rp_id="localhost", bound_at=bound_at)


def use(recording: dict[str, Any], answer: dict[str, Any]) -> webauthn.Assertion:
    return webauthn.verify_assertion(
        json.dumps(answer), challenge=USE_CHALLENGE, rp=site(recording), account_id="a-1", keys=[bind(recording)]
    )


@recorded
def test_what_a_browser_sent_is_accepted(recording: dict[str, Any]) -> None:
    bound = bind(recording)
    used = use(recording, recording["use"])
    assert used.id == bound.id
    assert used.sign_count > bound.sign_count or used.sign_count == bound.sign_count == 0


@recorded
@pytest.mark.parametrize("name", ["signature", "authenticatorData", "clientDataJSON"])
def test_what_a_browser_sent_is_refused_with_one_bit_changed(recording: dict[str, Any], name: str) -> None:
    response = recording["use"]["response"]
    raw = bytearray(websafe_decode(response[name]))
    raw[-1] ^= 1
    changed = recording["use"] | {"response": response | {name: websafe_encode(bytes(raw))}}
    with pytest.raises(Rejected):
        use(recording, changed)
