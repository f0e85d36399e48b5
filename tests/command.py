"""The keystead command as a shell runs it, a few tenths of a second sooner: forked from a process that has imported everything.

Most of what a command takes is the import of what it needs, and hundreds are tested. `KEYSTEAD` is the same command from scratch.
"""

import atexit
import json
import os
import pkgutil
import runpy
import selectors
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

KEYSTEAD = [sys.executable, "-m", "webapp"]
_BEGINS = "from tests.command import _serve; _serve()"


def run(*words: str, environ: dict[str, str], stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """What comes of `keystead` with these words in this environment: its status, and all that it said."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        asked = json.dumps({"words": words, "environ": environ, "folder": str(Path.cwd())}).encode()
        socket.send_fds(_starter(), [asked], [*(file.fileno() for file in files), theirs.fileno()])
        theirs.close()
        ours.settimeout(timeout)
        status = int(ours.recv(16))
        for file in files:
            file.seek(0)
        return subprocess.CompletedProcess([*KEYSTEAD, *words], status, files[1].read(), files[2].read())


@cache
def _starter() -> socket.socket:
    """Where commands are asked for: the end of a socket whose other end starts them."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, "-c", _BEGINS], stdin=theirs.fileno())
    atexit.register(process.wait)
    atexit.register(ours.close)  # the first to be called
    return ours


def _serve() -> None:
    """Start what is asked for on standard input, and say how it ended, until nobody is there to ask."""
    for module in pkgutil.walk_packages(import_module("webapp").__path__, "webapp."):
        if not module.name.startswith(("webapp.testing", "webapp.__main__")):
            import_module(module.name)
    command = None
    with socket.socket(fileno=os.dup(0)) as asking, selectors.DefaultSelector() as waiting:
        waiting.register(asking, selectors.EVENT_READ, partial(_start, waiting, asking))
        while waiting.get_map() and command is None:
            for ready, _ in waiting.select():
                command = command or ready.data()
    if command:
        _become(*command)


Command = tuple[dict[str, Any], list[int]]
"""What was asked for; its standard input, output and error."""


def _start(waiting: selectors.BaseSelector, asking: socket.socket) -> Command | None:
    """Fork. The command, where that is what this process becomes."""
    asked, files, _, _ = socket.recv_fds(asking, 1 << 20, 4)
    if not asked:
        waiting.unregister(asking)
        return None
    told = files.pop()
    if not (command := os.fork()):
        os.close(told)
        return json.loads(asked), files
    for file in files:
        os.close(file)
    ended = os.pidfd_open(command)
    waiting.register(ended, selectors.EVENT_READ, partial(_tell, waiting, ended, command, told))
    return None


def _tell(waiting: selectors.BaseSelector, ended: int, command: int, told: int) -> None:
    waiting.unregister(ended)
    os.close(ended)
    with open(told, "wb") as end, suppress(OSError):
        end.write(b"%d" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """This process is the command from now on."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.argv = ["keystead", *asked["words"]]
    runpy.run_module("webapp", run_name="__main__", alter_sys=True)
