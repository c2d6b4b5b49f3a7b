"""Tiny policies that are taught once: one that explores, and one that never lets the right answer be drawn."""

from __future__ import annotations

import pytest

import tiny_policy


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
