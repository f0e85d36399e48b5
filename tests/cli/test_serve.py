"""`keystead serve` is started and stopped; what a platform may expect of it is in tests/deploy/test_serve.py."""

import signal
import time

import pytest

from tests.cli.deployment import Deployment, running, status
from webapp.testing.mailbox import free_port


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_answers_on_port_and_ends_when_told(deployment: Deployment, workers: str) -> None:
    port = free_port()
    environ = deployment.environ | {"PORT": str(port), "WEB_CONCURRENCY": workers}
    with running("serve", "--host", "127.0.0.1", environ=environ) as server:
        assert status(port, "/healthz") == 200
        assert status(port, "/logon") == 200
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        said, _ = server.communicate(timeout=10)
        assert time.monotonic() - begun < 10
    assert "Traceback" not in said


def test_an_outbox_that_cannot_be_made_is_said_before_anything_starts(deployment: Deployment) -> None:
    (deployment.folder / "taken").touch()
    assert "cannot be made" in deployment.refused("serve", KEYSTEAD_MAIL=f"outbox://{deployment.folder}/taken/box")
