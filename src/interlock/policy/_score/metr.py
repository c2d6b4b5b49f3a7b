"""What METR asks of a policy: the five parts of a responsible scaling policy; what published ones have in common."""

from __future__ import annotations

from interlock.policy._score import questions as q
from interlock.policy._score.answer import Question, Row, Yardstick

_PARTS = "secondary: METR 2023, Responsible Scaling Policies"
_COMMON = "memory: METR 2025, Common elements"

PARTS = Yardstick(
    "metr-parts",
    "The five parts of a responsible scaling policy (METR, 2023)",
    "what a policy states: when it stops, and what it does until then",
    (
        Row(
            "limits",
            "It says which observations would mean that it is not safe to scale further.",
            f"{_PARTS}, limits",
            q.STOP,
        ),
        Row(
            "protections",
            "Both the weights and what is deployed are protected.",
            f"{_PARTS}, protections",
            q.PROTECTIONS,
        ),
        Row(
            "evaluation",
            "Procedures catch a dangerous capability early.",
            f"{_PARTS}, evaluation",
            q.FREQUENCY,
        ),
        Row(
            "buffer",
            "Evaluations leave room for what training adds until the next one.",
            f"{_PARTS}, buffers",
            q.BUFFER,
        ),
        Row(
            "response",
            "Something is paused, restricted or locked when a limit is passed.",
            f"{_PARTS}, response",
            q.RESPONSE,
        ),
        Row(
            "accountability",
            "Outsiders can verify and criticise; changes are unhurried and open.",
            f"{_PARTS}, accountability",
            q.ACCOUNTABLE,
        ),
        Row(
            "regulation",
            "It says that a voluntary policy is no substitute for regulation.",
            f"{_PARTS}, regulation",
            Question("it is a thing to say, and nothing that decides"),
        ),
    ),
)

COMMON = Yardstick(
    "metr-common",
    "Common elements of published policies (METR, 2025)",
    "nine things that most published policies have in common",
    (
        Row("thresholds", "Thresholds of dangerous capabilities.", f"{_COMMON}, capability thresholds", q.LEVELS),
        Row("weight-security", "Security of the weights.", f"{_COMMON}, weight security", q.SECURITY),
        Row("mitigations", "Mitigations of deployment.", f"{_COMMON}, deployment mitigations", q.MITIGATIONS),
        Row(
            "halting-deployment",
            "Conditions under which deployment halts.",
            f"{_COMMON}, conditions for halting deployment",
            q.DEPLOYMENT,
        ),
        Row(
            "halting-development",
            "Conditions under which development halts.",
            f"{_COMMON}, conditions for halting development",
            q.SCALE,
        ),
        Row(
            "full-elicitation",
            "Evaluations bring out all that a model can do.",
            f"{_COMMON}, full elicitation",
            q.FINE_TUNED,
        ),
        Row(
            "timing",
            "Evaluations before deployment, during training, and after.",
            f"{_COMMON}, timing and frequency",
            q.TIMING,
        ),
        Row(
            "accountability",
            "Somebody answers for it, inside and outside.",
            f"{_COMMON}, accountability",
            q.ANSWERABLE,
        ),
        Row("updating", "How the policy itself is updated.", f"{_COMMON}, updating the policy", q.UPDATES),
    ),
)
