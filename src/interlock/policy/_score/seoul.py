"""The Frontier AI Safety Commitments of Seoul (2024), as far as one policy can show that they are kept."""

from __future__ import annotations

from interlock.policy._score import questions as q
from interlock.policy._score.answer import Question, Row, Yardstick

_SEOUL = "secondary: Frontier AI Safety Commitments, Seoul 2024"

SEOUL = Yardstick(
    "seoul",
    "Frontier AI Safety Commitments (Seoul, 2024)",
    "eight commitments that firms made to governments",
    (
        Row(
            "i",
            "Assess risks over the whole life of a model, before and during training too.",
            f"{_SEOUL}, I",
            q.LIFECYCLE,
        ),
        Row(
            "ii",
            "Set thresholds of intolerable risk, with the input of trusted actors.",
            f"{_SEOUL}, II",
            q.LEVELS_CONSULTED,
        ),
        Row("iii", "Say how risks are kept below the thresholds.", f"{_SEOUL}, III", q.PROTECTIONS),
        Row(
            "iv",
            "Have processes for a threshold that is met; neither develop nor deploy if risk cannot be kept below.",
            f"{_SEOUL}, IV",
            q.PROCESSES,
        ),
        Row(
            "v",
            "Invest in doing all of this better.",
            f"{_SEOUL}, V",
            Question("money and work are nothing that a policy shows"),
        ),
        Row("vi", "Keep to it by governance: roles and resources.", f"{_SEOUL}, VI", q.SEPARATE),
        Row("vii", "Be open to the public about it.", f"{_SEOUL}, VII", q.PUBLIC),
        Row("viii", "Say how outsiders take part in assessing risks, and hear them.", f"{_SEOUL}, VIII", q.AUDITORS),
    ),
)
