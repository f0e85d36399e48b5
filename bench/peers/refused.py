"""python -m bench.peers.refused [NAME …]: what each says to answers of a key that a site had better refuse.

No measurement: it shows whether those who are compared check the same things. The floor is left out, it is not for use.
"""

import asyncio
import json
import sys
import tempfile
from contextlib import closing
from itertools import product
from pathlib import Path

from fido2.utils import websafe_encode

from bench.peers import process
from bench.peers.__main__ import PEERS
from bench.peers.floor import Floor
from bench.peers.peer import ROOT, Asked, Missing, Off, Peer
from bench.peers.person import ORIGIN, Person
from bench.peers.wire import Browser, Connection
from webapp.testing.stub_key import Faults

ANSWERS: dict[str, Faults] = {
    "a right one": {},
    "the counter says the same again": {"counter_back": 0},
    "the counter goes back": {"counter_back": 1},
    "a bad signature": {"bad_signature": True},
    "another challenge": {"wrong_challenge": b"another".ljust(32)},
    "another origin": {"wrong_origin": "https://elsewhere.example.com"},
}


def main() -> None:
    for peer in (kind() for kind in PEERS if kind is not Floor and (kind.name in sys.argv[1:] or not sys.argv[1:])):
        people = peer.people(len(ANSWERS) + 2)
        people[-1].key.counts = False
        with tempfile.TemporaryDirectory(prefix="keystead-bench-") as name:
            folder, port = Path(name), process.free_port()
            try:
                peer.seed(folder, people)
            except Missing as missing:
                print(f"{peer.name}: not tried, {missing}")
                continue
            command, environ = peer.command(folder, port)
            with process.running(command, environ, port, folder / "log", ROOT):
                print(f"\n{peer.name}")
                asyncio.run(_ask(peer, people, port))


async def _ask(peer: Peer, people: list[Person], port: int) -> None:
    await _up(peer, port)
    for person, (words, faults) in zip(people, ANSWERS.items(), strict=False):
        with closing(Connection(port)) as wire:
            browser, asked = await _half(peer, person, wire)
            await peer.finish(browser, person, asked, person.answer(asked.options))
            browser, asked = await _half(peer, person, wire)
            _say(words, await _taken(peer, browser, person, asked, _answer(person, asked, faults)))
    _say("an answer that was taken, in another browser", await _again(peer, people[-2], port))
    _say("the same, of a key whose counter is always 0", await _again(peer, people[-1], port))


async def _again(peer: Peer, person: Person, port: int) -> bool:
    """Somebody who saw the whole request, and has the password, sends it once more, with fields of either ceremony."""
    with closing(Connection(port)) as wire, closing(Connection(port)) as other:
        browser, asked = await _half(peer, person, wire)
        answer = person.answer(asked.options)
        await peer.finish(browser, person, asked, answer)
        browser, new = await _half(peer, person, other)
        carried = [dict(zip(asked.carried, mixed, strict=True)) for mixed in product(*_pairs(asked.carried, new.carried))]
        return any([await _taken(peer, browser, person, Asked(new.options, fields), answer) for fields in carried])


def _pairs(old: dict[str, str], new: dict[str, str]) -> list[tuple[str, str]]:
    return [(old[name], new[name]) for name in old]


async def _half(peer: Peer, person: Person, wire: Connection) -> tuple[Browser, Asked]:
    """A browser that is as far as the key."""
    browser = Browser(ORIGIN, person.address, wire=wire)
    await peer.arrive(browser, person)
    if not peer.passwordless:
        await peer.password(browser, person)
    return browser, await peer.begin(browser, person)


def _answer(person: Person, asked: Asked, faults: Faults) -> str:
    listed = [{"type": "public-key", "id": websafe_encode(person.credential_id)}]
    return person.key.get(json.dumps({**asked.options, "allowCredentials": listed}), ORIGIN, **faults)


async def _taken(peer: Peer, browser: Browser, person: Person, asked: Asked, answer: str) -> bool:
    try:
        await peer.finish(browser, person, asked, answer)
    except AssertionError:
        return False
    return True


async def _up(peer: Peer, port: int) -> None:
    for _ in range(process.PATIENCE * 100):
        try:
            with closing(Connection(port)) as wire:
                await peer.arrive(Browser(ORIGIN, wire=wire), None)
                return
        except OSError:
            await asyncio.sleep(0.01)
    raise Off(f"{peer.name} does not answer")


def _say(words: str, taken: bool) -> None:
    print(f"  {words}: {'TAKEN' if taken else 'refused'}", flush=True)


if __name__ == "__main__":
    main()
