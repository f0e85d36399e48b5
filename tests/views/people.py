"""Somebody to begin a test with: logged on, with a key bound, or on the way to it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Literal

from msgspec.structs import replace

from backends.records import Account
from webapp.accounts import ceremonies, keys, sessions
from webapp.accounts.ceremonies import Answer
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, Site
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

Place = Literal["logon", "prove", "bind"]
PROOF_IS_OLD = timedelta(minutes=11)
NEW = "a new and longer password"

_names: Iterator[str] = (f"person{number}" for number in count())


@dataclass(slots=True)
class Person:
    """An account, and the key that it has bound."""

    site: Site
    time: Clock
    account: Account
    key: StubKey

    def browser(self) -> Visitor:
        """Another browser, at which nobody is logged on."""
        return self.site.visitor(self.account)

    def half(self) -> Visitor:
        """A browser at the key step."""
        visitor = self.browser()
        visitor.log_on(self.account.username, self.site.password)
        assert visitor.page.form("/logon/key/begin")
        return visitor

    def at(self, place: Place) -> Visitor:
        """A browser that waits for a touch in this place."""
        if place == "logon":
            visitor = self.half()
            visitor.begin_key()
            return visitor
        visitor = self.half()
        visitor.log_on_with(self.key)
        if place == "prove":
            self.time.move(PROOF_IS_OLD)
            visitor.get("/account/security/u2f")
            visitor.begin_prove()
        else:
            visitor.begin_bind("Another key")
        assert visitor.page.ceremony
        return visitor


def someone(site: Site, time: Clock, key: StubKey | None = None) -> Person:
    """Somebody new with one key bound, by the operation alone: to walk there for each test would take as long as most of them."""
    key, account = key or StubKey(), site.add_account(next(_names), password_hash=site.account.password_hash)
    return Person(site, time, site.change(account, _bind, key), key)


def _bind(account: Account, act: Act, key: StubKey) -> Decision:
    """The account with this key, and without the session that bound it."""
    token = sessions.new_token(account.id)
    begun = sessions.begin(account, act, token, "authenticated")
    (session,) = begun.sessions
    begun = replace(begun, sessions=(replace(session, proof="code", proven_at=act.now),))
    ceremony = ceremonies.begin_bind(act.settings, begun, session.id)
    answer = Answer(ceremony.token, key.create(ceremony.options, act.settings.origin), "")
    return Decision(replace(account, keys=keys.bind(begun, act, session.id, answer, "Key", token).account.keys))


def newcomer(site: Site) -> tuple[Account, Visitor]:
    """Somebody new who has logged on and has no key."""
    account = site.add_account(next(_names), password_hash=site.account.password_hash)
    visitor = site.visitor(account)
    visitor.log_on(account.username, site.password)
    return account, visitor


def bound(site: Site, key: StubKey) -> Visitor:
    """Zoe, who is logged on and has bound this key."""
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    visitor.bind(key)
    return visitor


def proven(site: Site) -> Visitor:
    """Zoe, who has no key and has just typed a code."""
    visitor = site.visitor()
    visitor.log_on("zoe", site.password)
    visitor.follow(visitor.send_code())
    visitor.follow(visitor.verify(site.mailbox.code("zoe@example.com")))
    return visitor


def twin(site: Site, visitor: Visitor, address: str = ADDRESS) -> Visitor:
    """The same cookies in another browser."""
    other = site.visitor(address=address)
    other.client.cookies.update(visitor.client.cookies)
    return other


def touch(visitor: Visitor, key: StubKey, then: str = "") -> None:
    """Prove by this key that it is you, and be back at the page that wanted it."""
    visitor.get(f"/account/security/u2f?then={then}" if then else "/account/security/u2f")
    visitor.begin_prove()
    visitor.follow(visitor.finish_prove(key))


def shown_codes(visitor: Visitor) -> list[str]:
    """Have ten recovery codes made. They are in force, unless codes are left of others."""
    visitor.get("/account/recovery")
    return re.findall(r"<code>([A-Z2-7-]{19})</code>", visitor.submit("/account/recovery").text)


def recovery_codes(visitor: Visitor) -> list[str]:
    """Make ten, and put them in force by typing the third, where that is asked for."""
    codes = shown_codes(visitor)
    if visitor.page.form("/recovery/confirm"):
        visitor.follow(visitor.submit("/recovery/confirm", code=codes[2].lower().replace("-", " ")))
    return codes


def is_in(visitor: Visitor) -> bool:
    """Whether this browser is logged on, with everything that is owed."""
    return visitor.get("/account").status_code == 200
