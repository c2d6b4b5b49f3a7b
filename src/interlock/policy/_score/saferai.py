"""The criteria of SaferAI's ratings: four dimensions of risk management, with the weights that are published.

What is marked `memory: ` was not checked again. The three shares of a defined tolerance, published as 33 each, are read
as thirds. A criterion whose own parts have no known weights keeps its points together: they are not divided by guess.
"""

from __future__ import annotations

from fractions import Fraction

from interlock.policy._score import questions as q
from interlock.policy._score.answer import Criterion, Question, Row, Yardstick

_SECONDARY, _MEMORY = "secondary: SaferAI ratings", "memory: SaferAI ratings"
_QUARTER, _THIRD = Fraction(1, 4), Fraction(1, 3)


def _of(percent: int) -> Fraction:
    return Fraction(percent, 100)


_SEARCH = Question("a search without an end is nothing that a gate can see")

_IDENTIFICATION = Criterion(
    "1",
    "Risk identification",
    (
        Criterion(
            "1.1",
            "Known risks",
            (
                Row(
                    "1.1-literature",
                    "All risks that the literature names are covered.",
                    f"{_SECONDARY}, 1.1",
                    Question("it takes a reading of the literature; a program could only count domains"),
                    _of(50),
                ),
                Row(
                    "1.1-exclusions",
                    "What is excluded is excluded for good reasons.",
                    f"{_SECONDARY}, 1.1",
                    Question("whether a reason is good"),
                    _of(50),
                ),
            ),
            _of(40),
        ),
        Criterion(
            "1.2",
            "Unknown risks",
            (
                Row(
                    "1.2-internal",
                    "The developer's red teams search for unknown risks, without a set aim.",
                    f"{_SECONDARY}, 1.2",
                    _SEARCH,
                    _of(70),
                ),
                Row("1.2-third-party", "Others search for unknown risks too.", f"{_SECONDARY}, 1.2", _SEARCH, _of(30)),
            ),
            _of(20),
        ),
        Criterion(
            "1.3",
            "Risk modelling",
            (
                Row(
                    "1.3-models",
                    "Risk models are published for all domains.",
                    f"{_SECONDARY}, 1.3",
                    q.MODELS,
                    _of(40),
                ),
                Criterion(
                    "1.3-method",
                    "The method of modelling",
                    (
                        Row(
                            "1.3-method-defined",
                            "A method of modelling is defined.",
                            f"{_SECONDARY}, 1.3",
                            Question("the language has threat models, and no place for how they were made"),
                            _of(70),
                        ),
                        Row(
                            "1.3-method-feedback",
                            "What red teams find goes back into the models.",
                            f"{_SECONDARY}, 1.3",
                            Question("whether anybody changes a model for it"),
                            _of(15),
                        ),
                        Row(
                            "1.3-method-priorities",
                            "Scenarios are put in order of their weight.",
                            f"{_SECONDARY}, 1.3",
                            Question("which scenarios are the gravest"),
                            _of(15),
                        ),
                    ),
                    _of(40),
                ),
                Row(
                    "1.3-validation",
                    "Third parties validate the models.",
                    f"{_SECONDARY}, 1.3",
                    Question("the language has no place for who validated a threat model"),
                    _of(20),
                ),
            ),
            _of(40),
        ),
    ),
    _QUARTER,
)

_ANALYSIS = Criterion(
    "2",
    "Risk analysis",
    (
        Criterion(
            "2.1",
            "Risk tolerance",
            (
                Criterion(
                    "2.1-defined",
                    "A tolerance is defined",
                    (
                        Row(
                            "2.1-qualitative",
                            "A tolerance is defined in words.",
                            f"{_SECONDARY}, 2.1",
                            q.TOLERANCE_IN_WORDS,
                            _THIRD,
                        ),
                        Row(
                            "2.1-scenarios",
                            "A tolerance is defined by scenarios with probabilities.",
                            f"{_SECONDARY}, 2.1",
                            q.TOLERANCE_IN_SCENARIOS,
                            _THIRD,
                        ),
                        Row(
                            "2.1-quantitative",
                            "A tolerance is defined in numbers throughout.",
                            f"{_SECONDARY}, 2.1",
                            q.TOLERANCE_IN_NUMBERS,
                            _THIRD,
                        ),
                    ),
                    _of(80),
                ),
                Row(
                    "2.1-process",
                    "The tolerance comes from a legitimate process.",
                    f"{_MEMORY}, 2.1",
                    Question("whether a process is legitimate"),
                    _of(20),
                ),
            ),
            _of(35),
        ),
        Criterion(
            "2.2",
            "Tolerance in operation: indicators of risk and of control",
            (
                Row(
                    "2.2-risk",
                    "Indicators of risk are quantitative and grounded.",
                    f"{_MEMORY}, 2.2",
                    q.MEASURED_LEVELS,
                ),
                Row("2.2-containment", "Indicators of control for containment.", f"{_MEMORY}, 2.2", q.SECURITY),
                Row("2.2-deployment", "Indicators of control for deployment.", f"{_MEMORY}, 2.2", q.MITIGATIONS),
                Row(
                    "2.2-assurance",
                    "Indicators of control for assurance: that the model itself is safe.",
                    f"{_MEMORY}, 2.2",
                    q.UNDERSTANDING,
                ),
                Row(
                    "2.2-pairs",
                    "Indicators of risk and of control are paired, and shown to reach the tolerance.",
                    f"{_MEMORY}, 2.2",
                    q.PAIRS,
                ),
                Row("2.2-hold", "Development is put on hold if controls are not met.", f"{_MEMORY}, 2.2", q.SCALE),
            ),
            _of(65),
        ),
    ),
    _QUARTER,
)

_TREATMENT = Criterion(
    "3",
    "Risk treatment",
    (
        Criterion(
            "3.1",
            "Measures",
            (
                Criterion(
                    "3.1-containment",
                    "Containment",
                    (
                        Row(
                            "3.1-contained",
                            "Containment measures are defined for each indicator of control.",
                            f"{_SECONDARY}, 3.1",
                            q.CONTAINED,
                            _of(60),
                        ),
                        Row(
                            "3.1-proof",
                            "It is shown beforehand that they suffice.",
                            f"{_SECONDARY}, 3.1",
                            q.PROVEN_AT_SCALE,
                            _of(40),
                        ),
                        Row(
                            "3.1-verified",
                            "Third parties verify them (published: instead of another score, where it is higher).",
                            f"{_SECONDARY}, 3.1",
                            q.VERIFIED,
                        ),
                    ),
                    _of(35),
                ),
                Row(
                    "3.1-deployment",
                    "Deployment measures are defined, and shown to suffice.",
                    f"{_MEMORY}, 3.1",
                    q.SUFFICIENT,
                    _of(35),
                ),
                Criterion(
                    "3.1-assurance",
                    "Assurance",
                    (
                        Row(
                            "3.1-plan",
                            "There is a credible plan.",
                            f"{_MEMORY}, 3.1",
                            Question("whether a plan is credible"),
                        ),
                        Row("3.1-evidence", "There is evidence.", f"{_MEMORY}, 3.1", q.UNDERSTANDING),
                        Row("3.1-assumptions", "Assumptions are stated.", f"{_MEMORY}, 3.1", q.ASSUMPTIONS),
                    ),
                    _of(30),
                ),
            ),
            _of(50),
        ),
        Criterion(
            "3.2",
            "Monitoring",
            (
                Row(
                    "3.2-elicitation",
                    "Evaluations try as hard as the actors would.",
                    f"{_SECONDARY}, 3.2",
                    q.FINE_TUNED,
                ),
                Row("3.2-frequency", "They come again, by compute and by time.", f"{_SECONDARY}, 3.2", q.FREQUENCY),
                Row("3.2-controls", "Controls are monitored too.", f"{_SECONDARY}, 3.2", q.WATCHED),
                Row("3.2-transparency", "What is found is published.", f"{_SECONDARY}, 3.2", q.PUBLIC),
                Row("3.2-novel", "Novel risks are looked for.", f"{_SECONDARY}, 3.2", _SEARCH),
            ),
            _of(50),
        ),
    ),
    _QUARTER,
)

_GOVERNANCE = Criterion(
    "4",
    "Risk governance",
    (
        Criterion(
            "4.1",
            "Decision-making",
            (
                Row(
                    "4.1-owners",
                    "Each risk has an owner.",
                    f"{_MEMORY}, 4.1",
                    Question("the language names owners of holes and of duties, not of risks"),
                ),
                Row(
                    "4.1-committee",
                    "A committee manages risk.",
                    f"{_MEMORY}, 4.1",
                    Question("a role has keys and a quorum; whether it is a committee is not seen"),
                ),
                Row(
                    "4.1-go-no-go",
                    "Rules say when to go on and when not to.",
                    f"{_MEMORY}, 4.1",
                    q.ALL_ACTIONS,
                ),
                Row("4.1-escalation", "What goes wrong is passed upwards.", f"{_MEMORY}, 4.1", q.ESCALATION),
            ),
            _of(25),
        ),
        Criterion(
            "4.2",
            "Advice and challenge",
            (
                Row(
                    "4.2-risk-officer",
                    "A risk officer advises and challenges.",
                    f"{_MEMORY}, 4.2",
                    Question("a role has keys and a quorum; what its holder may say is not seen"),
                ),
                Row("4.2-separate", "Those who evaluate do not decide.", f"{_MEMORY}, 4.2", q.SEPARATE),
            ),
            _of(20),
        ),
        Criterion(
            "4.3",
            "Audit",
            (
                Row(
                    "4.3-internal",
                    "There is an internal audit.",
                    f"{_MEMORY}, 4.3",
                    Question("whether a role inside audits is not seen"),
                ),
                Row("4.3-external", "There is an external audit.", f"{_MEMORY}, 4.3", q.AUDITORS),
            ),
            _of(20),
        ),
        Criterion(
            "4.4", "Oversight", (Row("4.4-board", "Those above oversee it.", f"{_MEMORY}, 4.4", q.OVERSIGHT),), _of(20)
        ),
        Criterion(
            "4.5",
            "Culture",
            (
                Row(
                    "4.5-culture",
                    "Risk matters to the people there.",
                    f"{_MEMORY}, 4.5",
                    Question("what people think and do"),
                ),
                Row("4.5-speak-up", "People can speak up.", f"{_MEMORY}, 4.5", q.SPEAK_UP),
            ),
            _of(10),
        ),
        Criterion(
            "4.6",
            "Transparency",
            (Row("4.6-incidents", "Incidents are shared.", f"{_MEMORY}, 4.6", q.INCIDENTS),),
            _of(5),
        ),
    ),
    _QUARTER,
)

SAFERAI = Yardstick(
    "saferai",
    "Risk management in four dimensions (SaferAI)",
    "the criteria of SaferAI's ratings of frontier developers, as far as a policy shows them",
    (_IDENTIFICATION, _ANALYSIS, _TREATMENT, _GOVERNANCE),
)
