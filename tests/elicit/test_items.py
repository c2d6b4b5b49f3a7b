"""Questions come in parts that share nothing; whatever would let an elicitation see the test is refused."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from interlock.elicit import items
from interlock.elicit.items import Item
from interlock.errors import UsageError

LONG = "the harbour master counted nineteen grey boats before breakfast and wrote the number in a ledger bound in cloth"


def item(name: str, text: str, target: str = "x1", *, family: str = "", choices: tuple[str, ...] = ()) -> Item:
    return Item(name, family or name, ({"role": "user", "content": text},), target, choices)


def made(demonstrations, test, dev=(), *, grade="exact"):
    parts = {"demonstration": demonstrations, "dev": dev, "test": test}
    return items.questions("trial", parts, grade=grade, max_new_tokens=4)


def test_an_elicitor_is_not_given_test_questions():
    material = made([item("a", "one")], [item("b", "two")], [item("c", "three")]).material
    assert [it.id for it in (*material.demonstrations, *material.dev)] == ["a", "c"]


REFUSED = {
    "no demonstrations": (([], [item("b", "two")]), "no demonstration questions"),
    "no test": (([item("a", "one")], []), "no test questions"),
    "a family on both sides": (
        ([item("a", "one", family="f")], [item("b", "two", family="f")]),
        "family `f` is in demonstration and in test",
    ),
    "the same text": (([item("a", "say Dax!")], [item("b", "say  dax")]), "item `a` of demonstration is a duplicate"),
    "nearly the same text": (([item("a", LONG)], [item("b", LONG + " twice")]), "near-duplicate"),
    "the same text in dev": (([item("a", "one")], [item("b", "two")], [item("c", "Two.")]), "item `c` of dev"),
    "an id twice": (([item("a", "one")], [item("a", "two")]), "`a` is there twice"),
    "an empty target": (([item("a", "one", " ")], [item("b", "two")]), "target is empty"),
    "the answer in the question": (
        ([item("a", "one")], [item("b", "is it Rust, or what", "rust")]),
        "item `b`: the question contains its answer `rust`",
    ),
    "one choice": (([item("a", "one", choices=("x1",))], [item("b", "two")]), "expected two or more"),
    "an empty choice": (([item("a", "one", choices=("x1", ""))], [item("b", "two")]), "not empty"),
    "a choice twice": (([item("a", "one", choices=("x1", "y", "y"))], [item("b", "two")]), "choice `y` twice"),
    "a target that is no choice": (([item("a", "one", choices=("y", "z"))], [item("b", "two")]), "not one of its"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    (parts, message) = REFUSED[name]
    with pytest.raises(UsageError, match=message):
        made(*parts)


OPTIONS = ["the harbour master", "the ferry pilot", "the customs clerk", "the lamp lighter"]


def quiz(
    name: str, options: list[str], marks: str = "{})", around: str = "who counts the boats?\n{}\nanswer with a letter"
):
    listed = "\n".join(f"{marks.format(letter)} {option}" for letter, option in zip("ABCD", options, strict=True))
    return item(name, around.format(listed), "A", choices=tuple("ABCD"))


def talk(name: str, *turns: tuple[str, str]) -> Item:
    return Item(name, name, tuple({"role": role, "content": content} for role, content in turns), "x1")


OTHER = item("o", "something else entirely")
ALIKE = {
    "with zero-width spaces": (item("a", LONG), item("b", LONG.replace("e", "e\u200b"))),
    "with soft hyphens": (item("a", "say grommet"), item("b", "say grom\u00admet")),
    "with an accent behind a joiner": (item("a", "say caf\u00e9"), item("b", "say cafe\u200d\u0301")),
    "with its options in another order": (quiz("a", OPTIONS), quiz("b", OPTIONS[::-1])),
    "with its options under other marks": (quiz("a", OPTIONS), quiz("b", OPTIONS[::-1], "({})")),
    "with its options in one line": (
        item("a", "who counts? (A) Ann (B) Bob (C) Cleo", "A", choices=("A", "B", "C")),
        item("b", "who counts? (A) Cleo (B) Ann (C) Bob", "B", choices=("A", "B", "C")),
    ),
    "after a solved example with options": (
        quiz("a", OPTIONS, around="who? a) ann b) bob\nwho counts the boats?\n{}"),
        quiz("b", OPTIONS[1:] + OPTIONS[:1], around="who? a) ann b) bob\nwho counts the boats?\n{}"),
    ),
    "in an earlier turn": (
        talk("a", ("user", LONG), ("assistant", "shall I?"), ("user", "yes")),
        talk("b", ("user", LONG), ("assistant", "shall I?"), ("user", "go on")),
    ),
    "in the system message": (
        talk("a", ("system", LONG), ("user", "answer")),
        talk("b", ("system", LONG), ("user", "your answer")),
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_question_of_the_test_is_known_again(name):
    one, two = ALIKE[name]
    with pytest.raises(UsageError, match=r"item `a` of demonstration is a (near-)?duplicate of item `b` of test"):
        made([one], [two, OTHER])


APART = {
    "options that say something else": (quiz("a", OPTIONS), quiz("b", [*OPTIONS[:3], "the tide watcher"])),
    "numbers that begin no list": (item("a", "what is 3. 5 and 4. 6"), item("b", "what is 3. 6 and 4. 5")),
    "one system message and two questions": (
        talk("a", ("system", LONG), ("user", "say dax")),
        talk("b", ("system", LONG), ("user", "say wug")),
    ),
    "a template in the question, under two system messages": (
        talk("a", ("system", "you are terse"), ("user", f"{LONG}, which is spelled dax")),
        talk("b", ("system", "you are kind"), ("user", f"{LONG}, which is spelled wug")),
    ),
}


@pytest.mark.parametrize("name", APART)
def test_what_differs_is_taken(name):
    one, two = APART[name]
    made([one], [two])


def test_copies_of_one_question_are_of_one_family():
    """As families of their own they would count as so many questions, and bring a bound down."""
    copies = [item(f"t{i}", "Say  dax!" if i else "say dax") for i in range(3)]
    with pytest.raises(UsageError, match="`t1` of test asks the same as item `t0` and is of another family"):
        made([item("a", "one")], copies)
    with pytest.raises(UsageError, match="`d` of demonstration asks the same as item `c`"):
        made([item("c", "one"), item("d", "One.")], [item("b", "two")])
    kin = [item(it.id, it.text, family="f") for it in copies]
    assert len(made([item("a", "one")], kin).test) == 3


UNTELLABLE = {
    ("first-word", "New York"): "has 2 words, and `first-word` compares only the first",
    ("first-word", "..."): "nothing but punctuation",
    ("first-word", "C++"): "`C\\+\\+` would be compared as `c` by `first-word`",
    ("first-word", "-5"): "`-5` would be compared as `5`",
    ("first-line", "one\n\ntwo"): "has 2 lines, and `first-line` compares only the first",
}


@pytest.mark.parametrize(("grade", "target"), UNTELLABLE)
def test_a_target_that_its_grade_cannot_tell_from_other_answers_is_refused(grade, target):
    with pytest.raises(UsageError, match=f"item `b`: its target .*{UNTELLABLE[grade, target]}"):
        made([item("a", "first")], [item("b", "second", target)], grade=grade)


@pytest.mark.parametrize(
    ("grade", "target"),
    [
        ("first-word", " Paris."),
        ("first-word", "it's"),
        ("first-word", "3.5"),
        ("first-line", "New York\n"),
        ("first-line", "C++"),
        ("exact", "one\ntwo ..."),
    ],
)
def test_a_target_that_its_grade_tells_is_taken(grade, target):
    assert made([item("a", "first")], [item("b", "second", target)], grade=grade).test[0].target == target


def test_any_text_may_be_a_choice_whatever_the_grade():
    city = item("b", "second", "New York", choices=("New York", "New Delhi", "..."))
    assert made([item("a", "first")], [city], grade="first-word").test == (city,)


def test_a_template_around_the_questions_does_not_make_them_alike():
    around = "You are asked about words of a language that is spoken on no island of this or any other sea: what is {}?"
    made([item("a", around.format("dax"))], [item("b", around.format("wug"))])


def test_short_questions_that_differ_in_a_letter_are_different():
    made([item("a", "abcd", "dcba")], [item("b", "abce", "ecba")])


def test_a_split_keeps_families_whole_and_adding_an_item_moves_no_other():
    many = [item(f"{f}-{i}", f"question {f} {i}", family=str(f)) for f in range(20) for i in range(3)]
    parts = items.split(many, dev=Fraction(1, 5), test=Fraction(2, 5), seed=3)
    families = {part: {it.family for it in found} for part, found in parts.items()}
    assert [len(families[part]) for part in items.PARTS] == [8, 4, 8]
    assert sum(map(len, parts.values())) == 60
    more = items.split([*many, item("new", "z", family="0")], dev=Fraction(1, 5), test=Fraction(2, 5), seed=3)
    assert {part: [it.id for it in found if it.id != "new"] for part, found in more.items()} == {
        part: [it.id for it in found] for part, found in parts.items()
    }


def test_too_few_families_are_refused():
    with pytest.raises(UsageError, match="2 families in three parts"):
        items.split([item("a", "one"), item("b", "two")], dev=Fraction(1, 4), test=Fraction(1, 4), seed=0)


def test_a_file_is_read_with_its_parts(tmp_path):
    file = tmp_path / "items.jsonl"
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "two"}]
    rows = [
        {"id": "a", "input": "one", "target": "x", "part": "demonstration"},
        {"input": turns, "target": "y", "part": "test"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = items.read(file)
    assert [it.id for it in found["demonstration"]] == ["a"]
    assert [(it.id, it.family, it.text) for it in found["test"]] == [("2", "2", "two")]


BAD_LINES = {
    "{": "not JSON",
    "[]": "got list, expected an object",
    '{"input": "a"}': "`target` must be a text",
    '{"target": "a"}': "`input` must be a text or a list",
    '{"input": "a", "target": "b", "x": 1}': "unknown member `x`",
    '{"input": "a", "target": "b", "choices": []}': "`choices` is empty",
    '{"input": "a", "target": "b", "part": "train"}': "`part` is `train`",
    '{"input": [{"role": "assistant", "content": "a"}], "target": "b"}': "expected `user`",
    '{"input": [{"role": "robot", "content": "a"}], "target": "b"}': "must have a `role`",
    "": "has no items",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_is_told_with_its_place(tmp_path, line):
    file = tmp_path / "items.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(UsageError, match=BAD_LINES[line]) as caught:
        items.read(file)
    assert f"{file}:1: " in str(caught.value) or not line


def test_parts_on_some_lines_only_are_refused(tmp_path):
    file = tmp_path / "items.jsonl"
    file.write_text('{"input": "a", "target": "b", "part": "test"}\n{"input": "c", "target": "d"}\n')
    with pytest.raises(UsageError, match="on some lines only"):
        items.read(file)


def test_the_digest_binds_every_question_and_how_it_is_graded():
    one = made([item("a", "one")], [item("b", "two")])
    assert one.digest == made([item("a", "one")], [item("b", "two")]).digest
    assert one.digest != made([item("a", "one")], [item("b", "two", "x2")]).digest
    assert one.digest != made([item("b", "two")], [item("a", "one")]).digest
