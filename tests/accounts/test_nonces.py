"""What works once, works once; and an account remembers only so many."""

import pytest

from tests.accounts.samples import MINUTE, NOW, SECOND, account
from webapp.accounts import nonces
from webapp.accounts.nonces import Consumed, TooMany


def test_what_was_used_is_not_used_again() -> None:
    was = nonces.consume(account(), NOW, "a", NOW + MINUTE)
    with pytest.raises(Consumed):
        nonces.consume(was, NOW, "a", NOW + MINUTE)
    assert len(nonces.consume(was, NOW, "b", NOW + MINUTE).nonces) == 2


def test_what_would_have_expired_anyway_is_forgotten() -> None:
    was = nonces.consume(account(), NOW, "a", NOW + SECOND)
    now = nonces.consume(was, NOW + SECOND, "b", NOW + MINUTE)
    assert [each.id for each in now.nonces] == ["b"]


def test_nothing_that_is_remembered_is_pushed_out() -> None:
    was = account()
    for number in range(nonces.MAX_NONCES):
        was = nonces.consume(was, NOW, str(number), NOW + MINUTE)
    with pytest.raises(TooMany):
        nonces.consume(was, NOW, "one more", NOW + MINUTE)
    with pytest.raises(Consumed):
        nonces.consume(was, NOW, "0", NOW + MINUTE)
    assert len(nonces.consume(was, NOW + MINUTE, "later", NOW + 2 * MINUTE).nonces) == 1
