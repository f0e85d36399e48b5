"""How many guesses at a six-digit code an attacker gets for one account in a day, while the owner still gets in.

    python bench/guesses.py

Through the real endpoints. The attacker has the password of an account without keys (without it there is no code to guess), and
tries without pause: from one address, and from 10,000. Time is moved, not waited for.
"""

import sys
import tempfile
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from webapp.testing.clock import Clock
from webapp.testing.site import ADDRESS, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import U2F

STEP = timedelta(seconds=61)


def run(addresses: int, folder: Path) -> tuple[int, int, bool]:
    """How many guesses were judged in 24 hours, of how many that were sent; whether the owner could log on at the end of them."""
    with running(folder, trusted_proxies=(ip_network(ADDRESS),)) as site, Clock() as clock:
        victim = site.add_account("victim")
        attacker = site.visitor(victim)
        begun, judged, sent, at = clock.now(), 0, 0, 0
        attacker.log_on("victim", site.password)
        while clock.now() - begun < timedelta(days=1):
            at = (at + 1) % addresses
            attacker.client.headers["x-forwarded-for"] = f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}"
            if attacker.get("/account").status_code != 200:
                attacker.log_on("victim", site.password)
            attacker.post(f"{U2F}/code")
            for guess in range(7):
                answer = attacker.post(f"{U2F}/verify", {"code": f"{guess:06}"})
                sent += 1
                judged += "That is not the code" in answer.text
            clock.move(STEP)
        owner = site.visitor(victim)
        owner.log_on("victim", site.password)
        clock.move(timedelta(minutes=10))
        owner.bind(StubKey())
        owner.log_off()
        owner.log_on("victim", site.password)
        return judged, sent, owner.get("/account").headers.get("location") == "/logon/key"


if __name__ == "__main__":
    for many in (1, 10_000):
        with tempfile.TemporaryDirectory() as temporary:
            judged_guesses, sent_guesses, got_in = run(many, Path(temporary))
            chance = judged_guesses / 10**6
            print(
                f"{many:>6} addresses: {judged_guesses} of {sent_guesses:,} guesses judged in a day (chance {chance:.4%});"
                f" the owner {'still gets in' if got_in else 'IS LOCKED OUT'}"
            )
