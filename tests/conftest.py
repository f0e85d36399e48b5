"""What every test has, and what counts as a run of all of them."""

import gc
import os
from collections.abc import Generator

import pytest

from webapp.accounts import apps

STRICT = os.environ.get("CI", "").lower() in ("1", "true") or "KEYSTEAD_CI" in os.environ


WHOLE = (
    "tests/deploy/", "tests/faults/", "tests/proofs/", "tests/test_docs_apps.py", "tests/test_docs_run.py",
    "tests/testing/test_visitor.py", "tests/views/test_ceremonies.py", "tests/views/test_guessing.py",
    "tests/views/test_held_back.py",
)  # fmt: skip
"""Tests of whole servers, and of what all of it withstands."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `uncounted` what passes by lines that other tests have passed: to count them there would take some minutes."""
    for item in items:
        whole = item.nodeid.startswith(WHOLE) and not item.nodeid.startswith("tests/deploy/test_doctor")
        if whole or (item.nodeid.startswith("tests/views/") and "[mongodb" in item.nodeid):
            item.add_marker("uncounted")


def pytest_collection_finish() -> None:
    """Whatever was imported and collected stays to the end, and need not be looked through for garbage again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio: uvicorn and pymongo know no other loop."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _nobody_looks_at_the_apps_meanwhile() -> Generator[None]:
    """A process looks at them every few seconds, which would be among the queries that tests count, or have fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps, "LOOK_EVERY", 3600.0)
        yield


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
