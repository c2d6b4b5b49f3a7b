"""The command line. `main` turns every error family into one line and its documented exit code."""

from __future__ import annotations

import gc
import os
import sys

import typer

from interlock.cli._commands import Table, group
from interlock.cli._text import note
from interlock.errors import INTERNAL, INTERRUPTED, OK, USAGE, InterlockError

_HELP = """Evaluation-gated scaling: a model scales, deploys or ships only while verified evidence allows it.

The loop, from a policy to a gate:

\b
    interlock policy check POLICY.yaml        what the policy forgot; `policy test` tries it on made-up facts
    interlock init --from small-lab DIR       a policy to start with; also from a published one, or --from-pause TEXT
    interlock init --policy POLICY.yaml       start a workspace: keys, ledger, the policy as entry 0
    interlock subject add MODEL-FOLDER        register the exact model to judge
    interlock compute estimate MODEL          its training FLOP by formula; effective compute by reference runs
    interlock deployment add NAME ...         register it as it is offered, where a policy asks about that
    interlock power --policy P --threshold T  how many items a decision needs; what so many can show
    interlock bound K N                       what K of N shows of a rate; families, tries, two runs, rare behaviour
    interlock plan --subject NAME             announce the evaluations that are due
    interlock evaluate --subject NAME         run them, fine-tuning included; sign what they gave
    interlock elicit run ELICITOR ...         try hard on questions of your own; also: curve, certify, check, ...
    interlock import LOG --subject NAME       put a log on record; it can hold a gate, and never opens one
    interlock attest --assumption A ...       what a role states or attests; also: approve, judge, forecast,
                                              check-assumption, withdraw, set-aside, incident
    interlock decide --subject NAME           permit or hold, why, and what would lift a hold
    interlock duties list | run | done        what must be done by when; carry it out by a playbook; what was missed
    interlock permit issue ...                a bounded lease for a gate; also: narrow, show, verify, revoke, trust
    interlock run --permit P -- COMMAND       run it while the permit opens; stopped when that ends or holds
    interlock release SUBJECT DEST ...        weights leave, under a permit that is spent on where they go
    interlock mlflow reconcile --guard FILE   take away aliases that no permit opens
    interlock amend POLICY.yaml               the next version of the policy; `except` opens one of its exceptions
    interlock ledger verify                   recompute everything
    interlock audit --rerun 50                ask samples of a result again, and compare
    interlock bundle export DECISION          a decision in one file; `bundle verify` checks it anywhere
    interlock export ENTRY --by ROLE          a decision as a SLSA VSA, a result as an in-toto test-result
    interlock ledger witness --witnesses FILE have witnesses cosign the ledger's state
    interlock witness init | serve            be a witness of other people's ledgers

Try `interlock demo` first: it tells the whole story on two small models and leaves a workspace to explore.

\b
Exit codes: 0 permit or ok, 1 internal error or a failing machine, 2 usage or policy error, 3 hold,
4 evidence or ledger invalid, 5 tests or checks failed, 130 interrupted.
\b
Every option is also an environment variable: INTERLOCK_WORKSPACE, INTERLOCK_DECIDE_SUBJECT, ...
The passphrase of encrypted keys: --passphrase-file, or INTERLOCK_PASSPHRASE; without them it is asked for.
"""


#: Every command, in the order of the loop: the module that has it, and its name there. A dict is a group of commands.
_COMMANDS: Table = {
    "policy": {
        "check": "checking:check",
        "explain": "explaining:explain",
        "test": "whatif:test",
        "show": "showing:show",
        "score": "scoring:score",
        "schema": "policies:schema",
    },
    "what-if": "whatif:what_if",
    "init": "setup:init",
    "keys": "keys:app",
    "subject": "subjects:app",
    "compute": "computing:app",
    "deployment": "deployments:app",
    "power": "powers:power",
    "bound": "bounds:bound",
    "plan": "evaluations:plan",
    "evaluate": "evaluations:evaluate",
    "elicit": {
        "list": "elicitation:list_elicitors",
        "run": "elicitation:run",
        "curve": "elicitation:curve",
        "compare": "elicitation:compare",
        "certify": "certifying:certify",
        "check": "sandbagging:check",
        "roc": "sandbagging:roc",
    },
    "organism": "organisms:app",
    "import": "imports:import_logs",
    "attest": "decisions:attest",
    "approve": "testimony:approve",
    "judge": "testimony:judge",
    "check-assumption": "testimony:check_assumption",
    "forecast": "testimony:forecast",
    "withdraw": "testimony:withdraw",
    "set-aside": "testimony:set_aside",
    "incident": "testimony:incident_app",
    "audit": "audits:audit",
    "record-audit": "testimony:record_audit",
    "duties": "duties:app",
    "amend": "amendments:amend",
    "except": "amendments:open_exception",
    "decide": "decisions:decide",
    "permit": "permits:app",
    "run": "launching:run",
    "slurm": "slurm:app",
    "admission": "admitting:app",
    "release": "releasing:release",
    "mlflow": "aliasing:app",
    "ledger": "ledger:ledger_app",
    "bundle": "bundles:app",
    "export": "exports:export_entry",
    "witness": "witness:witness_app",
    "schema": "schemas:schema",
    "report": "records:report",
    "demo": "demo:demo",
}
_HELP_OF_GROUPS = {
    "policy": "Check, test and describe policies before anything rests on them.",
    "elicit": "Try hard to bring out what a model can do, and write down how; look for what it holds back.",
}


def _begin() -> None:
    """Nothing is done before a command."""


app = typer.Typer(
    name="interlock",
    cls=group(_COMMANDS, _HELP_OF_GROUPS),
    callback=_begin,
    add_completion=False,
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "INTERLOCK"},
)


def main() -> None:
    """Run the command line and exit with its documented code."""
    # Read when torch starts: idle threads that spin make every other process on the machine several times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.set_threshold(50_000)  # a short command mostly loads code, and there are no cycles in that
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="interlock")
    except typer.TyperException as error:
        return _misused(error)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except InterlockError as error:
        return _fail(*error.lines, code=error.exit_code)
    except OSError as error:
        return _fail(f"the machine failed: {error}; nothing unfinished was appended to the ledger", code=INTERNAL)
    except Exception as error:  # noqa: BLE001  the last line of defence: one line, never a traceback
        if os.environ.get("INTERLOCK_DEBUG"):
            import traceback

            traceback.print_exc()
        return _fail(f"internal error: {type(error).__name__}: {error}; INTERLOCK_DEBUG=1 shows where", code=INTERNAL)
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code, without a word
        _fail("interrupted; what stands in the ledger is safe, and the same command goes on from there", code=code)
    return code if isinstance(code, int) else OK


def _misused(error: typer.TyperException) -> int:
    """Typer found fault with the command itself; a group without a command is answered with its help."""
    message = error.format_message()
    if message.startswith("Usage:"):
        note(*message.split("\n"))
        return USAGE
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context else ""
    told = f"{message[:1].lower()}{message[1:].rstrip('.')}{hint}"
    return _fail(*told.expandtabs(4).split("\n"), code=USAGE)  # it lists choices one a line


def _fail(*lines: str, code: int) -> int:
    note(*(f"interlock: {line}" for line in lines or [""]))
    return code
