"""The sender: takes letters that accounts are owed, hands them to the mail server, and has them struck off. One in each process.

A letter is leased before it is sent, by a commit that moves its due time, so that two machines do not send the same; who cannot
send it in time leaves it. What the mail server does not take is tried again with growing pauses for three days. Never loses one:
it is owed until it was taken.
"""

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, Literal

from backends.protocol import Backend, Damaged, Unavailable
from backends.records import Account, Notification
from webapp import clock, logs
from webapp.accounts import commits, mislaying, owed
from webapp.accounts.codes import Purpose
from webapp.accounts.commits import Uncertain
from webapp.accounts.context import Context
from webapp.accounts.decision import AccountGone
from webapp.metrics import Metrics
from webapp.notifications import letters, mail, verification
from webapp.notifications.mail import Mailer, MailFailed
from webapp.settings import Settings

LOOK_EVERY = 15.0
"""Seconds between two looks for what is due."""
AT_ONCE = 8
"""How many accounts' letters are on their way at the same time."""
PAGE = 100
MAX_STUCK = 1000
"""How many accounts that take no change a look goes past: if none takes any, it must not read more and more."""
NEEDED = timedelta(seconds=mail.SECONDS + 5)
"""What must be left of a lease for a letter to be sent, and struck off, before somebody else may send it."""
AGAIN_IN = (1.0, 4.0, 15.0, 60.0)
"""Seconds between attempts at what is done after an answer."""
GRACE = 5.0
"""Seconds that letters on their way get to arrive in when the process stops."""

log = logging.getLogger("keystead.letters")


class Sender:
    """Sends what accounts are owed, until it is closed."""

    def __init__(self, settings: Settings, backend: Backend, mailer: Mailer, metrics: Metrics) -> None:
        self.mailer = mailer
        self._closed = False
        self._ctx = Context(settings, backend, metrics, owes=self.owes)
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._damaged: set[str] = set()
        self._stuck = 0
        """How many accounts were due at the last look and could not be taken: they are due first at the next one."""
        self.failed: list[tuple[Account, str]] = []
        """What was not mailed, and why, newest last: for the command line, which says so."""

    def owes(self, account: Account, notifications: Sequence[Notification]) -> None:
        """Send at once what a commit of this process has made due."""
        if at_once := [each for each in notifications if each.due_at - each.at <= owed.LEASE]:
            self._keep(self._send_in_turn(account, at_once))

    def later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this once the answer has gone, so that its time tells nothing. While the backend cannot, it is tried again."""
        self._keep(self._done(work))

    async def send_code(
        self, ctx: Context, account: Account, session_id: str, purpose: Purpose, email: str
    ) -> tuple[Account, bool]:
        """The account, and whether the code that was mailed is one that was sent before. NotSent otherwise."""
        return await verification.send(ctx, self.mailer, account, session_id, purpose, email)

    async def run(self) -> AsyncGenerator[float, None]:
        """Look for what is due, again and again. Gives the seconds until it goes on, each time."""
        while True:
            try:
                await self.look()
            except Unavailable as unavailable:
                log.warning("no look for letters: %s", unavailable)
            yield LOOK_EVERY

    async def look(self) -> None:
        """Take what is due, and send it. Returns once the last of it is being sent. One account's trouble is no other's."""
        wait = defaultdict[str, list[str]](list)
        due = await self._ctx.backend.owing(clock.now(), PAGE + self._stuck, damaged=self._name)
        stuck = len(due)
        for account in due:
            try:
                async with self._room:  # so that nothing is leased long before it can be sent
                    taken = None if self._closed else await self._taken(account)
            except Unavailable as unavailable:
                wait[str(unavailable)].append(account.id)
            except Exception:  # a mistake of ours
                log.exception("letters of account %s wait", account.id)
            else:
                if taken:
                    stuck -= 1
                    self._keep(self._send_in_turn(*taken))
        self._stuck = min(stuck, MAX_STUCK)
        for reason, ids in wait.items():
            logs.write(log, logging.WARNING, "letters wait", accounts=len(ids), first=ids[0], reason=reason)

    async def close(self) -> None:
        """Wait a moment for what is under way. What does not arrive is sent by another process, or by the next one."""
        self._closed = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def settle(self) -> None:
        """Return once nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _name(self, damaged: Damaged) -> None:
        """Once: every look finds it."""
        if damaged.account_id not in self._damaged:
            self._damaged.add(damaged.account_id)
            logs.write(log, logging.ERROR, "gets no letters (run: keystead doctor)", account=damaged.account_id, reason=damaged)

    async def _taken(self, account: Account) -> tuple[Account, list[Notification]] | None:
        """The account, and what we have leased of what it is owed. A mislaid key that is overdue is unbound first."""
        holder = secrets.token_urlsafe(12)
        try:
            account = await commits.change(self._ctx, account, mislaying.unbind_overdue)
            account = await commits.change(self._ctx, account, owed.lease, holder)
        except (AccountGone, Uncertain):
            return None  # what is uncertain is due again after the lease
        mine = [each for each in account.notifications if each.holder == holder]
        return (account, mine) if mine else None

    async def _done(self, work: Callable[[], Awaitable[None]]) -> None:
        for pause in (0.0, *AGAIN_IN):
            await asyncio.sleep(pause)
            try:
                return await work()
            except (Unavailable, Uncertain, AccountGone) as trouble:
                log.warning("not done after the answer: %s", type(trouble).__name__)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        if self._closed:
            return work.close()
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send_in_turn(self, account: Account, notifications: Sequence[Notification]) -> None:
        async with self._room:
            for each in notifications:
                if clock.now() + NEEDED > each.due_at:
                    return  # the lease is as good as over: whoever looks next takes what is left
                if not await self._is_seen_to(account, each):
                    return

    async def _is_seen_to(self, account: Account, notification: Notification) -> bool:
        """Whether it was sent, or put off, and that is recorded. What is sent and not recorded would be sent again."""
        operation = owed.sent if await self._is_accepted(account, notification) else owed.not_sent
        for pause in AGAIN_IN[:-1]:
            try:
                account = await commits.change(self._ctx, account, operation, notification.id)
            except AccountGone:
                return False
            except (Unavailable, Uncertain) as trouble:
                log.warning("letter not struck off: %s", type(trouble).__name__)
                await asyncio.sleep(pause)
            else:
                self._count(account, notification, operation is owed.sent)
                return True
        return False

    def _count(self, account: Account, notification: Notification, sent: bool) -> None:
        is_owed = any(each.id == notification.id for each in account.notifications)
        self._ctx.metrics.letter(notification.kind, "sent" if sent else "put off" if is_owed else "given up")

    async def _is_accepted(self, account: Account, notification: Notification) -> bool:
        try:
            await self.mailer.send(letters.compose(self._ctx.settings, account, notification))
        except MailFailed as failed:
            logs.write(log, logging.ERROR, "not mailed", kind=notification.kind, account=account.id, reason=failed)
            return self._has_failed(account, str(failed))
        except Exception as mistake:  # of ours: put off as well, else it would be due at every look, and keep later letters
            log.exception("not mailed: %s of account %s", notification.kind, account.id)
            return self._has_failed(account, f"a mistake of ours ({type(mistake).__name__})")
        return True

    def _has_failed(self, account: Account, reason: str) -> Literal[False]:
        self.failed = [*self.failed[-AT_ONCE:], (account, reason)]
        return False
