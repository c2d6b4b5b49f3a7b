"""Each row of each yardstick is met by its clauses, missing without them, and in part in between."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from interlock.policy import from_json, to_json
from interlock.policy._score import questions
from interlock.policy._score.asked import Asked
from interlock.policy._written import yaml
from interlock.policy.clauses import Clauses, read, standing
from interlock.policy.schema import schema
from interlock.policy.score import YARDSTICKS, Answer, Criterion, Question, cards
from policy.samples import full_policy, small_policy
from policy.scored import IN_PART, MISSING, STILL_MET, STILL_MISSING, WHOLE, at, cells, whole

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "policies" / "example-lab.yaml"
FULL = Path(__file__).parent / "full.yaml"


def ask(policy, question):
    """What a policy answers to a question."""
    return question.asks(Asked(policy))


def counted():
    """The name of every question that the rows ask and a program answers."""
    asked = [row.question for it in YARDSTICKS.values() for row, _ in it.rows() if row.question.asks]
    names = {id(question): name for name, question in vars(questions).items() if isinstance(question, Question)}
    return {names[id(question)] for question in asked}


def test_every_question_has_a_policy_that_lacks_it():
    assert counted() == MISSING.keys()


@pytest.mark.parametrize(
    "policy",
    [WHOLE, *MISSING.values(), *(policy for *_, policy in IN_PART + STILL_MISSING + STILL_MET)],
    ids=lambda _: "",
)
def test_the_policies_would_load(policy):
    assert from_json(to_json(policy)) == policy


@pytest.mark.parametrize("name", MISSING)
def test_a_row_is_met_with_its_clauses_and_missing_without_them(name):
    question = getattr(questions, name)
    there, gone = ask(WHOLE, question), ask(MISSING[name], question)
    assert (there.state, there.lacks) == ("met", "")
    assert there.clauses
    assert (gone.state, gone.clauses) == ("missing", ())
    assert gone.lacks


@pytest.mark.parametrize(
    ("name", "lacks", "policy"), [(it[0], it[2], it[3]) for it in IN_PART], ids=[f"{it[0]}, {it[1]}" for it in IN_PART]
)
def test_a_row_is_met_in_part(name, lacks, policy):
    answer = ask(policy, getattr(questions, name))
    assert answer.state == "in part"
    assert answer.clauses
    assert lacks in answer.lacks


@pytest.mark.parametrize(
    ("name", "policy"), [(it[0], it[2]) for it in STILL_MISSING], ids=[f"{it[0]}, {it[1]}" for it in STILL_MISSING]
)
def test_what_only_looks_like_a_clause_meets_nothing(name, policy):
    assert ask(policy, getattr(questions, name)).state == "missing"


@pytest.mark.parametrize(
    ("name", "policy"), [(it[0], it[2]) for it in STILL_MET], ids=[f"{it[0]}, {it[1]}" for it in STILL_MET]
)
def test_a_row_is_met_in_other_ways_too(name, policy):
    assert ask(policy, getattr(questions, name)).state == "met"


# -- weights


def criteria(parts):
    for part in parts:
        if isinstance(part, Criterion):
            yield part
            yield from criteria(part.parts)


SAFERAI = YARDSTICKS["saferai"]


def test_the_known_weights_of_what_stands_together_are_a_whole():
    for it in criteria(SAFERAI.parts):
        known = [part.weight for part in it.parts if part.weight is not None]
        assert it.weight is not None
        assert sum(known) in {0, 1}, it.id
    assert [it.weight for it in SAFERAI.parts] == [Fraction(1, 4)] * 4


def test_the_points_of_each_dimension_are_a_quarter():
    given = {it.id: sum(points for part, points in one_dimension(it) if points is not None) for it in SAFERAI.parts}
    undivided = {"1": 0, "2": Fraction(65, 4), "3": Fraction(15, 4) + Fraction(25, 2), "4": 25}
    assert {name: points + undivided[name] for name, points in given.items()} == dict.fromkeys("1234", Fraction(25))
    assert SAFERAI.undivided() == sum(undivided.values())


def one_dimension(it):
    return [(row, points) for row, points in SAFERAI.rows() if row.id.partition(".")[0] == it.id]


@pytest.mark.parametrize(
    ("row", "points"),
    [
        ("1.1-literature", 25 * Fraction("0.4") * Fraction("0.5")),
        ("1.2-third-party", 25 * Fraction("0.2") * Fraction("0.3")),
        ("1.3-method-feedback", 25 * Fraction("0.4") * Fraction("0.4") * Fraction("0.15")),
        ("2.1-quantitative", 25 * Fraction("0.35") * Fraction("0.8") / 3),
        ("2.1-process", 25 * Fraction("0.35") * Fraction("0.2")),
        ("2.2-hold", None),
        ("3.1-contained", 25 * Fraction("0.5") * Fraction("0.35") * Fraction("0.6")),
        ("3.1-verified", None),
        ("3.1-deployment", 25 * Fraction("0.5") * Fraction("0.35")),
        ("4.4-board", None),
    ],
)
def test_the_weights_on_the_way_to_a_row_are_multiplied(row, points):
    assert {it.id: given for it, given in SAFERAI.rows()}[row] == points


@pytest.mark.parametrize("policy", [WHOLE, small_policy(), full_policy(), *MISSING.values()], ids=lambda _: "")
def test_points_are_a_hundred_whatever_the_answers(policy):
    [card] = cards(policy, ["saferai"])
    points = card.points
    assert points.seen == Fraction(79, 4)
    assert points.not_judged == Fraction(91, 4)
    assert points.seen + points.not_judged + points.undivided == 100
    by_state = {state: sum(it.points or 0 for it in card.rows if it.answer.state == state) for state in card.counts}
    assert (points.met, points.in_part, points.missing) == (by_state["met"], by_state["in part"], by_state["missing"])


def test_what_is_met_in_part_has_no_points_of_what_is_met():
    [card] = cards(whole(gates=at(deploy_api=cells("said"))), ["saferai"])
    assert card.points.in_part == Fraction(35, 8)
    assert card.points.met == Fraction(79, 4) - Fraction(35, 8)


def test_where_no_weights_are_published_nothing_is_summed():
    for card in cards(WHOLE):
        if card.yardstick.name != "saferai":
            assert card.points is None
            assert card.yardstick.undivided() == 0
        assert sum(card.counts.values()) == len(card.rows)


def test_a_card_is_made_of_the_yardsticks_that_are_asked_for():
    assert [card.yardstick.name for card in cards(WHOLE)] == list(YARDSTICKS)
    assert [card.yardstick.name for card in cards(WHOLE, ["seoul", "pauses"])] == ["seoul", "pauses"]
    with pytest.raises(KeyError):
        cards(WHOLE, ["no-such"])


# -- what is written of the rows


ROWS = [(yardstick.name, row) for yardstick in YARDSTICKS.values() for row, _ in yardstick.rows()]


def test_rows_have_names_of_their_own():
    assert len({(name, row.id) for name, row in ROWS}) == len(ROWS)
    assert all(name == it.name for name, it in YARDSTICKS.items())


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[f"{name} {row.id}" for name, row in ROWS])
def test_a_row_says_what_is_counted_and_what_is_not_seen(row):
    assert row.ask.endswith(".")
    assert row.question.unseen
    assert bool(row.question.counts) == bool(row.question.write) == bool(row.question.asks)
    rests_on, source = standing(row.source)
    assert rests_on in {"read", "secondary", "memory"}
    assert source


def test_what_no_program_can_judge_is_never_answered():
    answers = [it.answer for card in cards(WHOLE) for it in card.rows if not it.row.question.asks]
    assert answers == [Answer("not judged")] * 20


@pytest.mark.parametrize("text", sorted({row.question.write for _, row in ROWS if row.question.write}))
def test_what_to_write_is_policy_language(text):
    root = yaml.plain(yaml.Composer().compose(text))
    assert set(root) <= set(schema()["properties"])


def test_the_page_lists_every_row_as_it_is():
    page = (ROOT / "docs" / "policy-score.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| `")] == [
        line for it in YARDSTICKS.values() for line in listed(it)
    ]
    assert [line for line in page if line.startswith("### ")] == [
        f"### `{it.name}`: {it.title}" for it in YARDSTICKS.values()
    ]


def listed(yardstick):
    """The rows of a yardstick as the page has them."""
    for row, points in yardstick.rows():
        known = "" if not yardstick.weighed else f" {round(float(points), 2):g} |" if points else " not published |"
        counts = row.question.counts or "not judged"
        yield f"| `{row.id}` | {row.ask} | {counts} | {row.question.unseen} | {standing(row.source)[0]} |{known}"


@pytest.mark.parametrize("path", [EXAMPLE, FULL], ids=lambda path: path.name)
def test_every_clause_that_is_named_stands_in_the_file(path):
    policy, clauses = read(path)
    paths = {clause for card in cards(policy) for it in card.rows for clause in it.answer.clauses}
    assert paths
    for clause in paths:
        assert stands(clauses, clause), clause


def stands(clauses: Clauses, path: str) -> bool:
    """Whether a clause is written out; of a rule that is taken over from another, the rule."""
    steps = path.split(".")
    steps = steps[:3] if steps[2:3] == ["rule_out"] else steps
    return yaml.find(clauses.root, tuple(int(step) if step.isdigit() else step for step in steps)) is not None
