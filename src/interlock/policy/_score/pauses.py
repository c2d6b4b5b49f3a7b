"""What Hubinger's "RSPs are pauses done right" (2023) asks of a policy."""

from __future__ import annotations

from interlock.policy._score import questions as q
from interlock.policy._score.answer import Question, Row, Yardstick

_POST = "Hubinger 2023, RSPs are pauses done right"

PAUSES = Yardstick(
    "pauses",
    "RSPs are pauses done right (Hubinger, 2023)",
    "what makes a policy a pause, and one that ends for a reason",
    (
        Row("scaling-gate", "Training further is gated, and not only deployment.", _POST, q.SCALE),
        Row(
            "stop-condition",
            "A measured capability stops training when it is reached.",
            f"{_POST}, stop conditions",
            q.STOP,
        ),
        Row(
            "resume-condition",
            "Each pause says what safety, alignment or security would end it.",
            f"{_POST}, resume conditions",
            q.RESUME,
        ),
        Row(
            "fine-tuning",
            "Capability evaluations at the scaling gate fine-tune the model.",
            f"{_POST}, fine-tuning-based evaluations",
            q.FINE_TUNED_AT_SCALE,
        ),
        Row(
            "sandbagging",
            "Something shows that evaluations were not failed on purpose.",
            f"{_POST}, evidence against sandbagging",
            q.SANDBAGGING,
        ),
        Row("auditors", "Somebody outside has a part in the evidence.", f"{_POST}, external auditors", q.AUDITORS),
        Row(
            "explicit-hole",
            "What nobody can show yet stands there as a hole, at every gate.",
            f"{_POST}, an explicit hole",
            q.HOLE,
        ),
        Row(
            "last-gate",
            "Only understanding lets a model that could take over train on, without exception.",
            f"{_POST}, the hard final gate",
            q.LAST_GATE,
        ),
        Row(
            "open-weights",
            "The line for open weights is stricter than that for a closed release.",
            f"{_POST}, open source below a lower threshold",
            q.OPEN_WEIGHTS,
        ),
        Row(
            "correlation",
            "That dangerous capabilities come together is tested, since the gates rest on it.",
            f"{_POST}, which capability is measured",
            Question("it takes the results of many models; a policy does not have them"),
        ),
        Row(
            "government",
            "The same rules come to bind by law.",
            f"{_POST}, bind later",
            Question("it is about laws beside this policy; an authority's baseline is a policy of its own"),
        ),
    ),
)
