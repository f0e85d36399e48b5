"""`keystead serve` is started and stopped; what a platform may expect of it is in tests/deploy/test_serve.py."""

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.deployment import Deployment, running, status
from webapp.cli import demo, listening
from webapp.cli.listening import Place
from webapp.cli.running import Refused
from webapp.settings import Settings
from webapp.testing.mailbox import free_port


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_answers_on_port_and_ends_when_told(deployment: Deployment, workers: str) -> None:
    port = free_port()
    environ = deployment.environ | {"PORT": str(port), "WEB_CONCURRENCY": workers}
    with running("serve", "--host", "127.0.0.1", environ=environ) as server:
        assert status(port, "/healthz") == 200
        assert status(port, "/logon") == 200
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=10)
        assert time.monotonic() - begun < 10
    assert "Traceback" not in said


def test_an_outbox_that_cannot_be_made_is_said_before_anything_starts(deployment: Deployment) -> None:
    (deployment.folder / "taken").touch()
    assert "cannot be made" in deployment.refused("serve", KEYSTEAD_MAIL=f"outbox://{deployment.folder}/taken/box")


# what it refuses to serve


def cut_off(file: Path) -> None:
    os.truncate(file, 5000)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(("happens", "says"), [
    (cut_off, "was cut off: 5,000 of"),
    (emptied, "is empty. If it held records, restore a backup."),
    (a_folder, "is a directory: name a file in it."),
    (a_pipe, "is no file, but a device, a pipe or a socket"),
])  # fmt: skip
def test_a_store_that_is_none_is_named_for_what_it_is(deployment: Deployment, happens: Callable[[Path], None], says: str) -> None:
    happens(deployment.file)
    assert says in deployment.refused("serve", PORT=str(free_port()))


# where it listens


def lines(deployment: Deployment, *words: str, **environ: str) -> list[str]:
    """What it logs until it answers; without the port that tests give it unless it is named."""
    values = {name: text for name, text in (deployment.environ | environ).items() if text}
    port = int(values.get("PORT", "8000"))
    with running("serve", *words, environ=values) as server:
        assert status(port, "/healthz") == 200
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=10)
    return said.splitlines()


def test_without_a_platform_it_listens_on_this_machine_only_and_says_so_first(deployment: Deployment) -> None:
    place = listening.place(Settings.from_environ(deployment.environ), deployment.environ, None)
    assert (place.host, place.port) == ("127.0.0.1", 8000)
    assert place.why == "this machine only, where a proxy passes requests on (KEYSTEAD_LISTEN names another)"


def test_a_platform_sets_port_and_is_listened_to_on_every_address(deployment: Deployment) -> None:
    port = str(free_port())
    first, *_ = lines(deployment, PORT=port)
    assert f"listens on 0.0.0.0:{port}: every address of this machine, because PORT is set, as platforms do" in first


def test_the_deployer_says_where_and_the_first_line_says_that(deployment: Deployment) -> None:
    port = str(free_port())
    first, *_ = lines(deployment, PORT=port, KEYSTEAD_LISTEN="127.0.0.1")
    assert f"listens on 127.0.0.1:{port}: KEYSTEAD_LISTEN says so processes=1" in first
    told = json.loads(lines(deployment, "--host", "127.0.0.1", PORT=port, KEYSTEAD_LISTEN="::1", KEYSTEAD_LOGS="json")[0])
    assert told["what"] == f"listens on 127.0.0.1:{port}: --host says so"


def test_for_a_look_it_stays_on_this_machine(deployment: Deployment) -> None:
    url = {"KEYSTEAD_PUBLIC_URL": "http://localhost:8000", "PORT": "8000"}
    assert listening.place(Settings.from_environ(deployment.environ | url), url, None).host == "127.0.0.1"


def test_a_port_that_is_taken_is_said_in_plain_words(deployment: Deployment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = deployment.refused("serve", "--host", "127.0.0.1", PORT=str(port))
    assert said == (
        f"Port {port} is taken: another program listens there (`ss -ltnp 'sport = :{port}'` says which). "
        "Stop it, or set PORT to another.\n"
    )


def test_an_address_that_this_machine_does_not_have(deployment: Deployment) -> None:
    said = deployment.refused("serve", KEYSTEAD_LISTEN="192.0.2.1")
    assert "This machine has no address 192.0.2.1: let --host or KEYSTEAD_LISTEN name one" in said


def test_a_host_that_nobody_knows(deployment: Deployment) -> None:
    for host in ("no.such.invalid", "a..b", "b" * 70):
        assert f"Nothing is known of an address {host}: " in deployment.refused("serve", "--host", host)


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel without it says: the server says what to name instead, and the demo does without."""

    class Old(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *rest: int, **more: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *rest, **more)

    monkeypatch.setattr(socket, "socket", Old)
    with pytest.raises(Refused, match="This machine has no address ::1"):
        listening.must_be_free(Place("::1", 8000, ""))
    listener = demo._listen(free_port())
    assert listener is not None
    listener.close()


def test_a_port_that_only_root_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up, because a container lets everybody have it."""

    class Guarded(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Guarded)
    with pytest.raises(Refused, match="This user may not listen on port 80"):
        listening.must_be_free(Place("127.0.0.1", 80, ""))


def test_a_number_of_processes_that_is_none(deployment: Deployment) -> None:
    said = deployment.refused("serve", WEB_CONCURRENCY="auto")
    assert "WEB_CONCURRENCY\n      must be a number of processes, such as 2" in said
