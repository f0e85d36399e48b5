"""The catalogues are what the code says and what their translators wrote, and nothing in them can break a page."""

import re
from pathlib import Path

import pytest

from tests import catalogues
from webapp import languages

FOLDERS = list(catalogues.folders())
in_each_language = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)


def test_every_language_has_a_catalogue_and_every_catalogue_is_of_a_language() -> None:
    assert {path.parent.parent for path in languages.LOCALE.glob("*/LC_MESSAGES/*.mo")} == {each.parent for each in FOLDERS}


def test_the_template_is_what_the_code_says() -> None:
    """Make it anew with: make words."""
    assert catalogues.TEMPLATE.read_text(encoding="utf-8") == catalogues.text(catalogues.extracted())


@in_each_language
def test_a_catalogue_has_what_the_code_says_and_is_compiled(folder: Path) -> None:
    """Make it anew with: make words."""
    catalogue = catalogues.updated(folder, catalogues.extracted())
    assert (folder / "keystead.po").read_text(encoding="utf-8") == catalogues.text(catalogue)
    assert (folder / "keystead.mo").read_bytes() == catalogues.compiled(catalogue)


@in_each_language
def test_nothing_is_left_untranslated(folder: Path) -> None:
    """What is: python -m tests.catalogues --missing."""
    assert [message.id for message in catalogues.missing(catalogues.updated(folder, catalogues.extracted()))] == []


@in_each_language
def test_a_translation_has_the_values_and_the_markup_of_what_it_translates(folder: Path) -> None:
    for message in catalogues.read(folder):
        for words in catalogues.strings(message):
            if message.id and words:
                assert not list(message.check()), message.id
                assert markup(words) in [markup(text) for text in catalogues.sources(message)], message.id


def markup(text: str) -> tuple[list[str], list[str]]:
    """Tags and what else could end an attribute or begin a tag; and what is filled in."""
    return sorted(re.findall(r"<[^>]*>|[<>\"&]", text)), sorted(set(re.findall(r"%\(\w+\)s|%%", text)))
