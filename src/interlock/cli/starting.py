"""`init --from` and `init --from-pause`: a policy to start with, from a few answers, and what it says shown at once."""

from __future__ import annotations

import shutil
import sys
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import typer

from interlock.cli._text import note, say
from interlock.errors import InterlockError, PolicyError, UsageError
from interlock.policy import _scalar, cases, pause, paused, shipped
from interlock.policy.derive import ILLUSTRATIVE, Answers, Draft, derive, slug
from interlock.policy.draft import draft
from interlock.policy.edit import Edits
from interlock.policy.lint import lint
from interlock.policy.model import Hole
from interlock.policy.time import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from interlock.policy.model import Policy

T = TypeVar("T")

FILE, CASES = "policy.yaml", "policy.cases.yaml"
_HALF_A_YEAR = Duration(6, 0)
_NAME = 24  # columns of a name; a longer one has a line of its own
#: The checks that tell of stops.
_STOPS = frozenset({"stop-until-amended", "stop-without-resume"})


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say; None: it is asked for at a terminal, and elsewhere has its default."""

    developer: str | None
    effective: str | None
    approved_by: tuple[str, ...]
    weights: bool | None
    review: str | None
    resume: tuple[str, ...]


# -- the two ways ------------------------------------------------------------------------------------------------------


def from_policy(name: str, folder: Path, given: Given) -> None:
    """Write a policy that comes from a shipped one, or from a template, and its cases; print what it says.

    Raises:
        UsageError: there is no such policy, an answer is missing or does not fit, or a file is there already.
    """
    if given.resume:
        raise UsageError("--resume goes with --from-pause; a policy's resume conditions are what its gates list")
    source = shipped.resolve(name)
    _free(folder, [FILE, CASES])
    made = derive(source, _answers(draft(source), given))
    _write(folder, made)
    _show(folder, made)


def from_pause(text: str, folder: Path, given: Given) -> None:
    """Write a policy that holds as a pause says, and its cases; print what it says.

    Raises:
        UsageError: the pause is not understood, an answer is missing or does not fit, or a file is there already.
    """
    if given.approved_by or given.weights is not None or given.review:
        raise UsageError("--approved-by, --release-weights and --review go with --from; a pause says what it says")
    read = pause.parse(text)
    _free(folder, [FILE, CASES])
    developer = _ask(given.developer, "--developer", "name of the developer", None, _named)
    effective = _ask(given.effective, "--effective", "in force from (date)", _today(), _date)
    end = pause.ends(read, effective)
    resume = given.resume or _conditions()
    made = paused.written(read, developer=developer, effective=effective, resume=resume)
    _write(folder, made)
    _show(folder, made)
    say()
    for line in _told_of_pause(end, resume):
        _say(line)


def _told_of_pause(end: datetime | None, resume: Sequence[str]) -> Iterator[str]:
    if not resume:
        yield f"This is {paused.STOP}. Give what would with --resume, once for each condition."
    if end and resume:
        yield (
            f"The end of the pause on {end:%Y-%m-%d} opens nothing by itself: that it went on until then, and each "
            "resume condition, must be attested by `external-auditor`, about the very model."
        )
    elif end:
        yield f"The end on {end:%Y-%m-%d} opens nothing by itself. It is when the board must say whether it goes on."


def _conditions() -> tuple[str, ...]:
    """What somebody at the terminal says would lift the pause."""
    if not sys.stdin.isatty():
        return ()
    typed: str = typer.prompt(
        "what must be shown before it is lifted (nothing: a stop)", default="", show_default=False, err=True
    )
    return (typed.strip(),) if typed.strip() else ()


# -- questions ---------------------------------------------------------------------------------------------------------


def _answers(policy: Policy, given: Given) -> Answers:
    who = "name of the authority" if policy.imposed_by else "name of the developer"
    developer = _ask(given.developer, "--developer", who, None, _named)
    effective = _ask(given.effective, "--effective", "in force from (date)", _today(), _date)
    roles = f"who approves amendments ({', '.join(policy.roles)})"
    approvers = _ask(
        ",".join(given.approved_by) or None,
        "--approved-by",
        roles,
        ",".join(policy.amendments.approved_by),
        lambda text: _roles(policy, text),
    )
    said = None if given.weights is None else "yes" if given.weights else "no"
    weights = _ask(said, "--release-weights", "may weights ever be released (yes, no)", "yes", _yes)
    review = _HALF_A_YEAR.after(effective)
    if given.review or any(isinstance(it, Hole) for it in policy.requirements.values()):
        review = _ask(given.review, "--review", "holes are reviewed by (date)", f"{review:%Y-%m-%d}", _date)
    unchanged = approvers == policy.amendments.approved_by
    return Answers(developer, effective, review, () if unchanged else approvers, weights=weights)


def _ask(given: str | None, flag: str, question: str, default: str | None, read: Callable[[str], T]) -> T:
    """What was given, or is typed at a terminal until it can be read, or the default where nobody is there.

    Raises:
        UsageError: what was given cannot be read, or there is nothing.
    """
    if given is None and sys.stdin.isatty():
        while True:
            typed: str = typer.prompt(question, default=default, err=True)
            try:
                return read(typed.strip())
            except (ValueError, UsageError) as error:
                note(*(f"  {line}" for line in str(error).split("\n")))
    text = default if given is None else given
    if text is None:
        variable = f"INTERLOCK_INIT_{flag.strip('-').upper().replace('-', '_')}"
        raise UsageError(f"{question}: nobody is there to be asked; give it by {flag} or {variable}")
    try:
        return read(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _date(text: str) -> datetime:
    return _scalar.day(text)


def _named(text: str) -> str:
    slug(text)
    return text


def _yes(text: str) -> bool:
    words = {"yes": True, "y": True, "no": False, "n": False}
    if text.lower() not in words:
        raise ValueError(f"expected `yes` or `no`, got `{text}`")
    return words[text.lower()]


def _roles(policy: Policy, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(it.strip() for it in text.split(",") if it.strip()))
    if wrong := [it for it in names if it not in policy.roles] or ([] if names else [text]):
        raise ValueError(f"the policy has no role `{wrong[0]}`; it has: {', '.join(policy.roles)}")
    return names


# -- writing -----------------------------------------------------------------------------------------------------------


def _free(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if (folder / name).exists():
            raise UsageError(f"`{folder / name}` is there already, and nothing is overwritten; name another folder")


def _write(folder: Path, made: Draft) -> None:
    """Write the files of a policy that loads, and whose cases pass; if one of them does not, nothing is written.

    Raises:
        UsageError: one of the files is there already.
        InterlockError: the policy does not load, or a case fails: a fault of Interlock's, not of the answers.
    """
    files = {FILE: made.policy.encode(), CASES: made.cases.encode(), **made.beside}
    _free(folder, files)
    with TemporaryDirectory() as scratch:
        _put(Path(scratch), files)
        _prove(Path(scratch))
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Path] = []
    try:
        for name, data in files.items():
            with (folder / name).open("xb") as file:
                done.append(folder / name)
                file.write(data)
    except OSError:
        for path in done:
            path.unlink()
        if not there:
            folder.rmdir()
        raise


def _put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        if Path(name).name != name:
            raise InterlockError(f"internal error: the cases name `{name}`, which is not beside them")
        (folder / name).write_bytes(data)


def _prove(folder: Path) -> None:
    try:
        policy = draft(folder / FILE)
        outcomes = [cases.run(case, [cases.version(policy)]) for case in cases.load(folder / CASES, policy)]
    except PolicyError as error:
        told = "internal error: what was made does not load, and nothing is written"
        raise InterlockError(told, *error.lines) from None
    failed = [f"{it.case.name}: {failure.text}" for it in outcomes for failure in it.failures]
    if failed:
        raise InterlockError("internal error: a case fails, and nothing is written", *failed)


# -- what it says ------------------------------------------------------------------------------------------------------


def _show(folder: Path, made: Draft) -> None:
    """What the written policy says: lines, gates, every hole and every stop, whose keys are missing, and what next."""
    path = folder / FILE
    policy, text = draft(path), Edits(path.read_text(encoding="utf-8"))
    told = cases.load(folder / CASES, policy)
    findings = lint(policy, at=datetime.now(UTC))
    say(f"{policy.title} ({policy.id} {policy.version}), in force from {policy.effective:%Y-%m-%d}")
    say(f"wrote {path} and {folder / CASES}: it loads, and its {len(told)} cases pass")
    if made.beside:
        say(f"wrote beside them, for the cases: {', '.join(made.beside)}")
    _section("thresholds", ((name, _line(policy, text, name)) for name in policy.thresholds))
    _section("gates", ((action, _gate(policy, action)) for action in policy.gates))
    _section("left open by this policy", policy.not_governed.items())
    _section("holes: empty on purpose, and only an amendment fills them", _holes(policy))
    stops = [(it.path, it.message) for it in findings if it.check in _STOPS]
    _section("stops until the policy is amended", stops)
    _section("roles that need keys", _keys(folder, policy, text))
    _section("illustrative, to be replaced", _illustrative(path))
    found = [
        (it.check, f"{it.level}: {it.message}") for it in findings if it.level != "note" and it.check not in _STOPS
    ]
    _section("what `policy check` finds besides", found)
    say("", "next")
    say(f"  edit {path}, and tell in {folder / CASES} what it must say")
    say(f"  interlock policy check {path}")
    say(f"  interlock policy test {path}")
    say(f"  interlock init --policy {path} --workspace WORKSPACE")


def _section(title: str, rows: Iterable[tuple[str, str]]) -> None:
    listed = list(rows)
    if listed:
        say("", title)
    width = min(max((len(name) for name, _ in listed), default=0), _NAME)
    for name, text in listed:
        if len(name) > _NAME:
            say(f"  {name}")
            _say(f"{' ' * (width + 4)}{text}", hang=width + 4)
        else:
            _say(f"  {name:<{width}}  {text}", hang=width + 4)


def _say(line: str, *, hang: int = 0) -> None:
    width = max(shutil.get_terminal_size().columns, 40)
    for part in textwrap.wrap(
        line, width, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
    ):
        say(part)


def _line(policy: Policy, text: Edits, name: str) -> str:
    it = policy.thresholds[name]
    if it.hole:
        return f"nothing is below it: no line is written (judged by {it.judged.by if it.judged else 'nobody'})"
    when = [text.written("thresholds", name, "reached_when")] if it.reached_when else []
    when += [f"judged by {it.judged.by} on {', '.join(it.judged.on)}"] if it.judged else []
    return f"{' or '.join(when)}{'' if it.role == 'gate' else f' ({it.role}: gates nothing)'}"


def _gate(policy: Policy, action: str) -> str:
    return "; ".join(
        f"{name}: {', '.join(cell.requires)}" for name, cell in policy.gates[action].items() if cell.requires
    )


def _holes(policy: Policy) -> Iterator[tuple[str, str]]:
    for name, it in policy.requirements.items():
        if isinstance(it, Hole):
            yield name, f"{it.what} (owner {it.owner}, review by {it.review:%Y-%m-%d})"
    yield from ((name, "a threshold that nobody has drawn") for name, it in policy.thresholds.items() if it.hole)


def _keys(folder: Path, policy: Policy, text: Edits) -> Iterator[tuple[str, str]]:
    """The roles that cannot sign yet: their key files are not there, or none is named."""
    for name, role in policy.roles.items():
        written = [text.written("roles", name, "keys", place) for place in text.keys("roles", name, "keys")]
        missing = [it for it in written if it.endswith(".pub") and not (folder / it).is_file()]
        if not role.keys:
            yield name, "no key is named, and what waits for it holds"
        elif missing:
            yield name, f"{role.quorum} of {len(role.keys)} must sign: {', '.join(missing)}"


def _illustrative(path: Path) -> Iterator[tuple[str, str]]:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    marked = [str(number) for number, line in lines if ILLUSTRATIVE in line and not line.startswith("#")]
    if marked:
        yield f"{len(marked)} lines", f"marked `{ILLUSTRATIVE}`: {', '.join(marked)}"
