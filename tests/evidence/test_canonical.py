"""Canonical JSON: the quick encoder writes what the reference implementation writes."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from interlock.evidence import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ASCII = st.text(st.characters(max_codepoint=127))
PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)


def values(text):
    return st.recursive(PLAIN | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner))


@given(values(ASCII) | values(TEXT))
def test_it_is_the_reference_implementation(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        {"\N{GRINNING FACE}": 1, "\ufb33": 2},  # in UTF-16 the first comes first, as characters the second
        {"": 0, "\x7f": "\x7f", "\x1f": '\x00\b\t\n\f\r"\\/'},
        {"b": [], "a": {}, "A": [None, True, False, -1]},
    ],
)
def test_names_and_escapes_are_those_of_the_rfc(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


def test_a_lone_surrogate_has_no_canonical_form():
    with pytest.raises(ValueError, match=r"(?i)utf-8"):
        canonical.dumps({"a": "\ud800"})
