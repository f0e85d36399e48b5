"""The help desk: a number by which whoever helps finds the one browser that they are called from, and a pass for it.

Only a browser that gave the right password gets a number, for a quarter of an hour. Number and words follow from the session and
a secret of ours, and tell nothing of either. That caller and browser belong together is all that they show: who calls is for
people to find out, which is why a pass waits, is mailed, and is stopped by one touch of a key.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from backends.records import Account, Opening, Session
from webapp import signing
from webapp.accounts import opening, sessions
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened
from webapp.settings import Settings

LIFETIME = timedelta(minutes=15)
"""How long a number is good for; the session that shows it lives at least as long."""
DIGITS = 6

_LIST = (
    "amber anchor apple arrow autumn basket beacon bottle breeze bridge bronze bucket butter button cabin candle canoe "
    "carpet castle cedar cherry circle clover cobalt coffee copper coral cotton cradle crystal desert dolphin dragon "
    "eagle ember engine falcon feather fiddle flute forest fountain garden garlic ginger glacier granite guitar hammer "
    "harbour harvest hazel helmet honey island ivory jacket jasmine jungle kettle ladder lantern lemon lily linen "
    "lobster magnet mango maple marble meadow melon mirror monkey morning mountain needle nutmeg ocean olive onion "
    "orchid otter oyster paddle panther paper parrot pebble pencil pepper piano pillow planet plum pocket pumpkin rabbit "
    "raven ribbon river rocket saddle salmon sapphire shadow silver spider spoon summer sunset tailor teapot thunder "
    "tiger tomato trumpet tulip tunnel turtle valley velvet violin walnut whistle window winter yellow"
)
WORDS = tuple(_LIST.split())
"""128 words that are heard aright on a bad line."""


class Call(NamedTuple):
    """What a browser shows to somebody who calls: the number, and a word for each side. They say theirs, we answer with ours."""

    number: str
    theirs: str
    ours: str


def call(settings: Settings, session: Session, now: datetime) -> Call | None:
    """What this session shows; None if it has asked for no number, or too long ago."""
    return _call(settings.secret_keys[0], session) if _is_calling(session, now) else None


def find(settings: Settings, account: Account, number: str, now: datetime) -> Iterator[tuple[Session, Call]]:
    """The sessions of this account that show this number, however it is typed, whichever of our secrets it was made with."""
    for session in account.sessions:
        if _is_calling(session, now):
            calls = (_call(key, session) for key in settings.secret_keys)
            yield from ((session, each) for each in calls if _digits(each.number) == _digits(number))


def where(session: Session) -> str:
    """The browser of a session, as people recognise it."""
    return ", ".join(text for text in (session.browser, session.address) if text)


# operations


def ask(account: Account, act: Act, session_id: str) -> Decision:
    """This session shows a number; the one that it shows, as long as that is good."""
    session = sessions.get(account, session_id)
    if _is_calling(session, act.now):
        return Decision(account)
    until = act.now + LIFETIME
    session = replace(session, number_until=until, expires_at=max(session.expires_at, until))
    return Decision(sessions.in_place(account, session), [Happened("number asked")])


def look_up(account: Account, act: Act, session_id: str) -> Decision:
    """Whoever helps has looked at the account. Refused("over") if the number is not good any more."""
    session = _calling(account, act, session_id)
    return Decision(account, [Happened("number looked up", where(session))])


def give_pass(account: Account, act: Act, session_id: str) -> Decision:
    """The browser of this session gets in without the key, once, after the help desk's wait, with the password.

    Refused("over") if its number is not good any more. Whatever waited before is stopped.
    """
    session = _calling(account, act, session_id)
    account, stopped = opening.stop(account)
    waits = Opening(asked_at=act.now, opens_at=act.now + act.settings.helpdesk_wait, token_hash=session.token_hash)
    account = opening.begin(account, act, waits, "pass given", "pass waits", facts={"for": where(session)})
    account = sessions.in_place(account, replace(session, number_until=None))
    return Decision(account, [*stopped, Happened("pass given", where(session))])


def _calling(account: Account, act: Act, session_id: str) -> Session:
    session = next((each for each in account.sessions if each.id == session_id and _is_calling(each, act.now)), None)
    if session is None or not account.keys:
        raise Refused("over")
    return session


def _is_calling(session: Session, now: datetime) -> bool:
    return session.stage == "password_only" and session.number_until is not None and session.number_until > now


def _digits(text: str) -> str:
    return "".join(sign for sign in text if sign.isdecimal())


def _call(key: str, session: Session) -> Call:
    until = session.number_until.isoformat() if session.number_until else ""
    made = signing.mac(key, "helpdesk", session.id, until)
    digits = str(int.from_bytes(made[:8]) % 10**DIGITS).zfill(DIGITS)
    theirs, ours = (WORDS[byte % len(WORDS)] for byte in made[8:10])
    return Call(f"{digits[:3]}-{digits[3:]}", theirs, ours)
