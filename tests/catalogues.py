"""The catalogues of `webapp/locale`: extracted from the code, brought up to date, compiled. Babel does it, for this only.

    python -m tests.catalogues            keystead.pot, then every keystead.po and keystead.mo
    python -m tests.catalogues --missing  what is not translated yet

No dates and no line numbers stand in them, so that two people's changes seldom meet. Never translates.
"""

import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from webapp import languages

ROOT = Path(__file__).parents[1]
TEMPLATE = languages.LOCALE / "keystead.pot"
KEYWORDS: dict[str, Any] = {"_": None, "_n": (1, 2), "gettext": None, "ngettext": (1, 2)}
METHODS = [("webapp/**.py", "python"), ("templates/**.html", "jinja2"), ("templates/**.txt", "jinja2")]
JINJA = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false", "trim_blocks": "true", "lstrip_blocks": "true"}
HEADER = "# Words of Keystead. Made by `python -m tests.catalogues`; how to translate them: docs/translating.md."
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Of a catalogue: no day may change it."""
UNWANTED = "POT-Creation-Date|PO-Revision-Date|Last-Translator|Generated-By|Report-Msgid-Bugs-To|Language-Team|Project-Id-Version"


def folders() -> Iterator[Path]:
    """Where each language's catalogue is."""
    return (languages.LOCALE / code.replace("-", "_") / "LC_MESSAGES" for code in languages.KNOWN if code != "en")


def extracted() -> Catalog:
    """Everything that is marked, where it occurs."""
    found = Catalog(header_comment=HEADER, fuzzy=False)
    options = {pattern: JINJA for pattern, method in METHODS if method == "jinja2"}
    for file, _, message, comments, _ in extract_from_dir(
        ROOT, METHODS, options, keywords=KEYWORDS, comment_tags=("Translators:",), strip_comment_tags=True
    ):
        found.add(message, locations=[(file, 0)], auto_comments=comments)
    return found


def read(folder: Path) -> Catalog:
    """The catalogue of a language as it stands in its file."""
    path = folder / "keystead.po"
    if not path.is_file():
        return Catalog(locale=folder.parent.name, header_comment=HEADER, fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=folder.parent.name)


def text(catalogue: Catalog) -> str:
    """The catalogue as a file, without what changes from day to day."""
    out = io.BytesIO()
    write_po(out, catalogue, width=120, omit_header=False, include_lineno=False, ignore_obsolete=True)
    return re.sub(rf'(?m)^"({UNWANTED}): .*\n', "", out.getvalue().decode())


def compiled(catalogue: Catalog) -> bytes:
    """The same for the running program. What is not translated is not in it."""
    out = io.BytesIO()
    catalogue.creation_date = catalogue.revision_date = SOME_DAY
    write_mo(out, catalogue)
    return out.getvalue()


def missing(catalogue: Catalog) -> list[Message]:
    """What is extracted, and has no words in this language."""
    return [message for message in catalogue if message.id and not all(strings(message))]


def sources(message: Message) -> tuple[str, ...]:
    """What is translated: one text, or that of one and that of several."""
    return tuple(message.id) if isinstance(message.id, (tuple, list)) else (message.id,)


def strings(message: Message) -> tuple[str, ...]:
    """The words of the language, a text for each of its forms; empty where there are none yet."""
    return tuple(message.string) if isinstance(message.string, (tuple, list)) else (message.string or "",)


def updated(folder: Path, template: Catalog) -> Catalog:
    """The language's catalogue with everything that is extracted, and nothing else."""
    catalogue = read(folder)
    catalogue.update(template, no_fuzzy_matching=True)
    return catalogue


def main() -> None:
    template = extracted()
    if "--missing" in sys.argv:
        for folder in folders():
            for message in missing(updated(folder, template)):
                sys.stdout.write(f"{folder.parent.name}: {message.id!r}\n")
        return
    TEMPLATE.write_text(text(template), encoding="utf-8")
    for folder in folders():
        folder.mkdir(parents=True, exist_ok=True)
        catalogue = updated(folder, template)
        (folder / "keystead.po").write_text(text(catalogue), encoding="utf-8")
        (folder / "keystead.mo").write_bytes(compiled(updated(folder, template)))  # as whoever reads the file finds it
        left = len(missing(catalogue))
        sys.stdout.write(f"{folder.parent.name}: {len(catalogue) - left} of {len(catalogue)}\n")


if __name__ == "__main__":
    main()
