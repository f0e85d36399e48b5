"""What people read where a word of ours says why something was refused. Never says more than helps the person."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

from webapp import languages, templating
from webapp.accounts import codes
from webapp.languages import Text, _, _n


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell somebody whose ceremony failed; `again` where trying again makes sense, `tell` where the site should know."""

    title: Text
    text: Text
    again: bool = True
    tell: bool = False
    count: int = 1
    """How often it has failed by now: from the second time on, what else to try is listed."""


FAILURES: dict[str, Failure] = {
    "cancelled": Failure(_("Cancelled"), _("You cancelled it. Nothing has changed.")),
    "no answer": Failure(_("No key answered"), _("Take your key out and insert it again. When it blinks, touch it.")),
    "no key": Failure(_("No key of yours answered"), _("Take your key out and insert it again. When it blinks, touch it.")),
    "not this one": Failure(
        _("It did not answer"),
        _("If you touched a key, it was another one. Take this one out and insert it again. When it blinks, touch it."),
    ),
    "not bound here": Failure(
        _("Not bound here"), _("No key answered that is bound to this account. If you touched one, it is not in this list.")
    ),
    "timed out": Failure(
        _("That took too long"), _("The browser waits two minutes for a touch. Have the key at hand, then try again.")
    ),
    "already bound": Failure(
        _("This key is already bound"),
        _("This key is bound to your account already. To bind another one, take this one out and insert the other."),
    ),
    "taken": Failure(_("This key cannot be bound"), _("This key is already bound to an account. Use another key.")),
    "too many keys": Failure(
        _("No more keys fit"),
        _("Twenty keys are bound to this account, which is the most. Unbind one that you no longer use."),
        False,
    ),
    "not yours": Failure(
        _("Not one of your keys"),
        _("That key is not bound to this account. Take it out, insert a key that is bound, and try again."),
    ),
    "insecure": Failure(
        _("This address cannot use keys"),
        _("Browsers use security keys only on secure pages of the right address. Open this site by its usual https:// address."),
        False,
    ),
    "moved": Failure(
        _("This browser may not ask for that key"),
        _(
            "It was bound at an earlier address of this site. Either that address no longer says that its keys may be used here, "
            "or this browser is too old to look. Use a current Chrome, Edge, Firefox or Safari, or a recovery code."
        ),
        tell=True,
    ),
    "elsewhere": Failure(
        _("No key of yours can be used here"),
        _("Your keys were bound at another address, and this site does not take keys from there."),
        False,
        tell=True,
    ),
    "unsupported": Failure(
        _("This browser cannot do that"),
        _(
            "This browser, or the key you inserted, cannot do what is needed. Use Chrome or Firefox on a PC, and a U2F or FIDO2 "
            "key."
        ),
    ),
    "already running": Failure(
        _("Already waiting for a key"),
        _("Another request for your key is still open, perhaps in another tab. Close or cancel it, then try again."),
    ),
    "over": Failure(_("This request is over"), _("It was answered already, or too much time has passed. Begin afresh.")),
    "refused": Failure(
        _("The key's answer was not accepted"), _("What arrived could not be verified. Nothing has changed. Try again.")
    ),
    "clone": Failure(
        _("This key was refused"),
        _("It may have been copied: its counter went back. Use another of your keys."),
        tell=True,
    ),
    "not asked": Failure(
        _("Your key was not asked"),
        _(
            "A part of this page had not arrived yet, or JavaScript is switched off. Wait until the page is complete, then try "
            "again."
        ),
    ),
    "unknown": Failure(
        _("That did not work"), _("The browser could not use the key. Take it out, insert it again, and try again.")
    ),
}

RECOVERY_CODES = {
    "malformed": _(
        "A recovery code has 16 letters and digits. Some are missing or too many: look closely, and type it once more."
    ),
    "used before": _("That code was used before. Each works once: cross it out, and take another."),
    "not a code": _("That is none of your recovery codes. Look closely, and type it once more; or take another."),
}


def failure(kind: str, count: int) -> Failure:
    """What to tell about a ceremony that failed like this, for the time that `count` says."""
    return replace(FAILURES[kind], count=count)


WEAK_PASSWORDS = {
    "too short": _("Use at least 12 characters."),
    "too long": _("Use at most 1024 characters."),
    "too common": _("That password is one of those that are tried first. Choose another."),
    "is a name": _("That is your name. Choose something that nobody knows about you."),
}


EVENTS = {
    "logged on": _("Logged on"),
    "logged off": _("Logged off"),
    "proof given": _("A key was touched, to show that it is you"),
    "key bound": _("A security key was bound"),
    "key unbound": _("A security key was unbound"),
    "key renamed": _("A security key was renamed"),
    "key refused": _("The password was right, but the key was refused"),
    "key suspended": _("A security key was suspended"),
    "key reinstated": _("A suspended security key is asked for again"),
    "key mislaid": _("A security key was said to be mislaid"),
    "key found": _("A mislaid security key was found"),
    "key tried": _("A security key was tried"),
    "clone suspected": _("A security key was refused: it may have been copied"),
    "recovery codes made": _("New recovery codes were made"),
    "recovery codes void": _("The recovery codes no longer work"),
    "recovery code used": _("A recovery code was used to log on"),
    "recovery code refused": _("The password was right, but the recovery code was not"),
    "recovery code tried": _("A recovery code was tried in a rehearsal, and not used up"),
    "password changed": _("The password was changed"),
    "password reset": _("A new password was set by mail"),
    "e-mail changed": _("The e-mail address was changed"),
    "session ended": _("Logged off elsewhere"),
    "sessions ended": _("Logged off everywhere else"),
    "frozen": _("The account was frozen"),
    "unfrozen": _("The account was opened again"),
    "opening asked": _("Somebody asked to open the account without a key"),
    "opening stopped": _("Opening the account without a key was stopped"),
    "opened after the wait": _("The account was opened without a key, once the wait was over"),
    "number asked": _("A browser without the key asked for a number for the help desk"),
    "number looked up": _("The help desk looked a browser up by its number"),
    "pass given": _("The help desk gave a browser a pass: one logon without the key, after a wait"),
    "pass used": _("The pass of the help desk was used to log on without the key"),
    "browser made known": _("A browser was made known by a mailed link"),
    "not mailed": _("A letter could not be mailed for three days"),
    "account added": _("The account was added"),
    "account imported": _("The account was brought here from elsewhere"),
    "account renamed": _("The username was changed"),
    "account removed": _("The account was removed"),
    "account listed": _("The account was listed for the preview"),
    "account unlisted": _("The account was taken off the list of the preview"),
    "groups changed": _("The groups of the account were changed"),
    "invited": _("An invitation was mailed"),
    "joined": _("The invitation was used, and the account began"),
    "key required": _("A security key is required of the account"),
    "app added": _("An application was added"),
    "app removed": _("An application was removed"),
    "events expired": _("Older events were deleted"),
    "sealed": _("The records were sealed"),
}
"""By the kinds of events."""


def event(kind: str) -> Text | str:
    """What happened, in words; the kind itself where another version recorded it."""
    return EVENTS.get(kind, kind)


def detail(kind: str, text: str) -> Text | str:
    """What is recorded beside what happened: what people called something, as it is; what we wrote, in words, or not at all."""
    if kind in ("number looked up", "pass given"):
        return templating.place(text)
    if kind == "not mailed":
        return EVENTS.get(text, "")
    if kind == "recovery code refused" and text:
        return _("it was used before")
    if kind == "recovery code used" and (found := re.fullmatch(r"(\d+) left", text)):
        return _("%(count)s left", count=found[1])
    if kind == "key required" and (found := re.fullmatch(r"from (.+) UTC on", text)):
        return _("from %(moment)s on", moment=languages.when(datetime.fromisoformat(found[1])))
    return text


_MINUTES = codes.LIFETIME.seconds // 60
EXPIRED = _("This code has expired: a code is valid for %(minutes)s minutes. Have a new one sent.", minutes=_MINUTES)
NO_TRIES = _("This code was typed wrongly too often, and has no tries left. Have a new one sent.")
_WRONG = _("That is not the code, and there are no tries left. Have a new one sent.")


def wrong_code(wrong: codes.Wrong) -> Text:
    """Why what was typed is not the code."""
    left = wrong.tries_left
    return {
        "malformed": _("The code has %(digits)s digits. Look for it in the mail.", digits=codes.DIGITS),
        "none waiting": _("No code waits here: it was used already, or asked for in another browser since. Have a new one sent."),
        "expired": EXPIRED,
        "no tries left": NO_TRIES,
        "wrong": _n("That is not the code. %(count)s try left.", "That is not the code. %(count)s tries left.", left)
        if left
        else _WRONG,
    }[wrong.kind]


def not_sent(kind: str, seconds: int) -> tuple[int, Text]:
    """The status with which it is told that no code was mailed, and why."""
    hours = ceil(seconds / 3600)
    return {
        "too soon": (
            429,
            _n(
                "A mail was sent less than a minute ago. You can ask again in %(count)s second.",
                "A mail was sent less than a minute ago. You can ask again in %(count)s seconds.",
                seconds,
            ),
        ),
        "too often": (
            429,
            _n(
                "That was the last mail for now. You can ask for another in about %(count)s hour.",
                "That was the last mail for now. You can ask for another in about %(count)s hours.",
                hours,
            ),
        ),
        "mail failed": (503, _("The mail could not be sent. Nothing is lost: please try again in a moment.")),
    }[kind]
