"""Write docs/frameworks.md: the published policies that ship with Interlock, side by side.

    python scripts/write_frameworks.py

The tables are those of `interlock policy show --matrix`. A test fails while the page is not what this writes.
"""

from __future__ import annotations

from pathlib import Path

from interlock.policy import clauses, shipped
from interlock.report import matrix, tables

PAGE = Path(__file__).parents[1] / "docs" / "frameworks.md"

HEAD = """\
# Published frameworks and laws, side by side

Interlock ships {count} published frameworks and laws as policies that run. They are readings in our own words: not
the publishers' texts, not by or for the publishers, and no legal advice. This page is written by `python
scripts/write_frameworks.py`, and its tables are those of `interlock policy show --matrix`;
[crosswalk.md](crosswalk.md) goes the other way, from each row of the texts to the clauses that carry it.

How to read it:

- Each thing is a link to the line of the policy that says it.
- `scale` is training further, `deploy-internal` use inside the developer, `deploy-api` offering it to others,
  `release-weights` giving the weights away. Under each stands how the action stands, and the thresholds at its gate.
- **gated**: something must be shown unless every threshold there is ruled out. Not ruled out counts as reached.
  **security only**: nothing but the security of the weights is asked for. **in a named case**: the gate bites only in
  a case beside the capability, which is named. **report only**: the text asks for a report there, and stops nothing.
  **not governed**: the text leaves it open.
- *resume when*: what would lift a hold. *until amended*: nothing lifts it before the policy changes, since nobody has
  said what would.
- *cadence*: how far a result reaches, in effective compute and time, and what must be done again. *none named*: the
  text gives no number.
- *elicitation*: how hard an evaluation must have tried. *buffer*: the room under the line. *external check*: who
  outside the developer's own team looks. *exceptions*: ways round, who approves them, and for how long.
- What a policy promises is no proof that it is kept.

"""


def page() -> str:
    """The page, from the policies as they are."""
    names = shipped.published()
    found = [matrix.placed(shipped.path(name), *clauses.read(shipped.path(name))) for name in names]
    head = HEAD.format(count=len(found))
    return head + tables.markdown(matrix.several(found) if found else (), folder=PAGE.parent)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
