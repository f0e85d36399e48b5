"""The races of the contract: who may win, when many tasks, and many processes, ask a backend the same at once.

Run as a program (`python -m backends.races ADDRESS RACE CALLERS`) it is the other process of a race: it says `ready`, waits for a
line on its standard input, asks, and prints its answers as JSON. It never asks what backend it got.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backends import open_backend
from backends.protocol import AlreadySpent, Backend, CounterBehind, KeyTaken, UsernameTaken
from backends.specimens import MINUTE, NOW, account, code, key, sealed, session, use

# the races: what is there before, and what each caller asks. An answer is whatever JSON can carry.

Prepare = Callable[[Backend], Awaitable[object]]
Ask = Callable[[Backend, str], Awaitable[Any]]
Verdict = Callable[[list[Any]], bool]


@dataclass(frozen=True, slots=True)
class Race:
    """`ask` gets a name that no other caller has. `fair` judges the answers of all callers."""

    prepare: Prepare
    ask: Ask
    fair: Verdict


def one_wins(answers: list[Any]) -> bool:
    return answers.count(True) == 1 and answers.count(False) == len(answers) - 1


def five_win(answers: list[Any]) -> bool:
    left = [answer for answer in answers if answer is not None]
    return sorted(left) == [0, 1, 2, 3, 4]


def all_differ(answers: list[Any]) -> bool:
    return sorted(answers) == list(range(1, len(answers) + 1))


def together_three(answers: list[Any]) -> bool:
    return bool(sum(answers) == 3)


async def _nothing(backend: Backend) -> None:
    """The race begins in an empty backend."""


async def _add_account(backend: Backend, who: str) -> bool:
    try:
        await backend.add_account(account(f"id-{who}", username="Straße"))
    except UsernameTaken:
        return False
    return True


async def _add_key(backend: Backend, who: str) -> bool:
    try:
        await backend.add_key(key(b"same", account_id=who))
    except KeyTaken:
        return False
    return True


async def _record_account(backend: Backend, who: str) -> bool:
    return await backend.record_account(account(), account(password_hash=who))


async def _spend_try(backend: Backend, who: str) -> int | None:
    spent = await backend.spend_try("alice", "bind", NOW)
    return None if spent is None else spent.tries_left


async def _take_code(backend: Backend, who: str) -> bool:
    return await backend.take_code("alice", "bind", b"digest")


async def _record_use(backend: Backend, who: str) -> bool:
    return await _did(backend.record_use(use(7, who)))


async def _answer(backend: Backend, who: str) -> bool:
    return await _did(backend.record_use(use(0)))


async def _did(question: Awaitable[object]) -> bool:
    try:
        await question
    except (AlreadySpent, CounterBehind):
        return False
    return True


async def _remove_key(backend: Backend, who: str) -> bool:
    return await backend.remove_key("alice", b"key")


async def _step_up(backend: Backend, who: str) -> bool:
    stepped_up = session(token_hash=who.encode(), stage="full")
    return await backend.record_session(session().token_hash, stepped_up)


async def _log_on(backend: Backend, who: str) -> bool:
    stepped_up = session(token_hash=who.encode(), stage="full")
    return await backend.record_logon(session().token_hash, stepped_up, sealed(who), use(0, who)) is not None


async def _log_on_by_one_ceremony(backend: Backend, who: str) -> bool:
    mine = session(who)
    await backend.put_session(mine)
    return await _did(backend.record_logon(mine.token_hash, replace(mine, stage="full"), sealed(who), use(0)))


async def _put_session_and_key(backend: Backend) -> None:
    await backend.put_session(session())
    await backend.add_key(key())


async def _remove_session(backend: Backend, who: str) -> bool:
    return await backend.remove_session("alice", "session")


async def _remove_sessions(backend: Backend, who: str) -> int:
    return await backend.remove_sessions_of("alice")


async def _put_sessions(backend: Backend) -> None:
    for id in ("one", "two", "three"):
        await backend.put_session(session(id))


async def _spend_once(backend: Backend, who: str) -> bool:
    return await backend.spend_once("ceremony", NOW + MINUTE)


async def _put_recovery_codes(backend: Backend) -> None:
    await backend.put_recovery_codes("alice", [b"a", b"b"], NOW)


async def _spend_recovery_code(backend: Backend, who: str) -> bool:
    return await backend.spend_recovery_code("alice", b"b", NOW)


async def _count_attempt(backend: Backend, who: str) -> int:
    return (await backend.count_attempt("bucket", NOW, MINUTE)).count


async def _begin_a_window_anew(backend: Backend) -> None:
    for _ in range(3):
        await backend.count_attempt("bucket", NOW - 2 * MINUTE, MINUTE)


async def _add_event(backend: Backend, who: str) -> int:
    return (await backend.add_event("alice", sealed(who))).seq


RACES: dict[str, Race] = {
    "one username": Race(_nothing, _add_account, one_wins),
    "one credential id": Race(_nothing, _add_key, one_wins),
    "the change of an account": Race(lambda b: b.add_account(account()), _record_account, one_wins),
    "five tries": Race(lambda b: b.put_code(code()), _spend_try, five_win),
    "one code": Race(lambda b: b.put_code(code()), _take_code, one_wins),
    "one signature count": Race(lambda b: b.add_key(key()), _record_use, one_wins),
    "the answer to a ceremony": Race(lambda b: b.add_key(key()), _answer, one_wins),
    "the removal of a key": Race(lambda b: b.add_key(key()), _remove_key, one_wins),
    "the step up of a session": Race(lambda b: b.put_session(session()), _step_up, one_wins),
    "the logon of a session": Race(_put_session_and_key, _log_on, one_wins),
    "one ceremony for many logons": Race(lambda b: b.add_key(key()), _log_on_by_one_ceremony, one_wins),
    "the end of a session": Race(lambda b: b.put_session(session()), _remove_session, one_wins),
    "the end of three sessions": Race(_put_sessions, _remove_sessions, together_three),
    "one ceremony": Race(_nothing, _spend_once, one_wins),
    "one recovery code": Race(_put_recovery_codes, _spend_recovery_code, one_wins),
    "a count of attempts": Race(_nothing, _count_attempt, all_differ),
    "a count in a new window": Race(_begin_a_window_anew, _count_attempt, all_differ),
    "a chain of events": Race(_nothing, _add_event, all_differ),
}


async def run(backend: Backend, race: Race, names: Sequence[str]) -> list[Any]:
    """The answers of as many tasks as there are names, all asking at once."""
    return list(await asyncio.gather(*(race.ask(backend, name) for name in names)))


async def run_with_another_process(backend: Backend, url: str, name: str, callers: int) -> list[Any]:
    """The answers of both processes: half of the callers ask in a second one that opened the same address."""
    half = callers // 2
    command = [sys.executable, "-m", "backends.races", url, name, str(callers - half)]
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    if other.stdin is None or other.stdout is None:
        raise RuntimeError("the other process has no pipes")
    await other.stdout.readline()
    other.stdin.write(b"go\n")
    await other.stdin.drain()
    answers = await run(backend, RACES[name], [f"here-{number}" for number in range(half)])
    rest, _ = await other.communicate()
    return answers + list(json.loads(rest))


async def _other_process(url: str, name: str, callers: int) -> None:
    backend = await open_backend(url)
    try:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        answers = await run(backend, RACES[name], [f"there-{number}" for number in range(callers)])
        sys.stdout.write(json.dumps(answers))
    finally:
        await backend.close()


if __name__ == "__main__":
    asyncio.run(_other_process(sys.argv[1], sys.argv[2], int(sys.argv[3])))
