"""Tables of policies: nothing is cut, all is text, each thing is a link to its line and marked by its sources."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from interlock.policy import clauses
from interlock.policy.matrix import Said
from interlock.report import matrix, overview, tables
from interlock.report.tables import Item, Table, plain

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "policies" / "example-lab.yaml"
FULL = ROOT / "tests" / "policy" / "full.yaml"
HOSTILE = "a | b <script>alert(1)</script> [x](http://y) `c` *d* _e_ \\ $f$ &amp; # ~~g~~"


@pytest.fixture(scope="module")
def read():
    return {file: clauses.read(file) for file in (EXAMPLE, FULL)}


@pytest.fixture(scope="module")
def shown(read):
    """The tables of each kind."""
    placed = [matrix.placed(file, *it) for file, it in read.items()]
    return {
        "one": matrix.one(placed[1]),
        "several": matrix.several(placed),
        "overview": overview.overview(*read[FULL], placed[1]),
    }


def items(found):
    return [it for table in found for row in table.rows for cell in row for it in cell]


kinds = pytest.mark.parametrize("kind", ["one", "several", "overview"])


@kinds
def test_every_row_is_as_long_as_the_head(shown, kind):
    for table in shown[kind]:
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert all(cell for row in table.rows for cell in row)


@kinds
def test_markdown_has_every_item_and_a_table_stays_a_table(shown, kind):
    said = tables.markdown(shown[kind], folder=ROOT / "docs")
    for it in items(shown[kind]):
        assert tables.escaped(it.text) in said
    for line in said.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    widths = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in said.splitlines() if line.startswith("|")]
    expected = [len(table.head) for table in shown[kind] for _ in range(len(table.rows) + 2)]
    assert widths == expected


@kinds
def test_links_lead_to_the_line_from_the_pages_folder(shown, kind):
    said = tables.markdown(shown[kind], folder=ROOT / "docs")
    links = re.findall(r"\]\(([^)#]+)(?:#L(\d+))?\)", said)
    assert links
    for file, line in links:
        target = ROOT / "docs" / file
        assert target.exists()
        assert 1 <= int(line or 1) <= len(target.read_text(encoding="utf-8").splitlines())


def test_what_somebody_wrote_is_shown_and_is_no_markdown():
    table = Table(HOSTILE, ("policy", HOSTILE), ((plain(HOSTILE), (Item(f"{HOSTILE}\nmore", file=EXAMPLE, line=3),)),))
    said = tables.markdown([table], folder=ROOT)
    assert len([line for line in said.splitlines() if line.startswith("|")]) == 3
    bare = re.sub(r"\\.", "", said.replace("<br>", ""))
    assert not set("<>*_`$~&") & set(bare)
    assert bare.count("[") == bare.count("]") == 1
    assert re.sub(r"\\(.)", r"\1", said).count(HOSTILE) == 4


def test_a_files_name_is_no_markup_either(tmp_path):
    file = tmp_path / "a b)(#c].yaml"
    file.write_text("x", encoding="utf-8")
    said = tables.markdown([Table("", ("x", "y"), ((plain("z"), (Item("t", file=file, line=2),)),))], folder=tmp_path)
    assert "(a%20b%29%28%23c%5D.yaml#L2)" in said


MARKS = {
    (): (),
    ("read",): (),
    ("secondary",): ("S",),
    ("memory", "read"): ("M",),
    ("added",): ("+",),
    ("read", "added"): ("(+)",),
    ("added", "secondary", "memory"): ("S", "M", "(+)"),
}


@pytest.mark.parametrize("standings", MARKS)
def test_what_is_not_the_primary_text_is_marked(standings):
    found = tables.item(Said("t", "refresh", 1, standings), EXAMPLE)
    assert found.marks == MARKS[standings]


def test_the_legend_has_the_marks_that_stand_there_and_no_others():
    table = Table("", ("a", "b"), ((plain("x"), (Item("y", ("M",)), Item("z", ("(+)", "S")))),))
    assert tables.marks([table]) == ("S", "M", "(+)")
    said = tables.markdown([table], folder=ROOT)
    assert "`[S]` rests on" in said
    assert "`[+]`" not in said


def test_a_table_on_its_side_has_the_same_cells():
    table = Table("c", ("p", "a", "b"), ((plain("x"), plain("1"), plain("2")), (plain("y"), plain("3"), plain("4"))))
    assert tables.turned(table) == Table(
        "c", ("p", "x", "y"), ((plain("a"), plain("1"), plain("3")), (plain("b"), plain("2"), plain("4")))
    )
    assert tables.columns(table, (0, 2)).head == ("p", "b")


# -- pages -------------------------------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@kinds
def test_a_page_has_every_item_and_loads_nothing(shown, kind):
    page = tables.html(shown[kind], title="a title")
    seen = Seen(page)
    for it in items(shown[kind]):
        assert it.text in seen.text
    assert not {"script", "link", "img", "iframe", "object"} & set(seen.tags)
    assert not {"src", "href"} & {name for name, _ in seen.attributes}
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_what_somebody_wrote_is_no_markup_on_a_page(shown):
    table = Table(HOSTILE, ("policy", HOSTILE), ((plain(HOSTILE), (Item(HOSTILE, path=HOSTILE, file=EXAMPLE),)),))
    plain_page = tables.html(
        [replace(table, caption="x", head=("a", "b"), rows=((plain("c"), plain("d")),))], title="t"
    )
    seen = Seen(tables.html([table], title=HOSTILE))
    assert set(seen.tags) == set(Seen(plain_page).tags)
    assert seen.text.count(HOSTILE) >= 5


# -- one policy --------------------------------------------------------------------------------------------------------


def test_the_overview_says_what_each_threshold_and_requirement_is(shown):
    facts, roles, thresholds, requirements, _ = shown["overview"]
    said = {table.caption: {row[0][0].text: [it.text for cell in row[1:] for it in cell] for row in table.rows}
            for table in (facts, roles, thresholds, requirements)}  # fmt: skip
    of = said["Thresholds"]
    assert of["cyber-high"] == ["replication >= 0.5", "at scale, deploy-internal, release-weights"]
    assert of["lying"] == ["honesty <= -0.5", "at deploy-internal"]
    assert of["precursor"] == ["training_compute >= 1e26", "at no gate by itself"]
    assert of["combined"][0] == "all of (precursor, any of (cyber-high, bio-high))"
    assert of["two-of-three"][0] == "at least 2 of (replication >= 0.5, ctf-web >= 50, ctf-binary >= 50)"
    assert of["bio-4"][0] == "judged by board on bio-study, capability-report, ctf-web, ctf-binary"
    assert of["bio-5"][0] == "not defined yet (a hole)"
    assert of["cyber-screen"][1] == "watched"
    assert of["cyber-alert"][1] == "an alert line, before cyber-high"
    met = {name: texts[0] for name, texts in said["Requirements"].items()}
    assert (
        met["security-3"]
        == "weight security level 3 audit: attested by external-auditor about the developer, for 12 months"
    )
    assert met["go-ahead"].endswith("approved by board about the deployment, for 3 months")
    assert met["misuse-3"] == "measured: jailbreaks <= 0.01, run by evaluation-team"
    assert met["misuse-4"] == "measured: refusals >= 0.99, run by safety-officer"
    assert met["next-defined"] == "threshold bio-5 is defined"
    assert met["next-ruled-out"] == "threshold bio-high is ruled out"
    assert met["either"] == "any of security-3, security-interim"
    assert met["most"] == "at least 2 of security-3, misuse-4, misuse-5"
    assert met["understanding"].startswith("nothing yet, a hole: ")
    assert said["Roles"]["board"] == ["2 of 2 keys", "none"]
    assert said["Roles"]["ltbt"] == ["no keys yet", "none"]
    facts_said = said["A policy that says everything"]
    assert facts_said["version"] == ["2.0.0, supersedes 1.0.0"]
    assert facts_said["imposed by"] == ["EU AI Office"]
    assert facts_said["in force"] == ["from 2026-12-01T00:00:00Z to 2028-12-01T00:00:00Z"]
    assert facts_said["binds"] == ["subjects with any of (training_compute >= 1e25, effective_compute >= 2.5e25)"]


def test_a_digest_of_stand_ins_says_so(shown):
    [digest] = [row[1][0].text for row in shown["overview"][0].rows if row[0][0].text == "digest"]
    assert re.fullmatch(r"[0-9a-f]{64}, with stand-ins for \d+ key files that are not there", digest)
