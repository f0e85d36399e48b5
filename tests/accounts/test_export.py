"""What we know about somebody: all of it, and nothing that guards the account."""

import json
from datetime import datetime
from typing import get_args, get_type_hints

import msgspec
import pytest

from backends import records
from backends.records import Notification, RecoveryCode, VerificationCode
from tests.accounts.conftest import Stored
from tests.accounts.samples import DAY, NOW, account, key, logged_on
from webapp.accounts import export
from webapp.accounts.context import Context
from webapp.accounts.events import Happened

SECRET = "attacked"
"""Stands in every field that somebody could guess a password, a code or a session by."""
PUBLIC = {("SecurityKey", "id"), ("SecurityKey", "public_key"), ("SecurityKey", "aaguid")}
"""Bytes that whoever watches a ceremony sees as well."""


@pytest.mark.anyio
async def test_everything_is_in_it_but_what_guards_the_account(ctx: Context, stored: Stored) -> None:
    whole, _, token = logged_on(
        account(
            password_hash=SECRET,
            keys=(key(name="Blue"),),
            codes=(
                VerificationCode(
                    purpose="email", session_id=SECRET, email="new@example.com", salt=SECRET.encode(), digest=SECRET.encode(),
                    tries_left=5, made_at=NOW, sent_at=NOW, expires_at=NOW + DAY,
                ),
            ),
            recovery_codes=(RecoveryCode(digest=SECRET.encode(), made_at=NOW),),
            notifications=(Notification(id=SECRET, kind="reset", to="alice@example.com", at=NOW, due_at=NOW, holder=SECRET),),
            groups=("staff",),
        )
    )  # fmt: skip
    known = await export.of(ctx, await stored(whole))
    text = json.dumps(known)
    for part in ("alice@example.com", "new@example.com", "Blue", "staff", "Firefox 156 on Linux", "192.0.2.1", "2026-11-24T"):
        assert part in text
    for secret in (SECRET, "YXR0YWNrZWQ", whole.sessions[0].id, whole.sessions[0].token_hash.hex(), token):
        assert secret not in text


@pytest.mark.anyio
async def test_every_event_is_in_it(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp.accounts import commits

    monkeypatch.setattr(export, "PAGE", 2)
    made = await commits.add(ctx, account(), [Happened("key bound", str(number)) for number in range(5)])
    known = await export.of(ctx, made)
    assert [event["detail"] for event in known["events"]] == ["0", "1", "2", "3", "4"]
    assert set(known["events"][0]) == {"seq", "kind", "at", "address", "browser", "detail"}
    datetime.fromisoformat(known["events"][0]["at"])


STRUCTS = [each for each in vars(records).values() if isinstance(each, type) and issubclass(each, msgspec.Struct)]


@pytest.mark.parametrize("record", [each for each in STRUCTS if each not in (msgspec.Struct, records.Attempts)])
def test_whatever_a_record_gets_in_the_future_is_shown_or_withheld_by_decision(record: type[msgspec.Struct]) -> None:
    """Bytes are digests and salts unless somebody has decided that they are not."""
    for name, kind in get_type_hints(record).items():
        is_bytes = kind is bytes or bytes in get_args(kind)
        if (is_bytes or name.endswith("_hash")) and (record.__name__, name) not in PUBLIC and record is not records.ChainLink:
            assert name in export.WITHHELD[record]
