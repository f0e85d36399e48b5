"""What people read where a word of ours says why something was refused. Never says more than helps the person."""

from dataclasses import dataclass, replace
from math import ceil

from webapp.accounts import codes


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell somebody whose ceremony failed; `again` where trying again makes sense, `tell` where the site should know."""

    title: str
    text: str
    again: bool = True
    tell: bool = False
    count: int = 1
    """How often it has failed by now: from the second time on, what else to try is listed."""


FAILURES: dict[str, Failure] = {
    "cancelled": Failure("Cancelled", "You cancelled it. Nothing has changed."),
    "no answer": Failure("No key answered", "Take your key out and insert it again. When it blinks, touch it."),
    "no key": Failure("No key of yours answered", "Take your key out and insert it again. When it blinks, touch it."),
    "not this one": Failure(
        "It did not answer",
        "If you touched a key, it was another one. Take this one out and insert it again. When it blinks, touch it.",
    ),
    "not bound here": Failure(
        "Not bound here", "No key answered that is bound to this account. If you touched one, it is not in this list."
    ),
    "timed out": Failure(
        "That took too long", "The browser waits two minutes for a touch. Have the key at hand, then try again."
    ),
    "already bound": Failure(
        "This key is already bound",
        "This key is bound to your account already. To bind another one, take this one out and insert the other.",
    ),
    "taken": Failure("This key cannot be bound", "This key is already bound to an account. Use another key."),
    "too many keys": Failure(
        "No more keys fit", "Twenty keys are bound to this account, which is the most. Unbind one that you no longer use.", False
    ),
    "not yours": Failure(
        "Not one of your keys",
        "That key is not bound to this account. Take it out, insert a key that is bound, and try again.",
    ),
    "insecure": Failure(
        "This address cannot use keys",
        "Browsers use security keys only on secure pages of the right address. Open this site by its usual https:// address.",
        False,
    ),
    "moved": Failure(
        "This browser may not ask for that key",
        "It was bound at an earlier address of this site. Either that address no longer says that its keys may be used here, or "
        "this browser is too old to look. Use a current Chrome, Edge, Firefox or Safari, or a recovery code.",
        tell=True,
    ),
    "elsewhere": Failure(
        "No key of yours can be used here",
        "Your keys were bound at another address, and this site does not take keys from there.",
        False,
        tell=True,
    ),
    "unsupported": Failure(
        "This browser cannot do that",
        "This browser, or the key you inserted, cannot do what is needed. Use Chrome or Firefox on a PC, and a U2F or FIDO2 key.",
    ),
    "already running": Failure(
        "Already waiting for a key",
        "Another request for your key is still open, perhaps in another tab. Close or cancel it, then try again.",
    ),
    "over": Failure("This request is over", "It was answered already, or too much time has passed. Begin afresh."),
    "refused": Failure(
        "The key's answer was not accepted", "What arrived could not be verified. Nothing has changed. Try again."
    ),
    "clone": Failure(
        "This key was refused",
        "It may have been copied: its counter went back. Use another of your keys.",
        tell=True,
    ),
    "not asked": Failure(
        "Your key was not asked",
        "A part of this page had not arrived yet, or JavaScript is switched off. Wait until the page is complete, then try "
        "again.",
    ),
    "unknown": Failure("That did not work", "The browser could not use the key. Take it out, insert it again, and try again."),
}

RECOVERY_CODES = {
    "malformed": "A recovery code has 16 letters and digits. Some are missing or too many: look closely, and type it once more.",
    "used before": "That code was used before. Each works once: cross it out, and take another.",
    "not a code": "That is none of your recovery codes. Look closely, and type it once more; or take another.",
}


def failure(kind: str, count: int) -> Failure:
    """What to tell about a ceremony that failed like this, for the time that `count` says."""
    return replace(FAILURES[kind], count=count)


WEAK_PASSWORDS = {
    "too short": "Use at least 12 characters.",
    "too long": "Use at most 1024 characters.",
    "too common": "That password is one of those that are tried first. Choose another.",
    "is a name": "That is your name. Choose something that nobody knows about you.",
}


EVENTS = {
    "logged on": "Logged on",
    "logged off": "Logged off",
    "proof given": "A key was touched, to show that it is you",
    "key bound": "A security key was bound",
    "key unbound": "A security key was unbound",
    "key renamed": "A security key was renamed",
    "key refused": "The password was right, but the key was refused",
    "key suspended": "A security key was suspended",
    "key reinstated": "A suspended security key is asked for again",
    "key mislaid": "A security key was said to be mislaid",
    "key found": "A mislaid security key was found",
    "key tried": "A security key was tried",
    "clone suspected": "A security key was refused: it may have been copied",
    "recovery codes made": "New recovery codes were made",
    "recovery codes void": "The recovery codes no longer work",
    "recovery code used": "A recovery code was used to log on",
    "recovery code refused": "The password was right, but the recovery code was not",
    "recovery code tried": "A recovery code was tried in a rehearsal, and not used up",
    "password changed": "The password was changed",
    "password reset": "A new password was set by mail",
    "e-mail changed": "The e-mail address was changed",
    "session ended": "Logged off elsewhere",
    "sessions ended": "Logged off everywhere else",
    "frozen": "The account was frozen",
    "unfrozen": "The account was opened again",
    "opening asked": "Somebody asked to open the account without a key",
    "opening stopped": "Opening the account without a key was stopped",
    "opened after the wait": "The account was opened without a key, once the wait was over",
    "number asked": "A browser without the key asked for a number for the help desk",
    "number looked up": "The help desk looked a browser up by its number",
    "pass given": "The help desk gave a browser a pass: one logon without the key, after a wait",
    "pass used": "The pass of the help desk was used to log on without the key",
    "browser made known": "A browser was made known by a mailed link",
    "not mailed": "A letter could not be mailed for three days",
    "account added": "The account was added",
    "account imported": "The account was brought here from elsewhere",
    "account renamed": "The username was changed",
    "account removed": "The account was removed",
    "account listed": "The account was listed for the preview",
    "account unlisted": "The account was taken off the list of the preview",
    "groups changed": "The groups of the account were changed",
    "invited": "An invitation was mailed",
    "joined": "The invitation was used, and the account began",
    "key required": "A security key is required of the account",
    "app added": "An application was added",
    "app removed": "An application was removed",
    "events expired": "Older events were deleted",
    "sealed": "The records were sealed",
}
"""By the kinds of events."""


def event(kind: str) -> str:
    """What happened, in words; the kind itself where another version recorded it."""
    return EVENTS.get(kind, kind)


EXPIRED = f"This code has expired: a code is valid for {codes.LIFETIME.seconds // 60} minutes. Have a new one sent."
NO_TRIES = "This code was typed wrongly too often, and has no tries left. Have a new one sent."


def wrong_code(wrong: codes.Wrong) -> str:
    """Why what was typed is not the code."""
    tries = "try" if wrong.tries_left == 1 else "tries"
    left = f". {wrong.tries_left} {tries} left." if wrong.tries_left else ", and there are no tries left. Have a new one sent."
    return {
        "malformed": f"The code has {codes.DIGITS} digits. Look for it in the mail.",
        "none waiting": "No code waits here: it was used already, or asked for in another browser since. Have a new one sent.",
        "expired": EXPIRED,
        "no tries left": NO_TRIES,
        "wrong": f"That is not the code{left}",
    }[wrong.kind]


def not_sent(kind: str, seconds: int) -> tuple[int, str]:
    """The status with which it is told that no code was mailed, and why."""
    return {
        "too soon": (429, f"A mail was sent less than a minute ago. You can ask again in {seconds} seconds."),
        "too often": (429, f"That was the last mail for now. You can ask for another in about {ceil(seconds / 3600)} hours."),
        "mail failed": (503, "The mail could not be sent. Nothing is lost: please try again in a moment."),
    }[kind]
