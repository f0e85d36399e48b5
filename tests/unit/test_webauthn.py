"""Answers are verified: what a good key proves, and every way in which an answer proves nothing."""

import dataclasses
import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fido2 import cbor
from fido2.utils import websafe_decode, websafe_encode
from msgspec.structs import replace

from backends.records import SecurityKey
from webapp import webauthn
from webapp.testing.stub_key import AAGUID, Attestation, Faults, Flavour, StubKey
from webapp.webauthn import NotYours, RegisteredCredential, Rejected, RelyingParty

NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
CHALLENGE = bytes(range(32))
MINUTES = timedelta(minutes=5)
SITE = RelyingParty(id="example.com", name="Example", origin="https://example.com")
ACCOUNT_ID = "a-1"

EVERY_KIND: list[tuple[Flavour, Attestation]] = [
    ("u2f", "none"),
    ("u2f", "fido-u2f"),
    ("ctap2", "none"),
    ("ctap2", "packed"),
    ("ctap2", "packed-self"),
    ("ctap2", "fido-u2f"),
]


def create(key: StubKey, bound: list[SecurityKey] | None = None, **faults: Any) -> str:
    options = webauthn.creation_options(
        SITE, challenge=CHALLENGE, account_id=ACCOUNT_ID, username="Zoë", keys=bound or [], timeout=MINUTES
    )
    return key.create(options, SITE.origin, **faults)


def get(key: StubKey, bound: list[SecurityKey], **faults: Any) -> str:
    options = webauthn.request_options(challenge=CHALLENGE, keys=bound, timeout=MINUTES)
    return key.get(options, SITE.origin, **faults)


def register(answer: str) -> RegisteredCredential:
    return webauthn.verify_registration(answer, challenge=CHALLENGE, rp=SITE)


def use(answer: str, bound: list[SecurityKey]) -> webauthn.Assertion:
    return webauthn.verify_assertion(answer, challenge=CHALLENGE, rp=SITE, account_id=ACCOUNT_ID, keys=bound)


def bind(key: StubKey, bound: list[SecurityKey] | None = None) -> SecurityKey:
    """The record that the site would keep."""
    made = register(create(key, bound))
    return SecurityKey(**dataclasses.asdict(made), name="Key", rp_id=SITE.id, bound_at=NOW)


def changed(answer: str, change: Callable[[dict[str, Any]], object]) -> str:
    """The answer after somebody had it in their hands."""
    fields = json.loads(answer)
    change(fields)
    return json.dumps(fields)


def plain(data: bytes) -> dict[Any, Any]:
    """What a map in CBOR says."""
    decoded = cbor.decode(data)
    assert isinstance(decoded, dict)
    return decoded


def cases(arguments: str, table: dict[str, tuple[Any, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(arguments.split(), [pytest.param(*case, id=name) for name, case in table.items()])


def with_attestation(answer: str, change: Callable[[dict[str, Any]], object]) -> str:
    fields = json.loads(answer)
    parts = plain(websafe_decode(fields["response"]["attestationObject"]))
    change(parts)
    fields["response"]["attestationObject"] = websafe_encode(cbor.encode(parts))
    return json.dumps(fields)


def with_public_key(answer: str, change: Callable[[dict[int, Any]], object]) -> str:
    """The answer of a key that made no statement, with another public key in it: nothing else vouches for that."""

    def replace(parts: dict[str, Any]) -> None:
        data: bytes = parts["authData"]
        start = 55 + int.from_bytes(data[53:55])
        cose = plain(data[start:])
        change(cose)
        parts["authData"] = data[:start] + cbor.encode(cose)

    return with_attestation(answer, replace)


# options


def test_the_options_for_binding_say_what_a_browser_must_know() -> None:
    key = replace(bind(StubKey()), transports=("nfc", "usb"))
    options = json.loads(
        webauthn.creation_options(
            SITE, challenge=CHALLENGE, account_id=ACCOUNT_ID, username="Zoë", keys=[key], timeout=timedelta(seconds=90)
        )
    )
    assert options == {
        "rp": {"id": "example.com", "name": "Example"},
        "user": {"id": "YS0x", "name": "Zoë", "displayName": "Zoë"},
        "challenge": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "pubKeyCredParams": [{"type": "public-key", "alg": alg} for alg in (-7, -8, -257)],
        "timeout": 90_000,
        "excludeCredentials": [{"type": "public-key", "id": websafe_encode(key.id), "transports": ["nfc", "usb"]}],
        "authenticatorSelection": {
            "authenticatorAttachment": "cross-platform",
            "residentKey": "discouraged",
            "requireResidentKey": False,
            "userVerification": "discouraged",
        },
        "hints": ["security-key"],
        "attestation": "none",
    }


def test_the_options_for_using_ask_for_the_keys_that_are_bound() -> None:
    keys = [bind(StubKey()), replace(bind(StubKey()), transports=())]
    options = json.loads(webauthn.request_options(challenge=CHALLENGE, keys=keys, timeout=MINUTES))
    assert options["allowCredentials"] == [
        {"type": "public-key", "id": websafe_encode(keys[0].id), "transports": ["usb"]},
        {"type": "public-key", "id": websafe_encode(keys[1].id)},
    ]
    assert (options["rpId"], options["userVerification"], options["timeout"]) == ("example.com", "discouraged", 300_000)


def test_no_key_is_never_asked_for() -> None:
    with pytest.raises(ValueError, match="no key"):
        webauthn.request_options(challenge=CHALLENGE, keys=[], timeout=MINUTES)


# what is proven


@pytest.mark.parametrize(("flavour", "attestation"), EVERY_KIND)
def test_a_key_is_bound_and_used(flavour: Flavour, attestation: Attestation) -> None:
    key = StubKey(flavour=flavour, attestation=attestation)
    bound = bind(key)
    assert bound.id == key.credentials[0].id
    assert bound.attestation == attestation.removesuffix("-self")
    assert bound.aaguid == (bytes(16) if flavour == "u2f" else AAGUID)
    assert bound.transports == ("usb",)
    assert use(get(key, [bound]), [bound]) == webauthn.Assertion(bound.id, 1)
    assert use(get(key, [bound]), [bound]) == webauthn.Assertion(bound.id, 2)


@pytest.mark.parametrize("algorithm", [-7, -8, -257])
def test_every_algorithm_that_is_offered_is_verified(algorithm: int) -> None:
    assert algorithm in webauthn.ALGORITHMS
    key = StubKey(algorithm=algorithm, attestation="packed-self")
    bound = bind(key)
    assert plain(bound.public_key)[3] == algorithm
    assert use(get(key, [bound]), [bound]).id == bound.id
    with pytest.raises(Rejected, match="signature"):
        use(get(key, [bound], bad_signature=True), [bound])


def test_only_what_was_tested_is_offered() -> None:
    assert list(webauthn.ALGORITHMS) == [-7, -8, -257]


def test_each_of_several_keys_is_recognised() -> None:
    first, second = StubKey(), StubKey(flavour="u2f")
    bound = [bind(first)]
    bound.append(bind(second, bound))
    assert use(get(second, bound), bound).id == bound[1].id
    assert use(get(first, bound), bound).id == bound[0].id


def test_a_key_that_verifies_its_user_and_knows_its_account_is_welcome() -> None:
    key = StubKey(verifies_user=True, resident=True)
    bound = bind(key)
    answer = get(key, [bound])
    assert json.loads(answer)["response"]["userHandle"] == websafe_encode(ACCOUNT_ID.encode())
    assert use(answer, [bound]).id == bound.id


def test_an_old_browser_is_understood() -> None:
    """No transports, no crossOrigin, a user handle of no bytes."""
    key = StubKey(flavour="u2f")

    def age(fields: dict[str, Any]) -> None:
        client = json.loads(websafe_decode(fields["response"]["clientDataJSON"]))
        del client["crossOrigin"], fields["response"]["transports"], fields["authenticatorAttachment"]
        fields["response"]["clientDataJSON"] = websafe_encode(json.dumps(client).encode())

    assert register(changed(create(key), age)).transports == ()
    bound = bind(key := StubKey(flavour="u2f"))
    assert use(changed(get(key, [bound]), lambda f: f["response"].update(userHandle="")), [bound]).id == bound.id


def test_only_transports_that_we_know_of_are_kept() -> None:
    said = ["usb", "telepathy", "nfc", "usb", {"x": 1}, "<b>"]
    assert register(changed(create(StubKey()), lambda f: f["response"].update(transports=said))).transports == ("nfc", "usb")


def test_a_public_key_is_kept_without_what_it_need_not_have() -> None:
    answer = with_public_key(create(StubKey()), lambda cose: cose.update({2: b"kid", -70000: "x" * 500}))
    assert set(plain(register(answer).public_key)) == {1, 3, -1, -2, -3}


# what is not


@cases(
    "reason faults",
    {
        "another challenge": ("challenge", Faults(wrong_challenge=bytes(32))),
        "no challenge": ("challenge", Faults(wrong_challenge=b"")),
        "a longer challenge": ("challenge", Faults(wrong_challenge=CHALLENGE + b"\0")),
        "another ceremony": ("type of the client data", Faults(wrong_type="webauthn.get")),
        "another site": ("origin", Faults(wrong_origin="https://example.org")),
        "a sub-domain": ("origin", Faults(wrong_origin="https://www.example.com")),
        "a neighbour that ends alike": ("origin", Faults(wrong_origin="https://badexample.com")),
        "another port": ("origin", Faults(wrong_origin="https://example.com:8443")),
        "http for https": ("origin", Faults(wrong_origin="http://example.com")),
        "a trailing dot": ("origin", Faults(wrong_origin="https://example.com.")),
        "a trailing slash": ("origin", Faults(wrong_origin="https://example.com/")),
        "capitals": ("origin", Faults(wrong_origin="HTTPS://EXAMPLE.COM")),
        "an opaque origin": ("origin", Faults(wrong_origin="null")),
        "an app": ("origin", Faults(wrong_origin="android:apk-key-hash:x")),
        "a frame": ("another origin", Faults(cross_origin=True)),
        "a frame of another site": ("another origin", Faults(top_origin="https://example.org")),
        "a frame that denies it": ("another origin", Faults(top_origin="https://example.com", cross_origin=False)),
        "another rp id": ("rp id", Faults(wrong_rp="example.org")),
        "a sub-domain as rp id": ("rp id", Faults(wrong_rp="www.example.com")),
        "nobody there": ("nobody", Faults(no_presence=True)),
        "backed up against its word": ("backed up", Faults(backed_up=True)),
        "an id too long": ("length of the id", Faults(oversize_id=True)),
        "an empty id": ("length of the id", Faults(credential_id=b"")),
        "an algorithm that was not offered": ("algorithm not offered", Faults(algorithm=-35)),
        "cut short": ("CBOR cut short", Faults(truncated_cbor=True)),
        "a bad signature": ("InvalidSignature", Faults(bad_signature=True)),
    },
)
@pytest.mark.parametrize("attestation", ["packed-self", "packed"])
def test_a_key_is_not_bound(reason: str, faults: Faults, attestation: Attestation) -> None:
    with pytest.raises(Rejected, match=reason):
        register(create(StubKey(attestation=attestation), **faults))


def test_a_long_but_allowed_credential_id_is_bound() -> None:
    assert len(register(create(StubKey(), credential_id=b"x" * 1023)).id) == 1023


@cases(
    "reason faults",
    {
        "another challenge": ("challenge", Faults(wrong_challenge=bytes(32))),
        "another ceremony": ("type of the client data", Faults(wrong_type="webauthn.create")),
        "a payment": ("type of the client data", Faults(wrong_type="payment.get")),
        "a sub-domain": ("origin", Faults(wrong_origin="https://www.example.com")),
        "another port": ("origin", Faults(wrong_origin="https://example.com:444")),
        "http for https": ("origin", Faults(wrong_origin="http://example.com")),
        "a frame": ("another origin", Faults(cross_origin=True)),
        "a frame of another site": ("another origin", Faults(top_origin="https://example.org")),
        "another rp id": ("rp id", Faults(wrong_rp="example.org")),
        "nobody there": ("nobody", Faults(no_presence=True)),
        "backed up against its word": ("backed up", Faults(backed_up=True)),
        "another account's handle": ("user handle", Faults(user_handle=b"a-2")),
        "cut short": ("cut short", Faults(truncated_cbor=True)),
        "a bad signature": ("signature", Faults(bad_signature=True)),
    },
)
@pytest.mark.parametrize("flavour", ["u2f", "ctap2"])
def test_a_key_does_not_prove(reason: str, faults: Faults, flavour: Flavour) -> None:
    key = StubKey(flavour=flavour)
    bound = bind(key)
    with pytest.raises(Rejected, match=reason) as rejected:
        use(get(key, [bound], **faults), [bound])
    assert not isinstance(rejected.value, NotYours)


def test_the_counter_is_handed_on_as_the_key_said_it() -> None:
    key = StubKey()
    bound = bind(key)
    assert use(get(key, [bound], counter=2**32 - 1), [bound]).sign_count == 2**32 - 1
    assert use(get(key, [bound], counter_back=7), [bound]).sign_count == 2**32 - 8
    silent = StubKey(counts=False)
    bound = bind(silent)
    assert bound.sign_count == use(get(silent, [bound]), [bound]).sign_count == 0


@cases(
    "bound_to signs_for earlier reason",
    {
        "its own, which is an earlier one": ("old.example", "old.example", ("old.example",), None),
        "its own, which is not listed": ("old.example", "old.example", (), "none of ours"),
        "its own, of which only another is listed": ("old.example", "old.example", ("older.example",), "none of ours"),
        "ours, though it is bound to an earlier one": ("old.example", "example.com", ("old.example",), "rp id"),
        "an earlier one, though it is bound here": ("example.com", "old.example", ("old.example",), "rp id"),
    },
)
def test_a_key_is_verified_by_the_domain_that_it_is_bound_to(
    bound_to: str, signs_for: str, earlier: tuple[str, ...], reason: str | None
) -> None:
    key = StubKey()
    bound = bind(key)
    answer = get(key, [bound], wrong_rp=signs_for)
    bound, rp = replace(bound, rp_id=bound_to), dataclasses.replace(SITE, earlier=earlier)
    with pytest.raises(Rejected, match=reason) if reason else nullcontext():
        webauthn.verify_assertion(answer, challenge=CHALLENGE, rp=rp, account_id=ACCOUNT_ID, keys=[bound])


def test_a_key_of_an_earlier_domain_is_not_excluded() -> None:
    here, there = bind(StubKey()), replace(bind(StubKey()), rp_id="old.example")
    options = json.loads(
        webauthn.creation_options(
            SITE, challenge=CHALLENGE, account_id=ACCOUNT_ID, username="Zoë", keys=[here, there], timeout=MINUTES
        )
    )
    assert [each["id"] for each in options["excludeCredentials"]] == [websafe_encode(here.id)]


def test_keys_of_one_domain_are_asked_for_by_its_name() -> None:
    here, there = bind(StubKey()), replace(bind(StubKey()), rp_id="old.example")
    assert json.loads(webauthn.request_options(challenge=CHALLENGE, keys=[there], timeout=MINUTES))["rpId"] == "old.example"
    with pytest.raises(ValueError, match="several domains"):
        webauthn.request_options(challenge=CHALLENGE, keys=[here, there], timeout=MINUTES)


def test_a_key_that_is_not_bound_here_is_not_yours() -> None:
    key, stranger = StubKey(), StubKey()
    bound = bind(key)
    bind(stranger)
    with pytest.raises(NotYours):
        use(get(stranger, [bound], unlisted=True), [bound])


def test_a_key_cannot_answer_under_another_keys_id() -> None:
    key, stranger = StubKey(), StubKey()
    bound = bind(key)
    bind(stranger)
    stolen = changed(get(stranger, [bound], unlisted=True), lambda f: f.update(id=key.slug, rawId=key.slug))
    with pytest.raises(Rejected, match="signature"):
        use(stolen, [bound])


def test_the_signature_covers_the_client_data() -> None:
    key = StubKey()
    bound = bind(key)
    good, other = json.loads(get(key, [bound])), json.loads(get(key, [bound], wrong_challenge=bytes(32)))
    other["response"]["clientDataJSON"] = good["response"]["clientDataJSON"]
    with pytest.raises(Rejected, match="signature"):
        use(json.dumps(other), [bound])


def test_an_answer_to_binding_is_no_answer_to_using() -> None:
    key = StubKey()
    bound = bind(key)
    with pytest.raises(Rejected):
        register(get(key, [bound]))
    with pytest.raises(Rejected):
        use(create(key), [bound])


@cases(
    "reason change",
    {
        "another id": ("id is not rawId", lambda f: f.update(id="AAAA")),
        "another id twice": ("attested id is another", lambda f: f.update(id="AAAA", rawId="AAAA")),
        "a password": ("not a public key", lambda f: f.update(type="password")),
        "no type": ("KeyError", lambda f: f.pop("type")),
        "no response": ("KeyError", lambda f: f.pop("response")),
        "no attestation": ("KeyError", lambda f: f["response"].pop("attestationObject")),
        "a list for a response": ("type of a field", lambda f: f.update(response=[])),
        "a number for an id": ("type of a field", lambda f: f.update(id=1, rawId=1)),
        "text for transports": ("type of a field", lambda f: f["response"].update(transports="usb")),
        "client data that is not text": (
            "type of a field",
            lambda f: f["response"].update(clientDataJSON={"type": "webauthn.create"}),
        ),
        "padding": ("base64url", lambda f: f["response"].update(clientDataJSON=f["response"]["clientDataJSON"] + "=")),
        "a line break": ("base64url", lambda f: f["response"].update(clientDataJSON="\n" + f["response"]["clientDataJSON"])),
        "the other alphabet": ("base64url", lambda f: f["response"].update(attestationObject="o2Nm+/")),
        "not UTF-8": ("malformed", lambda f: f["response"].update(clientDataJSON=websafe_encode(b"\xff\xfe"))),
        "nested": ("malformed", lambda f: f["response"].update(clientDataJSON=websafe_encode(b"[" * 20_000))),
        "a list for client data": ("type of a field", lambda f: f["response"].update(clientDataJSON=websafe_encode(b"[]"))),
    },
)
def test_an_answer_that_was_tampered_with_is_refused(reason: str, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Rejected, match=reason):
        register(changed(create(StubKey()), change))


@pytest.mark.parametrize(
    "answer",
    ["", " ", "null", "[]", '"x"', "1e999", "{", "\ud800", '{"type":"public-key"}', "[" * 30_000, "9" * 30_000, "x" * 2_000_000],
    ids=lambda answer: ascii(answer[:20]),
)
def test_what_is_no_answer_at_all_is_refused(answer: str) -> None:
    with pytest.raises(Rejected):
        register(answer)
    with pytest.raises(Rejected):
        use(answer, [])


@cases(
    "reason change",
    {
        "tpm": ("attestation format", lambda parts: parts.update(fmt="tpm")),
        "apple": ("attestation format", lambda parts: parts.update(fmt="apple")),
        "safetynet": ("attestation format", lambda parts: parts.update(fmt="android-safetynet")),
        "empty format": ("attestation format", lambda parts: parts.update(fmt="")),
        "bytes for a format": ("type of a field", lambda parts: parts.update(fmt=b"none")),
        "none with a statement": ("InvalidData", lambda parts: parts.update(fmt="none")),
        "u2f without certificate": ("one U2F certificate", lambda parts: parts.update(fmt="fido-u2f", attStmt={"sig": b""})),
        "u2f with two": (
            "one U2F certificate",
            lambda parts: parts.update(fmt="fido-u2f", attStmt={"sig": b"", "x5c": [b"", b""]}),
        ),
        "packed with no certificate in its list": ("no attestation certificate", lambda parts: parts["attStmt"].update(x5c=[])),
        "SHA-1": ("algorithm of the attestation", lambda parts: parts["attStmt"].update(alg=-65535)),
        "no algorithm": ("KeyError", lambda parts: parts["attStmt"].pop("alg")),
        "ECDAA": ("NotImplementedError", lambda parts: parts["attStmt"].update(ecdaaKeyId=b"x")),
        "what is no certificate": ("InvalidData", lambda parts: parts["attStmt"].update(x5c=[b"\x30\x03\x02\x01\x01"])),
        "a number for a certificate": ("malformed", lambda parts: parts["attStmt"].update(x5c=[1])),
        "bytes for a list of certificates": ("type of a field", lambda parts: parts["attStmt"].update(x5c=b"x")),
        "a number for a signature": ("malformed", lambda parts: parts["attStmt"].update(sig=3)),
        "an empty signature": ("InvalidSignature", lambda parts: parts["attStmt"].update(sig=b"")),
        "a list for a statement": ("type of a field", lambda parts: parts.update(attStmt=[])),
        "text for authenticator data": ("type of a field", lambda parts: parts.update(authData="x" * 200)),
        "no authenticator data": ("cut short", lambda parts: parts.update(authData=b"")),
        "more authenticator data": (
            "length of the authenticator data",
            lambda parts: parts.update(authData=parts["authData"] + b"\0"),
        ),
        "nothing attested": (
            "no attested credential",
            lambda parts: parts.update(authData=parts["authData"][:32] + b"\x01\0\0\0\0"),
        ),
        "nested": ("nested", lambda parts: parts.update(junk=[[[[[[1]]]]]])),
        "many items": ("too many items", lambda parts: parts.update(junk=[0] * 200)),
        "no format": ("KeyError", lambda parts: parts.pop("fmt")),
    },
)
def test_a_statement_that_is_not_what_it_claims_is_refused(reason: str, change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Rejected, match=reason):
        register(with_attestation(create(StubKey(attestation="packed")), change))


def test_a_number_in_the_place_of_bytes_takes_no_memory() -> None:
    """`bytes(n)` is n bytes: fido2's AttestationObject would take a terabyte for this answer."""
    with pytest.raises(Rejected, match="type of a field"):
        register(with_attestation(create(StubKey()), lambda parts: parts.update(authData=2**40)))


@cases(
    "algorithm change",
    {
        "x of zero": (-7, {-2: b"\0" * 32}),
        "y that is no point": (-7, {-3: b"\1" * 32}),
        "half a point": (-7, {-3: True}),
        "a short x": (-7, {-2: b"\1" * 31}),
        "another curve": (-7, {-1: 2}),
        "another kind": (-7, {1: 3}),
        "a short Ed25519 key": (-8, {-2: b"\1" * 31}),
        "Ed448": (-8, {-1: 7}),
        "1,024 bits": (-257, {-1: b"\xc3" * 128}),
        "8,192 bits": (-257, {-1: b"\xc3" * 1024}),
        "exponent 1": (-257, {-2: b"\x01"}),
        "EdDSA in name": (-7, {3: -8}),
        "SHA-1": (-7, {3: -65535}),
        "text for an algorithm": (-7, {3: "ES256"}),
        "no algorithm": (-7, {3: 0}),
    },
)
def test_a_public_key_that_could_never_be_asked_again_is_not_bound(algorithm: int, change: dict[int, Any]) -> None:
    answer = create(StubKey(algorithm=algorithm))
    register(answer)
    with pytest.raises(Rejected):
        register(with_public_key(answer, lambda cose: cose.update(change)))


def test_cbor_that_is_cut_anywhere_is_refused() -> None:
    answer = create(StubKey(attestation="packed"))
    whole = websafe_decode(json.loads(answer)["response"]["attestationObject"])

    def with_object(made: bytes) -> str:
        return changed(answer, lambda f: f["response"].update(attestationObject=websafe_encode(made)))

    register(with_object(whole))
    for length in range(len(whole)):
        with pytest.raises(Rejected):
            register(with_object(whole[:length]))
    for more in (b"\0", b"\xf6", whole):
        with pytest.raises(Rejected, match="length of the attestation object"):
            register(with_object(whole + more))


def test_extensions_are_ignored_if_they_are_whole() -> None:
    """Some keys say credProtect whether or not anybody asked."""

    def with_extensions(extensions: bytes) -> str:
        def extend(parts: dict[str, Any]) -> None:
            data: bytes = parts["authData"]
            parts["authData"] = data[:32] + bytes([data[32] | 0x80]) + data[33:] + extensions

        return with_attestation(create(StubKey()), extend)

    register(with_extensions(cbor.encode({"credProtect": 2})))
    for damaged in (b"", b"\xa1", b"\xa1\x61a", cbor.encode({"a": 1}) + b"\0"):
        with pytest.raises(Rejected, match=r"length|cut short|IndexError|items"):
            register(with_extensions(damaged))


@pytest.mark.parametrize(
    "item", [b"\x5f\x41x\xff", b"\x9f\xff", b"\xbf\xff", b"\xf9\x3c\x00", b"\xfa\0\0\0\0", b"\xf8\xff", b"\xc0\x60", b"\x1c"]
)
def test_cbor_that_ctap_forbids_is_refused(item: bytes) -> None:
    answer = create(StubKey())
    whole = websafe_decode(json.loads(answer)["response"]["attestationObject"])
    more = bytes([whole[0] + 1]) + whole[1:] + b"\x61x" + item
    with pytest.raises(Rejected, match=r"indefinite|tag"):
        register(changed(answer, lambda f: f["response"].update(attestationObject=websafe_encode(more))))


def test_an_answer_is_not_read_once_it_is_too_long() -> None:
    answer = create(StubKey())
    register(answer + " " * (webauthn.MAX_ANSWER - len(answer)))
    with pytest.raises(Rejected, match="longer"):
        register(answer + " " * (webauthn.MAX_ANSWER - len(answer) + 1))


def test_trouble_of_the_machine_is_not_blamed_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As cryptography's Rust code has it."""

    def trouble(kind: type[BaseException]) -> None:
        def fail(*_: object) -> None:
            raise kind

        monkeypatch.setattr("webapp.webauthn.verification._attest", fail)
        register(create(StubKey()))

    for kind in (MemoryError, KeyboardInterrupt):
        with pytest.raises(kind):
            trouble(kind)
    with pytest.raises(Rejected, match="PanicException"):
        trouble(PanicException)


def test_a_reason_quotes_nothing_from_outside() -> None:
    secret = "NOBODY-MAY-LOG-THIS"
    for answer in (
        changed(create(StubKey()), lambda f: f.update(type=secret)),
        changed(create(StubKey()), lambda f: f["response"].update(clientDataJSON=secret)),
        with_attestation(create(StubKey()), lambda parts: parts.update(fmt=secret)),
        secret,
    ):
        with pytest.raises(Rejected) as rejected:
            register(answer)
        assert secret not in str(rejected.value)
        assert rejected.value.__cause__ is None
        assert len(rejected.value.reason) < 80
