"""Where clauses stand, and what their sources rest on."""

from __future__ import annotations

import pytest

from interlock.policy import clauses

TEXT = """\
a: 1
gates:
  scale:
    cyber: [one]
on_hold:
  cyber:
    - {do: notify}
    - {do: recall}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [("a", 1), ("gates", 2), ("gates.scale.cyber", 4), ("on_hold.cyber.1", 8), ("gates.scale.bio", 3), ("duties.x", 1)],
)
def test_a_clause_has_the_line_where_it_or_what_it_stands_in_is_written(path, line):
    root = clauses.yaml.Composer().compose(TEXT)
    assert clauses.Clauses("policy.yaml", tuple(TEXT.splitlines()), root).line(path) == line


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("section 4", ("read", "section 4")),
        ("secondary: section 4", ("secondary", "section 4")),
        ("memory: section 4", ("memory", "section 4")),
        ("added: it names no role", ("added", "it names no role")),
        ("secondary sources", ("read", "secondary sources")),
    ],
)
def test_a_source_says_what_it_rests_on(source, known):
    assert clauses.standing(source) == known
