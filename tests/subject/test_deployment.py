"""A deployment is all that may change how a subject behaves: each part counts, in its order."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.subject.deployment import Deployment, plain_decimal

A, B = (sha256(name).hexdigest() for name in (b"a", b"b"))
PLAIN = Deployment(
    subject=A,
    system_prompt=A,
    filters=(("in", A), ("out", B)),
    tools=(("search", A),),
    surface="api",
    access_tier="public",
    sampling={"temperature": "1", "max_tokens": "4096"},
)
CHANGES = {
    "the subject": {"subject": B},
    "the prompt": {"system_prompt": B},
    "no prompt": {"system_prompt": None},
    "no filter": {"filters": ()},
    "a filter less": {"filters": PLAIN.filters[:1]},
    "the filters' order": {"filters": PLAIN.filters[::-1]},
    "a filter's bytes": {"filters": (("in", B), ("out", B))},
    "a filter's name": {"filters": (("im", A), ("out", B))},
    "a filter that is now a tool": {"filters": PLAIN.filters[:1], "tools": (*PLAIN.tools, PLAIN.filters[1])},
    "no tool": {"tools": ()},
    "a tool more": {"tools": (*PLAIN.tools, ("shell", B))},
    "the surface": {"surface": "chat"},
    "the tier": {"access_tier": "trusted-testers"},
    "surface and tier swapped": {"surface": "public", "access_tier": "api"},
    "no limit": {"sampling": {}},
    "a looser limit": {"sampling": {"temperature": "1", "max_tokens": "8192"}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_any_part_makes_another_deployment(change):
    changed = replace(PLAIN, **change)
    assert changed.problem() is None
    assert changed.digest != PLAIN.digest


def test_all_changes_together_are_as_many_deployments():
    assert len({replace(PLAIN, **change).digest for change in CHANGES.values()}) == len(CHANGES)


def test_the_digest_of_a_given_deployment_never_changes():
    assert PLAIN.digest == "62a44f00eca1c967b5724623593e5af8106f825fd0939537436577804b710ba0"
    assert replace(PLAIN, sampling={"max_tokens": "4096", "temperature": "1"}).digest == PLAIN.digest


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"filters": (("in", A), ("in", B))}, "a filter is named twice: `in`, `in`"),
        ({"tools": (("t", A), ("t", A))}, "a tool is named twice"),
        ({"sampling": {"Temperature": "1"}}, "`Temperature` is `1`, expected a lower-case name"),
        ({"sampling": {"": "1"}}, "expected a lower-case name"),
        ({"sampling": {"t": "1.0"}}, "`t` is `1.0`, expected a lower-case name and a plain decimal"),
        ({"sampling": {"t": "01"}}, "a plain decimal"),
        ({"sampling": {"t": "1e3"}}, "a plain decimal"),
        ({"sampling": {"t": "-1"}}, "a plain decimal"),
        ({"sampling": {"t": "1\n"}}, "a plain decimal"),
    ],
)
def test_what_has_no_one_spelling_is_refused(change, match):
    problem = replace(PLAIN, **change).problem()
    assert problem is not None
    assert match in problem


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("0.70", "0.7"),
        ("1e3", "1000"),
        ("4096", "4096"),
        ("0", "0"),
        ("0.0", "0"),
        ("+2", "2"),
    ]
    + [
        (text, None)
        for text in ("", "x", "-1", "-0", "nan", "inf", "1e99", "1e-99", "1e999999999", "0.1" + "0" * 17 + "1")
    ],
)
def test_a_limit_is_read_as_the_number_that_it_is(text, spelled):
    assert plain_decimal(text) == spelled


@given(st.decimals(0, 10**9, places=6))
def test_equal_limits_are_spelled_alike(value):
    assert plain_decimal(str(value)) == plain_decimal(f"{value:f}0")
    assert replace(PLAIN, sampling={"t": plain_decimal(str(value))}).problem() is None
