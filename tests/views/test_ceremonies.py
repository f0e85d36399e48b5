"""Every ceremony that must be refused, over HTTP and with a key that really signs: the answer is 4xx, and nothing has changed.

A ceremony has three places where it ends: the logon (`logon`), the proof by a key that is bound (`prove`), and binding (`bind`).
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from fido2 import cbor
from fido2.utils import websafe_decode, websafe_encode
from itsdangerous import URLSafeSerializer

from backends.records import Account, Event, Record, SecurityKey
from tests.views.mails import subjects
from tests.views.people import PROOF_IS_OLD, Person, Place, newcomer, someone, twin
from tests.views.unchanged import account_of, nothing_changes, records
from webapp.testing.clock import Clock
from webapp.testing.page import Page
from webapp.testing.site import Site, running
from webapp.testing.stub_key import Faults, StubKey
from webapp.testing.visitor import Visitor, at_once

FINISH: dict[Place, str] = {
    "logon": "/logon/key/finish",
    "prove": "/account/security/u2f/prove/finish",
    "bind": "/account/security/u2f/bind/finish",
}
VERIFY = "/account/security/u2f/verify"
CROWD = 20
SHA256 = {"digest_method": hashlib.sha256}


@pytest.fixture(scope="module")
def time() -> Iterator[Clock]:
    with Clock() as clock:
        yield clock


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, time: Clock) -> Iterator[Site]:
    """One site for all of these tests; each has an account of its own."""
    with running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def person(site: Site, time: Clock) -> Person:
    """Somebody with one key bound."""
    return someone(site, time)


def keys_of(site: Site, account: Account) -> tuple[SecurityKey, ...]:
    return site.read(account).keys


def events_of(site: Site, account: Account) -> list[Event]:
    return site.call(site.backend.events_of, account.id, 1000)


def refused(response: httpx2.Response, *statuses: int) -> None:
    """The person is told, in the panel; what no page of ours sends gets a page of its own."""
    page = Page.read(response.text)
    assert response.status_code in (statuses or (422,)), page.text[:500]
    assert page.said if response.status_code in (409, 422) else page.title


def still_owes(visitor: Visitor, place: Place) -> None:
    """The browser got no further: half signed in at the logon, unproven at the proof."""
    if place == "logon":
        assert visitor.get("/account").headers["location"].endswith("/logon/key")
    elif place == "prove":
        visitor.get("/account/security/u2f")
        assert visitor.page.form("/prove/begin")
        assert not visitor.page.form("/bind/begin")


def changed(credential: str, change: Callable[[dict[str, Any]], object]) -> str:
    answer = json.loads(credential)
    change(answer)
    return json.dumps(answer)


EVERYWHERE: tuple[Place, ...] = ("logon", "prove", "bind")
everywhere = pytest.mark.parametrize("place", EVERYWHERE)
where_a_key_is_used = pytest.mark.parametrize("place", ["logon", "prove"])


def finish_of(person: Person, place: Place) -> StubKey:
    """The key with which the ceremony in this place would end well: a new one where one is bound."""
    return StubKey(attestation="packed") if place == "bind" else person.key


# the ceremony's own truth: its challenge is answered once, here, in time


@everywhere
def test_the_way_that_is_not_refused(site: Site, person: Person, place: Place) -> None:
    """Without this, everything below could pass because nothing ever succeeds."""
    visitor = person.at(place)
    response = visitor.follow(visitor.finish(finish_of(person, place)))
    assert response.status_code == 200
    assert visitor.get("/account").status_code == 200
    assert len(keys_of(site, person.account)) == (2 if place == "bind" else 1)


@everywhere
def test_a_challenge_is_answered_once(site: Site, person: Person, place: Place) -> None:
    """Also when the first answer was refused, so that nobody can try signatures on one challenge."""
    visitor = person.at(place)
    key = finish_of(person, place)
    bad, good = visitor.answer(key, bad_signature=True), visitor.answer(finish_of(person, place))
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], bad))
        refused(visitor.post(FINISH[place], good))
    still_owes(visitor, place)


@pytest.mark.parametrize("place", ["prove", "bind"])
def test_an_answer_that_was_accepted_is_not_accepted_again(site: Site, person: Person, place: Place) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    assert visitor.follow(visitor.post(FINISH[place], fields)).status_code == 200
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))


def test_an_answer_that_was_accepted_logs_nobody_on_again(site: Site, person: Person) -> None:
    """Neither with the cookie that it was given with, nor from another browser that is half signed in."""
    visitor, other = person.at("logon"), person.at("logon")
    thief = twin(site, visitor)
    fields = visitor.answer(person.key)
    visitor.follow(visitor.post(FINISH["logon"], fields))
    with nothing_changes(site):
        again = thief.post(FINISH["logon"], fields)
        assert again.headers["location"].startswith("/logon")
        assert thief.get("/account").headers["location"].startswith("/logon")
        refused(other.post(FINISH["logon"], fields))
    still_owes(other, "logon")


@everywhere
def test_a_challenge_of_another_session_is_refused(site: Site, person: Person, place: Place) -> None:
    mine, theirs = person.at(place), person.at(place)
    fields = theirs.answer(finish_of(person, place))
    with nothing_changes(site):
        refused(mine.post(FINISH[place], fields))
    still_owes(mine, place)


@everywhere
def test_a_challenge_of_another_account_is_refused(site: Site, time: Clock, person: Person, place: Place) -> None:
    other = someone(site, time)
    fields = other.at(place).answer(finish_of(other, place))
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


def test_a_challenge_of_another_purpose_is_refused(site: Site, person: Person) -> None:
    """All within one session, whose id is the same before and after the key step."""
    visitor = person.at("logon")
    unused = visitor.answer(person.key)
    visitor.begin_key()
    visitor.follow(visitor.finish(person.key))
    binding = (visitor.begin_bind("x"), visitor.answer(StubKey()))[1]
    time = person.time
    time.move(PROOF_IS_OLD)
    with nothing_changes(site):
        refused(visitor.post(FINISH["prove"], unused))
        refused(visitor.post(FINISH["prove"], binding))
    still_owes(visitor, "prove")


def test_a_proof_is_no_binding_and_a_binding_no_proof(site: Site, person: Person) -> None:
    visitor = person.at("prove")
    proof = visitor.answer(person.key)
    visitor.begin_prove()
    visitor.follow(visitor.finish(person.key))
    visitor.begin_bind("x")
    binding = visitor.answer(StubKey())
    with nothing_changes(site):
        refused(visitor.post(FINISH["bind"], proof))
        refused(visitor.post(FINISH["prove"], binding))
        refused(visitor.post(FINISH["bind"], binding | {"credential": proof["credential"]}))


@everywhere
def test_a_challenge_older_than_five_minutes_is_refused(site: Site, person: Person, place: Place) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    person.time.move(timedelta(minutes=5))
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


@everywhere
def test_a_challenge_is_good_for_almost_five_minutes(person: Person, place: Place) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    person.time.move(timedelta(minutes=4, seconds=55))
    assert visitor.follow(visitor.post(FINISH[place], fields)).status_code == 200


@everywhere
@pytest.mark.parametrize("token", ["", "x", "é", "gone", "other", "cut", "bent", "older"])
def test_a_ceremony_that_is_not_ours_is_refused(site: Site, person: Person, place: Place, token: str) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    real = fields["ceremony"]
    cookie = next(iter(visitor.client.cookies.values()))
    fields["ceremony"] = {
        "other": cookie,
        "cut": real[:-4],
        "older": URLSafeSerializer([*site.settings.secret_keys], salt="keystead.ceremony", signer_kwargs=SHA256).dumps(["a", 1]),
        "bent": real[:10] + ("A" if real[10] != "A" else "B") + real[11:],
    }.get(token, token)
    if token == "gone":
        del fields["ceremony"]
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


# what the browser says


def faults(table: dict[str, Faults]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in table.items()])


@everywhere
@faults(
    {
        "another site": {"wrong_origin": "http://example.org"},
        "a sub-domain": {"wrong_origin": "http://www.localhost:8000"},
        "another port": {"wrong_origin": "http://localhost:8001"},
        "no port": {"wrong_origin": "http://localhost"},
        "https": {"wrong_origin": "https://localhost:8000"},
        "a trailing dot": {"wrong_origin": "http://localhost.:8000"},
        "a name that ends alike": {"wrong_origin": "http://notlocalhost:8000"},
    }
)
def test_another_origin_is_refused(site: Site, person: Person, place: Place, fault: Faults) -> None:
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(finish_of(person, place), **fault))
    still_owes(visitor, place)


@pytest.mark.parametrize(
    "origin",
    [
        "http://keys.example.com",
        "https://www.keys.example.com",
        "https://example.com",
        "https://keys.example.com:8443",
        "https://keys.example.com.evil.example",
    ],
)
def test_a_site_on_https_takes_no_other_origin_either(tmp_path: Path, origin: str) -> None:
    """http for https, a sub-domain, the parent domain, another port."""
    with running(tmp_path, public_url="https://keys.example.com") as site:
        visitor = site.visitor()
        visitor.log_on(site.account.username, site.password)
        key = StubKey()
        visitor.bind(key)
        visitor.log_off()
        visitor.log_on(site.account.username, site.password)
        visitor.begin_key()
        with nothing_changes(site):
            refused(visitor.finish(key, wrong_origin=origin))
        still_owes(visitor, "logon")
        visitor.log_on_with(key)


@everywhere
@faults(
    {
        "crossOrigin": {"cross_origin": True},
        "topOrigin": {"top_origin": "https://example.org"},
        "topOrigin of ours, crossOrigin false": {"top_origin": "http://localhost:8000", "cross_origin": False},
        "another type": {"wrong_type": "payment.get"},
        "another challenge": {"wrong_challenge": bytes(32)},
    }
)
def test_a_page_that_is_not_ours_alone_is_refused(site: Site, person: Person, place: Place, fault: Faults) -> None:
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(finish_of(person, place), **fault))
    still_owes(visitor, place)


# what the key says


@everywhere
@faults(
    {
        "another rp id": {"wrong_rp": "example.org"},
        "a sub-domain as rp id": {"wrong_rp": "www.localhost"},
        "nobody touched it": {"no_presence": True},
        "a forged signature": {"bad_signature": True},
        "backed up, but not eligible": {"backed_up": True},
        "cut short": {"truncated_cbor": True},
    }
)
def test_what_the_key_says_must_be_so(site: Site, person: Person, place: Place, fault: Faults) -> None:
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(finish_of(person, place), **fault))
    still_owes(visitor, place)


@where_a_key_is_used
def test_the_key_of_another_account_is_refused(site: Site, time: Clock, person: Person, place: Place) -> None:
    other = someone(site, time)
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(other.key, unlisted=True))
    still_owes(visitor, place)


@where_a_key_is_used
def test_a_key_that_nobody_has_bound_is_refused(site: Site, person: Person, place: Place) -> None:
    stranger = StubKey()
    person.at("bind").answer(stranger)
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(stranger, unlisted=True))
    still_owes(visitor, place)


@where_a_key_is_used
def test_a_forged_answer_under_a_known_credential_id_is_refused(site: Site, person: Person, place: Place) -> None:
    """Whoever knows the id (it is in every page of the key step) has not the key."""
    stranger = StubKey()
    person.at("bind").answer(stranger)
    visitor = person.at(place)
    fields = visitor.answer(stranger, unlisted=True)
    slug = person.key.slug
    fields["credential"] = changed(fields["credential"], lambda answer: answer.update(id=slug, rawId=slug))
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


@where_a_key_is_used
def test_a_foreign_user_handle_is_refused(site: Site, time: Clock, person: Person, place: Place) -> None:
    other = someone(site, time)
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.finish(person.key, user_handle=other.account.id.encode()))
    still_owes(visitor, place)


@where_a_key_is_used
def test_ones_own_user_handle_is_accepted(person: Person, place: Place) -> None:
    visitor = person.at(place)
    response = visitor.finish(person.key, user_handle=person.account.id.encode())
    assert visitor.follow(response).status_code == 200


@where_a_key_is_used
@pytest.mark.parametrize("back", [0, 1, 1000])
def test_a_counter_not_above_the_stored_one_is_refused_and_told(site: Site, person: Person, place: Place, back: int) -> None:
    visitor = person.half()
    visitor.log_on_with(person.key, counter=500)
    visitor = person.at(place)
    stored = keys_of(site, person.account)[0].sign_count

    def suspicion(record: Record) -> bool:
        return isinstance(record, Event) and record.kind == "clone suspected" and account_of(record) == person.account.id

    assert not any(suspicion(record) for record in records(site))
    with nothing_changes(site, but=suspicion):
        refused(visitor.finish(person.key, counter_back=back))
    assert keys_of(site, person.account)[0].sign_count == stored >= 500
    assert any(suspicion(record) for record in records(site))
    assert "A security key was refused: it may have been copied" in subjects(site, person.account.email)
    still_owes(visitor, place)


def test_a_clone_is_noticed_by_its_counter(site: Site, person: Person) -> None:
    clone = person.key.clone()
    for _ in range(2):
        person.half().log_on_with(person.key)
    visitor = person.at("logon")
    with nothing_changes(site, but=lambda record: isinstance(record, Event)):
        refused(visitor.finish(clone))
    still_owes(visitor, "logon")
    person.half().log_on_with(person.key)


def test_a_key_that_never_counts_is_accepted_each_time(site: Site, time: Clock) -> None:
    person = someone(site, time, StubKey(counts=False))
    for _ in range(2):
        person.half().log_on_with(person.key)
    assert keys_of(site, person.account)[0].sign_count == 0


def test_a_counter_that_starts_again_at_zero_is_refused(site: Site, person: Person) -> None:
    person.half().log_on_with(person.key, counter=7)
    visitor = person.at("logon")
    with nothing_changes(site, but=lambda record: isinstance(record, Event)):
        refused(visitor.finish(person.key, counter=0))
    still_owes(visitor, "logon")


# binding


@faults({"ES384": {"algorithm": -35}, "an id of 1,024 bytes": {"oversize_id": True}, "an empty id": {"credential_id": b""}})
@pytest.mark.parametrize("attestation", ["none", "packed-self"])
def test_a_key_that_was_not_asked_for_is_not_bound(
    site: Site, person: Person, fault: Faults, attestation: Literal["none", "packed-self"]
) -> None:
    visitor = person.at("bind")
    with nothing_changes(site):
        refused(visitor.finish(StubKey(attestation=attestation), **fault))


@pytest.mark.parametrize("algorithm", [-65535, -47, -9, 0, 7])
def test_an_algorithm_that_is_only_claimed_is_not_bound(site: Site, person: Person, algorithm: int) -> None:
    visitor = person.at("bind")
    fields = visitor.answer(StubKey())

    def claim(answer: dict[str, Any]) -> None:
        parts: Any = cbor.decode(websafe_decode(answer["response"]["attestationObject"]))
        start = 55 + int.from_bytes(parts["authData"][53:55])
        public_key: Any = cbor.decode(parts["authData"][start:])
        parts["authData"] = parts["authData"][:start] + cbor.encode(public_key | {3: algorithm})
        answer["response"]["attestationObject"] = websafe_encode(cbor.encode(parts))

    fields["credential"] = changed(fields["credential"], claim)
    with nothing_changes(site):
        refused(visitor.post(FINISH["bind"], fields))


def test_a_credential_id_that_is_bound_to_another_account_is_not_bound(site: Site, time: Clock, person: Person) -> None:
    """Neither can its owner be locked out, nor learns the other account's name (CVE-2025-66558 and its like)."""
    other = someone(site, time)
    visitor = person.at("bind")
    with nothing_changes(site):
        response = visitor.finish(StubKey(), credential_id=other.key.credentials[0].id)
        refused(response, 409)
    assert other.account.username not in response.text
    other.half().log_on_with(other.key)


def test_a_credential_id_that_is_bound_to_ones_own_account_is_not_bound_again(site: Site, person: Person) -> None:
    visitor = person.at("bind")
    with nothing_changes(site):
        refused(visitor.finish(StubKey(), credential_id=person.key.credentials[0].id), 409, 422)
    person.half().log_on_with(person.key)


def test_an_attestation_format_that_is_not_accepted_is_refused(site: Site, person: Person) -> None:
    visitor = person.at("bind")
    fields = visitor.answer(StubKey())

    def claim(answer: dict[str, Any]) -> None:
        parts: Any = cbor.decode(websafe_decode(answer["response"]["attestationObject"]))
        answer["response"]["attestationObject"] = websafe_encode(cbor.encode(parts | {"fmt": "android-safetynet"}))

    fields["credential"] = changed(fields["credential"], claim)
    with nothing_changes(site):
        refused(visitor.post(FINISH["bind"], fields))


# bodies that are no answer


@everywhere
@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 422, id="empty"),
        pytest.param(b"&&&", 422, id="only separators"),
        pytest.param(b"credential=", 422, id="no credential"),
        pytest.param(b"\xff\xfe\xfd", 400, id="not UTF-8"),
        pytest.param(b"credential=%ff%fe", 400, id="not UTF-8, escaped"),
        pytest.param(b"credential=a%00b", 400, id="NUL"),
        pytest.param(b"credential=" + b"x" * 1_000_000, 413, id="1 MB"),
        pytest.param(b"&".join(b"f%d=x" % n for n in range(5000)), 400, id="many fields"),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_refused(site: Site, person: Person, place: Place, body: bytes, status: int) -> None:
    visitor = person.at(place)
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], body=body), status)
    still_owes(visitor, place)


@everywhere
@pytest.mark.parametrize(
    "credential",
    [
        pytest.param("null", id="null"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="an empty object"),
        pytest.param('{"type":"public-key","id":"AA","rawId":"AA","response":{}}', id="an empty response"),
        pytest.param('{"a":' * 3000 + "1" + "}" * 3000, id="nested objects"),
        pytest.param("[" * 20_000, id="nested lists"),
        pytest.param("x" * 60_000, id="60 kB"),
        pytest.param("9" * 30_000, id="a long number"),
        pytest.param('"\\ud800"', id="half a surrogate pair"),
        pytest.param("{\u2028", id="no JSON"),
    ],
)
def test_a_credential_that_is_no_answer_is_refused(site: Site, person: Person, place: Place, credential: str) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place)) | {"credential": credential}
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


@everywhere
@pytest.mark.parametrize("keep", [1, 100, 300, -1])
def test_an_answer_that_is_cut_short_is_refused(site: Site, person: Person, place: Place, keep: int) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    fields["credential"] = fields["credential"][:keep]
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


@everywhere
def test_an_attestation_nested_too_deep_is_refused(site: Site, person: Person, place: Place) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    deep = websafe_encode(b"\x81" * 9000 + b"\0")

    def nest(answer: dict[str, Any]) -> None:
        answer["response"].update(attestationObject=deep, authenticatorData=deep)

    fields["credential"] = changed(fields["credential"], nest)
    with nothing_changes(site):
        refused(visitor.post(FINISH[place], fields))
    still_owes(visitor, place)


@everywhere
def test_a_form_with_files_is_not_taken(site: Site, person: Person, place: Place) -> None:
    visitor = person.at(place)
    with nothing_changes(site):
        response = visitor.client.post(FINISH[place], files={"credential": b"x"}, headers={"origin": visitor.origin})
        refused(response, 415)
    still_owes(visitor, place)


@everywhere
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://example.org"},
        {"origin": "null"},
        {"origin": "http://localhost:8001"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"referer": "http://example.org/http://localhost:8000/"},
    ],
    ids=lambda headers: " ".join(f"{name} {value}" for name, value in headers.items()) or "nothing said",
)
def test_an_answer_that_was_not_sent_from_here_is_refused(
    site: Site, person: Person, place: Place, headers: dict[str, str]
) -> None:
    visitor = person.at(place)
    fields = visitor.answer(finish_of(person, place))
    with nothing_changes(site):
        refused(visitor.client.post(FINISH[place], data=fields, headers=headers), 403)
    still_owes(visitor, place)


# many at once


@everywhere
def test_of_many_finishes_of_one_ceremony_one_wins(site: Site, person: Person, place: Place) -> None:
    visitor = person.at(place)
    answers = [visitor.answer(finish_of(person, place)) for _ in range(CROWD)]
    assert len({fields["ceremony"] for fields in answers}) == 1
    twins = [twin(site, visitor) for _ in answers]
    before = events_of(site, person.account)
    responses = at_once([partial(v.post, FINISH[place], f, htmx=True) for v, f in zip(twins, answers, strict=True)])
    cookies = [response for response in responses if response.headers.get("set-cookie")]
    assert len(cookies) == 1
    winners = [v for v in twins if v.get("/account").status_code == 200]
    assert len(winners) == 1
    losers = [response for response in responses if response not in cookies]
    assert {response.status_code for response in losers} <= {200, 422}
    assert all("hx-refresh" in response.headers for response in losers if response.status_code == 200)
    assert len(keys_of(site, person.account)) == (2 if place == "bind" else 1)
    assert len(events_of(site, person.account)) == len(before) + 1


def test_of_many_submits_of_one_code_one_wins(site: Site) -> None:
    account, visitor = newcomer(site)
    visitor.send_code()
    code = site.mailbox.code(account.email)
    twins = [twin(site, visitor) for _ in range(CROWD)]
    responses = at_once([partial(v.post, VERIFY, {"code": code}, htmx=True) for v in twins])
    assert sum("bind" in Page.read(response.text).ids for response in responses) == 1
    proven = [v for v in twins if v.get("/account/security/u2f").status_code == 200 and v.page.form("/bind/begin")]
    assert len(proven) == 1


def test_of_many_guesses_at_once_five_are_judged(site: Site) -> None:
    account, visitor = newcomer(site)
    visitor.send_code()
    code = site.mailbox.code(account.email)
    wrong = [f"{(int(code) + 1 + n) % 1_000_000:06}" for n in range(CROWD)]
    twins = [twin(site, visitor) for _ in wrong]
    responses = at_once([partial(v.post, VERIFY, {"code": g}, htmx=True) for v, g in zip(twins, wrong, strict=True)])
    assert {response.status_code for response in responses} == {422}
    judged = [response for response in responses if "That is not the code" in response.text]
    assert len(judged) == 5
    refused(visitor.post(VERIFY, {"code": code}, htmx=True))
    visitor.get("/account/security/u2f")
    assert not visitor.page.form("/bind/begin")


def test_of_many_guesses_with_the_right_one_among_them_no_more_than_five_are_judged(site: Site) -> None:
    account, visitor = newcomer(site)
    visitor.send_code()
    code = site.mailbox.code(account.email)
    guesses = [f"{(int(code) + n) % 1_000_000:06}" for n in range(CROWD)]
    twins = [twin(site, visitor) for _ in guesses]
    responses = at_once([partial(v.post, VERIFY, {"code": g}, htmx=True) for v, g in zip(twins, guesses, strict=True)])
    judged = [r for r in responses if "That is not the code" in r.text or "bind" in Page.read(r.text).ids]
    assert len(judged) <= 5


def test_one_new_key_is_bound_by_one_of_many_accounts(site: Site, time: Clock) -> None:
    """Credential ids are unique over all accounts, also when everybody binds at the same moment."""
    people = [someone(site, time) for _ in range(5)]
    visitors = [person.at("bind") for person in people]
    answers = [visitor.answer(StubKey(), credential_id=b"the same id for all") for visitor in visitors]
    responses = at_once([partial(v.post, FINISH["bind"], f) for v, f in zip(visitors, answers, strict=True)])
    assert sorted(response.status_code for response in responses) == [303, 409, 409, 409, 409]
    assert sum(len(keys_of(site, person.account)) for person in people) == 6
