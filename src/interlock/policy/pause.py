"""A pause in plain English, read: `no training above 1e26 FLOP for six months`. `paused.py` makes a policy of it.

What is understood is little, and all of it is in `GRAMMAR`. A word that is not understood is an error: no part of a
pause is guessed, and none is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.policy import _scalar
from interlock.policy._scalar import quote
from interlock.policy.model import STANDARD_ACTIONS

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.policy.time import Duration

GRAMMAR = """no ACTION [or ACTION ...] above AMOUNT [of training compute | of effective compute] [for LENGTH|until DATE]
  ACTION   training, internal use, internal deployment, API access, external deployment (API and weights),
           deployment (internal use, API and weights), release of weights
  AMOUNT   1e26 FLOP, 2.5e25 FLOP, 10^26 FLOP; FLOP may be left out; above: over, beyond, more than, past
  LENGTH   six months, 6 months, a year, 90 days; DATE: 2027-06-01
  no: pause, stop, halt"""
#: FLOP of the lowest line that can be drawn.
LEAST = 1000

_SCALE, _INTERNAL, _API, _WEIGHTS = STANDARD_ACTIONS
#: What is said of each action, longer ways first.
_ACTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"training(?: runs?)?", (_SCALE,)),
    (r"internal (?:use|deployments?)", (_INTERNAL,)),
    (r"external deployments?", (_API, _WEIGHTS)),
    (r"deployments?", (_INTERNAL, _API, _WEIGHTS)),
    (r"APIs?(?: access| deployments?)?", (_API,)),
    (r"(?:releases? of |releasing )(?:open )?weights|weights? releases?|open[- ]weights?(?: releases?)?", (_WEIGHTS,)),
)
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNTS = {"a": 1, "an": 1, **{word: count for count, word in enumerate(_NUMBERS, start=1)}}


@dataclass(frozen=True, slots=True)
class Pause:
    """What a pause says. `level` is FLOP of `quantity`, which is a built-in one. `length` and `until`: at most one."""

    text: str
    actions: tuple[str, ...]
    quantity: str
    level: int
    length: Duration | None = None
    until: datetime | None = None


# -- reading -----------------------------------------------------------------------------------------------------------


def parse(text: str) -> Pause:
    """Read a pause.

    Raises:
        UsageError: a word is not understood, or something is missing; the message says which, and `GRAMMAR`.
    """
    rest = _Rest(" ".join(text.split()).removesuffix("."))
    rest.need("no|pause|stop|halt", "`no`")
    actions = [*_action(rest)]
    while rest.take(r",? (?:or|and)|,"):
        actions += _action(rest)
    rest.need("(?:of )?(?:above|over|beyond|past|more than)", "`above` and an amount")
    level = _amount(rest)
    named = rest.take("of (training|effective) compute")
    length, until = _end(rest)
    if rest.left:
        raise rest.wrong("the end, `for` a length of time, or `until` a date")
    ordered = tuple(action for action in STANDARD_ACTIONS if action in actions)
    return Pause(rest.whole, ordered, f"{named[1].lower() if named else 'training'}_compute", level, length, until)


@dataclass(slots=True)
class _Rest:
    """What is left of a text to be read."""

    whole: str
    left: str = ""

    def __post_init__(self) -> None:
        self.left = self.whole

    def take(self, pattern: str, *, case: bool = False) -> re.Match[str] | None:
        """Words that match and end where a word ends; they are gone."""
        flags = re.NOFLAG if case else re.IGNORECASE
        found = re.compile(rf" ?(?:{pattern})(?=[ ,]|$)", flags).match(self.left)
        if found:
            self.left = self.left[found.end() :]
        return found

    def need(self, pattern: str, expected: str, *, case: bool = False) -> re.Match[str]:
        found = self.take(pattern, case=case)
        if found is None:
            raise self.wrong(expected)
        return found

    def wrong(self, expected: str) -> UsageError:
        done = self.whole[: len(self.whole) - len(self.left)]
        after_ = f" after {quote(done)}" if done else ""
        got = quote(self.left.strip()) if self.left.strip() else "nothing"
        told = f"a pause: expected {expected}{after_}, got {got}; what is understood:"
        return UsageError(told, *GRAMMAR.splitlines())


def _action(rest: _Rest) -> tuple[str, ...]:
    for pattern, actions in _ACTIONS:
        if rest.take(pattern):
            return actions
    raise rest.wrong("an action")


def _amount(rest: _Rest) -> int:
    before = rest.left
    found = rest.need(r"10(?:\^|\*\*)([0-9]{1,2})|([0-9][0-9.]*(?:[eE]\+?[0-9]+)?)", "an amount of FLOP")
    try:
        level = _scalar.flop(f"1e{found[1]}" if found[1] else found[2])
    except ValueError:
        level = 0
    if level < LEAST:
        rest.left = before
        raise rest.wrong(f"an amount such as `1e26 FLOP`, of at least {LEAST} FLOP")
    rest.take("FLOPs?", case=True)  # FLOPS, and FLOP/s, are a speed
    return level


def _end(rest: _Rest) -> tuple[Duration | None, datetime | None]:
    before = rest.left
    try:
        if found := rest.take("for (?:at least )?([a-z]+|[0-9]{1,4}) ((?:day|week|month|year)s?)"):
            return _scalar.duration(f"{_COUNTS.get(found[1].lower(), found[1])} {found[2].lower()}"), None
        if found := rest.take("until ([0-9-]+)"):
            return None, _scalar.day(found[1])
    except ValueError:
        rest.left = before
    return None, None


def ends(pause: Pause, effective: datetime) -> datetime | None:
    """When a pause that begins at `effective` is over by its own words; None: it says nothing of an end.

    Raises:
        UsageError: that is not after it begins.
    """
    end = pause.until if pause.length is None else pause.length.after(effective)
    if end is not None and end <= effective:
        raise UsageError(f"the pause ends on {end:%Y-%m-%d}, expected a day after {effective:%Y-%m-%d}, when it begins")
    return end
