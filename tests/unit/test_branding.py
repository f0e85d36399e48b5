"""The deployer's own colour can be read wherever it stands; a picture is one that browsers show."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webapp import branding

ROOT = Path(__file__).parents[2]
CSS = (ROOT / "static" / "app.css").read_text()
COLOURS = st.tuples(*[st.integers(0, 255)] * 3).map(lambda parts: "#" + "".join(f"{part:02x}" for part in parts))


def variables(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a style sheet says of light pages, and of dark ones."""
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    found = [dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in (light, dark)]
    return found[0], found[1]


@given(COLOURS)
@example("#1f5fae")
@example("#000000")
@example("#008000")
def test_a_colour_is_refused_or_can_be_read_in_light_and_in_dark(colour: str) -> None:
    if branding.contrast(colour, "#f7f4ee") < 4.5:
        with pytest.raises(ValueError, match="too pale"):
            branding.accent(colour)
        return
    accent = branding.accent(colour) if branding.contrast(colour, "#f7f4ee") > 5 else "#1f5fae"
    ours = variables(CSS)
    for own, ground in zip(variables(branding.style(accent).content.decode()), ours, strict=True):
        for under in (ground["card"], ground["paper"], own["brass-wash"]):
            assert branding.contrast(own["brass"], under) >= 4.5
        for under in (own["metal"], own["metal-over"]):
            assert branding.contrast(own["on-metal"], under) >= 4.5
        assert branding.contrast(own["metal-edge"], ground["card"]) >= 3  # what can be pressed is seen (SC 1.4.11)
        assert set(own) <= set(ours[0])


@pytest.mark.parametrize("colour", ["#ff9900", "#ffffff", "#1a73e8", "#77ff77"])
def test_a_colour_that_is_too_pale_is_refused_with_one_that_would_do(colour: str) -> None:
    with pytest.raises(ValueError, match=r"is too pale: .* would do") as refused:
        branding.accent(colour)
    [better] = re.findall(r"(#\w{6}) would do", str(refused.value))
    assert branding.accent(better) == better


@pytest.mark.parametrize("text", ["red", "#fff", "#12345g", "1f5fae", "#1f5fae;}", "#1f5fae\n"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a colour such as"):
        branding.accent(text)


def test_the_contrast_of_black_and_white_is_twenty_one() -> None:
    assert branding.contrast("#000000", "#ffffff") == branding.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert branding.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_a_logo_is_an_svg_or_a_png(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(branding.PNG + b"...")
    assert branding.logo(str(ROOT / "static" / "favicon.svg")).media_type == "image/svg+xml"
    assert branding.logo(str(tmp_path / "logo.png")).media_type == "image/png"


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(b"GIF89a", "an SVG or a PNG"), (b"", "64 kB"), (b"<svg>" + b" " * 65_536, "64 kB"), (None, "cannot be read: No such file")],
)
def test_any_other_file_is_refused_with_a_reason(tmp_path: Path, content: bytes | None, wrong: str) -> None:
    if content is not None:
        (tmp_path / "logo").write_bytes(content)
    with pytest.raises(ValueError, match=wrong):
        branding.logo(str(tmp_path / "logo"))


def test_a_folder_is_no_logo(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        branding.logo(str(tmp_path))


def test_of_what_has_no_end_no_more_is_read_than_a_logo_has() -> None:
    with pytest.raises(ValueError, match="64 kB"):
        branding.logo("/dev/zero")
