"""Logging on: the password, then what else the account owes. Each step is one commit, and what it opens is decided in it.

Whatever is looked up before (a password that was verified, a key that was touched) is looked at again in the decision: a key
that is bound, a password that is changed, or a freeze at that very moment is seen.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from backends.records import Account, Proof
from webapp.accounts import ceremonies, devices, keys, opening, owed, recovery, required, sessions
from webapp.accounts.ceremonies import Answer, Failed
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision, Refused
from webapp.accounts.events import Happened

MANY_CODES = 3
"""So many wrong recovery codes since the last logon are told by mail: one or two are a slip of the pen."""


def begin(
    account: Account, act: Act, password_hash: str, token: str, *, stronger: str | None = None, before: str | None = None
) -> Decision:
    """The password was right for this hash: a session that owes the key, or is in where none is asked for.

    Refused("changed") if the password is another one by now, Refused("frozen") if the account is. `stronger` is a new hash of the
    same password; `before` the token of a session that the new one replaces in this browser.
    """
    if account.password_hash != password_hash:
        raise Refused("changed")
    if sessions.is_shut(account):
        raise Refused("frozen")
    account = replace(account, password_hash=stronger) if stronger else account
    account = sessions.log_off(account, act, sessions.hash_token(before)).account if before else account
    if keys.asked(account, act.settings):
        return Decision(opening.follow(sessions.begin(account, act, token, "password_only"), token, before))
    account = sessions.begin(account, act, token, "authenticated")
    return _entered(account, act, "")


def with_key(account: Account, act: Act, session_id: str, answer: Answer, token: str) -> Decision:
    """In, by a key that is asked for. Failed otherwise; what was refused is recorded, and told by mail."""
    asked = keys.asked(account, act.settings)
    try:
        account, key = ceremonies.use(account, act, "logon", session_id, asked, answer)
    except Failed as failed:
        raise _told(failed, act) from failed.__cause__
    account, events = opening.stop(account)
    if key.suspended_at:
        account, reinstated = keys.reinstate(account, act, key.id)
        events = [*events, *reinstated]
    return _entered(_stepped_up(account, act, session_id, token, "key"), act, key.name, events)


def with_recovery_code(account: Account, act: Act, session_id: str, typed: str, token: str) -> Decision:
    """In, by a recovery code, which is used up; every other session is ended. Refused: malformed, used before, not a code."""
    try:
        account = recovery.spend(account, act, typed)
    except Refused as refused:
        raise Refused(refused.kind, trace=_code_refused(account, act, refused.kind), wrong=refused.wrong) from None
    left = recovery.left(account)
    account = owed.owe(sessions.keep_only(account, session_id), act, "recovery code used", facts={"left": str(left)})
    account, events = opening.stop(account)
    used = Happened("recovery code used", f"{left} left")
    return _entered(_stepped_up(account, act, session_id, token, "recovery"), act, "", [*events, used])


def without_key(account: Account, act: Act, session_id: str, token: str) -> Decision:
    """In, where no key is asked for any more: it was unbound since the password was given, or a wait is over."""
    proof, events = None, list[Happened]()
    if keys.asked(account, act.settings):
        if not opening.has_passed(account, act.settings, sessions.get(account, session_id), act.now):
            raise sessions.KeyOwed
        account, proof, events = opening.use(account, act, session_id)
    return _entered(_stepped_up(account, act, session_id, token, proof), act, "", events)


def _stepped_up(account: Account, act: Act, session_id: str, token: str, proof: Proof | None) -> Account:
    return sessions.step_up(account, act, sessions.get(account, session_id), token, proof)


def _entered(account: Account, act: Act, detail: str, events: Sequence[Happened] = ()) -> Decision:
    """Everything that this account owes at logon was given; an account that was frozen is open again."""
    account, noted = required.noted(account, act)
    opened = [Happened("unfrozen")] if account.frozen_at else []
    account = replace(account, frozen_at=None) if account.frozen_at else account
    account = replace(account, codes_refused=0) if account.codes_refused else account
    if account.head.seq > 1 and not devices.knows(act.device, account):
        account = owed.owe(account, act, "new browser")
    return Decision(account, [*events, Happened("logged on", detail), *opened, *noted])


def _code_refused(account: Account, act: Act, kind: str) -> Decision | None:
    """What a code that opens nothing leaves behind: an event, and a letter from the third on. A typo of its length is none."""
    if kind == "malformed":
        return None
    account = replace(account, codes_refused=account.codes_refused + 1)
    if account.codes_refused >= MANY_CODES:
        account = owed.owe(account, act, "recovery code refused", facts={"typed": str(account.codes_refused)})
    return Decision(account, [Happened("recovery code refused", kind if kind == "used before" else "")])


def _told(failed: Failed, act: Act) -> Failed:
    """An answer that was verified and refused is recorded and told, unless it was already; who cancels is no reason to worry."""
    if not failed.refused or failed.trace is None or failed.trace.events:
        return failed
    account = owed.owe(failed.trace.account, act, "key refused")
    return Failed(failed.kind, refused=True, trace=Decision(account, [Happened("key refused")]))
