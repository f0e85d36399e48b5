"""The backend, as this machine reaches it: whether it keeps its promises now, and what lies around it.

It writes what it takes away again: counted attempts, under a name of its own.
"""

import asyncio
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from urllib.parse import unquote, urlsplit

import webapp
from backends import open_backend
from backends.protocol import Backend, Damaged, IncompatibleStore, Unavailable
from webapp.clock import now
from webapp.doctor import filesystem
from webapp.doctor.finding import Context, Finding, ok, unchecked, wrong

MEGABYTE = 1_000_000
SAME_TIME = 10.0
"""Seconds by which two clocks may differ."""
SLOW = 0.5
RACERS = 16
MINUTE = timedelta(minutes=1)


async def backend(ctx: Context) -> list[Finding]:
    """Whether it opens, answers, writes, reads, and gives one answer to those who ask at the same time."""
    try:
        if (file := _file(ctx)) and not file.exists():
            return [_not_there(file)]
        return await _opened(ctx, _promises)
    except IncompatibleStore as refused:
        return [wrong(str(refused), "Mend KEYSTEAD_BACKEND, or what it names, as this says.")]
    except (Unavailable, OSError) as error:
        return [wrong(f"It does not work now: {error}", _todo(ctx))]


async def keys(ctx: Context) -> list[Finding]:
    """Whether browsers will use the bound keys at the public URL."""

    async def look(backends: list[Backend]) -> list[Finding]:
        domains = await backends[0].rp_ids()
        if left := ctx.settings.left_behind(domains):
            what, _, todo = left.partition(". ")
            return [wrong(f"{what}.", todo)]
        return [ok(f"They are bound to {' and '.join(domains)}." if domains else "None is bound yet."), *_done_with(ctx, domains)]

    return await asked(ctx, look)


def _done_with(ctx: Context, domains: list[str]) -> Iterator[Finding]:
    for domain in ctx.settings.moved_from:
        if domain not in domains:
            yield ok(f"No key is bound to {domain} any more: take it out of KEYSTEAD_MOVED_FROM, and its file away.")


async def clock(ctx: Context) -> list[Finding]:
    """Whether this machine's clock agrees with the disk's, the engine's and the calendar."""

    async def look(backends: list[Backend]) -> list[Finding]:
        told = await backends[0].engine_time()
        return [_compared(told.timestamp(), "the backend's")] if told else []

    file = _file(ctx)
    found = [*_by_the_calendar(), *(_by_the_disk(file) if file else await asked(ctx, look))]
    faults = [finding for finding in found if finding.state == "wrong"]
    return faults or found or [unchecked("The backend does not tell its time.")]


async def disk(ctx: Context) -> list[Finding]:
    """Whether the file has room to grow, on a disk that keeps it."""
    file = _file(ctx)
    if file is None or not file.parent.is_dir():
        return [unchecked("The records are not in a file on this machine." if file is None else f"There is no {file.parent}.")]
    if fault := _elsewhere(file):
        return [fault]
    free = shutil.disk_usage(file.parent).free // MEGABYTE
    if free < ctx.options.free:
        return [
            wrong(
                f"Only {free:,} MB are free where {file} is.",
                "Make room, or move the file to a bigger disk: a full disk stops logons.",
            )
        ]
    layered = filesystem.kind(file) in filesystem.LAYERED
    text = f"{file} may lie in a container's own layer, and go with it: mount a volume there."
    return [unchecked(text) if layered else ok(f"{free:,} MB are free.")]


def _elsewhere(file: Path) -> Finding | None:
    """If what lies there does not stay, or cannot be shared as SQLite does it."""
    kind = filesystem.kind(file)
    if kind in filesystem.IN_MEMORY:
        return wrong(
            f"{file} lies in memory ({kind}): it is gone when this machine starts again.", "Move it to a disk that stays."
        )
    if kind in filesystem.ON_A_NETWORK:
        text = f"{file} lies on another machine ({kind}), where its locks do not hold: two servers could both be the first."
        return wrong(text, "Move it to a disk of this machine, or use MongoDB.")
    return None


async def files(ctx: Context) -> list[Finding]:
    """Whether others on this machine can read the records, or the mails with their codes."""
    file = _file(ctx)
    found = [finding for path, mode in _private(ctx, file) for finding in _readable(path, mode)]
    found += _replaceable(file.parent) if file else []
    found += _owned_by_another(file) if file else []
    return found or [
        ok("Nobody else on this machine can read them.") if file else unchecked("The records are not in a file on this machine.")
    ]


async def asked(ctx: Context, look: Callable[[list[Backend]], Awaitable[list[Finding]]]) -> list[Finding]:
    """What is found at the backend. That it does not answer is another check's to say."""
    try:
        return await _opened(ctx, look)
    except Damaged as found:
        return [damaged([found])]
    except (IncompatibleStore, Unavailable):
        return [unchecked("The backend must answer first.")]


def damaged(found: Sequence[Damaged]) -> Finding:
    """Accounts that nobody can read."""
    more = f" {len(found) - 1:,} more are like it: `keystead backend check` names them all." if len(found) > 1 else ""
    todo = "Something else than Keystead changed it, and nobody logs on with it: docs/backends.md, A damaged account, mends it."
    return wrong(f"{found[0]}{more}", todo)


async def _opened(ctx: Context, look: Callable[[list[Backend]], Awaitable[list[Finding]]]) -> list[Finding]:
    """What is found at the backend, opened twice as two processes would."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(2):
            opened.append(await open_backend(ctx.settings.backend))
            stack.push_async_callback(opened[-1].close)
        return await look(opened)


async def _promises(backends: list[Backend]) -> list[Finding]:
    await backends[0].ready()
    name = f"doctor {token_hex(16)}"
    begun = time.perf_counter()
    await backends[0].count_attempt(name, now(), MINUTE)
    took = time.perf_counter() - begun
    await backends[0].forget_attempts(name)
    both = [backends[number % 2] for number in range(RACERS)]
    counted = await asyncio.gather(*(each.count_attempt(name, now(), MINUTE) for each in both))
    await backends[0].forget_attempts(name)
    if sorted(attempts.count for attempts in counted) != list(range(1, RACERS + 1)):
        text = "Two who asked at the same time got the same answer: one code or ceremony could be used twice."
        return [wrong(text, "Do not serve with this backend. Run its contract (docs/backends.md), and tell its author.")]
    if took > SLOW:
        return [wrong(f"A write takes {took:.1f} s, and a logon makes several.", "Look for a faster disk, or a nearer server.")]
    return [ok(f"It writes (in {took * 1000:.1f} ms), reads, and lets one of {RACERS} win a race.")]


def _by_the_calendar() -> list[Finding]:
    installed = Path(webapp.__file__).stat().st_mtime
    return [_compared(installed, "the moment when Keystead was installed")] if time.time() < installed - SAME_TIME else []


def _by_the_disk(file: Path) -> list[Finding]:
    """A file written now has the time of whoever keeps the disk, which may be another machine."""
    if not file.parent.is_dir():
        return [unchecked(f"There is no {file.parent}.")]
    try:
        with tempfile.TemporaryFile(dir=file.parent) as new:
            found = [_compared(os.fstat(new.fileno()).st_mtime, "the disk's")]
    except OSError as error:
        found = [unchecked(f"Nothing can be written beside {file} to compare with: {error.strerror}.")]
    if file.exists() and file.stat().st_mtime > time.time() + SAME_TIME:
        found.append(_compared(file.stat().st_mtime, f"the last change of {file}"))
    return found


def _compared(other: float, whose: str) -> Finding:
    apart = time.time() - other
    if abs(apart) <= SAME_TIME:
        return ok(f"This machine's clock and {whose} agree.")
    at = datetime.fromtimestamp(other, UTC)
    text = f"This machine's clock says {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; {whose} is {at:%Y-%m-%d %H:%M:%S}."
    return wrong(text, "Set the clock, and let the machine keep it (NTP): codes and sessions end by it.")


def _private(ctx: Context, file: Path | None) -> Iterator[tuple[Path, str]]:
    """What others must not read, and the mode that it should have."""
    if file:
        yield from ((file.with_name(file.name + end), "600") for end in ("", "-wal", "-shm"))
    if ctx.settings.mail.startswith("outbox:"):
        yield Path(unquote(urlsplit(ctx.settings.mail).path)), "700"


def _readable(path: Path, mode: str) -> list[Finding]:
    if not path.exists():
        return []
    others = stat.S_IMODE(path.stat().st_mode) & 0o077
    return [wrong(f"Others on this machine can get at {path}.", f"chmod {mode} {path}")] if others else []


def _replaceable(folder: Path) -> list[Finding]:
    mode = folder.stat().st_mode if folder.is_dir() else 0
    anybody = mode & stat.S_IWOTH and not mode & stat.S_ISVTX
    return [wrong(f"Anybody on this machine can put another file into {folder}.", f"chmod o-w {folder}")] if anybody else []


def _owned_by_another(file: Path) -> list[Finding]:
    """What root may do says nothing of what the server may."""
    if os.geteuid() != 0 or not file.exists() or file.stat().st_uid == 0:
        return []
    return [unchecked(f"Whether the user that owns {file} may do all this: doctor runs as root. Run it as that user.")]


def _file(ctx: Context) -> Path | None:
    """The file that the records are in; None if another engine has them."""
    parts = urlsplit(ctx.settings.backend)
    return Path(unquote(parts.path)).absolute() if parts.scheme == "file" else None


def _not_there(file: Path) -> Finding:
    if not file.parent.is_dir():
        return wrong(
            f"There is no folder {file.parent} to keep the file in.",
            f"Make it, for the user that runs Keystead: install -d -m 700 {file.parent}",
        )
    return wrong(
        f"There is no file {file}.",
        "If there was one, mount its disk, or mend KEYSTEAD_BACKEND. Else `keystead backend migrate` makes it.",
    )


def _todo(ctx: Context) -> str:
    file = _file(ctx)
    if file is None:
        return "See that the server runs, that this machine reaches it, and that KEYSTEAD_BACKEND names it."
    return f"See that the disk is neither full nor read-only, and that the user that runs Keystead owns {file} and its folder."
