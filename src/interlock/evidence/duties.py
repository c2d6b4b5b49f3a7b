"""What the ledger says about duties, read strictly: which ones a decision names, that one was done, that one was not.

A statement that a duty was done is taken in whoever signed it; whether it counts is told by `duties.running`. One that
says that a duty was not done in time is true by the entries before it, or refused: nobody is blamed by mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.decide.decision import timestamp
from interlock.decide.facts import Lapse
from interlock.duties.account import Begun, Decided, Done, Told
from interlock.duties.starts import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interlock.duties.account import Account
    from interlock.evidence.predicates import Fields
    from interlock.evidence.testimony import Before, Said
    from interlock.policy.model import Policy


def duties(policy: Policy) -> dict[str, str]:
    """Everything that a decision may name as due, with the role that does it where the policy says so."""
    named = {f"on_hold.{about}.{it.do}": "" for about, given in policy.on_hold.items() for it in given}
    return {**named, **{name: it.by for name, it in policy.duties.items()}}


def decided(said: Said, before: Before, *, action: str, deployment: str | None) -> Decided:
    """A recorded decision, with the duties that it names: each is one of a version of the policy.

    Whether it names them rightly is told by deriving it again (`evidence.rederive`).
    """
    begun = tuple(
        it for ruling in said.fields().items("rulings") for it in _named(said, before, ruling, ruling.digest("digest"))
    )
    return Decided(said.entry, said.statement.digest, said.about, deployment, action, said.at, begun)


def _named(said: Said, before: Before, ruling: Fields, digest: str) -> Iterator[Begun]:
    policy = next((it.policy for it in before.versions if it.digest == digest), None)
    if policy is None:
        raise said.wrong(f"rules by the policy {digest[:12]}, which is no version that the ledger has before it")
    for fields in ruling.items("duties"):
        begun = Begun(
            duty=fields.text("duty"),
            what=fields.prose("what"),
            about=fields.text("about"),
            policy=digest,
            since=said.dated(fields, "since"),
            due=fields.time_or_none("first_due"),
            when=fields.texts("when"),
        )
        if begun.duty not in policy.duties and not answers(policy, begun):
            raise said.wrong(f"names the duty `{begun.duty[:80]}`, which version {policy.version} does not have so")
        yield begun


def done(said: Said, before: Before) -> Done:
    """Somebody says that a duty was done, and perhaps who was told, or which document shows it."""
    fields = said.fields()
    of, name = fields.digest("of"), fields.text("duty")
    about, when = fields.one_of("about", ("subject", "developer")), said.dated(fields, "done")
    document = fields.digest("document") if fields.has("document") else None
    told = tuple(_told(said, it) for it in fields.items("told")) if fields.has("told") else ()
    fields.text("statement")
    said.dated(fields)
    fields.done()
    whom = before.whom(said, about)
    before.named(said, "duty", name, duties)
    return Done(said.entry, of, name, whom, when, said.signers, said.at, document, told)


def _told(said: Said, fields: Fields) -> Told:
    told = Told(fields.text("role"), fields.text("through"), said.dated(fields))
    fields.done()
    return told


def overdue(said: Said, before: Before, account: Account) -> Lapse:
    """A duty that was due and not done in time, once for each. `account`: the duties as they stand at its ledger time.

    Raises:
        EvidenceError: no such duty has started, it is not binding, its time has not passed, or it was done in time.
    """
    fields = said.fields()
    of, name, what, due = fields.digest("of"), fields.text("duty"), fields.prose("what"), fields.time("due")
    about = fields.one_of("about", ("subject", "developer"))
    fields.text("statement")
    said.dated(fields)
    fields.done()
    whom = before.whom(said, about)
    item = account.find(of)
    if item is None:
        raise said.wrong(f"no duty {of[:12]} had started")
    expected = (item.duty, item.what, item.due, item.subject)
    if (name, what, due, whom) != expected:
        by = timestamp(item.due) if item.due else "no time"
        raise said.wrong(f"duty {of[:12]} is `{item.duty}`, {item.what}, due by {by}, got something else")
    if not item.lapsed:
        binds = "" if item.binding else f" and only `{item.modality}`"
        raise said.wrong(f"says that `{name[:80]}` was not done in time, which is {item.state}{binds}")
    if item.lapse is not None:
        raise said.wrong(f"entry {item.lapse} says already that duty {of[:12]} was not done in time")
    later = item.answer.entry if item.answer else None
    return Lapse(said.entry, said.statement.digest, of, name, what, due, said.at, later)
