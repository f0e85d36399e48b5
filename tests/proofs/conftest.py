"""Proofs in process use the kit that integrators use."""

import pytest

from webapp.testing import fixtures


def pytest_configure(config: pytest.Config) -> None:
    """The entry point has registered the fixtures wherever Keystead is installed; a source tree alone has to."""
    if not config.pluginmanager.is_registered(fixtures):
        config.pluginmanager.register(fixtures, "keystead_from_the_source")
