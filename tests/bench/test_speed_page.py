"""What docs/speed.md says of the benchmark is what the benchmark does."""

import re

from bench.peers.__main__ import PEERS
from bench.peers.measure import CROWD, STORM, WARM_UP, Effort
from bench.peers.page import BEGIN, END, PAGE
from bench.peers.peer import Installed
from bench.peers.table import COLUMNS

TEXT = PAGE.read_text(encoding="utf-8")
MEASURED = TEXT.partition(BEGIN)[2].partition(END)[0]
EXPLAINED = TEXT.partition(END)[2]


def test_every_row_of_the_table_is_explained() -> None:
    assert [title for title, _, _ in COLUMNS if f"`{title}`" not in EXPLAINED] == []


def test_every_peer_has_a_paragraph_and_a_row_about_its_setup() -> None:
    assert [peer.name for peer in PEERS if f"\n**{peer.name}** " not in EXPLAINED or f"\n| {peer.name} |" not in EXPLAINED] == []


def test_the_table_has_all_rows_and_says_how_it_was_measured() -> None:
    assert [title for title, _, _ in COLUMNS if f"\n| {title} | " not in MEASURED] == []
    assert re.search(r"^\d{4}-\d\d-\d\d, .* Rounds: \d+, medians\. Cores: \d+, ", MEASURED, re.MULTILINE)


def test_the_numbers_of_the_text_are_those_of_the_benchmark() -> None:
    effort = Effort()
    told = (
        f"A round is {effort.alone} key logons one at a time, {effort.together} by {CROWD} people at once, "
        f"and {effort.storm} in the storm; "
    )
    assert told in EXPLAINED
    slow = [peer.name for peer in PEERS if peer.slow]
    assert f"{told}{' and '.join(slow)}, " in EXPLAINED
    assert f"storm of {STORM}`" in EXPLAINED
    assert f"while {STORM} connections" in EXPLAINED
    assert WARM_UP == 2
    assert "after two logons of each person" in EXPLAINED


def test_what_was_taken_is_told_of_the_versions_that_are_measured() -> None:
    versions = {peer.name: peer.packages[0].partition("==")[2] for peer in PEERS if issubclass(peer, Installed)}
    rows = re.findall(r"^\| (\S+) \| (\d\S+) \| ", EXPLAINED, re.MULTILINE)
    assert len(rows) == 2
    assert [row for row in rows if versions[row[0]] != row[1]] == []


def test_keystead_writes_as_often_as_the_page_about_scaling_says() -> None:
    scaling = PAGE.with_name("scaling.md").read_text(encoding="utf-8")
    ends = [
        re.search(rf"^\| `POST /logon/key/{step}` \| [^|]+ \| \d+ \| (\d+) \|", scaling, re.MULTILINE)
        for step in ("begin", "finish")
    ]
    told = re.search(r"^\| Keystead \|[^|]+\|[^|]+\| (\d+) \|", EXPLAINED, re.MULTILINE)
    assert told
    assert sum(int(end[1]) for end in ends if end) == int(told[1])
