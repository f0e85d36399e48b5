"""Ways back, counted from what there is."""

import pytest

from backends.records import RecoveryCode, SecurityKey
from tests.accounts.samples import NOW, account, key
from webapp.accounts import ways

LEFT, USED = RecoveryCode(digest=b"1", made_at=NOW), RecoveryCode(digest=b"2", made_at=NOW, spent_at=NOW)


@pytest.mark.parametrize(
    ("keys", "codes", "spare", "count"),
    [
        ((), (), 0, 0),
        ((key(b"1"),), (), 0, 0),
        ((key(b"1"),), (LEFT, USED), 0, 1),
        ((key(b"1"),), (USED,), 0, 0),
        ((key(b"1"), key(b"2")), (LEFT,), 1, 2),
        ((key(b"1"), key(b"2"), key(b"3")), (), 2, 2),
        ((key(b"1"), key(b"2", suspended_at=NOW)), (), 0, 0),
    ],
)
def test_each_spare_key_is_a_way_back_and_all_codes_are_one(
    keys: tuple[SecurityKey, ...], codes: tuple[RecoveryCode, ...], spare: int, count: int
) -> None:
    found = ways.back(account(keys=keys, recovery_codes=codes))
    assert (found.spare, found.count) == (spare, count)
