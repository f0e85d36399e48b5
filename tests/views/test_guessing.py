"""How often somebody may be wrong, how often right, and that neither keeps the owner of an account out.

A browser that has logged on before has an allowance of its own; all strangers to an account share one, wherever they come from.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import count, islice, repeat

import pytest

from tests.views.mails import about, link_in, look, subjects
from tests.views.people import bound, is_in
from webapp import clock
from webapp.accounts import identities, limits, sessions
from webapp.testing.clock import Clock
from webapp.testing.site import Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

NEW_BROWSER = "A logon from a new browser"
WITHOUT_KEY = "Your password was used without your key"


@pytest.fixture
def time(keystead_clock: Clock) -> Clock:
    return keystead_clock


def guesses(site: Site, addresses: Iterable[str], how_many: int, name: str = "zoe") -> list[int]:
    """The statuses of so many wrong passwords, each from a browser that nobody knows at the next of these addresses."""
    from_here = [site.visitor(address=address) for address in islice(addresses, how_many)]
    return [visitor.submit_password(name, "wrong").status_code for visitor in from_here]


def anywhere() -> Iterator[str]:
    """One IPv4 address after another."""
    return (f"198.51.{number // 250 % 250}.{number % 250 + 1}" for number in count())


def in_one_48() -> Iterator[str]:
    """A new /64 of one IPv6 /48 for each guess: 65,536 of them is what one customer may hold."""
    return (f"2001:db8:77:{number % 65536:x}::1" for number in count())


# wrong passwords


def test_ten_wrong_passwords_from_one_address_are_too_often_and_say_when_to_come_back(
    keystead: Site, keystead_visitor: Visitor
) -> None:
    statuses = [keystead_visitor.submit_password("zoe", "wrong").status_code for _ in range(10)]
    assert statuses == [401] * 10
    keystead_visitor.get("/logon")
    refused = keystead_visitor.submit("/logon", username="zoe", password=keystead.password)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 600
    assert "try again in <span data-clock>10 minutes</span>" in refused.text
    assert keystead_visitor.page.form("/logon/known/ask"), "and how to get in all the same"


def test_a_strangers_attempts_do_not_keep_the_person_out(keystead: Site) -> None:
    stranger = keystead.visitor(address="198.51.100.7")
    for _ in range(12):
        stranger.submit_password("zoe", "wrong")
    assert stranger.submit_password("zoe", keystead.password).status_code == 429
    keystead.visitor(address="192.0.2.9").log_on("zoe", keystead.password)


def test_waiting_opens_the_logon_again(keystead: Site, keystead_visitor: Visitor, time: Clock) -> None:
    for _ in range(11):
        keystead_visitor.submit_password("zoe", "wrong")
    time.move(timedelta(minutes=10))
    keystead_visitor.log_on("zoe", keystead.password)


@pytest.mark.parametrize(
    ("addresses", "judged"),
    [(repeat("192.0.2.200"), 45), (anywhere(), 45), (in_one_48(), 45)],
    ids=["one address", "many addresses", "one IPv6 /48"],
)
def test_guesses_at_one_account_are_capped_for_the_whole_world(
    keystead: Site, time: Clock, addresses: Iterator[str], judged: int
) -> None:
    """An hour of guesses, as many as anybody cares to send: so few are compared with the password."""
    statuses: list[int] = []
    for _ in range(6):
        statuses += guesses(keystead, addresses, 45)
        time.move(timedelta(minutes=10))
    assert set(statuses) == {401, 429}
    assert statuses.count(401) == judged


def test_guesses_by_username_and_by_address_are_ninety_an_hour_together(keystead: Site, time: Clock) -> None:
    statuses: list[int] = []
    for _ in range(6):
        statuses += guesses(keystead, anywhere(), 20) + guesses(keystead, anywhere(), 20, keystead.account.email)
        time.move(timedelta(minutes=10))
    assert statuses.count(401) == 90


def test_the_cap_is_the_same_for_a_name_that_nobody_has(keystead: Site) -> None:
    assert guesses(keystead, anywhere(), 40, "nobody").count(401) == guesses(keystead, anywhere(), 40).count(401) == 15


@pytest.mark.parametrize(
    ("bits", "inside", "outside"),
    [
        (64, "2001:db8:77:0:1::5", "2001:db8:77:1::5"),
        (56, "2001:db8:77:ff::5", "2001:db8:77:100::5"),
        (48, "2001:db8:77:ffff::5", "2001:db8:78::5"),
        (32, "203.0.113.5", "203.0.113.6"),
    ],
)
def test_one_customer_may_try_so_many_passwords_whatever_the_names(keystead: Site, bits: int, inside: str, outside: str) -> None:
    """An IPv4 address, or an IPv6 prefix of 65,536 networks: it is the prefix that is counted."""
    prefix = "203.0.113.5" if bits == 32 else "2001:db8:77::"
    limit = limits.Limit(f"logon-{bits}", limits.PREFIXES[bits], limits.WINDOW)
    keystead.call(keystead.backend.count_attempt, limits._bucket(limit, (prefix,)), clock.now(), limit.window, limit.most - 1)
    assert guesses(keystead, [inside] * 2, 2, "somebody") == [401, 429]
    assert guesses(keystead, [outside], 1, "somebody") == [401]


def test_in_an_attack_on_the_whole_every_address_gets_fewer_attempts_and_the_person_still_gets_in(keystead: Site) -> None:
    known = keystead.visitor()
    known.log_on("zoe", keystead.password)
    known.log_off()
    for number in range(limits.SLICES):
        whole = limits._bucket(limits.LOGON_WHOLE, (str(number),))
        cost = limits.LOGON_WHOLE.most // limits.SLICES + 1
        keystead.call(keystead.backend.count_attempt, whole, clock.now(), limits.WINDOW, cost)
    stranger = keystead.visitor(address="198.51.100.7")
    statuses = [stranger.submit_password(f"name-{n}", "wrong").status_code for n in range(11)]
    assert statuses == [401] * 10 + [429]
    keystead.visitor(address="192.0.2.9").log_on("zoe", keystead.password)
    known.log_on("zoe", keystead.password)


def test_ipv6_is_counted_by_its_64_and_mapped_ipv4_as_ipv4() -> None:
    assert dict(limits.prefixes("2001:db8:1:2ff:3:4:5:6")) == {64: "2001:db8:1:2ff::", 56: "2001:db8:1:200::", 48: "2001:db8:1::"}
    assert limits.prefixes("::ffff:192.0.2.1") == limits.prefixes("192.0.2.1") == [(32, "192.0.2.1")]
    assert limits.prefixes("not an address") == [(32, "not an address")]
    assert limits.prefixes("f" * 10_000) == [(32, "f" * 10_000)]


# the owner gets in


def test_a_browser_that_has_logged_on_before_gets_in_while_strangers_guess(keystead: Site) -> None:
    owner = keystead.visitor()
    owner.log_on("zoe", keystead.password)
    owner.log_off()
    assert guesses(keystead, anywhere(), 31)[-1] == 429
    owner.log_on("zoe", keystead.password)
    assert is_in(owner)


def test_a_known_browser_has_ten_tries_of_its_own(keystead: Site) -> None:
    owner = keystead.visitor()
    owner.log_on("zoe", keystead.password)
    owner.log_off()
    assert [owner.submit_password("zoe", "wrong").status_code for _ in range(11)] == [401] * 10 + [429]
    keystead.visitor(address="192.0.2.9").log_on("zoe", keystead.password)


def test_a_browser_is_known_to_the_accounts_that_it_has_logged_on_to_and_to_no_other(keystead: Site) -> None:
    keystead.add_account("yan")
    visitor = keystead.visitor()
    visitor.log_on("yan", keystead.password)
    visitor.log_off()
    guesses(keystead, anywhere(), 31)
    assert visitor.submit_password("zoe", keystead.password).status_code == 429


def test_a_browser_that_has_given_the_password_only_is_not_known(keystead: Site, stub_key: StubKey) -> None:
    bound(keystead, stub_key)
    thief = keystead.visitor()
    thief.log_on("zoe", keystead.password)
    assert "keystead-browser" not in thief.client.cookies
    guesses(keystead, anywhere(), 31)
    assert thief.submit_password("zoe", keystead.password).status_code == 429


def test_an_account_that_was_frozen_knows_no_browser_any_more(keystead: Site) -> None:
    thief = keystead.visitor()
    thief.log_on("zoe", keystead.password)
    keystead.change(keystead.account, identities.freeze)
    keystead.change(keystead.account, identities.unfreeze)
    guesses(keystead, anywhere(), 31)
    assert thief.submit_password("zoe", keystead.password).status_code == 429


def test_a_new_browser_gets_in_by_the_mailed_link_while_strangers_guess(keystead: Site, stub_key: StubKey) -> None:
    """It makes the browser known, and nothing else: password and key are asked for as before."""
    bound(keystead, stub_key)
    guesses(keystead, anywhere(), 31)
    owner = keystead.visitor()
    assert owner.submit_password("zoe", keystead.password).status_code == 429
    owner.submit("/logon/known/ask")
    owner.get(link_in(keystead, "/logon/known"))
    assert owner.submit("/logon/known").headers["location"] == "/logon?notice=known"
    assert owner.get("/account").headers["location"].startswith("/logon?next")
    assert owner.submit_password("zoe", "wrong").status_code == 401
    owner.log_on("zoe", keystead.password, stub_key)
    assert is_in(owner)


# right passwords


def test_three_hundred_right_passwords_are_fifty_sessions_and_one_letter_an_hour(keystead: Site, time: Clock) -> None:
    first = keystead.visitor()
    first.log_on("zoe", keystead.password)
    first.log_off()
    first.log_on("zoe", keystead.password)
    for _ in range(300):
        keystead.visitor().submit_password("zoe", keystead.password)
        time.move(timedelta(seconds=1))
    assert len(keystead.read().sessions) == sessions.MAX_SESSIONS
    assert not is_in(first), "the least recently seen ends"
    assert subjects(keystead).count(NEW_BROWSER) == 1
    time.move(timedelta(hours=1))
    look(keystead)
    told = about(keystead, NEW_BROWSER)
    assert len(told) == 2
    assert "So often within an hour 299" in " ".join(told[0].split())
    assert keystead.read().notifications == ()


def test_who_knows_the_password_alone_pushes_nobody_out(keystead: Site, stub_key: StubKey, time: Clock) -> None:
    owner = bound(keystead, stub_key)
    for _ in range(60):
        keystead.visitor().submit_password("zoe", keystead.password)
        time.move(timedelta(seconds=1))
    stages = [session.stage for session in keystead.read().sessions]
    assert stages.count("authenticated") == 1
    assert stages.count("password_only") == sessions.MAX_PASSWORD_ONLY
    assert is_in(owner)


def test_a_key_step_under_way_is_pushed_out_by_ten_others_and_told_so(
    keystead: Site, half_signed_in: Visitor, time: Clock
) -> None:
    for _ in range(sessions.MAX_PASSWORD_ONLY):
        time.move(timedelta(seconds=1))
        keystead.visitor().submit_password("zoe", keystead.password)
    assert half_signed_in.post("/logon/key/begin").headers["location"] == "/logon?notice=ended"


def test_keys_refused_are_told_once_an_hour_and_counted(keystead: Site, stub_key: StubKey, time: Clock) -> None:
    bound(keystead, stub_key)
    thief = keystead.visitor()
    thief.log_on("zoe", keystead.password)
    for _ in range(5):
        thief.begin_key()
        thief.finish_key(stub_key, bad_signature=True)
    assert subjects(keystead).count(WITHOUT_KEY) == 1
    time.move(timedelta(hours=1))
    look(keystead)
    told = about(keystead, WITHOUT_KEY)
    assert len(told) == 2
    assert "So often within an hour 4" in " ".join(told[0].split())
