"""The files in deploy/ name what is there: nobody builds an image or starts a service here, but what they run does run."""

import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.deploy.proxies import PROGRAMS, ROOT
from webapp.cli import GRACE, main
from webapp.settings import TABLE, Settings, SettingsError

DEPLOY = ROOT / "deploy"


def test_what_the_image_copies_is_enough_to_run(tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE)
    for source, target in copied:
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
        copy(ROOT / source, tmp_path / (source if target == "./" else target))
    program = (
        "from webapp import languages, templating; from webapp.app import from_environ; "
        "print(templating.STATIC.is_dir() and languages.of('zh-CN').gettext('Log on') != 'Log on')"
    )
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


# compose.yaml


def test_the_example_of_an_environment_names_what_has_no_default_and_only_misses_the_secret() -> None:
    lines = [line for line in (DEPLOY / "environment.example").read_text().splitlines() if line and not line.startswith("#")]
    example = dict(line.split("=", 1) for line in lines)
    assert set(example) == {setting.variable for setting in TABLE if setting.default is None}
    with pytest.raises(SettingsError) as refused:
        Settings.from_environ(example)
    assert set(refused.value.problems) == {"KEYSTEAD_SECRET_KEYS"}


def services() -> dict[str, str]:
    """The services of compose.yaml, and what each says."""
    text = (DEPLOY / "compose.yaml").read_text().partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    return dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", f"{text}\n", re.MULTILINE))


def test_no_service_but_keysteads_own_gets_a_secret() -> None:
    """Of the file with the settings, Caddy gets the variables that its own file reads, each by its name."""
    found = services()
    assert set(found) == {"migrate", "keystead", "caddy"}
    assert {name for name, said in found.items() if "env_file" in said} == {"migrate", "keystead"}
    assert all("env_file: .env\n" in found[name] for name in ("migrate", "keystead"))
    given = re.findall(r"^      (\w+): \$\{(\w+):\?", found["caddy"], re.MULTILINE)
    read = re.findall(r"\{\$(\w+)", (DEPLOY / "Caddyfile.compose").read_text())
    assert given == [(name, name) for name in read] == [("KEYSTEAD_PUBLIC_URL", "KEYSTEAD_PUBLIC_URL")]
    named = re.findall(r"\b(?:KEYSTEAD_\w+|secrets|configs|\./\.env|\./?:)", found["caddy"])
    assert set(named) == {"KEYSTEAD_PUBLIC_URL"}, "nor by a way of its own"


def test_the_files_with_the_settings_are_not_committed() -> None:
    """The one of compose.yaml, and the one that the README makes in a checkout."""
    assert {"/deploy/.env", "/environment"} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_the_file_with_the_settings_is_not_copied_into_the_image() -> None:
    first, *allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert first == "*"
    assert not any("deploy" in line or ".env" in line for line in allowed)


def test_caddy_understands_its_file_in_compose(tmp_path: Path) -> None:
    program = PROGRAMS["caddy"]
    if program is None:
        pytest.skip("CADDY IS NOT INSTALLED: nobody looked at its file")
    command = [program, "adapt", "--config", str(DEPLOY / "Caddyfile.compose"), "--adapter", "caddyfile"]
    environ = {"KEYSTEAD_PUBLIC_URL": "https://account.example.com", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [server] = json.loads(done.stdout)["apps"]["http"]["servers"].values()
    assert "account.example.com" in str(server["routes"])
    assert "keystead:8000" in str(server["routes"])
    assert (server["read_header_timeout"], server["max_header_bytes"]) == (10_000_000_000, 32_768)


def test_compose_trusts_the_network_that_it_makes_and_starts_after_migrating() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    [trusted] = re.findall(r"KEYSTEAD_TRUSTED_PROXIES: (\S+)", text)
    assert f"- subnet: {trusted}\n" in text
    assert 'command: ["backend", "migrate"]' in text
    assert "condition: service_completed_successfully" in text
    [grace] = re.findall(r"stop_grace_period: (\d+)s", text)
    assert int(grace) > GRACE
