"""What finds words that were not translated, and what the views' tests do not show by themselves.

Every page, panel, refusal and letter that any test of this folder comes by is read in the pseudo-language: `conftest.py`.
"""

from typing import Any

import pytest

from tests.pseudo import FROM_RIGHT, PSEUDO, disguise, leaks, leaks_of_text
from webapp import clock, templating
from webapp.accounts import mislaying
from webapp.languages import KNOWN
from webapp.testing.site import Site
from webapp.web import responses, wording

FILES = sorted(str(path.relative_to(templating.TEMPLATES)) for path in templating.TEMPLATES.rglob("*.*"))


def test_the_pseudo_language_is_english_with_accents_a_third_longer_around_what_is_filled_in() -> None:
    said = disguise("Hello <b>%(name)s</b>, 100%% sure ")
    assert "<b>%(name)s</b>" in said
    assert said.endswith("··· ")
    assert "100%%" in said
    assert leaks_of_text(said.replace("<b>%(name)s</b>", "")) == []


def test_a_word_that_was_not_translated_is_found() -> None:
    page = (
        '<html lang="x"><p title="Left over">Ħéļļö <bdi>Zoe</bdi><b lang="en">English</b> <code>AB</code> not <i>marked</i></p>'
    )
    assert leaks(page) == ["not", "marked", "Left", "over"]
    assert leaks(page, ["Left over"], ["marked"]) == ["not"]


@pytest.mark.parametrize("file", FILES)
def test_every_template_compiles_in_every_language(file: str) -> None:
    for language in (*KNOWN.values(), PSEUDO, FROM_RIGHT):
        responses._environment(language).get_template(file)


def test_the_recovery_sheet_is_translated() -> None:
    sheet: dict[str, Any] = {"name": "Keystead", "public_url": "", "masked": "", "today": clock.now(), "codes": [], "help": None}
    assert leaks_of_text(templating.render(PSEUDO, "recovery_sheet.txt", **sheet)) == []


def test_a_page_that_is_read_from_the_right_says_so(keystead: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, FROM_RIGHT.code, FROM_RIGHT)
    visitor = keystead.visitor()
    visitor.client.cookies.set("keystead-language", FROM_RIGHT.code)
    assert f'<html lang="{FROM_RIGHT.code}" dir="rtl"' in visitor.get("/logon").text


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("key required", "from 2026-03-07 09:05 UTC on"), ("recovery code used", "3 left"),
        ("recovery code refused", "used before"), ("not mailed", "key bound"), ("pass given", "A browser on Linux, 192.0.2.1"),
        ("number looked up", "Firefox on Linux, 192.0.2.1"), ("number looked up", "An unknown browser"),
    ],
)  # fmt: skip
def test_what_is_recorded_beside_an_event_is_said_in_the_language_of_the_page(kind: str, detail: str) -> None:
    said = PSEUDO.plain(wording.detail(kind, detail))
    assert leaks_of_text(str(said)) == []
    assert str(wording.detail(kind, detail))


def test_a_kind_of_letter_that_no_event_is_called_by_is_not_said() -> None:
    assert wording.detail("not mailed", "new browser") == ""


def test_a_name_beside_an_event_is_left_as_it_is() -> None:
    assert wording.detail("key bound", "3 left") == "3 left"


def test_who_unbinds_what_is_mislaid_is_a_word_of_ours_and_no_sentence() -> None:
    assert " " not in mislaying.BY
