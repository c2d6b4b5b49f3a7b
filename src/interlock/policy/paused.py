"""A pause as a policy that holds, and its cases. What lifts it is attested; that time passes opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from interlock.errors import UsageError
from interlock.policy import _scalar
from interlock.policy.derive import Draft, slug
from interlock.policy.edit import scalar
from interlock.policy.model import STANDARD_ACTIONS
from interlock.policy.pause import ends
from interlock.policy.time import spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from interlock.policy.pause import Pause

#: The threshold that a pause draws.
LINE = "above-pause"
#: What a pause is called for which nothing is given that would lift it.
STOP = "a stop, not a pause: nothing in it says what would lift it"
#: That the pause went on for as long as it says is one of the things that are attested.
OVER = "pause-over"
_DAY = timedelta(days=1)


def written(pause: Pause, *, developer: str, effective: datetime, resume: Sequence[str]) -> Draft:
    """A policy that gates what the pause names, and its cases. `resume`: each must be attested before a gate opens for
    a model that is not under the line, and that the pause went on until its end, too; with none, nothing opens one.

    Raises:
        UsageError: the pause ends before it begins; or the name, or a condition, is no line of text.
    """
    for condition in resume:
        try:
            _scalar.prose(condition)
        except ValueError as error:
            raise UsageError(f"a resume condition: {error}") from None
    it = _Whole(pause, slug(developer), developer, effective, ends(pause, effective), tuple(resume))
    return Draft(_lines(_policy(it)), _lines(_cases(it)), {})


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A pause with the answers that make it a policy."""

    pause: Pause
    slug: str
    developer: str
    effective: datetime
    end: datetime | None
    resume: tuple[str, ...]

    @property
    def requirements(self) -> dict[str, str]:
        """What must be attested, by its name; nothing for a stop."""
        if not self.resume:
            return {}
        many = len(self.resume) > 1
        named = {f"resume-{place}" if many else "resume": it for place, it in enumerate(self.resume, start=1)}
        if self.end is None:
            return named
        return {OVER: f"the pause went on from {self.effective:%Y-%m-%d} until {self.end:%Y-%m-%d}", **named}

    def each(self, said: str) -> str:
        """The same said of every action that is paused, as YAML."""
        return f"{{{', '.join(f'{action}: {said}' for action in self.pause.actions)}}}"


# -- the policy --------------------------------------------------------------------------------------------------------


def _policy(it: _Whole) -> Iterator[str]:
    said = scalar(it.pause.text)
    kind = "pause" if it.resume else STOP
    yield f"# From the words: {it.pause.text}"
    if it.resume:
        yield "# `external-auditor` attests each resume condition, about the very model. Time alone lifts nothing."
    else:
        yield f"# This is {STOP}."
        yield "# No passing of time opens it. With a requirement in place of `never` it is a pause."
    yield "interlock: policy/v1"
    yield f"id: {it.slug}/pause"
    yield "version: 1.0.0"
    yield f"title: {scalar(f'{it.developer}, {kind}: {it.pause.text}')}"
    yield f"effective: {_scalar.stamp(it.effective)}"
    yield f"sources: [{said}]"
    yield ""
    yield "roles:"
    yield "  external-auditor: {keys: [keys/external-auditor.pub], quorum: 1, independent_of: [gatekeeper, board]}"
    yield "  gatekeeper:       {keys: [keys/gatekeeper.pub], quorum: 1}"
    yield "  board:            {keys: [keys/board-1.pub, keys/board-2.pub, keys/board-3.pub], quorum: 2}"
    yield "independent: external-auditor"
    yield ""
    yield "thresholds:                               # at the line is over it already"
    yield f"  {LINE}: {{reached_when: {it.pause.quantity} >= {compute(it.pause.level)}, sources: [{said}]}}"
    yield ""
    yield from _requirements(it, said)
    yield from _gates(it)
    added = 'sources: ["added: the pause names none"]'
    yield f"refresh: {{effective_compute: 4x, period: 3 months, {added}}}"
    yield f"permits: {{lease: 30 days, ledger_age: 1 hour, issued_by: gatekeeper, {added}}}"
    yield "plans:   {report_within: 21 days}"
    yield ""
    pauses = "{do: pause-training}, " if "scale" in it.pause.actions else ""
    yield "on_hold:"
    yield f"  {LINE}: [{pauses}{{notify: [board], within: 24 hours}}]"
    yield ""
    yield from _duties(it, said)
    yield "amendments: {approved_by: board, notice: 30 days, frozen_while: reached}"


def _requirements(it: _Whole, said: str) -> Iterator[str]:
    given = scalar("added: the resume condition that was given with the pause")
    for place, (name, text) in enumerate(it.requirements.items()):
        if not place:
            yield "requirements:"
        how = "by: external-auditor, about: subject, fresh_for: 3 months"
        yield f"  {name}: {{attested: {scalar(text)}, {how}, sources: [{said if name == OVER else given}]}}"
    if it.requirements:
        yield ""


def _gates(it: _Whole) -> Iterator[str]:
    yield "gates:"
    for action in it.pause.actions:
        stop = "" if it.resume else f"      # {STOP}"
        yield f"  {action}: {{{LINE}: [{', '.join(it.requirements or ['never'])}]}}{stop}"
    left = [action for action in STANDARD_ACTIONS if action not in it.pause.actions]
    if left:
        yield "not_governed:"
    for action in left:
        yield f"  {action}: {scalar(f'the pause does not speak of it: {it.pause.text}')}"
    yield ""


def _duties(it: _Whole, said: str) -> Iterator[str]:
    if it.end:
        length = spoken(it.pause.length) if it.pause.length else f"{-((it.effective - it.end) // _DAY)} days"
        yield "duties:"
        yield "  pause-ends:"
        yield "    do: say whether the pause goes on, and why; nothing changes until an amendment does"
        yield "    by: board"
        yield "    starts: {effective: true}"
        yield f"    within: {length}"
        yield f"    sources: [{said}]"
        yield ""


def compute(level: int) -> str:
    """FLOP as a policy writes it: `2.5e25`."""
    digits = str(level).rstrip("0")
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{digits[0]}{fraction}e{len(str(level)) - 1}"


# -- its cases ---------------------------------------------------------------------------------------------------------


def _cases(it: _Whole) -> Iterator[str]:
    over = (it.end or it.effective) + timedelta(days=2)
    line, under = compute(it.pause.level), f"subjects: {{model: {{effective_compute: {it.pause.level // 4}}}}}"
    holds, permits = f"expect: {it.each('hold')}", f"expect: {it.each('permit')}"
    later = f"at: {_scalar.stamp(over)}"
    yield f"# What the pause says, told as cases. The line is {line} FLOP."
    yield "defaults:"
    yield f"  at: {_scalar.stamp(it.effective + timedelta(days=2))}"
    yield f"  since: {_scalar.stamp(it.effective)}"
    yield f"  subjects: {{model: {{effective_compute: {line}}}}}"
    yield ""
    yield from _lifted(it, over - timedelta(days=1))
    yield "cases:"
    yield from _case("a model under the line", under, permits, f"findings: {{{LINE}: below}}")
    because = f"because: {it.each(next(iter(it.requirements), 'never'))}"
    more = [] if it.resume else [f"resume: {it.each('nothing')}"]
    more += ["duties: pause-ends"] if it.end else []
    yield from _case("a model at the line", holds, f"findings: {{{LINE}: reached}}", because, *more)
    if it.pause.quantity == "effective_compute":
        unknown = f"subjects: {{model: {{effective_compute: [{it.pause.level // 4}, {it.pause.level}]}}}}"
        yield from _case("a model that may be under the line or over it", unknown, holds)
    if it.end:
        yield from _case("the pause is over, and that alone lifts nothing", later, holds)
    for name in it.requirements:
        yield from _case(
            f"all but {name}", later, "use: lifted", f"without: {name}", holds, f"because: {it.each(name)}"
        )
    if it.requirements:
        yield from _case("all is attested", later, "use: lifted", permits)
    before = f"at: {_scalar.stamp(it.effective - timedelta(days=1))}"
    yield from _case("before it is in force", before, under, holds)


def _lifted(it: _Whole, signed: datetime) -> Iterator[str]:
    if it.requirements:
        yield "facts:"
        yield "  lifted:"
        for name in it.requirements:
            said = f"id: {name}, requirement: {name}, by: external-auditor, at: {_scalar.stamp(signed)}"
            yield f"    - attestation: {{{said}}}"
        yield ""


def _case(name: str, *fields: str) -> Iterator[str]:
    yield f"  - name: {name}"
    yield from (f"    {field}" for field in fields)
    yield ""
