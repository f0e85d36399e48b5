"""A deployment, alone or with somebody in it."""

from pathlib import Path

import pytest

from backends.records import Account
from tests.cli import deployment as deployments
from tests.cli.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@pytest.fixture
def anna(deployment: Deployment) -> Account:
    """An account with two keys that is logged on in one place."""
    return deployment.add(deployments.anna())
