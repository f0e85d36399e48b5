"""`keystead demo`: one screen, a whole installation behind it, and nothing of it left afterwards."""

import asyncio
import re
import signal
import subprocess
from pathlib import Path

import httpx2

from tests.cli.deployment import PLAIN, Deployment, running, status
from webapp.accounts import passwords
from webapp.testing.mailbox import free_port
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


def environ(folder: Path) -> dict[str, str]:
    return PLAIN | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def said_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the first group finds in what it says from here on."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(pattern, said):
            return found[1]
    raise AssertionError(said)


def test_the_demo_is_one_screen_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", "--port", str(port), environ=environ(tmp_path)) as demo:
        assert status(port, "/logon") == 200
        assert [folder.name.startswith("keystead-demo-") for folder in tmp_path.iterdir()] == [True]
        demo.send_signal(signal.SIGINT)
        screen, _ = demo.communicate(timeout=15)
    assert demo.returncode == 0
    assert f"Open        http://localhost:{port}\n" in screen
    assert re.search(r"Username +alice\n +Password +\S{4}-\S{4}-\S{4}-\S{4}\n", screen)
    assert len(screen.splitlines()) < 24
    assert list(tmp_path.iterdir()) == []


def test_the_demo_listens_on_the_port_that_the_environment_names(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", environ=environ(tmp_path) | {"PORT": str(port)}) as demo:
        assert said_until(demo, r"Open +(\S+)\n") == f"http://localhost:{port}"
        assert status(port, "/logon") == 200


def test_the_demo_shows_the_code_that_is_mailed(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", "--port", str(port), environ=environ(tmp_path)) as demo:
        password = said_until(demo, r"Password +(\S+)\n")
        with httpx2.Client(base_url=f"http://localhost:{port}") as client:
            visitor = Visitor(client)
            visitor.log_on("alice", password)
            visitor.send_code()
            mail = said_until(demo, r"((?s:.*)Mail to alice@example.com: .*?[0-9]{6})")
            assert "request method" not in mail, "log lines between the mails"
            assert visitor.verify(mail[-6:]).status_code < 400
            visitor.begin_bind("Blue")
            assert visitor.finish_bind(StubKey(flavour="u2f")).status_code < 400
        said_until(demo, r"(A security key was bound to your account)")


def test_the_demo_is_tidied_away_also_when_it_is_terminated(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", "--port", str(port), environ=environ(tmp_path)) as demo:
        assert status(port, "/logon") == 200
        demo.terminate()
        demo.communicate(timeout=15)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_that_a_port_is_taken(tmp_path: Path) -> None:
    port = free_port()
    with running("demo", "--port", str(port), environ=environ(tmp_path)):
        assert status(port, "/healthz") == 200
        with running("demo", "--port", str(port), environ=environ(tmp_path)) as second:
            said, _ = second.communicate(timeout=15)
        assert second.returncode == 2
        assert f"Port {port} is taken" in said


def test_a_folder_that_a_demo_cannot_be_kept_in_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "keystead.db").write_text("somebody else's " * 100)
    for folder, why in ((tmp_path, "is not a Keystead file"), (tmp_path / "keystead.db" / "x", "Not a directory")):
        with running("demo", "--port", str(free_port()), "--keep", str(folder), environ=environ(tmp_path)) as demo:
            said, _ = demo.communicate(timeout=15)
        assert (demo.returncode, "Traceback" in said, why in said) == (2, False, True)


def test_a_demo_that_is_kept_goes_on_with_what_it_had(tmp_path: Path) -> None:
    words = ("demo", "--port", str(free_port()), "--keep", str(tmp_path / "kept"))
    shown = []
    for _ in range(2):
        with running(*words, environ=environ(tmp_path)) as demo:
            assert status(int(words[2]), "/logon") == 200
            demo.send_signal(signal.SIGINT)
            screen, _ = demo.communicate(timeout=15)
        found = re.search(r"Password +(\S+)", screen)
        assert found
        shown.append(found[1])
    assert (tmp_path / "kept" / "secret").stat().st_mode & 0o077 == 0
    account = Deployment(tmp_path / "kept").read("alice")
    assert asyncio.run(passwords.verify(account.password_hash, shown[1]))
    assert shown[0] != shown[1]
