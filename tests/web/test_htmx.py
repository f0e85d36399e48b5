"""How htmx is set up on every page: it keeps no copy of a page that a later person at this browser could go back to."""

import json
import re
from pathlib import Path

from webapp.testing.site import Site
from webapp.testing.visitor import Visitor

TEMPLATES = Path(__file__).parents[2] / "templates"


def test_htmx_keeps_no_history(keystead: Site, keystead_visitor: Visitor) -> None:
    keystead_visitor.log_on("zoe", keystead.password)
    for path in ("/account", "/account/security", "/account/activity"):
        found = re.search(r"<meta name=\"htmx-config\" content='([^']*)'>", keystead_visitor.get(path).text)
        assert found
        assert json.loads(found[1])["history"] is False
    for template in TEMPLATES.rglob("*.html"):
        assert not re.search(r"hx-(push|replace)-url", template.read_text(encoding="utf-8")), template.name
