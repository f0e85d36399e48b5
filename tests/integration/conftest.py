"""Keystead's own integration tests use the kit that integrators use."""

from webapp.testing.fixtures import keystead, keystead_clock, keystead_visitor, mailbox, stub_key

__all__ = ["keystead", "keystead_clock", "keystead_visitor", "mailbox", "stub_key"]
