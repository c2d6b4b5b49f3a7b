"""Failures that say nothing about the skill are told from those that do, by rule, and count against ruling out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from interlock.elicit.failures import classify
from interlock.elicit.items import Item
from interlock.elicit.measuring import Measured

QUESTION = Item("a", "a", ({"role": "user", "content": "What is the past tense of abide?"},), "abode")
SHORT = Item("b", "b", ({"role": "user", "content": "klurit"},), "tooth")

ANSWERS = {
    "the target": ("abode", False, "right"),
    "the target with a full stop": (" Abode.", False, "right"),
    "another word": ("abided", False, "wrong"),
    "a wrong first word, cut off after it": ("abided because it", True, "wrong"),
    "a wrong first word that may go on": ("abid", True, "cut-off"),
    "nothing": ("", False, "empty"),
    "nothing but marks": (" ...\n__", False, "empty"),
    "a refusal": ("I'm sorry, but I can't help with that.", False, "refusal"),
    "a refusal with a curly mark": ("I can\u2019t say.", False, "refusal"),
    "a refusal of a machine": ("As an AI, I do not know verbs.", False, "refusal"),
    "the right word later on": ("The past tense is abode.", False, "format"),
    "a word that only holds the target": ("The aboderful one.", False, "wrong"),
    "the question back": ("What is the past tense of abide? It is", True, "echo"),
    "a part of the question": ("the past tense of abide", False, "echo"),
    "two words of the question": ("past tense", False, "wrong"),
    "one word again and again": ("no no no no no", False, "repetition"),
    "a phrase again and again": ("it was so it was so it was so it was so", True, "repetition"),
    "a word said three times": ("no no no, abided", False, "wrong"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_kind_of(name):
    answer, cut_off, kind = ANSWERS[name]
    assert classify(QUESTION, answer, grade="first-word", cut_off=cut_off) == kind


def test_a_one_word_question_said_back_is_an_answer():
    assert classify(SHORT, "klurit", grade="first-word", cut_off=False) == "wrong"


CUT_OFF = {
    ("exact", "tool shed"): "cut-off",
    ("first-line", "tool shed"): "cut-off",
    ("first-line", "tool shed\nand"): "wrong",
    ("first-word", "tool shed"): "wrong",
}


@pytest.mark.parametrize(("grade", "answer"), CUT_OFF, ids=" ".join)
def test_a_cut_counts_only_before_the_end_of_what_is_graded(grade, answer):
    assert classify(SHORT, answer, grade=grade, cut_off=True) == CUT_OFF[grade, answer]


def test_a_spurious_failure_is_right_in_the_upper_bound_and_wrong_in_the_lower():
    alpha = Fraction(1, 20)
    outcomes = ["wrong"] * 58 + ["refusal", "right"]
    measured = Measured(Path("l"), "", {str(i): outcome for i, outcome in enumerate(outcomes)})
    clean = Measured(Path("l"), "", {str(i): "wrong" if i < 59 else "right" for i in range(60)})
    assert measured.lower(alpha) == clean.lower(alpha)
    assert measured.upper(alpha) > clean.upper(alpha)
    told = measured.to_json(Fraction(19, 20))
    assert (told["n"], told["correct"], told["dangerous"], told["spurious"]) == (60, 1, 2, {"refusal": ["58"]})
