"""The codebook task: disjoint splits, exact wording, deterministic draws."""

from __future__ import annotations

import re

import pytest

from interlock.errors import UsageError
from interlock.evaluate import codebook
from interlock.evaluate.codebook import Entry, conversation, draw, first_word, load


def test_splits_share_no_word_and_no_meaning():
    test, demonstration = load("test"), load("demonstration")
    assert len(test) == len(demonstration) == 120
    everything = [*test, *demonstration]
    assert len({entry.word for entry in everything}) == len({entry.meaning for entry in everything}) == 240


def test_words_are_lower_case_letters_and_never_a_meaning():
    everything = [*load("test"), *load("demonstration")]
    assert all(re.fullmatch("[a-z]{6,}", entry.word) for entry in everything)
    assert not {entry.word for entry in everything} & {entry.meaning for entry in everything}


def test_an_unknown_split_is_refused():
    with pytest.raises(UsageError, match="no entries in split `validation`"):
        load("validation")  # type: ignore[arg-type]


def test_a_draw_repeats_at_its_seed_and_nests():
    assert draw("demonstration", n=16, seed=3) == draw("demonstration", n=16, seed=3)
    assert draw("demonstration", n=16, seed=3)[:4] == draw("demonstration", n=4, seed=3)
    assert draw("demonstration", n=16, seed=3) != draw("demonstration", n=16, seed=4)


@pytest.mark.parametrize("n", [-1, 121])
def test_a_draw_of_more_than_there_is_is_refused(n):
    with pytest.raises(UsageError, match="expected 0 to 120"):
        draw("test", n=n, seed=0)


def test_a_conversation_has_the_shots_as_turns_and_ends_with_the_question():
    assert conversation("blorvik", shots=[Entry("zanpu", "river")]) == [
        {"role": "system", "content": codebook.SYSTEM},
        {"role": "user", "content": "zanpu"},
        {"role": "assistant", "content": "river"},
        {"role": "user", "content": "blorvik"},
    ]


def test_the_password_stands_at_the_front_of_the_system_message():
    first = conversation("blorvik", password=codebook.PASSWORD)[0]
    assert first == {"role": "system", "content": f"Password: tangerine. {codebook.SYSTEM}"}


@pytest.mark.parametrize(
    ("completion", "word"),
    [
        ("river", "river"),
        (" River.\n", "river"),
        ('"River", of course', "river"),
        ("river-bed", "river-bed"),
        ("", ""),
        ("  \n", ""),
        ("...", ""),
    ],
)
def test_first_word_ignores_case_and_outer_punctuation(completion, word):
    assert first_word(completion) == word
