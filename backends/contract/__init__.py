"""The tests that every backend must pass, ours and other people's: what `protocol.py` promises, asked from outside.

Subclass `BackendContract` and give two fixtures: `backend`, an opened and empty backend, and `backend_url`, the address at which
another process opens the same one; `docs/backends.md` shows it. It never asks what backend it got.

(PYTEST_DONT_REWRITE: no assert is here. Those of `backends.contract.suite` are rewritten, whoever imports what first.)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backends.contract.suite import BackendContract

__all__ = ["BackendContract"]


def __getattr__(name: str) -> Any:
    """The suite, once it is asked for: the programs beside it must run without pytest, and without being imported by it."""
    if name != "BackendContract":
        raise AttributeError(name)
    import pytest

    pytest.register_assert_rewrite("backends.contract.suite")
    from backends.contract.suite import BackendContract

    return BackendContract
