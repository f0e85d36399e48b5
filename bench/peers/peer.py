"""What the benchmark asks of everybody: how to set it up, and how a browser walks through its logon, step by step.

Never judges: a step that does not lead where it must raises Off, and the round counts for nothing.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peers.person import Person, crowd
from bench.peers.wire import Answer, Browser

ROOT = Path(__file__).parents[2]
SERVED = Path(__file__).parent / "served"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keystead-bench"


class Off(AssertionError):
    """A step did not lead where it must."""


class Missing(Exception):
    """This peer cannot be measured here; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A ceremony that has begun: the request options, and what goes back with the answer."""

    options: dict[str, Any]
    carried: dict[str, str]


class Peer(ABC):
    """One that is measured."""

    name: str
    logon_page = "/logon"
    passwordless = False
    """The key alone logs on: the password step is another way in, and is measured by itself."""

    slow = False
    """It gets half as many logons in a round: its passwords alone would take minutes."""

    def people(self, number: int) -> list[Person]:
        return crowd(number)

    def python(self) -> str:
        """The interpreter that it runs in; Missing if there is none."""
        return sys.executable

    @abstractmethod
    def seed(self, folder: Path, people: Sequence[Person]) -> None:
        """Make its records in this folder: accounts, passwords, and a bound key each."""

    @abstractmethod
    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """What starts it, and its environment."""

    async def arrive(self, browser: Browser, person: Person | None) -> None:
        """Open the logon page, as somebody does who then logs on."""
        expect(await browser.get(self.logon_page), 200)

    @abstractmethod
    async def password(self, browser: Browser, person: Person) -> None:
        """Send username and password."""

    @abstractmethod
    async def begin(self, browser: Browser, person: Person) -> Asked:
        """The request that begins the ceremony."""

    @abstractmethod
    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        """The request that ends it; Off if the person is not signed in then."""

    def kept(self, cookies: dict[str, str]) -> dict[str, str]:
        """The cookies that a browser still has when the same person comes again."""
        return {}


class Installed(Peer):
    """A peer that comes from PyPI, into an environment of its own; `served/<program>` is the site made of it."""

    program: str
    packages: tuple[str, ...]
    pythons: tuple[str, ...] = ()
    """Versions of Python that it needs one of; none: ours will do."""

    def python(self) -> str:
        mark = hashlib.sha256(" ".join((*self.pythons, *self.packages)).encode()).hexdigest()[:8]
        home = CACHE / f"{Path(self.program).stem}-{mark}"
        found = home / "bin" / "python"
        if not (home / "whole").exists():
            base = _interpreter(self.pythons) if self.pythons else sys.executable
            shutil.rmtree(home, ignore_errors=True)
            subprocess.run([base, "-m", "venv", home], check=True)
            install = [str(found), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *self.packages]
            subprocess.run(install, check=True)
            (home / "whole").touch()
        return str(found)

    def seed(self, folder: Path, people: Sequence[Person]) -> None:
        (folder / "people.json").write_text(json.dumps([person.seed() for person in people]))
        (folder / "secret").write_text("of the bench only, " * 3)
        environ = {**os.environ, "BENCH_FOLDER": str(folder)}
        command = [self.python(), str(SERVED / self.program)]
        made = subprocess.run(command, env=environ, cwd=SERVED, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Missing(f"{self.name} could not be set up:\n{made.stderr[-3000:]}")


def expect(answer: Answer, *statuses: int, location: str = "") -> Answer:
    """The answer, if it has one of these statuses and leads there; Off otherwise."""
    target = answer.header("location") or answer.header("hx-redirect")
    if answer.status not in statuses or not target.endswith(location):
        raise Off(
            f"{answer.status} to {target or 'nowhere'}, where {statuses} to {location or 'anywhere'} was due: {answer.text[:600]}"
        )
    return answer


def _interpreter(versions: Sequence[str]) -> str:
    for version in versions:
        of_pyenv = map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for path in filter(None, [shutil.which(f"python{version}"), *of_pyenv]):
            look = [path, "-c", "import ssl, sqlite3, sys; print(sys.version)"]
            if subprocess.run(look, capture_output=True, text=True, check=False).stdout.startswith(version):
                return path
    raise Missing(f"needs Python {' or '.join(versions)}, and there is none here")
