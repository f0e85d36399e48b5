"""The secret is changed, twice within an hour, as the README says: nothing breaks that was not said to."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from secrets import token_urlsafe

import pytest

from backends import transfer
from tests.views.mails import link_in, mails
from tests.views.people import is_in, shown_codes
from webapp.accounts import rotation
from webapp.accounts.events import Verifier
from webapp.testing.clock import Clock
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

FIRST, SECOND, THIRD = (token_urlsafe(32) for _ in range(3))
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

Restart = Callable[..., Site]


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Restart]:
    """Start the site with these secrets, in the place of the one that ran."""
    with ExitStack() as running_one:

        def start(*keys: str, retired: tuple[str, ...] = ()) -> Site:
            running_one.close()
            return running_one.enter_context(running(tmp_path / "site", secret_keys=keys, retired_keys=retired))

        yield start


def again(site: Site, visitor: Visitor) -> Visitor:
    """The same browser, with its cookies and with the page that it has open, after the site was started again."""
    other = site.visitor()
    other.client.cookies.update(visitor.client.cookies)
    other.page, other.email = visitor.page, visitor.email
    return other


def with_key(site: Site, name: str) -> tuple[Visitor, StubKey]:
    account = site.add_account(name, password_hash=site.account.password_hash)
    visitor, key = site.visitor(account), StubKey()
    visitor.log_on(name, site.password)
    visitor.bind(key)
    return visitor, key


def faults(site: Site) -> list[str]:
    async def look() -> list[str]:
        verifier = Verifier(site.settings.sealing_keys)
        return [fault async for fault in transfer.check(site.backend, verifier)]

    return site.call(look)


def test_a_secret_that_is_changed_twice_within_an_hour_breaks_no_session_link_code_ceremony_or_seal(
    restart: Restart, keystead_clock: Clock
) -> None:
    site = restart(FIRST)
    zoe, zoes_key = with_key(site, "anna")
    bert, _ = with_key(site, "bert")
    codes = shown_codes(bert)
    carl = site.visitor(site.add_account("carl", password_hash=site.account.password_hash))
    carl.log_on("carl", site.password)
    carl.follow(carl.send_code())
    code = site.mailbox.code("carl@example.com")
    dora, doras_key = with_key(site, "dora")
    dora.log_off()
    dora.submit_password("dora", site.password)
    dora.begin_key()
    site.visitor().post("/logon/forgotten", {"username": "zoe"})
    reset, not_me = link_in(site, "/logon/reset"), [link_in_mail(site, name) for name in ("anna", "bert")]

    for keys in ((SECOND, FIRST), (THIRD, SECOND, FIRST)):
        keystead_clock.move(MINUTE)
        site = restart(*keys)
    zoe, bert, carl, dora = (again(site, each) for each in (zoe, bert, carl, dora))
    assert is_in(zoe), "a session"
    bert.log_off()
    bert.submit_password("bert", site.password)
    assert bert.post("/logon/recovery", {"code": codes[0]}).status_code == 303, "a recovery code"
    carl.follow(carl.verify(code))
    assert carl.page.form("/bind/begin"), "a mailed code"
    assert dora.follow(dora.finish_key(doras_key)).url.path == "/account", "a ceremony"
    assert site.visitor().get(reset).status_code == 200, "a link to set a password"
    assert faults(site) == []
    assert "new browser" not in " ".join(str(mail["subject"]).lower() for mail in mails(site, "dora@example.com"))

    keystead_clock.move(7 * DAY - 10 * MINUTE)
    for link in not_me:
        assert site.visitor().get(link).status_code == 200, "a link that is worth something for a week"
    zoe.log_on("anna", site.password, zoes_key)

    keystead_clock.move(DAY / 2 - MINUTE)
    last = site.call(rotation.last_signed, site.backend, SECOND)
    assert last
    assert rotation.needed_until(site.settings, last) < keystead_clock.now(), "so that it may be retired, says the README"
    site = restart(THIRD, retired=(SECOND, FIRST))
    assert is_in(again(site, zoe)), "begun when the third secret signed already"
    assert faults(site) == [], "what the first one sealed"
    visitor = site.visitor()
    visitor.log_on("carl", site.password)
    account = site.call(site.backend.account_named, "carl")
    assert account
    events = site.call(site.backend.events_of, account.id, 99)
    assert "sealed" not in {event.kind for event in events}, "none was sealed anew"


def link_in_mail(site: Site, name: str) -> str:
    text = "\n".join(str(mail) for mail in mails(site, f"{name}@example.com"))
    [found, *_] = re.findall(r"(/not-me\?token=[\w.-]+)", text.replace("=\n", "").replace("=3D", "="))
    return str(found)


def test_how_long_a_secret_is_needed_is_known_from_when_it_signed_last(restart: Restart, keystead_clock: Clock) -> None:
    site = restart(FIRST)
    keystead_clock.move(3 * DAY)
    before = keystead_clock.now()
    site = restart(SECOND, FIRST)
    last = site.call(rotation.last_signed, site.backend, FIRST)
    assert last is not None
    assert abs(last - before) < MINUTE, "marked at its end, though it was started three days before"
    assert rotation.needed_until(site.settings, last) == last + rotation.MARK_EVERY + 7 * DAY
    assert site.call(rotation.last_signed, site.backend, THIRD) is None


def test_a_retired_secret_opens_nothing_any_more(restart: Restart) -> None:
    site = restart(FIRST)
    visitor, _ = with_key(site, "anna")
    link = link_in_mail(site, "anna")
    site = restart(SECOND, retired=(FIRST,))
    assert not is_in(again(site, visitor))
    assert site.visitor().get(link).status_code != 200
