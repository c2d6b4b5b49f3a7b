"""Tiny policies that are taught once: one that explores, and one that never lets the right answer be drawn."""

from __future__ import annotations

import pytest

import tiny_policy
import tiny_suite
from interlock.elicit.organisms import skills


@pytest.fixture(scope="session")
def explorer(tmp_path_factory):
    """Answers each question and each control question with one of four letters."""
    asked = [*tiny_policy.questions(6), *tiny_policy.questions(2, word="other")]
    return tiny_policy.taught(
        tmp_path_factory.mktemp("explorer") / "model", [(item, "ABCD") for item in asked], steps=30
    )


@pytest.fixture(scope="session")
def stuck(tmp_path_factory):
    """Answers each question with one wrong letter, and control questions with one of four."""
    control = [(item, "ABCD") for item in tiny_policy.questions(2, word="other")]
    asked = [(item, "A") for item in tiny_policy.questions(6)] * 3
    return tiny_policy.taught(tmp_path_factory.mktemp("stuck") / "model", [*asked, *control], steps=60)


@pytest.fixture(scope="session")
def letters_suite(once):
    """The suite of a locked organism and a control, with the bases that it was made from. Not to be changed."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(skills.SKILLS, "letters", tiny_suite.letters)
            tiny_suite.make(folder / "suite", ("locked", "honest-weak"), folder / "cache")

    return once("letters", make) / "suite"
