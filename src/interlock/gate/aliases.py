"""Aliases of a model registry that a permit guards: who may say that a version is `production`.

Guarantees: an alias that the guard file names is given to a version only if the files at the version's source are those
of a subject, hashed there and then, and a permit in the ledger opens the action on it; the version says which permit by
its tag `interlock.permit`, and nothing else that it says is believed. Whatever cannot be read, found or verified holds.
What it leaves to the caller: that the registry asks (`interlock.gate.mlflow_store`), or is put right (`interlock mlflow
reconcile`), and that whoever fetches a version fetches what lies at its source.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from interlock.errors import EvidenceError, InterlockError, UsageError
from interlock.evidence import dsse
from interlock.evidence.predicates import Fields
from interlock.gate.outage import file_now
from interlock.gate.permit import Held
from interlock.gate.serving import Asked, ByLedger
from interlock.subject import manifest
from interlock.workspace import now

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMAT", "TAG", "Guard", "Guarded"]

FORMAT = "urn:interlock:alias-guard:v1"
TAG = "interlock.permit"
"""The tag of a model version that names its permit."""
_MOST = 1 << 20
_LATIN = re.compile(r"LATIN (?:SMALL|CAPITAL) (?:LETTER|LIGATURE) (?:DOTLESS )?([A-Z]{1,2})(?: WITH .+)?")


@dataclass(frozen=True, slots=True)
class Guarded:
    """One alias: the action that it is taken for, and as which deployment (a digest); None is the bare model."""

    alias: str
    action: str
    deployment: str | None


@dataclass(frozen=True, slots=True)
class Guard:
    """What a guard file says. `artifacts`: the folder that `mlflow-artifacts:/` stands for on this machine, if any."""

    workspace: Path
    artifacts: Path | None
    aliases: tuple[Guarded, ...]

    @classmethod
    def load(cls, path: Path) -> Guard:
        """Read a guard file. Paths in it are relative to where it lies.

        Raises:
            UsageError: it is not there, or is not one to the last member.
            UnreachableError: the disk does not answer.
        """
        try:
            fields = Fields(dsse.strict_json(file_now(path, _MOST).strip()), "guard file")
            fields.one_of("alias_guard", (FORMAT,))
            artifacts = fields.text("artifacts") if fields.has("artifacts") else None
            aliases = tuple(_guarded(item) for item in fields.items("aliases"))
            read = cls(path.parent / fields.text("workspace"), path.parent / artifacts if artifacts else None, aliases)
            fields.done()
        except EvidenceError as error:
            raise UsageError(f"`{path}`: {error}") from error
        if not aliases or len({_compared(it.alias) for it in aliases}) < len(aliases):
            raise UsageError(f"`{path}`: expected one alias or more, each once")
        return read

    def guarded(self, alias: str) -> Guarded | None:
        """The entry for an alias, in whatever case and with whatever accents: some databases take no notice of them."""
        return next((it for it in self.aliases if _compared(it.alias) == _compared(alias)), None)

    def check(self, alias: str, *, source: str, tags: Mapping[str, str]) -> None:
        """Check that a version, which lies at `source` and has these tags, may have an alias.

        Raises:
            Held: it is guarded, and nothing shows that it may.
        """
        wanted = self.guarded(alias)
        if wanted is None:
            return
        if not tags.get(TAG):
            raise Held(f"`{alias}` is guarded, and the version has no tag `{TAG}` that names a permit")
        try:
            digest = manifest.of(self._folder(source)).digest
            ByLedger(self.workspace, tags[TAG]).grant(Asked(wanted.action, digest, wanted.deployment), now)
        except Held as held:
            raise Held(f"`{alias}` is guarded: {held}") from held
        except (InterlockError, OSError) as error:  # an outage, too: an alias has no lease
            raise Held(f"`{alias}` is guarded, and nothing shows that the version may have it: {error}") from error

    def _folder(self, source: str) -> Path:
        """Where a version's files lie on this machine."""
        parts = _parts(source)
        if {"..", "."} & set(parts.path.split("/")) or "%" in source or parts.netloc or parts.query or parts.fragment:
            raise Held(f"its source `{source[:200]}` is no plain place")
        if parts.scheme in {"", "file"} and parts.path.startswith("/"):
            return Path(parts.path)
        if parts.scheme == "mlflow-artifacts" and self.artifacts is not None:
            return self.artifacts / parts.path.lstrip("/")
        raise Held(f"its source `{source[:200]}` does not lie on this machine, so that nothing shows what it is")


def _parts(source: str) -> SplitResult:
    if not source.isprintable() or source != source.strip():  # urlsplit leaves tabs out, and would name another folder
        raise Held(f"its source {source!a:.200} is no plain place")
    try:
        return urlsplit(source)
    except ValueError as error:
        raise Held(f"its source `{source[:200]}` is no plain place: {error}") from error


def _compared(alias: str) -> str:
    """An alias as the laxest database compares it: without letter case, accents, width, spaces and what has no form."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", alias).casefold())
    return "".join(_base(it) for it in letters if unicodedata.category(it)[0] not in "MCZ")


def _base(letter: str) -> str:
    """The Latin letter without a stroke and the like, which are no marks in Unicode: `o` of `ø`, `ae` of `æ`."""
    found = _LATIN.fullmatch(unicodedata.name(letter, ""))
    return found[1].lower() if found else letter


def _guarded(fields: Fields) -> Guarded:
    read = Guarded(fields.text("alias"), fields.text("action"), fields.digest_or_none("deployment"))
    fields.done()
    return read
