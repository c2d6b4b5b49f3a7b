"""docs/attacks.md has a row for every attack by name, and says what its test sees."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "attacks.md"
FILES = ("test_on_evidence.py", "test_on_roles.py", "test_on_the_ledger.py")
#: What no attack may do without a test by its name.
ATTACKS = (
    *("threshold edited after the run", "result without plan", "plan without result"),
    *("bad run hidden on a near-copy of the model", "log swapped", "samples dropped", "header rewritten"),
    *("adapter not loaded", "other weights under the same path", "signer outside the role"),
    *("quorum by one key twice", "auditor not independent", "replayed approval", "policy rolled back"),
    *("an older checkpoint chosen to decide by", "an older policy version chosen to decide by", "ledger truncated"),
    *("ledger forked", "ledger reordered", "entry altered", "checkpoint from the future", "proof for another tree"),
    *("witness shown two histories", "certified on many demonstrations, run on few"),
)
CONTROL = "test_on_evidence.py::test_what_the_run_gave_is_recorded_where_nobody_touched_it"


@dataclass(frozen=True)
class Row:
    attack: str
    ends: str
    test: str


def rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return [Row(attack, ends, test.strip("` ")) for attack, _, ends, test in cells]


@cache
def sources():
    """The source of each test by its name, with what it is parametrised by."""
    found = {}
    for file in FILES:
        text = (HERE / file).read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[f"{file}::{node.name}"] = ast.get_source_segment(text, node)
    return found


def test_every_test_has_one_row_and_every_row_its_test():
    assert sorted(row.test for row in rows()) == sorted(sources().keys() - {CONTROL})


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_of_the_list_has_its_name_in_a_row_and_in_a_test(attack):
    name = "test_" + re.sub(r"[ ,-]+", "_", attack)
    assert [row for row in rows() if row.attack.startswith(attack) and row.test.partition("::")[2].startswith(name)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.test)
def test_a_test_looks_for_what_its_row_says(row):
    source = re.sub(r"\s+", " ", sources()[row.test])
    quoted = re.findall(r"`([^`]+)`", row.ends.replace("`amend`", ""))
    assert quoted or "hold" not in row.ends
    assert [text for text in quoted if text not in source] == []
