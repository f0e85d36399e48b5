"""A site in its deployer's own colour, and with their logo: both judged before they are used. Never a style within a page.

A colour is refused where people could not read what is written in it: 4.5 : 1 at least (WCAG 2.2, SC 1.4.3), against every ground
that it stands on. For dark pages it is made as much lighter as it must be.
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

MIN_CONTRAST = 4.5
MAX_LOGO = 64 * 1024
PNG = b"\x89PNG\r\n\x1a\n"
WHITE, BLACK = "#ffffff", "#000000"
LIGHT, DARK = (WHITE, "#f7f4ee"), ("#1e1b16", "#15130f")
"""The card and the paper of app.css."""
WASH = {LIGHT: 0.08, DARK: 0.10}
"""How much of the colour is in the ground of what is marked."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is served beside the files that we ship: its type, its bytes, and a version that follows from them."""

    media_type: str
    content: bytes = field(repr=False)
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", hashlib.sha256(self.content).hexdigest()[:12])


def logo(text: str) -> Made:
    """The picture in this file: SVG or PNG, 64 kB at most. ValueError says what is wrong with it."""
    path = Path(text)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LOGO + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"{text} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not 0 < len(content) <= MAX_LOGO:
        raise ValueError(f"{text} must be a picture of 64 kB at most.")
    if content.startswith(PNG):
        return Made("image/png", content)
    if re.search(rb"<svg[\s>]", content[:4096]):
        return Made("image/svg+xml", content)
    raise ValueError(f"{text} must be an SVG or a PNG: browsers show those everywhere.")


def accent(text: str) -> str:
    """The colour as `#rrggbb`. ValueError if it is none, or too pale to be read, with a darker one that would do."""
    if not re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
        raise ValueError("must be a colour such as #1f5fae.")
    colour = text.lower()
    if (found := _least(colour, LIGHT)) < MIN_CONTRAST:
        raise ValueError(
            f"{colour} is too pale: text in it has a contrast of {found:.1f} : 1, and people need {MIN_CONTRAST} : 1. "
            f"{_until_read(colour, BLACK, LIGHT)} would do."
        )
    return colour


def style(accent: str) -> Made:
    """A style sheet that puts this colour in the place of the brass of app.css."""
    dark = _until_read(accent, WHITE, DARK)
    light_rules = {
        "brass": accent, "brass-wash": mixed(accent, LIGHT[0], WASH[LIGHT]), "metal": accent,
        "metal-over": mixed(BLACK, accent, 0.15), "metal-edge": mixed(BLACK, accent, 0.2), "on-metal": WHITE,
    }  # fmt: skip
    dark_rules = {
        "brass": dark, "brass-wash": mixed(dark, DARK[0], WASH[DARK]), "metal": dark,
        "metal-over": mixed(WHITE, dark, 0.15), "metal-edge": dark, "on-metal": DARK[1],
    }  # fmt: skip
    text = f":root {{ {_rules(light_rules)} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {_rules(dark_rules)} }} }}\n"
    return Made("text/css", text.encode())


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, definition of contrast ratio)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: str, ground: str, share: float) -> str:
    """So much of the colour on that ground."""
    parts = zip(_channels(colour), _channels(ground), strict=True)
    return "#" + "".join(f"{round(one * share + other * (1 - share)):02x}" for one, other in parts)


def _least(colour: str, grounds: tuple[str, str]) -> float:
    """Its contrast on what it stands on: card, paper, and the card with a wash of itself."""
    return min(contrast(colour, ground) for ground in (*grounds, mixed(colour, grounds[0], WASH[grounds])))


def _until_read(colour: str, towards: str, grounds: tuple[str, str]) -> str:
    """The colour, as much nearer to black or white as it must be to be read."""
    steps = (mixed(towards, colour, step / 50) for step in range(51))
    return next(step for step in steps if _least(step, grounds) >= MIN_CONTRAST)


def _rules(values: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in values.items())


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (part / 255 for part in _channels(colour))
    return 0.2126 * _linear(red) + 0.7152 * _linear(green) + 0.0722 * _linear(blue)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
