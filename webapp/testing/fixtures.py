"""pytest fixtures for whoever tests against Keystead; the entry point `pytest11` makes them known wherever Keystead is installed.

    def test_a_bound_key_is_needed(keystead, keystead_visitor, stub_key):
        keystead_visitor.log_on(keystead.account.username, keystead.password)
        keystead_visitor.bind(stub_key)
        keystead_visitor.log_off()
        keystead_visitor.log_on(keystead.account.username, keystead.password)
        keystead_visitor.log_on_with(stub_key)

Imports nothing of Keystead until a fixture is asked for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from webapp.testing.browser import Slot
    from webapp.testing.clock import Clock
    from webapp.testing.mailbox import Outbox
    from webapp.testing.site import Site
    from webapp.testing.stub_key import StubKey
    from webapp.testing.visitor import Visitor


@pytest.fixture
def keystead(tmp_path: Path) -> Iterator["Site"]:
    """A site that runs in this process, on a file backend of its own, with one account."""
    from webapp.testing.site import running

    with running(tmp_path) as site:
        yield site


@pytest.fixture
def keystead_visitor(keystead: "Site") -> "Visitor":
    """Somebody at a browser, who reads the account's mail. `keystead.visitor()` makes more of them."""
    return keystead.visitor()


@pytest.fixture
def stub_key() -> "StubKey":
    """A CTAP2 key without PIN. `StubKey(flavour="u2f")` and its other arguments make other ones."""
    from webapp.testing.stub_key import StubKey

    return StubKey()


@pytest.fixture
def mailbox(keystead: "Site") -> "Outbox":
    """Where the site's mail arrives."""
    return keystead.mailbox


@pytest.fixture
def keystead_clock(keystead: "Site") -> Iterator["Clock"]:
    """The time that the site reads; `keystead_clock.move(timedelta(minutes=5))`."""
    from webapp.testing.clock import Clock

    with Clock() as clock:
        yield clock


@pytest.fixture
def keystead_slot(stub_key: "StubKey") -> "Slot":
    """Where browsers on `keystead_served` find `stub_key`; take it out (`key = None`), insert another one, or set `faults`."""
    from webapp.testing.browser import Slot

    return Slot(stub_key)


@pytest.fixture
def keystead_served(tmp_path: Path, keystead_slot: "Slot") -> Iterator["Site"]:
    """A site like `keystead` that real browsers on this machine reach, at its `url`. They need no virtual authenticator."""
    from webapp.testing.browser import served

    with served(tmp_path / "served", keystead_slot) as site:
        yield site
