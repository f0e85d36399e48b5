"""What views are made of, each piece alone where that is possible, else at a site that runs in process."""

from collections.abc import Iterator

import pytest

from tests.views.people import bound
from webapp.testing import fixtures
from webapp.testing.site import Site, running
from webapp.testing.stub_key import StubKey
from webapp.testing.visitor import Visitor


def pytest_configure(config: pytest.Config) -> None:
    """The entry point has registered the fixtures wherever Keystead is installed; a source tree alone has to."""
    if not config.pluginmanager.is_registered(fixtures):
        config.pluginmanager.register(fixtures, "keystead_from_the_source")


@pytest.fixture
def half_signed_in(keystead: Site, stub_key: StubKey) -> Visitor:
    """Zoe, who has bound `stub_key` and given her password: she owes the key."""
    visitor = bound(keystead, stub_key)
    visitor.log_off()
    visitor.submit_password("zoe", keystead.password)
    return visitor


@pytest.fixture
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site under a path, beside other applications of the same host."""
    with running(tmp_path_factory.mktemp("mounted"), public_url="https://example.com/account-center") as site:
        yield site
