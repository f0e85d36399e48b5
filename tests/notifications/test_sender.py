"""Letters that are owed arrive: over a real socket, from a real file, whoever dies meanwhile."""

import asyncio
import contextlib
import logging
import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace

from backends import transfer
from backends.protocol import Backend, OnDamaged, Unavailable
from backends.records import Account, Notification
from tests.accounts.samples import DAY, HOUR, MINUTE, NOW, SECOND, account, key
from tests.accounts.samples import logged_on as with_session
from tests.accounts.test_commits import Failing
from tests.notifications.conftest import Process, Start, Time, quiet
from tests.notifications.post import Post
from tests.waiting import going_on, until
from webapp.accounts import codes, commits, identities, keys, links, mislaying, owed, sessions
from webapp.accounts.codes import Wrong
from webapp.accounts.context import Act
from webapp.accounts.decision import Decision
from webapp.accounts.events import Verifier
from webapp.notifications import letters, mail, sender
from webapp.notifications.mail import Letter, Mailer, MailFailed
from webapp.notifications.verification import NotSent
from webapp.settings import Settings

pytestmark = pytest.mark.anyio


def owe_key_bound(account: Account, act: Act, name: str = "Blue") -> Decision:
    return Decision(owed.owe(account, act, "key bound", facts={"key": name}))


def owe_three(account: Account, act: Act) -> Decision:
    for name in ("Blue", "Red", "Green"):
        account = owe_key_bound(account, act, name).account
    return Decision(account)


async def owing(process: Process) -> list[str]:
    return [each.kind for each in (await process.account()).notifications]


# the way of a letter


async def test_a_letter_owed_by_a_commit_is_sent_at_once_and_struck_off(process: Process, mail_server: Post) -> None:
    await process.change(identities.set_password, "$new")
    await process.sender.settle()
    assert mail_server.subjects == ["Your password was changed"]
    assert await owing(process) == []
    assert process.metrics.letters == {"sent": 1}


async def test_what_another_process_owes_and_does_not_send_is_sent_by_whoever_looks(
    process: Process, mail_server: Post, time: Time
) -> None:
    await commits.change(quiet(process), await process.account(), owe_three)
    await process.look()
    assert mail_server.letters == [], "it is leased to the process that owes it"
    time.move(owed.LEASE)
    await process.look()
    assert len(mail_server.letters) == 3
    assert await owing(process) == []


async def test_what_is_due_later_is_sent_when_it_is_due(process: Process, mail_server: Post, time: Time) -> None:
    def tomorrow(account: Account, act: Act) -> Decision:
        return Decision(owed.owe(account, act, "opening waits", due_at=NOW + DAY, facts={"opens": "0"}))

    await process.change(tomorrow)
    time.move(DAY - SECOND)
    await process.look()
    assert mail_server.letters == []
    time.move(SECOND)
    await process.look()
    assert mail_server.subjects == ["Your account will still open without a key"]


# the mail server is down


async def test_a_letter_waits_for_the_mail_server_with_growing_pauses(process: Process, mail_server: Post, time: Time) -> None:
    await mail_server.close()
    await process.change(identities.set_password, "$new")
    await process.sender.settle()
    for pause in owed.PAUSES:
        time.move(pause - SECOND)
        await process.look()
        (letter,) = (await process.account()).notifications
        assert letter.due_at == time.now + SECOND
        time.move(SECOND)
        await process.look()
    assert process.metrics.letters == {"put off": 1 + len(owed.PAUSES)}
    await mail_server.open()
    time.move(HOUR)
    await process.look()
    assert mail_server.subjects == ["Your password was changed"]
    assert await owing(process) == []
    assert await process.events() == ["password changed: "]


async def test_a_letter_that_is_refused_is_put_off_as_well(process: Process, mail_server: Post, time: Time) -> None:
    mail_server.refuses = True
    await process.change(identities.set_password, "$new")
    await process.sender.settle()
    assert await owing(process) == ["password changed"]
    mail_server.refuses = False
    time.move(owed.PAUSES[0])
    await process.look()
    assert len(mail_server.letters) == 1


async def test_after_three_days_it_is_an_event_and_a_metric(process: Process, mail_server: Post, time: Time) -> None:
    mail_server.refuses = True
    await process.change(identities.set_password, "$new")
    await process.sender.settle()
    while time.now < NOW + 2 * DAY:
        time.move(HOUR)
        await process.look()
    assert await owing(process) == ["password changed"]
    while time.now < NOW + 4 * DAY:
        time.move(HOUR)
        await process.look()
    assert await owing(process) == []
    assert await process.events() == ["password changed: ", "not mailed: password changed"]
    assert process.metrics.letters["given up"] == 1
    verifier = Verifier(process.ctx.settings.secret_keys)
    assert [fault async for fault in transfer.check(process.ctx.backend, verifier)] == []


async def test_of_several_letters_those_that_were_taken_are_struck_off(process: Process, mail_server: Post, time: Time) -> None:
    class OneOnly:
        """Takes one letter."""

        def __init__(self, mailer: Mailer) -> None:
            self.mailer, self.sent = mailer, 0

        async def send(self, letter: Letter) -> None:
            self.sent += 1
            if self.sent != 2:
                raise MailFailed("not this one")
            await self.mailer.send(letter)

        async def reach(self) -> None:
            await self.mailer.reach()

    process.sender.mailer = OneOnly(process.sender.mailer)
    await process.change(owe_three)
    await process.sender.settle()
    assert [each.facts["key"] for each in (await process.account()).notifications] == ["Blue", "Green"]


async def test_a_letter_that_this_version_has_no_words_for_stops_no_other(process: Process, mail_server: Post) -> None:
    def of_tomorrow(account: Account, act: Act) -> Decision:
        account = owe_key_bound(account, act).account
        (letter,) = account.notifications
        return Decision(owe_key_bound(replace(account, notifications=(replace(letter, kind="of tomorrow"),)), act).account)

    await process.change(of_tomorrow)
    await process.sender.settle()
    assert mail_server.subjects == ["A security key was bound to your account"]
    assert await owing(process) == ["of tomorrow"]


# somebody else's record


async def test_however_many_damaged_accounts_are_owed_letters_the_others_get_theirs(
    process: Process, mail_server: Post, time: Time, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = quiet(process)
    for number in range(sender.PAGE + 1):
        damaged = await commits.add(ctx, account(id=f"d{number}", username=f"d{number}", email=f"d{number}@example.com"))
        await commits.change(ctx, damaged, owe_key_bound)
    with contextlib.closing(sqlite3.connect(tmp_path / "keystead.db")) as db, db:
        db.execute("UPDATE accounts SET document = '{}' WHERE id LIKE 'd%'")
    time.move(SECOND)
    await commits.change(ctx, await process.account(), owe_key_bound)
    time.move(owed.LEASE)
    for _ in range(2):
        await process.look()
    assert mail_server.subjects == ["A security key was bound to your account"]
    named = [record.__dict__["fields"]["account"] for record in caplog.records if "gets no letters" in record.message]
    assert sorted(named) == sorted(f"d{number}" for number in range(sender.PAGE + 1)), "each once, however often we look"


class Stuck(Failing):
    """Takes no change of some accounts."""

    def __getattr__(self, name: str) -> Any:
        query = super().__getattr__(name)

        async def ask(was: Account, *more: Any) -> Any:
            if was.id.startswith("stuck"):
                raise Unavailable("not this one")
            return await query(was, *more)

        return ask if name == "commit" else query


class StuckAndMute(Stuck):
    """Nor says what became of it."""

    def __getattr__(self, name: str) -> Any:
        query = super().__getattr__(name)

        async def ask(account_id: str) -> Any:
            if account_id.startswith("stuck"):
                raise Unavailable("nor this")
            return await query(account_id)

        return ask if name == "account" else query


@pytest.mark.parametrize("wrap", [Stuck, StuckAndMute])
async def test_however_many_accounts_cannot_be_changed_the_others_get_their_letters(
    process: Process, start: Start, mail_server: Post, time: Time, wrap: type[Failing]
) -> None:
    ctx = quiet(process)
    for number in range(2 * sender.PAGE + 1):
        id = f"stuck{number}"
        await commits.change(ctx, await commits.add(ctx, account(id=id, username=id, email=f"{id}@example.com")), owe_key_bound)
    time.move(SECOND)
    await commits.change(ctx, await process.account(), owe_key_bound)
    time.move(owed.LEASE)
    other = await start(wrap=wrap)
    for _ in range(3):
        await other.look()
    assert [str(letter["to"]) for letter in mail_server.letters] == ["alice@example.com"]


async def test_while_nothing_can_be_changed_no_look_reads_without_end(
    process: Process, start: Start, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PAGE", 1)
    monkeypatch.setattr(sender, "MAX_STUCK", 2)
    asked: list[int] = []

    class Noted(Stuck):
        def __getattr__(self, name: str) -> Any:
            query = super().__getattr__(name)

            async def ask(now: object, limit: int, **more: Any) -> Any:
                asked.append(limit)
                return await query(now, limit, **more)

            return ask if name == "owing" else query

    ctx = quiet(process)
    for number in range(5):
        id = f"stuck{number}"
        await commits.change(ctx, await commits.add(ctx, account(id=id, username=id, email=f"{id}@example.com")), owe_key_bound)
    time.move(owed.LEASE)
    other = await start(wrap=Noted)
    for _ in range(5):
        await other.look()
    assert asked == [1, 2, 3, 3, 3]


async def test_an_account_that_cannot_be_changed_keeps_no_letter_from_another(
    process: Process, start: Start, mail_server: Post, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    ctx = quiet(process)
    for stuck in (await commits.add(ctx, account(id="stuck", username="stuck", email="s@example.com")), await process.account()):
        await commits.change(ctx, stuck, owe_key_bound)
        time.move(SECOND)
    time.move(owed.LEASE)
    await (await start(wrap=Stuck)).look()
    assert [str(letter["to"]) for letter in mail_server.letters] == ["alice@example.com"]
    (told,) = [record.__dict__["fields"] for record in caplog.records if record.message == "letters wait"]
    assert told == {"accounts": 1, "first": "stuck", "reason": "not this one"}


async def test_a_mistake_of_ours_about_one_account_keeps_no_letter_from_another(
    process: Process, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unbind_overdue(account: Account, act: Act) -> Decision:
        if account.id == "stuck":
            raise TypeError("of our own")
        return Decision(account)

    monkeypatch.setattr(mislaying, "unbind_overdue", unbind_overdue)
    ctx = quiet(process)
    for stuck in (await commits.add(ctx, account(id="stuck", username="stuck", email="s@example.com")), await process.account()):
        await commits.change(ctx, stuck, owe_key_bound)
        time.move(SECOND)
    time.move(owed.LEASE)
    await process.look()
    assert [str(letter["to"]) for letter in mail_server.letters] == ["alice@example.com"]
    (told,) = [record for record in caplog.records if record.message == "letters of account stuck wait"]
    assert "of our own" in str(told.exc_info)


async def test_a_mistake_of_ours_in_a_letter_is_an_attempt_that_failed_and_keeps_no_later_letter(
    process: Process, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compose = letters.compose

    def mistaken(settings: Settings, account: Account, letter: Notification) -> Letter:
        if letter.facts["key"] == "Blue":
            raise TypeError("of our own")
        return compose(settings, account, letter)

    monkeypatch.setattr(letters, "compose", mistaken)
    await process.change(owe_three)
    await process.sender.settle()
    assert len(mail_server.letters) == 2
    (stuck,) = (await process.account()).notifications
    assert (stuck.facts["key"], stuck.due_at, stuck.attempts) == ("Blue", NOW + owed.PAUSES[0], 1)
    (told,) = [record for record in caplog.records if record.message == "not mailed: key bound of account alices-id"]
    assert "of our own" in str(told.exc_info)
    assert [reason for _, reason in process.sender.failed] == ["a mistake of ours (TypeError)"]
    while time.now < NOW + 4 * DAY:
        time.move(HOUR)
        await process.look()
    assert await process.events() == ["not mailed: key bound"]
    assert process.metrics.letters["given up"] == 1


async def test_letters_that_no_mail_server_takes_stand_behind_those_that_were_not_tried(
    process: Process, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "PAGE", 2)
    mail_server.refuses = True
    ctx = quiet(process)
    for number in range(4):
        refused = await commits.add(ctx, account(id=f"r{number}", username=f"r{number}", email=f"r{number}@example.com"))
        await commits.change(ctx, refused, owe_key_bound)
    time.move(owed.LEASE)
    for _ in range(2):
        await process.look()
    due = {each.id: each.notifications[0].attempts for each in await ctx.backend.owing(time.now + HOUR, 10)}
    assert due == {f"r{number}": 1 for number in range(4)}


# several processes


async def test_two_senders_do_not_send_the_same(process: Process, start: Start, mail_server: Post, time: Time) -> None:
    for number in range(10):
        await commits.add(process.ctx, account(id=f"id-{number}", username=f"name-{number}", email=f"{number}@example.com"))
    processes = [process, *[await start() for _ in range(3)]]
    async for each in process.ctx.backend.accounts():
        await commits.change(quiet(process), each, owe_three)
    time.move(owed.LEASE)
    await asyncio.gather(*(each.look() for each in processes))
    assert len(mail_server.letters) == 33
    assert len({(str(letter["to"]), text) for letter, text in zip(mail_server.letters, mail_server.texts, strict=True)}) == 33
    assert await process.ctx.backend.owing(time.now + DAY, 100) == []


async def test_a_letter_that_is_being_sent_is_not_taken_by_somebody_else(
    process: Process, start: Start, mail_server: Post, time: Time
) -> None:
    other = await start()
    mail_server.open_door.clear()
    await process.change(owe_key_bound)
    time.move(30 * SECOND)
    await other.look()
    mail_server.open_door.set()
    await process.sender.settle()
    await other.look()
    assert len(mail_server.letters) == 1


async def test_who_comes_too_late_for_its_lease_leaves_the_letter(
    process: Process, start: Start, mail_server: Post, time: Time
) -> None:
    """A slow mail server: what waits for its turn is leased by somebody else by then."""
    mail_server.open_door.clear()
    for _ in range(sender.AT_ONCE + 2):
        await process.change(owe_key_bound)
    await until(lambda: mail_server.waiting == sender.AT_ONCE)
    time.move(50 * SECOND)
    mail_server.open_door.set()
    await process.sender.settle()
    assert len(mail_server.letters) == sender.AT_ONCE
    assert len(await owing(process)) == 2
    time.move(10 * SECOND)
    await asyncio.gather(process.look(), (await start()).look())
    assert len(mail_server.letters) == sender.AT_ONCE + 2
    assert await owing(process) == []


async def test_a_sender_that_dies_between_sending_and_striking_off_sends_at_most_twice(
    process: Process, start: Start, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dies:
        """Sends, and then the process is gone."""

        def __init__(self, mailer: Mailer) -> None:
            self.mailer = mailer

        async def send(self, letter: Letter) -> None:
            await self.mailer.send(letter)
            await asyncio.Event().wait()

        async def reach(self) -> None:
            await self.mailer.reach()

    monkeypatch.setattr(sender, "GRACE", 0.05)
    dying = await start(mailer=Dies(process.sender.mailer))
    await dying.change(owe_key_bound)
    await until(lambda: bool(mail_server.letters))
    await dying.sender.close()
    assert await owing(process) == ["key bound"]
    time.move(owed.LEASE)
    for _ in range(3):
        await process.look()
        time.move(owed.LEASE)
    assert len(mail_server.letters) == 2
    assert await owing(process) == []


async def test_no_fact_is_lost_over_a_restart(process: Process, start: Start, mail_server: Post, time: Time) -> None:
    await mail_server.close()
    await process.change(owe_key_bound, "Blue key of Zoë")
    await process.sender.close()
    await process.ctx.backend.close()
    await mail_server.open()
    time.move(HOUR)
    again = await start()
    await again.look()
    (text,) = mail_server.texts
    for fact in ("Blue key of Zoë", "Firefox 156 on Linux", "192.0.2.1", "24 November 2026, 03:00 UTC"):
        assert fact in text
    assert await owing(again) == []


# links are signed when they are sent


def link_in(text: str) -> str:
    (found,) = re.findall(r"token=(\S+)", text)
    return parse_qs(f"token={found}")["token"][0]


async def test_a_link_is_good_from_the_moment_at_which_its_letter_leaves(process: Process, mail_server: Post, time: Time) -> None:
    await mail_server.close()
    await process.change(identities.owe_reset)
    await process.sender.settle()
    await mail_server.open()
    time.move(2 * HOUR)
    await process.look()
    token, given = link_in(mail_server.texts[0]), process.ctx.settings
    link = links.read(given, "reset", token, time.now + 30 * MINUTE - SECOND)
    assert link
    assert links.read(given, "reset", token, time.now + 30 * MINUTE) is None
    assert link.fact == links.fingerprint(await process.account())
    assert token not in str(await process.account())


async def test_not_me_is_about_the_moment_of_the_event_however_late_its_letter_leaves(
    process: Process, mail_server: Post, time: Time
) -> None:
    await mail_server.close()
    await process.change(owe_key_bound)
    await process.sender.settle()
    await mail_server.open()
    time.move(2 * DAY)
    await process.look()
    link = links.read(process.ctx.settings, "not me", link_in(mail_server.texts[0]), time.now + 7 * DAY - SECOND)
    assert link
    assert int(link.fact) == round(NOW.timestamp() * 1000)


# outages of the backend, and the end


async def test_a_letter_is_struck_off_though_the_backend_fails_for_a_moment(
    process: Process, start: Start, mail_server: Post, time: Time
) -> None:
    class Once(Failing):
        """Fails at the first commit."""

        def __getattr__(self, name: str) -> Any:
            if name == "commit" and "commit" in self.asked:
                self._before = ()
            return super().__getattr__(name)

    other = await start(wrap=lambda backend: Once(backend, before=["commit"]))
    await other.change(owe_key_bound)
    await other.sender.settle()
    time.move(owed.LEASE)
    await process.look()
    assert len(mail_server.letters) == 1
    assert await owing(process) == []


async def test_looking_goes_on_while_the_backend_does_not_answer(
    process: Process, start: Start, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LOOK_EVERY", 0.01)
    failing: list[Failing] = []

    def wrap(backend: Backend) -> Failing:
        failing.append(Failing(backend, before=["owing"]))
        return failing[0]

    other = await start(wrap=wrap)
    await commits.change(quiet(process), await process.account(), owe_key_bound)
    time.move(owed.LEASE)
    async with going_on(other.sender.run()):
        await until(lambda: len(failing[0].asked) > 2)
        failing[0]._before = ()
        await until(lambda: bool(mail_server.letters))


async def test_closing_waits_for_what_is_under_way(process: Process, mail_server: Post) -> None:
    mail_server.open_door.clear()
    await process.change(owe_key_bound)
    await until(lambda: bool(mail_server.waiting))
    asyncio.get_running_loop().call_later(0.1, mail_server.open_door.set)
    await process.sender.close()
    assert len(mail_server.letters) == 1
    assert await owing(process) == []


async def test_closing_waits_no_longer_than_it_may_and_leaves_no_task_behind(
    process: Process, mail_server: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GRACE", 0.05)
    mail_server.open_door.clear()
    before = asyncio.all_tasks()
    await process.change(owe_three)
    await until(lambda: bool(mail_server.waiting))
    await process.sender.close()
    ours = [task for task in asyncio.all_tasks() - before if "Sender" in str(task.get_coro())]
    assert ours == []
    assert len(await owing(process)) == 3


async def test_a_look_that_goes_on_while_the_sender_closes_takes_nothing_from_other_senders(
    process: Process, start: Start, mail_server: Post, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leased and could not send would have to wait for the end of the lease."""
    await commits.change(quiet(process), await process.account(), owe_three)
    time.move(owed.LEASE)
    ask = process.ctx.backend.owing

    async def closing(now: datetime, limit: int, *, damaged: OnDamaged) -> list[Account]:
        due = await ask(now, limit, damaged=damaged)
        await process.sender.close()
        return due

    monkeypatch.setattr(process.ctx.backend, "owing", closing)
    await process.sender.look()
    await (await start()).look()
    assert len(mail_server.letters) == 3


async def test_a_sender_that_is_closed_begins_nothing(process: Process, mail_server: Post) -> None:
    await process.sender.close()
    await process.change(owe_key_bound)
    await process.sender.settle()
    assert mail_server.letters == []
    assert await owing(process) == ["key bound"]


async def test_what_is_done_after_the_answer_is_tried_again_while_the_backend_fails(process: Process) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Unavailable("not now")

    process.sender.later(work)
    await process.sender.settle()
    assert tries == 3


async def test_what_is_done_after_the_answer_is_tried_behind_every_pause(process: Process) -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        raise Unavailable("not now")

    process.sender.later(work)
    await process.sender.settle()
    assert tries == 1 + len(sender.AGAIN_IN)


# codes, which a person waits for


async def logged_on(process: Process) -> tuple[Account, str]:
    def begin(account: Account, act: Act) -> Decision:
        return Decision(sessions.begin(account, act, "token", "authenticated"))

    was = await process.change(begin)
    return was, was.sessions[0].id


async def send_code(process: Process, session_id: str) -> tuple[Account, bool]:
    return await process.sender.send_code(process.ctx, await process.account(), session_id, "bind", "alice@example.com")


async def test_the_code_that_is_mailed_is_the_one_that_is_waited_for(process: Process, mail_server: Post, time: Time) -> None:
    was, session_id = await logged_on(process)
    was, again = await send_code(process, session_id)
    assert not again
    digits = codes.digits(was.id, was.codes[0], process.ctx.settings.secret_keys)
    assert digits
    assert digits in mail_server.texts[0]
    with pytest.raises(NotSent, match="too soon") as caught:
        await send_code(process, session_id)
    assert caught.value.seconds == 60
    time.move(MINUTE)
    _, again = await send_code(process, session_id)
    assert again
    assert digits in mail_server.texts[1]
    assert process.metrics.codes == {"sent": 1, "too soon": 1, "sent again": 1}


async def test_ten_mails_a_day_are_the_most_and_asking_at_once_uses_up_no_more(
    process: Process, mail_server: Post, time: Time
) -> None:
    _, session_id = await logged_on(process)
    results = await asyncio.gather(*(send_code(process, session_id) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(result, tuple) for result in results) == 1
    for _ in range(9):
        time.move(MINUTE)
        await send_code(process, session_id)
    time.move(MINUTE)
    before = await process.account()
    with pytest.raises(NotSent, match="too often"):
        await send_code(process, session_id)
    assert len(mail_server.letters) == 10
    assert await process.account() == before, "no code that nobody was sent can be guessed at"


async def test_while_no_mail_leaves_asking_costs_nothing_and_gives_nothing_to_guess_at(
    process: Process, mail_server: Post, caplog: pytest.LogCaptureFixture
) -> None:
    await mail_server.close()
    _, session_id = await logged_on(process)
    for _ in range(12):
        with pytest.raises(NotSent, match="mail failed") as caught:
            await send_code(process, session_id)
        assert caught.value.account.codes == ()
    reasons = {str(getattr(record, "fields", {}).get("reason")) for record in caplog.records if "not mailed" in record.message}
    assert reasons == {f"127.0.0.1:{mail_server.port} cannot be reached"}
    await mail_server.open()
    assert await send_code(process, session_id)


async def test_while_the_mail_server_hangs_no_more_codes_are_guessed_at_than_in_ten_mails(
    process: Process, mail_server: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each code that was made has five tries, until its mail has failed: they must not be had without end."""
    monkeypatch.setattr(mail, "SECONDS", 0.2)
    mail_server.open_door.clear()
    _, session_id = await logged_on(process)
    judged, kind = 0, ""

    def guess(account: Account, act: Act) -> Decision:
        digits = codes.digits(account.id, account.codes[0], act.settings.secret_keys) if account.codes else None
        wrong = str((int(digits or 0) + 1) % 10**6).zfill(6)
        return Decision(codes.consume(account, act, session_id, "bind", wrong)[0])

    async def asked() -> str:
        try:
            await send_code(process, session_id)
        except NotSent as not_sent:
            return not_sent.kind
        return "sent"

    for _ in range(14):
        asking = asyncio.get_running_loop().create_task(asked())
        await asyncio.sleep(0.05)
        for _ in range(6):
            try:
                await process.change(guess)
            except Wrong as wrong:
                judged += wrong.kind == "wrong"
        kind = await asking
    assert kind == "too often"
    assert judged <= 50


# what stands in a log


async def test_a_log_names_no_address_no_code_and_no_token(
    process: Process, mail_server: Post, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, session_id = await logged_on(process)
    mail_server.refuses = True
    await process.change(identities.owe_reset)
    await process.change(owe_key_bound)
    with pytest.raises(NotSent):
        await send_code(process, session_id)
    await process.sender.settle()
    mail_server.refuses = False
    time.move(2 * MINUTE)
    await process.look()
    await send_code(process, session_id)
    ours = [record for record in caplog.records if record.name.startswith("keystead")]
    said = "\n".join(f"{record.getMessage()} {getattr(record, 'fields', '')} {record.exc_text or ''}" for record in ours)
    assert "not mailed" in said
    assert "refused the letter (451)" in said
    assert "@" not in said
    for found in (*re.findall(r"\d{6}", " ".join(mail_server.texts)), *map(link_in, mail_server.texts[:2])):
        assert found not in said


def test_the_time_that_a_letter_needs_is_left_of_its_lease() -> None:
    assert sender.NEEDED.total_seconds() > mail.SECONDS
    assert sender.NEEDED < owed.LEASE


# a mislaid key


def mislay(account: Account, act: Act) -> Decision:
    """As its owner does it, in a session that is proven."""
    account, session, _ = with_session(account, "key", after=act.now - NOW)
    return mislaying.mislay(account, act, account.keys[0].id, session.id, "token")


async def test_a_mislaid_key_is_told_of_at_once_and_a_day_before_it_is_unbound(
    process: Process, mail_server: Post, time: Time
) -> None:
    await process.change(bind_blue)
    await process.change(mislay)
    await process.sender.settle()
    assert mail_server.subjects == ["A security key is mislaid"]
    told = []
    for _ in range(8):
        time.move(DAY)
        await process.look()
        told.append(len((await process.account()).keys))
    assert told == [1] * 6 + [0] * 2
    assert mail_server.subjects[1:] == [
        "Tomorrow a mislaid security key is unbound",
        "A security key was unbound from your account",
    ]
    assert "7 days after it was said to be mislaid" in mail_server.texts[-1]
    assert (await process.events())[-1] == "key unbound: Key blue"
    assert await owing(process) == []


async def test_a_mislaid_key_that_was_found_is_not_unbound(process: Process, mail_server: Post, time: Time) -> None:
    await process.change(bind_blue)
    await process.change(mislay)
    await process.change(keys.reinstate, b"blue")
    await process.sender.settle()
    for _ in range(8):
        time.move(DAY)
        await process.look()
    assert len((await process.account()).keys) == 1
    assert mail_server.subjects == ["A security key is mislaid", "A mislaid security key is back"]


def bind_blue(account: Account, act: Act) -> Decision:
    return Decision(replace(account, keys=(key(b"blue"),)))
