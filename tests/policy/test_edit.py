"""Changes to YAML text: what is asked for changes, and not one character besides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from interlock.policy.edit import Edits, scalar

TEXT = """# head
id: a/b        # whose
title: "A: title"
list:          # a block
  - one
  - two        # the last

# between
map:
  x: {p: 1, q: [2, 3], r: 4}   # in flow
  y: text that
    goes on
only: {one: 1}
cases:
  - name: first
    at: now
  - {name: second}
"""


def plain(text):
    return YAML(typ="base", pure=True).load(text)


def edited(change):
    edits = Edits(TEXT)
    change(edits)
    return edits.text()


def test_nothing_asked_nothing_changed():
    assert edited(lambda edits: None) == TEXT


CHANGES = {
    "a plain scalar": (lambda e: e.replace("c/d", "id"), "id: a/b  ", "id: c/d  "),
    "a quoted one": (lambda e: e.replace("B", "title"), '"A: title"', "B"),
    "a list in a block": (lambda e: e.replace("[three]", "list"), "- one\n  - two ", "[three] "),
    "an item of it": (lambda e: e.replace("three", "list", 1), "- two ", "- three "),
    "a list in flow": (lambda e: e.replace("[]", "map", "x", "q"), "[2, 3]", "[]"),
    "a scalar on two lines": (lambda e: e.replace("z", "map", "y"), "text that\n    goes on", "z"),
    "a new entry in flow": (lambda e: e.insert("o: 0", "map", "x"), "{p: 1", "{o: 0, p: 1"),
    "a new entry in a block": (lambda e: e.insert("w: 0", "map"), "  x: {p", "  w: 0\n  x: {p"),
    "a new entry in an item": (lambda e: e.insert("of: me", "cases", 0), "- name: f", "- of: me\n    name: f"),
    "a new entry in an item in flow": (lambda e: e.insert("of: me", "cases", 1), "- {name", "- {of: me, name"),
    "the first of three gone": (lambda e: e.remove("map", "x", "p"), "{p: 1, q", "{q"),
    "the second": (lambda e: e.remove("map", "x", "q"), "q: [2, 3], ", ""),
    "the last": (lambda e: e.remove("map", "x", "r"), ", r: 4", ""),
    "the only one, and so the mapping": (lambda e: e.remove("only", "one"), "only: {one: 1}\n", ""),
    "a line": (lambda e: e.remove("id"), "id: a/b        # whose\n", ""),
    "a block": (lambda e: e.remove("list"), "list:          # a block\n  - one\n  - two        # the last\n", ""),
    "a head": (lambda e: e.head("new\nhead"), "# head", "# new\n# head\n# head"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change(name):
    change, old, new = CHANGES[name]
    assert TEXT.count(old) == 1
    assert edited(change) == TEXT.replace(old, new)
    plain(edited(change))


def test_many_changes_at_once():
    def change(edits):
        edits.insert("w: 0", "map")
        edits.replace("c/d", "id")
        edits.insert("v: 0", "map")
        edits.remove("only")

    data = plain(edited(change))
    assert data["id"] == "c/d"
    assert list(data["map"]) == ["w", "v", "x", "y"]
    assert "only" not in data


def test_what_stands_where():
    edits = Edits(TEXT)
    assert edits.keys("map", "x") == ("p", "q", "r")
    assert edits.keys("cases") == (0, 1)
    assert edits.keys("id") == edits.keys("nowhere", 3) == ()
    assert edits.written("map", "y") == "text that goes on"
    assert edits.text_at("title") == "A: title"
    assert edits.text_at("map") == edits.written("nowhere") == ""
    with pytest.raises(KeyError):
        edits.replace("x", "nowhere")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1))
def test_a_scalar_means_its_text_wherever_it_stands(text):
    for form in ("a: {}", "a: [{}, b]", "{{a: {}, b: c}}"):
        data = plain(form.format(scalar(text)))
        got = data["a"][0] if isinstance(data["a"], list) else data["a"]
        assert got == text
