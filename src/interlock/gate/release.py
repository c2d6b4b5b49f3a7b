"""Releasing weights: the door through which they leave, once, for one destination, under a permit that is spent on it.

Guarantees: nothing is staged unless the permit opens `release-weights` on these very files; every byte is hashed at the
source, on the way, and read back; the permit is spent, with the destination on record, before anything is visible
there; and what is visible is whole, with the permit, its decision's bundle and the manifest beside the weights. What a
kill leaves, by when it comes:

- before the spend: something staged, that nobody is shown, and an unspent permit. The same command starts again.
- after the spend: all of it staged. The same command finishes this destination under this spend, from what is staged
  and nothing else, if the rule still permits.
- after it is visible: a release. The same command says so.

What it leaves to the caller: who can read a destination, and that nobody writes to what is staged.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import EvidenceError, InterlockError, UsageError
from interlock.evidence import bundle, canonical, dsse
from interlock.evidence.predicates import Fields
from interlock.gate import destination as destinations
from interlock.gate import permit_file
from interlock.gate.permit import Held, examine, find
from interlock.gate.spending import go_on, spend
from interlock.subject import manifest
from interlock.workspace import Place, Workspace, now

if TYPE_CHECKING:
    from datetime import datetime

    from interlock.evidence.read import Evidence, Permit
    from interlock.evidence.testimony import Spent
    from interlock.gate.destination import Destination, Read
    from interlock.subject.manifest import Manifest

__all__ = ["ACTION", "BUNDLE", "FORMAT", "MANIFEST", "MARKER", "PERMIT", "Plan", "Released", "plan", "release"]

ACTION = "release-weights"
FORMAT = "urn:interlock:release:v1"
#: What stands beside the weights, and the marker that comes last.
MANIFEST, PERMIT, BUNDLE, MARKER = "manifest.json", "permit.json", "decision.bundle.json", "RELEASED"

#: Called with a stage, bytes done and bytes in all.
Report = Callable[[str, int, int], None]
_CHUNK = 1 << 20
_MOST_MARKER = 1 << 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What a release will do. `files`: SHA-256 by name at the destination. `spent`: the permit's spend, on this
    destination, if a release was broken off after it.
    """

    name: str
    permit: Permit
    place: Place
    manifest: Manifest
    destination: Destination
    spent: Spent | None

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each of the model's files, by its name at the destination."""
        return {_there(self.place, name): digest for name, digest in self.manifest.files}

    @property
    def sources(self) -> dict[str, Path]:
        """Where each of them lies on this machine, by the same name."""
        return {_there(self.place, name): _here(self.place, name) for name, _ in self.manifest.files}


@dataclass(frozen=True, slots=True)
class Released:
    """A release that stands: `entry` is that of the spend. `already`: it stood there before the command came."""

    permit: str
    subject: str
    destination: str
    entry: int
    files: tuple[str, ...]
    already: bool


def release(
    workspace: Workspace,
    subject: str,
    destination: str,
    *,
    permit: str,
    report: Report | None = None,
    clock: Callable[[], datetime] = now,
) -> Released:
    """Release a subject's weights to a folder or URL under a permit, or finish what was broken off.

    Raises:
        Held: the permit does not open it, or was spent on something else.
        UsageError: no such subject, no files of it here, a destination that is not empty, another release runs.
        EvidenceError: files are not the subject's, or changed; what is staged is not what was staged.
        LedgerError: the ledger cannot be relied on, or cannot be written.
        OSError: the disk is full, or fails.
    """
    with _alone(workspace):
        planned = plan(workspace, subject, destination, permit=permit, report=report, clock=clock)
        if planned.spent is not None:
            return _finish(workspace, planned, planned.spent, clock, report)
        _stage(workspace, planned, report)
        spent = _spend(workspace, planned, clock)
        # crash point: spent, and nothing visible; what is staged is whole
        return _publish(workspace, planned, spent, clock, report)


def plan(
    workspace: Workspace,
    subject: str,
    destination: str,
    *,
    permit: str,
    report: Report | None = None,
    clock: Callable[[], datetime] = now,
) -> Plan:
    """What `release` would do; every check that comes before the first byte is copied. Nothing is written.

    Raises:
        As `release`.
    """
    evidence = workspace.read()
    workspace.check_logs(evidence)
    wanted, model = find(evidence, permit), evidence.subject(subject)
    if wanted.subject != model.digest:
        raise Held(f"the permit is for subject {wanted.subject[:12]}, expected one for {model.digest[:12]}")
    files, place = evidence.manifests.get(model.digest), workspace.places().get(model.digest)
    if files is None:
        raise UsageError(f"`{model.name}` is a run without weights, so that there is nothing to release")
    if place is None:
        raise UsageError(f"where the files of `{model.name}` lie is not known here: interlock subject add FOLDER")
    _check_no_state(model.name, files)
    target = destinations.at(destination, wanted.digest)
    used = evidence.spent.get(wanted.digest)
    planned = Plan(model.name, wanted, place, files, target, used)
    if used is None or used.destination != target.name:
        examine(evidence, wanted.digest, action=ACTION, at=clock())
        _check_ready(workspace, evidence, planned, clock())
        _check_source(planned, report)
    return planned


def _check_no_state(name: str, files: Manifest) -> None:
    """What a run needs to go on is no part of the model, and could hold weights that nobody evaluated."""
    if state := files.training_state:
        raise Held(
            f"`{name}` has `{state[0]}`, which a run needs to go on and could hold any weights; it is not released: "
            "register, evaluate and release a folder without it"
        )


def _check_ready(workspace: Workspace, evidence: Evidence, planned: Plan, at: datetime) -> None:
    """What would stop the release later: found before an hour of copying."""
    if not planned.permit.terms.single_use:
        raise UsageError(f"permit {planned.permit.digest[:12]} is not single-use, so that nothing spends it")
    workspace.signing(evidence, evidence.in_force(at).policy.permits.issued_by)
    standing = planned.destination.standing()
    if standing:
        raise UsageError(
            f"`{planned.destination.name}` is not empty: got `{standing[0]}`, expected nothing there; "
            "name another destination"
        )


def _check_source(planned: Plan, report: Report | None) -> None:
    place, told = planned.place, report or _silent
    found = manifest.of(
        place.folder, adapter=place.adapter, progress=lambda done, total: told("hashing the source", done, total)
    )
    changed = planned.manifest.changed(found)
    if changed is not None:
        raise EvidenceError(f"`{place.folder}` is not what was registered as `{planned.name}`: {changed}")


def _stage(workspace: Workspace, planned: Plan, report: Report | None) -> None:
    """Copy everything beside the destination, and read it back; what fails leaves nothing there."""
    target, sources = planned.destination, planned.sources
    target.discard()  # of a release that was killed before its spend
    try:
        progress = _Progress(report or _silent, "copying", sum(path.stat().st_size for path in sources.values()))
        for name, path in sources.items():
            target.stage(name, _copied(path, planned.files[name], progress))
        # crash point: staged in part, or whole; the permit is not spent
        _put_papers(workspace, planned)
        _check(planned, target.read_staged, report, "reading back")
    except BaseException:
        target.discard()
        raise


def _spend(workspace: Workspace, planned: Plan, clock: Callable[[], datetime]) -> Spent:
    """Spend the permit on the destination; a hold or an error before the spend leaves nothing staged."""
    try:
        workspace.refresh()  # copying may have taken longer than a checkpoint may be old
        workspace.check_logs(workspace.read())
        return spend(workspace, planned.permit.digest, action=ACTION, destination=planned.destination.name, at=clock())
    except Exception:  # not Ctrl-C, which may come while the spend is durable and nobody sees it: as after a kill
        _discard_unspent(workspace, planned)
        raise


def _discard_unspent(workspace: Workspace, planned: Plan) -> None:
    """Remove what is staged, unless the permit is spent on it, or the ledger cannot be read to tell."""
    with suppress(InterlockError, OSError):  # the first error is the one to tell
        used = workspace.read().spent.get(planned.permit.digest)
        if used is None or used.destination != planned.destination.name:
            planned.destination.discard()


def _finish(
    workspace: Workspace, planned: Plan, spent: Spent, clock: Callable[[], datetime], report: Report | None
) -> Released:
    """Go on after the spend, with what is staged; or say that it is done."""
    target = planned.destination
    if MARKER in target.standing():
        _check_released(planned, spent, report)
        target.discard()
        return _released(planned, spent, already=True)
    if not target.staged():
        raise Held(
            f"the permit was spent on `{target.name}` in entry {spent.entry}, and nothing is staged for it; "
            "it was for one use: ask for a new one"
        )
    _check_others(target.standing(), planned)
    _check(planned, target.read_staged, report, "checking what is staged")
    _ask_again(workspace, planned, clock)
    return _publish(workspace, planned, spent, clock, report)


def _ask_again(workspace: Workspace, planned: Plan, clock: Callable[[], datetime]) -> None:
    """Whether the rule still permits what the permit was spent on."""
    workspace.refresh()
    evidence, where = workspace.read(), planned.destination.name
    workspace.check_logs(evidence)
    go_on(evidence, planned.permit.digest, action=ACTION, destination=where, at=clock())


def _publish(
    workspace: Workspace, planned: Plan, spent: Spent, clock: Callable[[], datetime], report: Report | None
) -> Released:
    """Make what is staged visible; the marker says by which spend."""
    target = planned.destination
    papers = _put_papers(workspace, planned)  # again: of a release that was killed, the ledger has them, not the disk
    _check_others(target.staged(), planned)
    _put(target, MARKER, _marker(planned, spent, papers))

    def check(read: Read) -> None:
        _check(planned, read, report, "reading back at the destination")

    def ask() -> None:
        _check_others(target.standing(), planned)
        _ask_again(workspace, planned, clock)

    _check_others(target.standing(), planned)  # before anything is copied beside what somebody put there meanwhile
    target.publish(MARKER, check, ask)
    # crash point: visible, and not told; the same command says that it stands there
    return _released(planned, spent, already=False)


def _put_papers(workspace: Workspace, planned: Plan) -> dict[str, str]:
    """Stage what stands beside the weights, and read it back. Returns SHA-256 by name."""
    papers = _papers(workspace, planned)
    for name, data in papers.items():
        _put(planned.destination, name, data)
    return {name: hashlib.sha256(data).hexdigest() for name, data in papers.items()}


def _papers(workspace: Workspace, planned: Plan) -> dict[str, bytes]:
    """The manifest, whose SHA-256 is the subject's digest; the permit's file; the bundle of its decision."""
    view, decision = workspace.view(), planned.permit.terms.decision
    entry = next(it.entry for it in workspace.read().records if it.digest == decision)
    shown, _ = bundle.checked(workspace.ledger, view, entry, policy=workspace.policy_digest)
    return {
        MANIFEST: canonical.dumps(planned.manifest.to_json()),
        PERMIT: permit_file.written(workspace, planned.permit),
        BUNDLE: shown,
    }


def _put(target: Destination, name: str, data: bytes) -> None:
    target.stage(name, [data])
    if b"".join(target.read_staged(name)) != data:
        raise EvidenceError(f"`{name}` was read back from `{target.name}` with other bytes than were written")


def _marker(planned: Plan, spent: Spent, papers: Mapping[str, str]) -> bytes:
    members = _claims(planned, spent) | {"papers": dict(papers)}
    return canonical.dumps(members) + b"\n"


def _claims(planned: Plan, spent: Spent) -> dict[str, Any]:
    return {
        "release": FORMAT,
        "subject": planned.permit.subject,
        "permit": planned.permit.digest,
        "spent": spent.digest,
        "destination": planned.destination.name,
    }


def _check_released(planned: Plan, spent: Spent, report: Report | None) -> None:
    """Check that what lies at the destination is this release, whole."""
    target, wrong = planned.destination, f"`{planned.destination.name}` has a `{MARKER}` that is not of this release"
    data = b"".join(_limited(target.read(MARKER), _MOST_MARKER))
    try:
        members = dsse.strict_json(data.strip())
        papers = Fields(members.get("papers"), MARKER)
        digests = {name: papers.digest(name) for name in (MANIFEST, PERMIT, BUNDLE)}
        papers.done()
    except EvidenceError as error:
        raise EvidenceError(f"{wrong}: {error}") from error
    if data != _marker(planned, spent, digests):
        raise EvidenceError(f"{wrong}; expected nothing there")
    _check_others(target.standing(), planned)
    for name, expected in digests.items():
        _check_digest(name, hashlib.sha256(b"".join(target.read(name))).hexdigest(), expected)
    _check(planned, target.read, report, "reading back at the destination")


def _check_others(found: list[str], planned: Plan) -> None:
    """Nothing else lies there than what a release puts there."""
    known = {*planned.files, MANIFEST, PERMIT, BUNDLE, MARKER}
    other = next((name for name in found if name not in known), None)
    if other is not None:
        raise EvidenceError(f"got `{other}` at `{planned.destination.name}`, expected the files of the release alone")


def _check(planned: Plan, read: Read, report: Report | None, stage: str) -> None:
    """Read the weights back, all of them.

    Raises:
        EvidenceError: a file is missing, or has other bytes.
    """
    sizes = {name: path.stat().st_size for name, path in planned.sources.items() if path.exists()}
    progress = _Progress(report or _silent, stage, sum(sizes.values()))
    for name, expected in planned.files.items():
        digest = hashlib.sha256()
        try:
            for piece in read(name):
                digest.update(piece)
                progress.more(len(piece))
        except FileNotFoundError:
            raise EvidenceError(f"`{name}` is missing at `{planned.destination.name}`") from None
        _check_digest(name, digest.hexdigest(), expected)


def _copied(path: Path, expected: str, progress: _Progress) -> Iterator[bytes]:
    """The bytes of a file, hashed on the way.

    Raises:
        EvidenceError: they are not those that the manifest has, once the last one has been given.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            progress.more(len(piece))
            yield piece
    _check_digest(str(path), digest.hexdigest(), expected, "; it changed while it was copied")


def _check_digest(name: str, got: str, expected: str, why: str = "") -> None:
    if got != expected:
        raise EvidenceError(f"`{name}` has SHA-256 {got[:12]}, expected {expected[:12]}{why}")


def _limited(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[: most + 1]
        most -= len(piece)
        if most < 0:
            return


def _there(place: Place, name: str) -> str:
    """A file's name at the destination: an adapter stands beside the weights, as a folder that a reader can load."""
    return name if place.adapter and name.startswith("adapter/") else f"weights/{name}"


def _here(place: Place, name: str) -> Path:
    if place.adapter and name.startswith("adapter/"):
        return place.adapter / name.removeprefix("adapter/")
    return place.folder / name


def _released(planned: Plan, spent: Spent, *, already: bool) -> Released:
    names = tuple(sorted([*planned.files, MANIFEST, PERMIT, BUNDLE, MARKER]))
    return Released(
        planned.permit.digest, planned.permit.subject, planned.destination.name, spent.entry, names, already
    )


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """One release at a time: what one has staged, another must not take for its own. A kill frees the lock."""
    with (workspace.folder / ".release.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError("another release is running in this workspace; wait for it to end") from None
        yield


@dataclass(slots=True)
class _Progress:
    """How far a stage is, in bytes."""

    report: Report
    stage: str
    total: int
    done: int = 0

    def more(self, count: int) -> None:
        self.done += count
        self.report(self.stage, self.done, max(self.total, self.done))


def _silent(stage: str, done: int, total: int) -> None:
    """Nobody is told."""
