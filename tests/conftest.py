"""What every test has, and what counts as a run of all of them."""

import os
from collections.abc import Generator

import pytest

STRICT = os.environ.get("CI", "").lower() in ("1", "true") or "KEYSTEAD_CI" in os.environ


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio: uvicorn and pymongo know no other loop."""
    return "asyncio"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be skipped, a test that was skipped has failed."""
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, where everything must run: {report.longreprtext}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what was not proven."""
    if skipped := terminalreporter.getreports("skipped"):
        terminalreporter.section(
            f"{len(skipped)} TESTS DID NOT RUN: what they prove is not proven here", "!", red=True, bold=True
        )
