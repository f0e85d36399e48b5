"""A site that moved to another domain: old keys open it by a button of their own, and are bound here too in the same sitting."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from backends.records import Account
from tests import hashes
from tests.views.people import PROOF_IS_OLD, is_in
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

OLD, NEW = "account.old.example", "account.new.example"
FROM_OLD = f"My key is from {OLD}"
U2F = "/account/security/u2f"


class Move(NamedTuple):
    """The site at its new address, and a key that zoe bound at the old one."""

    site: Site
    key: StubKey

    def half(self) -> Visitor:
        """Zoe at the key step."""
        visitor = self.site.visitor()
        visitor.follow(visitor.submit_password("zoe", self.site.password))
        return visitor

    def bind_another(self) -> StubKey:
        """A key that she binds at the new address."""
        visitor, key = self.half(), StubKey()
        visitor.begin_key()
        visitor.follow(visitor.finish_key(self.key, related=True))
        visitor.bind(key, "Red")
        return key


def as_if_bound_at(account: Account, _: Act, domain: str) -> Decision:
    return Decision(replace(account, keys=tuple(replace(key, rp_id=domain) for key in account.keys)))


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    with hashes.cheap(), running(tmp_path, public_url=f"https://{NEW}", moved_from=(OLD,)) as site:
        visitor, key = site.visitor(), StubKey()
        visitor.log_on("zoe", site.password)
        visitor.bind(key, "Blue")
        site.change(site.account, as_if_bound_at, OLD)
        key.credentials[0].rp_id = OLD
        yield Move(site, key)


def options(visitor: Visitor) -> str:
    assert visitor.page.ceremony
    return visitor.page.ceremony.options


def test_an_account_with_old_keys_only_is_asked_for_them_at_once_and_may_bind_them_here(move: Move) -> None:
    visitor = move.half()
    assert FROM_OLD not in visitor.page.text
    visitor.begin_key()
    assert f'"rpId":"{OLD}"' in options(visitor)
    assert f"Your key was bound at {OLD}" in visitor.page.text
    visitor.follow(visitor.finish_key(move.key, related=True))
    assert "Bind Blue here too" in visitor.page.text
    assert is_in(visitor)


def test_the_same_key_is_bound_here_in_the_same_sitting_and_opens_the_account_alone(move: Move) -> None:
    visitor = move.half()
    visitor.begin_key()
    visitor.follow(visitor.finish_key(move.key, related=True))
    visitor.submit("/bind/begin")
    assert "<bdi>Blue</bdi> is bound" in visitor.follow(visitor.finish_bind(move.key)).text
    assert [(key.name, key.rp_id) for key in move.site.read().keys] == [("Blue", OLD), ("Blue", NEW)]
    other = move.half()
    assert FROM_OLD in other.page.text
    other.submit("/logon/key/begin", domain=OLD)
    assert other.follow(other.finish_key(move.key, related=True)).url.path == "/account", "what is done is not offered again"
    assert f"It belongs to <b><bdi>{OLD}</bdi></b>, and is bound here too." in other.get("/account/security").text
    other = move.half()
    other.begin_key()
    assert f'"rpId":"{NEW}"' in options(other)
    assert other.follow(other.finish_key(move.key)).url.path == "/account"


def test_the_others_are_offered_by_a_button(move: Move) -> None:
    red = move.bind_another()
    visitor = move.half()
    visitor.begin_key()
    assert FROM_OLD in visitor.page.text, "also while a key of the new address is waited for"
    visitor.submit("/logon/key/begin", domain=OLD)
    assert f"My key is from {NEW}" in visitor.page.text
    assert visitor.finish_key(red, related=True).status_code == 422, "it is not one of those that were asked for"
    assert f"My key is from {NEW}" in visitor.page.text, "what failed was about the old address"
    visitor.begin_key()
    visitor.follow(visitor.finish_key(move.key, related=True))
    assert is_in(visitor)


def test_where_they_wanted_to_is_where_they_go_on_to(move: Move) -> None:
    visitor = move.site.visitor()
    visitor.get("/account/activity")
    visitor.follow(visitor.submit_password("zoe", move.site.password, next="/account/activity"))
    visitor.begin_key()
    visitor.follow(visitor.finish_key(move.key, related=True))
    assert 'href="/account/activity">Not now' in visitor.get(f"{U2F}/keys/{move.key.slug}/again?next=/account/activity").text
    assert 'href="/account">Not now' in visitor.get(f"{U2F}/keys/{move.key.slug}/again?next=//evil.example").text


def test_without_the_file_the_first_try_says_what_is_wrong(move: Move) -> None:
    visitor = move.half()
    visitor.begin_key()
    said = visitor.finish_key(move.key)  # SecurityError, as this browser was not told that the new address may ask
    assert said.status_code == 422
    assert "This browser may not ask for that key" in said.text
    assert "/logon/recovery" in said.text


def test_a_key_of_a_domain_that_we_did_not_move_from_is_refused_though_the_browser_signs(move: Move) -> None:
    visitor = move.half()
    visitor.begin_key()
    fields = visitor.answer(move.key, related=True)
    move.site.change(move.site.account, as_if_bound_at, "elsewhere.example")
    move.key.credentials[0].rp_id = "elsewhere.example"
    assert visitor.post("/logon/key/finish", fields).status_code == 422
    assert visitor.begin_key().status_code == 422
    assert "No key of yours can be used here" in visitor.page.text
    assert not visitor.page.ceremony
    assert not is_in(visitor)


@pytest.mark.parametrize("domain", ["elsewhere.example", "", "x" * 5000, NEW])
def test_a_domain_that_somebody_made_up_is_not_asked_for(move: Move, domain: str) -> None:
    visitor = move.half()
    assert visitor.submit("/logon/key/begin", domain=domain).status_code == 200
    assert f'"rpId":"{OLD}"' in options(visitor)


def test_an_old_key_shows_who_it_is_and_is_unbound(move: Move) -> None:
    with Clock() as time:
        red = move.bind_another()
        visitor = move.half()
        visitor.begin_key()
        visitor.follow(visitor.finish_key(red))
        time.move(PROOF_IS_OLD)
        visitor.get(U2F)
        visitor.submit("/prove/begin", domain=OLD)
        assert f'"rpId":"{OLD}"' in options(visitor)
        assert "Bind your key" in visitor.follow(visitor.finish_prove(move.key, related=True)).text
        time.move(PROOF_IS_OLD)
        visitor.confirm_unbind(move.key.slug)
        assert FROM_OLD in visitor.page.text
        visitor.submit("/prove/begin", domain=OLD)
        assert visitor.finish_prove(move.key).status_code == 422
        assert "This browser may not ask for that key" in visitor.page.text
        visitor.begin_prove()
        visitor.follow(visitor.finish_prove(move.key, related=True))
        visitor.follow(visitor.finish_unbind(move.key.slug))
        assert [key.name for key in move.site.read().keys] == ["Red"]


def test_the_row_says_which_keys_belong_to_the_old_domain_and_leads_to_binding_them_here(move: Move) -> None:
    red = move.bind_another()
    visitor = move.half()
    visitor.begin_key()
    visitor.follow(visitor.finish_key(red))
    page = visitor.get("/account/security").text
    assert page.count(f"It belongs to <b><bdi>{OLD}</bdi></b>") == 1
    assert f"/keys/{move.key.slug}/again" in page
    assert visitor.get(f"{U2F}/keys/AAAA/again").status_code == 404


def test_an_old_key_is_tried_and_told_from_others_without_proving_anything(move: Move) -> None:
    red = move.bind_another()
    visitor = move.half()
    visitor.begin_key()
    visitor.follow(visitor.finish_key(red))
    for path in (f"{U2F}/keys/{move.key.slug}/try", f"{U2F}/try?domain={OLD}"):
        visitor.get(path)
        assert f'"rpId":"{OLD}"' in options(visitor)
        assert f'lit" id="key-{move.key.slug}"' in visitor.finish(move.key, related=True).text
    visitor.get(f"{U2F}/try")
    assert FROM_OLD in visitor.page.text


def test_begin_says_why_no_key_can_show_who_it_is(move: Move) -> None:
    visitor = move.half()
    visitor.begin_key()
    visitor.follow(visitor.finish_key(move.key, related=True))
    with Clock() as time:
        time.move(PROOF_IS_OLD)
        move.site.change(move.site.account, as_if_bound_at, "elsewhere.example")
        visitor.get(U2F)
        assert visitor.submit("/prove/begin").status_code == 422
        assert "No key of yours can be used here" in visitor.page.text
