"""The races of the contract: who may win, when many tasks, and many processes, ask a backend the same at once.

Run as a program (`python -m backends.contract.races ADDRESS RACE CALLERS`) it is the other process of a race: it says `ready`,
waits for a line on its standard input, asks, and prints its answers as JSON. It never asks what backend it got.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from backends import open_backend
from backends.contract.samples import MINUTE, NOW, account, after, key
from backends.protocol import Backend, KeyTaken, UsernameTaken

Prepare = Callable[[Backend], Awaitable[object]]
Ask = Callable[[Backend, str], Awaitable[Any]]
Verdict = Callable[[list[Any]], bool]


@dataclass(frozen=True, slots=True)
class Race:
    """`prepare` stores what is there before. `ask` gets a name that no other caller has, and answers what JSON can carry.

    `fair` judges the answers of all callers.
    """

    prepare: Prepare
    ask: Ask
    fair: Verdict


def one_wins(answers: list[Any]) -> bool:
    return answers.count(True) == 1 and answers.count(False) == len(answers) - 1


def all_differ(answers: list[Any]) -> bool:
    return sorted(answers) == list(range(1, len(answers) + 1))


async def nothing(backend: Backend) -> None:
    """The race begins in an empty backend."""


async def _alice(backend: Backend) -> None:
    await backend.add(account())


async def _accepted(query: Awaitable[object]) -> bool:
    try:
        return await query is not False
    except (UsernameTaken, KeyTaken):
        return False


async def _add(backend: Backend, who: str) -> bool:
    return await _accepted(backend.add(account(f"id-{who}", username="Straße")))


async def _add_with_key(backend: Backend, who: str) -> bool:
    return await _accepted(backend.add(account(who, keys=(key(b"same"),))))


async def _rename(backend: Backend, who: str) -> bool:
    await backend.add(account(who))
    return await _accepted(backend.commit(account(who), after(account(who), username="Straße")[0]))


async def _bind(backend: Backend, who: str) -> bool:
    await backend.add(account(who))
    return await _accepted(backend.commit(account(who), after(account(who), keys=(key(b"same"),))[0]))


async def _commit(backend: Backend, who: str) -> bool:
    return await backend.commit(account(), *after(account(), who, email=who))


async def _commit_or_remove(backend: Backend, who: str) -> bool:
    if who[-1] in "02468":
        return await backend.remove(account())
    return await _commit(backend, who)


async def _read_decide_commit(backend: Backend, who: str) -> int:
    """Append one event, however often somebody else was first; its number."""
    while True:
        was = await backend.account("alice")
        if was is None:
            return 0
        now, events = after(was, who)
        if await backend.commit(was, now, events):
            return now.head.seq


async def _count_attempt(backend: Backend, who: str) -> int:
    return (await backend.count_attempt("bucket", NOW, MINUTE)).count


async def _ended_window(backend: Backend) -> None:
    for _ in range(3):
        await backend.count_attempt("bucket", NOW - 2 * MINUTE, MINUTE)


RACES: dict[str, Race] = {
    "one username": Race(nothing, _add, one_wins),
    "one credential id of new accounts": Race(nothing, _add_with_key, one_wins),
    "a rename to one username": Race(nothing, _rename, one_wins),
    "one credential id": Race(nothing, _bind, one_wins),
    "one version of an account": Race(_alice, _commit, one_wins),
    "a commit or the removal": Race(_alice, _commit_or_remove, one_wins),
    "commits until they win": Race(_alice, _read_decide_commit, all_differ),
    "a count of attempts": Race(nothing, _count_attempt, all_differ),
    "a count in a new window": Race(_ended_window, _count_attempt, all_differ),
}


async def run(backend: Backend, race: Race, names: Sequence[str]) -> list[Any]:
    """The answers of as many tasks as there are names, all asking at once."""
    return list(await asyncio.gather(*(race.ask(backend, name) for name in names)))


async def run_with_another_process(backend: Backend, url: str, name: str, callers: int) -> list[Any]:
    """The answers of both processes: half of the callers ask in a second one that opened the same address."""
    half = callers // 2
    command = [sys.executable, "-m", "backends.contract.races", url, name, str(callers - half)]
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
