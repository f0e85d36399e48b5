"""What is refused is logged with its address and account; the shipped filter finds it, by fail2ban's own judgement."""

import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.views.people import recovery_codes
from webapp import logs
from webapp.accounts import limits
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

SHIPPED = Path(__file__).parents[2] / "deploy" / "fail2ban"
FAIL2BAN = shutil.which("fail2ban-regex")
needs_fail2ban = pytest.mark.skipif(FAIL2BAN is None, reason="FAIL2BAN IS NOT INSTALLED: nothing was tested with its filter")
TEXT, JSON = logs.Text(), logs.Json()


class Log(logging.Handler):
    """The lines that are written, in both styles, with the request that they belong to."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[str]] = {"text": [], "json": []}

    def emit(self, record: logging.LogRecord) -> None:
        self.lines["text"].append(TEXT.format(record))
        self.lines["json"].append(JSON.format(record))

    def refused(self) -> list[str]:
        """What follows the id of the request, of lines about refusals."""
        found = (re.search(r"\[[0-9a-f]{8}\] (refused .*)", line) for line in self.lines["text"])
        return [match[1] for match in found if match]


@pytest.fixture
def log() -> Iterator[Log]:
    log, logger = Log(), logging.getLogger("keystead")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    yield log
    logger.removeHandler(log)
    logger.setLevel(level)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as site:
        yield site


@pytest.fixture
def at(site: Site) -> Callable[[str], Visitor]:
    return lambda address: site.visitor(address=address)


def guess_everything(site: Site, at: Callable[[str], Visitor]) -> None:
    """A wrong password for zoe and for nobody, a wrong mailed code, a forged answer of a key, a wrong recovery code."""
    key = StubKey()
    visitor = at("192.0.2.1")
    visitor.submit_password("zoe", "not the password")
    visitor.submit_password("zoe@example.com", "not the password")
    at("2001:db8::7").submit_password("nobody@example.com", "a password typed as a name")
    visitor.log_on("zoe", site.password)
    visitor.follow(visitor.send_code())
    code = site.mailbox.code("zoe@example.com")
    visitor.verify("000000" if code != "000000" else "111111")
    visitor.verify("not a code")
    visitor.follow(visitor.verify(code))
    visitor.begin_bind()
    visitor.follow(visitor.finish_bind(key))
    recovery_codes(visitor)
    visitor.log_off()
    guesser = at("198.51.100.4")
    guesser.submit_password("zoe", site.password)
    guesser.begin_key()
    guesser.finish_key(key, bad_signature=True)
    guesser.begin_key()
    guesser.post("/logon/key/finish", guesser.answer(key) | {"credential": "", "failure": "NotAllowedError"})
    guesser.post("/logon/recovery", {"code": "AAAA-BBBB-CCCC-DDDD"})


def test_each_refusal_is_one_line_with_address_and_account(site: Site, at: Callable[[str], Visitor], log: Log) -> None:
    guess_everything(site, at)
    zoe = site.account.id
    assert log.refused() == [
        f"refused password account={zoe} address=192.0.2.1",
        f"refused password account={zoe} address=192.0.2.1",
        "refused password account=unknown address=2001:db8::7",
        f"refused code account={zoe} address=192.0.2.1",
        f"refused key account={zoe} address=198.51.100.4",
        f"refused recovery code account={zoe} address=198.51.100.4",
    ], "who cancels, or types what is no code at all, has not guessed"
    said = "\n".join(log.lines["text"] + log.lines["json"])
    for typed in ("zoe@example.com", "nobody@example.com", "a password typed as a name", "not the password", "AAAA"):
        assert typed not in said


def test_a_logon_that_is_refused_before_its_password_is_looked_at_says_why(
    site: Site, at: Callable[[str], Visitor], log: Log
) -> None:
    for _ in range(limits.LOGON_PAIR.most + 1):
        at("192.0.2.9").submit_password("zoe", "not the password")
    assert log.refused()[-1] == f"refused logon why=logon account={site.account.id} address=192.0.2.9"
    for number in range(limits.STRANGERS.most - limits.LOGON_PAIR.most + 1):
        at(f"192.0.2.{10 + number}").submit_password("zoe", "not the password")
    assert log.refused()[-1].startswith("refused logon why=logon-strangers")


def test_an_attempt_too_many_at_a_recovery_code_names_the_account_too(
    site: Site, at: Callable[[str], Visitor], log: Log, stub_key: StubKey
) -> None:
    owner = at("192.0.2.1")
    owner.log_on("zoe", site.password)
    owner.bind(stub_key)
    guesser = at("198.51.100.4")
    guesser.submit_password("zoe", site.password)
    for _ in range(limits.RECOVERY.most + 1):
        guesser.post("/logon/recovery", {"code": "AAAA-BBBB-CCCC-DDDD"})
    *wrong, often = log.refused()
    assert set(wrong) == {f"refused recovery code account={site.account.id} address=198.51.100.4"}
    assert often == f"refused attempt why=recovery account={site.account.id} address=198.51.100.4"


def matched(folder: Path, lines: list[str]) -> list[str]:
    """The addresses that fail2ban would count against, by the filter as it is shipped."""
    (folder / "keystead.log").write_text("".join(f"{line}\n" for line in lines))
    command = [str(FAIL2BAN), "--out", "ip", str(folder / "keystead.log"), str(SHIPPED / "filter.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


JOURNAL = "Nov 28 16:44:32 host keystead[4711]: "


@needs_fail2ban
@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("before", ["", JOURNAL], ids=["a file", "the journal"])
def test_the_shipped_filter_finds_each_and_nothing_else(
    site: Site, at: Callable[[str], Visitor], log: Log, tmp_path: Path, style: str, before: str
) -> None:
    guess_everything(site, at)
    lines = [before + line for line in log.lines[style]]
    assert len(lines) > 20
    assert matched(tmp_path, lines) == ["192.0.2.1"] * 2 + ["2001:db8::7", "192.0.2.1"] + ["198.51.100.4"] * 2


LINE = "2026-11-28T16:44:32.123Z INFO    [0a1b2c3d] "
NOT_THEIRS = [
    f"{LINE}refused logon why=logon-strangers account=abc address=192.0.2.1",
    f"{LINE}refused logon why=logon-strangers-hour account=abc address=192.0.2.1",
    f"{LINE}refused logon why=frozen account=abc address=192.0.2.1",
    f"{LINE}request method=GET route=/logon status=200 ms=1.0 refused password account=a address=192.0.2.1 ms=2",
    f"{LINE}logged on account=abc",
    f"{LINE}refused password account=abc address=",
]
THEIRS = [
    f"{LINE}refused logon why=logon-32 account=abc address=192.0.2.1",
    f"{LINE}refused logon why=logon account=abc address=192.0.2.1",
    f"{LINE}refused attempt why=recovery account=unknown address=192.0.2.1",
]


@needs_fail2ban
def test_what_others_did_is_not_counted_against_an_address(tmp_path: Path) -> None:
    assert matched(tmp_path, NOT_THEIRS) == []
    assert matched(tmp_path, THEIRS) == ["192.0.2.1"] * 3


@needs_fail2ban
def test_fail2ban_takes_both_files_where_their_heads_say_to_copy_them(tmp_path: Path) -> None:
    shutil.copytree("/etc/fail2ban", tmp_path / "fail2ban", ignore=shutil.ignore_patterns("jail.d"))
    (tmp_path / "fail2ban" / "jail.d").mkdir()
    for name in ("filter", "jail"):
        text = (SHIPPED / f"{name}.conf").read_text()
        assert f"/etc/fail2ban/{name}.d/keystead.conf" in text
        (tmp_path / "fail2ban" / f"{name}.d" / "keystead.conf").write_text(text)
    command = ["fail2ban-client", "-c", str(tmp_path / "fail2ban"), "-d"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "['start', 'keystead']" in done.stdout


def test_the_jail_reads_what_the_service_of_systemd_writes() -> None:
    jail = (SHIPPED / "jail.conf").read_text()
    assert "journalmatch = _SYSTEMD_UNIT=keystead.service" in jail
    assert (SHIPPED.parent / "keystead.service").exists()
    assert re.search(r"^filter = keystead$", jail, re.MULTILINE)
