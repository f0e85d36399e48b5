import json
import logging

from webapp import logs


def _record(message: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("keystead.test", logging.WARNING, __file__, 1, message, None, None)
    record.fields = fields
    return record


def test_a_line_for_people_is_one_line_whatever_somebody_put_into_it() -> None:
    line = logs.Text().format(_record("refused", reason="a\nFAKE INFO line\x1b[31m", account="abc"))
    assert "\n" not in line
    assert "\x1b" not in line
    assert line.endswith(r"WARNING [-] refused reason=a\nFAKE INFO line\x1b[31m account=abc")


def test_a_line_for_machines_is_one_json_object() -> None:
    line = logs.Json().format(_record("refused", reason="a\nb", status=422))
    assert "\n" not in line
    found = json.loads(line)
    assert (found["what"], found["level"], found["reason"], found["status"]) == ("refused", "warning", "a\nb", 422)
    assert found["at"].endswith("Z")
