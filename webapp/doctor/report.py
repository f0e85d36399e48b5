"""What was found, for people and for machines."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict

from webapp.doctor.finding import Finding

WIDTH = 100
NEVER = (
    "Whether a backup can be restored (docs/backends.md), and whether mail that was accepted arrives, and not as spam.",
    "Other machines of this deployment, which need the same settings; and whether anybody gets past the proxy to PORT.",
)
"""What doctor cannot see from where it is."""
_INDENT = " " * 22


def as_text(findings: Sequence[Finding]) -> str:
    """A paragraph for each finding, the sum, and what nobody looked at: that nothing was found there says nothing."""
    looked_at = [finding for finding in findings if finding.state != "unchecked"]
    others = [finding for finding in findings if finding.state == "unchecked"]
    never = [_wrapped(f"{'never':<22}", text) for text in NEVER]
    return "\n".join([*map(_paragraph, looked_at), "", _sum(findings), "", "Not looked at:", *map(_paragraph, others), *never])


def as_json(findings: Sequence[Finding]) -> str:
    """One object: whether all is well, and the findings."""
    well = all(finding.state != "wrong" for finding in findings)
    return json.dumps({"well": well, "findings": [asdict(finding) for finding in findings]}, indent=2)


def _paragraph(finding: Finding) -> str:
    state = "WRONG" if finding.state == "wrong" else finding.state
    lines = [_wrapped(f"{state:<11}{finding.check:<11}", finding.text)]
    if finding.todo:
        lines.append(_wrapped(_INDENT, f"To do: {finding.todo}"))
    return "\n".join(lines)


def _wrapped(before: str, text: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=before, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
    )


def _sum(findings: Sequence[Finding]) -> str:
    faults = sum(finding.state == "wrong" for finding in findings)
    skipped = sum(finding.state == "unchecked" for finding in findings)
    said = f"{faults} {'thing is' if faults == 1 else 'things are'} wrong." if faults else "Nothing is wrong."
    return said + (f" {skipped} could not be checked from here." if skipped else "")
