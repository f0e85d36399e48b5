"""The HTTP tests in process: they use the kit that integrators use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hashes, mongo_server, untranslated
from webapp.testing import fixtures
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor

ON_BOTH = (
    "apps",
    "binding",
    "email",
    "forgotten",
    "helpdesk",
    "logon",
    "mislaying",
    "not_me",
    "opening",
    "password",
    "proving",
    "recovery",
    "removed",
    "trying",
)
"""The flow itself, which runs on the file backend and on MongoDB alike."""


def pytest_configure(config: pytest.Config) -> None:
    """The entry point has registered the fixtures wherever Keystead is installed; a source tree alone has to."""
    if not config.pluginmanager.is_registered(fixtures):
        config.pluginmanager.register(fixtures, "keystead_from_the_source")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    of = metafunc.module.__name__.rpartition(".test_")[2]
    if of == "apps" and metafunc.definition.get_closest_marker("parametrize"):
        return  # what a proxy says is read before any backend is asked
    if "keystead" in metafunc.fixturenames and of in ON_BOTH:
        metafunc.parametrize("keystead", ["file", "mongodb"], indirect=True)


@pytest.fixture(scope="module", autouse=True)
def cheap_hashes() -> Iterator[None]:
    with hashes.cheap():
        yield


@pytest.fixture(scope="module", autouse=True)
def everything_is_translated() -> Iterator[None]:
    """Whatever these tests come by."""
    with untranslated.found():
        yield


@pytest.fixture(scope="session")
def mongodb() -> Iterator[str]:
    """The address of a server that speaks MongoDB's wire protocol."""
    with mongo_server.running() as address:
        yield address


@pytest.fixture
def keystead(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The kit's fixture of that name, on the backend that the test is run on."""
    if getattr(request, "param", "file") == "file":
        with running(tmp_path) as site:
            yield site
    else:
        with running(tmp_path, backend=mongo_server.database(request.getfixturevalue("mongodb"))) as site:
            yield site


@pytest.fixture
def half_signed_in(keystead: Site, stub_key: StubKey) -> Visitor:
    """Zoe, who has bound `stub_key` and given her password: she owes the key."""
    visitor = keystead.visitor()
    visitor.log_on("zoe", keystead.password)
    visitor.bind(stub_key)
    visitor.log_off()
    visitor.submit_password("zoe", keystead.password)
    return visitor
