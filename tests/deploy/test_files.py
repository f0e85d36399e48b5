"""The files in deploy/ name what is there: nobody builds an image or starts a service here, but what they run does run."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from tests.deploy.proxies import ROOT
from webapp.cli import main

DEPLOY = ROOT / "deploy"


def test_what_the_image_copies_is_enough_to_run(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE)
    for source, target in copied:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
        copy(ROOT / source, tmp_path / (source if target == "./" else target))
    program = "from webapp import templating; from webapp.app import from_environ; print(templating.STATIC.is_dir())"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert {f"!{source.rstrip('/')}" for source, _ in copied} == {
        line.removesuffix("/**") for line in ignored if line.startswith("!")
    }


def test_the_image_and_the_service_run_commands_that_there_are() -> None:
    service = ConfigParser(strict=False, interpolation=None)
    service.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says to keep case
    service.read(DEPLOY / "keystead.service")
    for name, command in (("ExecStartPre", "backend migrate"), ("ExecStart", "serve --host 127.0.0.1")):
        assert service["Service"][name] == f"/opt/keystead/.venv/bin/python -m webapp {command}"
        assert command.split()[0] in main.commands
    assert 'CMD ["serve", "--host", "0.0.0.0"]' in (DEPLOY / "Dockerfile").read_text()


def test_the_service_grants_a_stop_the_time_that_it_takes() -> None:
    from webapp.cli import GRACE

    found = re.search(r"^TimeoutStopSec=(\d+)$", (DEPLOY / "keystead.service").read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) > GRACE


def test_the_service_may_open_more_files_than_it_takes_connections() -> None:
    from webapp.web.protocol import BoundedProtocol

    found = re.search(r"^LimitNOFILE=(\d+)$", (DEPLOY / "keystead.service").read_text(), re.MULTILINE)
    assert found
    assert int(found[1]) > 2 * BoundedProtocol.MAX_CONNECTIONS


def test_proxies_give_a_connection_up_before_keystead_does() -> None:
    """uvicorn closes what was idle for five seconds; a form sent on such a connection would be lost."""
    assert "keepalive_timeout 4s;" in (DEPLOY / "nginx.conf").read_text()
    assert "keepalive 4s\n" in (DEPLOY / "Caddyfile").read_text()
