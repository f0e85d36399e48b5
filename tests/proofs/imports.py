"""Many accounts of six schemes brought here by the command, each of which then logs on with its old password and has ours.

python -m tests.proofs.imports [--rows 10000] [--logons 10000]
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from backends.records import Account
from tests import hashes
from tests.cli.deployment import Deployment
from tests.foreign import MADE, PASSWORD
from webapp.accounts import passwords
from webapp.testing.site import ADDRESS, Site, running

SCHEMES = ("bcrypt 2y", "django pbkdf2_sha256", "passlib scrypt", "argon2id", "django bcrypt_sha256", "passlib pbkdf2_sha512")


class Report(NamedTuple):
    """How long the command took, in seconds; how many logged on; and which kinds of hashes there are then."""

    rows: int
    seconds: float
    logged_on: int
    kinds: Counter[str]

    def __str__(self) -> str:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in self.kinds.most_common())
        return f"{self.rows:,} rows in {self.seconds:.1f} s; {self.logged_on:,} logged on; hashes: {kinds}"


def run(rows: int, logons: int, folder: Path) -> Report:
    """Everybody is imported by the command, and `logons` of them log on."""
    deployment = Deployment(folder)
    file = folder / "people.csv"
    lines = (f"p{number},p{number}@example.com,{_quoted(MADE[SCHEMES[number % len(SCHEMES)]])}" for number in range(rows))
    file.write_text("\n".join(("username,email,password", *lines)))
    deployment.ok("backend", "migrate")
    begun = time.perf_counter()
    deployment.ok("account", "import", str(file), "--yes")
    seconds = time.perf_counter() - begun
    deployment.ok("backend", "check")
    with hashes.cheap(), running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site:
        logged_on = sum(_logs_on(site, number) for number in range(logons))
        kinds = Counter(passwords.kind(account.password_hash) for account in site.call(_everybody, site))
    return Report(rows, seconds, logged_on, kinds)


def _quoted(hash: str) -> str:
    return f'"{hash}"' if "," in hash else hash


def _logs_on(site: Site, number: int) -> bool:
    visitor = site.visitor()
    visitor.client.headers["x-forwarded-for"] = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    answer = visitor.post("/logon", {"username": f"p{number}", "password": PASSWORD})
    return bool(answer.headers.get("location") == "/account")


async def _everybody(site: Site) -> list[Account]:
    return [account async for account in site.backend.accounts() if account.username.startswith("p")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--logons", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run(asked.rows, min(asked.rows, asked.logons), Path(folder))
    sys.stdout.write(f"{report}\n")
    sys.exit(report.kinds["ours"] != report.logged_on or report.logged_on != min(asked.rows, asked.logons))


if __name__ == "__main__":
    main()
