"""A StubKey behind `navigator.credentials` of a real browser, with no virtual authenticator in it, under our own strict CSP."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser import live_site
from tests.browser.conftest import Visit
from webapp.testing.browser import ROOM, Slot, served
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey

U2F = "/account/security/u2f"


@pytest.fixture
def slot() -> Slot:
    return Slot(StubKey())


@pytest.fixture
def stubbed(tmp_path: Path, slot: Slot) -> Iterator[Site]:
    """A site of the kit, whose browsers have the key in the slot."""
    with served(tmp_path, slot) as site:
        yield site


def log_on(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/logon")
    page.get_by_label("Username").fill(site.account.username)
    page.get_by_label("Password", exact=True).fill(site.password)
    page.get_by_role("button", name="Log on").click()
    expect(page).not_to_have_url(re.compile(r"/logon(\?|$)"))


def bind(page: Page, site: Site) -> None:
    """As somebody who has logged on and bound nothing yet; what the key answers is up to the slot."""
    page.goto(site.url + U2F)
    page.get_by_role("button", name="Send verification code to email").click()
    page.get_by_label("Verification code").fill(site.mailbox.code())
    page.get_by_role("button", name="Submit for verification").click()
    page.get_by_label("Name of this key").fill("Made of code")
    page.get_by_role("button", name="Bind this key").click()


def test_it_binds_and_logs_on_with_no_virtual_authenticator(visit: Visit, stubbed: Site, slot: Slot) -> None:
    page, key = visit.page, StubKey(flavour="u2f")
    slot.key = key
    log_on(page, stubbed)
    bind(page, stubbed)
    expect(page.get_by_role("heading", name="Made of code is bound")).to_be_visible()
    assert [one.id for one in stubbed.read().keys] == [key.credentials[0].id]

    page.goto(f"{stubbed.url}/account")
    page.get_by_role("button", name="Log off").click()
    log_on(page, stubbed)
    expect(page).to_have_url(f"{stubbed.url}/account")
    assert key.credentials[0].counter == 1


def test_whoever_cancels_or_has_no_key_at_hand_reads_so_and_tries_again(visit: Visit, stubbed: Site, slot: Slot) -> None:
    page, slot.faults = visit.page, {"cancel": True}
    log_on(page, stubbed)
    bind(page, stubbed)
    expect(page.get_by_role("alert")).to_contain_text("No key answered")
    slot.faults, inserted, slot.key = {}, slot.key, None
    with page.expect_response(re.compile("/bind/finish$")):  # the alert is there already, from the first time
        page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("No key answered")
    slot.key = inserted
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Made of code is bound")).to_be_visible()


def test_a_page_gets_objects_of_the_browsers_own_kinds(visit: Visit, stubbed: Site) -> None:
    visit.page.goto(f"{stubbed.url}/logon")
    made = visit.page.evaluate(
        """async () => {
          const publicKey = {
            challenge: new Uint8Array([9, 9, 1, 2, 3]).subarray(2),
            rp: {name: "Here"}, pubKeyCredParams: [{type: "public-key", alg: -7}],
            user: {id: new Uint8Array([7]).buffer, name: "zoe", displayName: "Zoë"},
          };
          const made = await navigator.credentials.create({publicKey});
          const id = made.rawId;
          const asked = {challenge: id, allowCredentials: [{type: "public-key", id}]};
          const used = await navigator.credentials.get({publicKey: asked});
          return {
            kinds: [made instanceof PublicKeyCredential, made.response instanceof AuthenticatorAttestationResponse,
                    used.response instanceof AuthenticatorAssertionResponse, made.rawId instanceof ArrayBuffer],
            challenge: JSON.parse(new TextDecoder().decode(made.response.clientDataJSON)).challenge,
            transports: made.response.getTransports(), same: made.id === used.id,
            json: JSON.parse(JSON.stringify(made)).id === made.id,
            handle: used.response.userHandle,
          };
        }"""
    )
    assert made == {
        "kinds": [True] * 4,
        "challenge": "AQID",
        "transports": ["usb"],
        "same": True,
        "json": True,
        "handle": None,
    }


def test_a_ceremony_that_the_page_gives_up_ends_as_in_a_browser(visit: Visit, stubbed: Site) -> None:
    visit.page.goto(f"{stubbed.url}/logon")
    name = visit.page.evaluate(
        """() => {
          const given_up = new AbortController();
          given_up.abort();
          const asked = {publicKey: {challenge: new Uint8Array(1)}, signal: given_up.signal};
          return navigator.credentials.get(asked).catch((error) => error.name);
        }"""
    )
    assert name == "AbortError"


def test_serve_has_none_of_it(site: live_site.Site) -> None:
    """`site` is a server that was started as a deployer starts it."""
    origin = {"origin": site.url}
    assert httpx2.get(f"{site.url}{ROOM}script.js").status_code == 404
    assert [httpx2.post(f"{site.url}{ROOM}{kind}", content="{}", headers=origin).status_code for kind in ("create", "get")] == [
        404
    ] * 2
    assert "stub" not in httpx2.get(f"{site.url}/logon").text
