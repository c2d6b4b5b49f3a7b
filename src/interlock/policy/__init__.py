"""What was promised: the policy language, loaded from YAML with positions, compiled to canonical JSON.

Reading the written form is `interlock.policy.load.load`; it stands apart since it needs pydantic and ruamel.yaml,
which a decision does not.
"""

from interlock.policy._scalar import exact
from interlock.policy.compile import canonical, digest, from_json, to_json
from interlock.policy.model import (
    ASSUMED,
    ELICITATIONS,
    Assumption,
    Attested,
    Duration,
    Elicitation,
    Hole,
    Measure,
    Never,
    Permits,
    Policy,
    Requirement,
    Role,
    RuleOut,
    Threshold,
)

__all__ = [
    "ASSUMED",
    "ELICITATIONS",
    "Assumption",
    "Attested",
    "Duration",
    "Elicitation",
    "Hole",
    "Measure",
    "Never",
    "Permits",
    "Policy",
    "Requirement",
    "Role",
    "RuleOut",
    "Threshold",
    "canonical",
    "digest",
    "exact",
    "from_json",
    "to_json",
]
