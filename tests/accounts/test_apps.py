"""Apps: how one is made, and what a session owes it."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from backends.file import FileBackend
from backends.protocol import Backend, Unavailable
from backends.records import Account, App, Proof
from tests.accounts.samples import DAY, MINUTE, NOW, SECOND, SETTINGS, account, act, key, logged_on, settings
from tests.waiting import going_on, until
from webapp.accounts import apps, identities
from webapp.accounts.apps import Apps
from webapp.accounts.context import Context
from webapp.accounts.decision import Refused
from webapp.settings import Settings

pytestmark = pytest.mark.anyio

WIKI = "https://wiki.example.com"
SITE = account(id=identities.SITE, username=" site", email=" site")


def app(name: str = "wiki", *addresses: str, **wishes: Any) -> App:
    return apps.new(SETTINGS, name, addresses or (f"https://{name}.example.com",), NOW, **wishes)


def owed(
    app: App, account: Account, proof: Proof | None = None, after: timedelta = timedelta(), settings: Settings = SETTINGS
) -> apps.Owed | None:
    """What a session of this account owes whose proof is of NOW, so much later."""
    account, session, _ = logged_on(account, proof)
    return apps.owed(app, account, session, NOW + after, settings)


KEYLESS, KEYED = account(), account(keys=(key(),))


@pytest.mark.parametrize(
    ("wishes", "of", "proof", "expected"),
    [
        ({}, KEYLESS, None, None),
        ({}, KEYLESS, "code", None),
        ({}, KEYED, "key", None),
        ({}, KEYED, "recovery", None),
        ({}, KEYED, "code", "touch"),
        ({}, KEYED, None, "touch"),
        ({"key_required": True}, KEYLESS, None, "binding"),
        ({"key_required": True}, KEYLESS, "key", "binding"),
        ({"key_required": True}, KEYED, "key", None),
        ({"key_required": True}, KEYED, "recovery", "touch"),
        ({"key_required": True}, KEYED, None, "touch"),
        ({"fresh": 15 * MINUTE}, KEYLESS, None, "code"),
        ({"fresh": 15 * MINUTE}, KEYLESS, "code", None),
        ({"fresh": 15 * MINUTE}, KEYED, "recovery", None),
        ({"of": ("staff",)}, KEYED, "key", "group"),
        ({"of": ("staff",)}, replace(KEYED, groups=("interns", "staff")), "key", None),
        ({"of": ("staff",), "key_required": True}, KEYLESS, None, "group"),
    ],
)
def test_what_a_session_owes_follows_from_the_app_the_keys_and_the_proof(
    wishes: Any, of: Account, proof: Proof | None, expected: apps.Owed | None
) -> None:
    assert owed(app(**wishes), of, proof) == expected


def test_a_key_that_is_suspended_asks_for_a_touch_as_long_as_no_other_is_in_force() -> None:
    """Whoever reads the mailbox could have the only key suspended, and get in without it."""
    suspended = account(keys=(key(suspended_at=NOW),))
    assert owed(app(), suspended) == "touch"
    assert owed(app(key_required=True), suspended) == "touch"
    assert owed(app(key_required=True), replace(suspended, opened_at=NOW)) == "binding"


@pytest.mark.parametrize("proof", ["key", "recovery"])
def test_a_fresh_touch_is_fresh_for_so_many_minutes_and_not_a_second_longer(proof: Proof) -> None:
    wiki = app(fresh=15 * MINUTE)
    assert owed(wiki, KEYED, proof, 15 * MINUTE - SECOND) is None
    assert owed(wiki, KEYED, proof, 15 * MINUTE) == "touch"


def test_without_a_key_a_code_is_fresh_for_ten_minutes_at_the_least() -> None:
    """Another one within that time would show nothing more."""
    assert owed(app(fresh=MINUTE), KEYLESS, "code", 10 * MINUTE - SECOND) is None
    assert owed(app(fresh=MINUTE), KEYLESS, "code", 10 * MINUTE) == "code"
    assert owed(app(fresh=30 * MINUTE), KEYLESS, "code", 29 * MINUTE) is None


@pytest.mark.parametrize(
    ("of", "proof", "told"),
    [
        (KEYLESS, None, "password"), (KEYLESS, "code", "password"), (KEYLESS, "key", "password"), (KEYED, "key", "key"),
        (KEYED, "recovery", "recovery"), (KEYED, "code", "password"), (KEYED, None, "password"),
    ],
)  # fmt: skip
def test_an_app_is_told_of_a_key_only_while_one_is_bound(of: Account, proof: Proof | None, told: str) -> None:
    of, session, _ = logged_on(of, proof)
    assert apps.proof_of(of, session) == told


def test_the_groups_that_an_app_is_told_are_never_none_and_nobody_can_be_given_the_first_one() -> None:
    assert apps.groups_of(account()) == ("everyone",)
    assert apps.groups_of(account(groups=("staff",))) == ("everyone", "staff")
    with pytest.raises(ValueError, match="everyone"):
        app(of=("everyone",))


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://wiki.example.com", WIKI),
        ("HTTPS://Wiki.Example.COM:443/", WIKI),
        ("https://wiki.example.com:8443", "https://wiki.example.com:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_address_is_kept_as_a_browser_writes_its_origin(address: str, origin: str) -> None:
    assert app("wiki", address).origins == (origin,)


@pytest.mark.parametrize(
    "address",
    [
        "wiki.example.com", "ftp://wiki.example.com", "http://wiki.localhost", "http://wiki.example.com", "https://192.0.2.1",
        "https://wiki.example.com/wiki", "https://wiki.example.com/?", "https://a@wiki.example.com", "https://", "https://*.example.com",
        "https://wiki.example.com\n", "https://wiki .example.com", "https://account.example.com", "https://account.example.com:8443",
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_is_ours_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        app("wiki", address)


@pytest.mark.parametrize("name", ["", "Wiki", "-wiki", "wi ki", "wiki/..", "ẃiki", "w" * 41])
def test_a_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        app(name, WIKI)


@pytest.mark.parametrize("title", [" Wiki", "W" * 61, "Wi\nki", "Wi\u202eki"])
def test_a_title_is_one_line_that_shows_what_it_says(title: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        app(title=title)


@pytest.mark.parametrize("fresh", [59 * SECOND, DAY + MINUTE])
def test_a_proof_can_be_fresh_for_a_minute_to_a_day(fresh: timedelta) -> None:
    with pytest.raises(ValueError, match="1m to 24h"):
        app(fresh=fresh)


def test_over_plain_http_an_app_may_be_too() -> None:
    local = settings(public_url="http://localhost:8000")
    assert apps.new(local, "wiki", ["http://wiki.localhost:9000"], NOW).origins == ("http://wiki.localhost:9000",)


def test_two_apps_are_never_at_one_host_whatever_their_ports() -> None:
    """Browsers keep cookies by the host: each would get what opens the other."""
    site = apps.add(SITE, act(), app()).account
    with pytest.raises(Refused, match="origin taken"):
        apps.add(site, act(), app("board", "https://wiki.example.com:8443"))
    with pytest.raises(ValueError, match="one host"):
        app("wiki", WIKI, "https://wiki.example.com:8443")


def test_an_app_is_added_once_and_removed_once_and_both_are_on_record() -> None:
    added = apps.add(SITE, act(), app())
    assert [each.kind for each in added.events] == ["app added"]
    with pytest.raises(Refused, match="name taken"):
        apps.add(added.account, act(), app("wiki", "https://other.example.com"))
    removed = apps.remove(added.account, act(), app())
    assert [each.kind for each in removed.events] == ["app removed"]
    assert removed.account == SITE
    with pytest.raises(Refused, match="no such app"):
        apps.remove(removed.account, act(), app())


def test_apps_stand_in_the_order_of_their_names_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    site = SITE
    for name in ("wiki", "board", "files"):
        site = apps.add(site, act(), app(name)).account
    assert [each.name for each in site.apps] == ["board", "files", "wiki"]
    monkeypatch.setattr(apps, "MAX_APPS", 3)
    with pytest.raises(Refused, match="too many"):
        apps.add(site, act(), app("mail"))


@pytest.mark.parametrize(
    "host",
    [
        "WIKI.example.com", "wiki.example.com.", "wiki.example.com:443", "wiki.example.com:8443", "a@wiki.example.com",
        "wiki.example.com@evil.example", "evil-wiki.example.com", "wiki.example.com.evil.example", "example.com", "", "wiki",
        "wiki.example.com ", "wiki.example.com/", "wiki.example.com\t", "xn--wiki.example.com", "wíki.example.com",
    ],
)  # fmt: skip
async def test_a_host_is_exactly_one_of_the_list_or_none(ctx: Context, backend: Backend, host: str) -> None:
    await apps.change(ctx, "add", app())
    known = Apps()
    found = await known.at(backend, "wiki.example.com")
    assert found
    assert (found.app.name, found.origin) == ("wiki", WIKI)
    assert await known.at(backend, host) is None


@pytest.mark.parametrize(
    "address",
    [
        WIKI, "https://wiki.example.com:443/", "https://wiki.example.com.evil.example/", "https://wiki.example.com@evil.example/",
        "http://wiki.example.com/", "HTTPS://wiki.example.com/", "//wiki.example.com/", "/", "", " https://wiki.example.com/",
        "https://wiki.example.com\\@evil.example/", "https:wiki.example.com/", "https:///wiki.example.com/",
    ],
)  # fmt: skip
async def test_an_address_that_does_not_begin_with_a_listed_origin_is_no_place(
    ctx: Context, backend: Backend, address: str
) -> None:
    await apps.change(ctx, "add", app())
    known = Apps()
    found = await known.place(backend, f"{WIKI}/page?q=1")
    assert found
    assert found.path == "/page?q=1"
    assert await known.place(backend, address) is None


async def test_the_sites_record_is_made_once_though_several_add_at_the_same_time(ctx: Context, backend: Backend) -> None:
    names = [f"app-{number}" for number in range(8)]
    await asyncio.gather(*(apps.change(ctx, "add", app(name)) for name in names))
    assert [each.name for each in await Apps().read(backend)] == names


async def test_a_process_that_knows_an_app_forgets_it_within_the_lease(
    ctx: Context, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So `keystead app remove`, which waits for as long, returns once nobody lets anybody in there."""
    seconds = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    await apps.change(ctx, "add", app())
    known = Apps()
    assert await known.at(backend, "wiki.example.com")
    await apps.change(ctx, "remove", app())
    seconds = apps.LEASE - 0.01
    assert await known.at(backend, "wiki.example.com")
    seconds = apps.LEASE
    assert await known.at(backend, "wiki.example.com") is None


async def test_whoever_only_looks_at_what_was_read_last_sees_a_change_soon(
    ctx: Context, backend: FileBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the backend could not be asked in between."""
    monkeypatch.setattr(apps, "LEASE", 0.0)
    monkeypatch.setattr(apps, "LOOK_EVERY", 0.01)
    known = Apps()

    async def away(account_id: str) -> Account | None:
        raise Unavailable("away")

    async with going_on(known.run(backend)):
        await apps.change(ctx, "add", app())
        await until(lambda: bool(known.last))
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(backend, "account", away)
            await asyncio.sleep(0.05)
            assert known.last
        await apps.change(ctx, "remove", app())
        await until(lambda: not known.last)


async def test_the_lease_counts_from_before_the_apps_were_read(
    ctx: Context, backend: FileBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a slow backend answers may be as old as its question."""
    seconds, ask = 0.0, backend.account
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    await apps.change(ctx, "add", app())
    known = Apps()

    async def slow(account_id: str) -> Account | None:
        nonlocal seconds
        found = await ask(account_id)
        seconds += apps.LEASE
        return found

    monkeypatch.setattr(backend, "account", slow)
    await known.read(backend)
    monkeypatch.undo()
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    await apps.change(ctx, "remove", app())
    assert await known.read(backend) == ()


def test_where_a_key_is_required_everywhere_every_app_wants_one_bound_before_all_else() -> None:
    due = replace(KEYLESS, key_due_at=NOW)
    for wiki in (app(), app(fresh=MINUTE)):
        assert owed(wiki, due, settings=settings(key_required="everyone")) == "binding"
        assert owed(wiki, replace(due, keys=(key(),)), "key", settings=settings(key_required="everyone")) is None
        assert owed(wiki, due) != "binding"
