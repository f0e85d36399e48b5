"""How many guesses at a six-digit code somebody gets for one account in a day, while its owner still gets in.

    python -m tests.proofs.guesses [--hours 24]

Through the real pages. Who guesses has the password of an account without keys (without it there is no code to guess), and tries
without pause: from one address, and from 10,000. Time is moved, not waited for.
"""

import argparse
import sys
import tempfile
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from webapp.accounts import limits
from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F

STEP = timedelta(seconds=61)
TRIES = 7


class Outcome(NamedTuple):
    """How many guesses were judged, of how many that were sent; whether the owner gets in, and binds a key a day later."""

    judged: int
    sent: int
    owner_got_in: bool


def run(addresses: int, folder: Path, span: timedelta = timedelta(days=1)) -> Outcome:
    """What so long a time of guesses from so many addresses comes to."""
    with running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site, Clock() as clock:
        victim = site.add_account("victim")
        attacker, begun = site.visitor(victim), clock.now()
        judged = sent = at = 0
        while clock.now() - begun < span:
            at = (at + 1) % addresses
            attacker.client.headers["x-forwarded-for"] = f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"
            if attacker.get("/account").status_code != 200:
                attacker.log_on("victim", site.password)
            attacker.post(f"{U2F}/code")
            for guess in range(TRIES):
                answer = attacker.post(f"{U2F}/verify", {"code": f"{guess:06}"})
                sent += 1
                judged += "That is not the code" in answer.text
            clock.move(STEP)
        owner = site.visitor(victim)
        owner.log_on("victim", site.password)
        clock.move(limits.CODES.window)
        owner.log_on("victim", site.password)
        owner.bind(StubKey())
        owner.log_off()
        owner.log_on("victim", site.password)
        return Outcome(judged, sent, owner.get("/account").headers.get("location") == "/logon/key")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=24)
    asked = parser.parse_args()
    for addresses in (1, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(addresses, Path(folder), timedelta(hours=asked.hours))
        owner = "still gets in" if outcome.owner_got_in else "IS LOCKED OUT"
        guesses = f"{outcome.judged} of {outcome.sent:,} guesses judged (chance {outcome.judged / 10**6:.4%})"
        sys.stdout.write(f"{addresses:>6} addresses: {guesses}; the owner {owner}\n")


if __name__ == "__main__":
    main()
