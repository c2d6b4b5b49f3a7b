"""An author sees every mistake at once, at its line and column; a hostile file gets the same plain answer."""

import hashlib
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.errors import PolicyError, UsageError
from interlock.policy._scalar import suggest
from interlock.policy.load import load, loads


def problems(text, folder, at=None):
    with pytest.raises(PolicyError) as caught:
        loads(text, name="lab.yaml", folder=folder, at=at)
    return caught.value.problems


def marked(text, *edits):
    """Apply each edit once; every `^` marks where a problem must be reported. Returns the text and the marks."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    marks = []
    while (place := text.find("^")) >= 0:
        before = text[:place].split("\n")
        marks.append(f"lab.yaml:{len(before)}:{len(before[-1]) + 1}: ")
        text = text[:place] + text[place + 1 :]
    return text, marks


# sentence -> edits of the example (old, new with a `^` where a problem stands), then the words the messages must hold
MISTAKES = {
    # fields
    "an unknown field is told with its nearest spelling": (
        [("interlock:", "^interlock:"), ("thresholds:\n", "^tresholds:\n")],
        ["expected field `thresholds`, got nothing", "unknown field `tresholds`; did you mean `thresholds`?"],
    ),
    "an unknown field deep inside": (
        [("buffer: {", "^buffer: {"), (", margin: 0.05", ", ^margn: 0.05")],
        ["expected field `margin`", "unknown field `margn`; did you mean `margin`?"],
    ),
    "an assumption that rests on what rests on it": (
        [
            ("  takeover:", "  ^takeover:"),
            ("{stated_by: external-auditor, fresh", "{stated_by: external-auditor, void_at: [takeover], fresh"),
        ],
        ["threshold `takeover` depends on itself", "`no-evaluation-gaming` is void at `takeover`"],
    ),
    "a missing field is told at the entry that lacks it": (
        [("    rule_out:\n", "    ^rule_out:\n"), ("      coverage: 0.98\n", "")],
        ["expected field `coverage`, got nothing"],
    ),
    "a format from the future": ([("policy/v1", "^policy/v2")], ["expected `policy/v1`, got `policy/v2`"]),
    "no format": ([("interlock: policy/v1\n", ""), ("id:", "^id:")], ["expected field `interlock`"]),
    "an id with two slashes": ([("example-lab/rsp", "^a/b/c")], ["expected an id", "`a/b/c`"]),
    "a name with a capital": (
        [("  misuse-3:", "  ^Misuse-3:"), ("security-3, misuse-3]", "security-3, ^misuse-3]")],
        ["a name of lower-case letters, digits and hyphens, got `Misuse-3`", "requirement `misuse-3` is not defined"],
    ),
    "a list where a text belongs": ([("title: Ex", "title: ^[a] # ")], ["expected a text, got a list"]),
    "an empty text": ([("title: Ex", 'title: ^"" # ')], ["expected a text, got ``"]),
    "a mapping where a list belongs": (
        [("[keys/gatekeeper.pub]", "^{a: b}")],
        ["expected a list of at least one, got a mapping"],
    ),
    # exact numbers
    "NaN": ([("confidence: 0.95", "confidence: ^NaN")], ["expected a number such as `0.95`", "got `NaN`"]),
    "infinity": ([("confidence: 0.95", "confidence: ^.inf")], ["expected a number", "got `.inf`"]),
    "an exponent": ([("confidence: 0.95", "confidence: ^1e-9")], ["expected a number", "got `1e-9`"]),
    "a number without end": (
        [("confidence: 0.95", f"confidence: ^0.{'9' * 300}")],
        ["expected a number of at most 256 characters"],
    ),
    "a division by zero": ([("confidence: 0.95", "confidence: ^1/0")], ["expected a number", "got `1/0`"]),
    "confidence that a coin has": ([("confidence: 0.95", "confidence: ^0.5")], ["above 0.5 and below 1", "`0.5`"]),
    "certainty": ([("confidence: 0.95", "confidence: ^1")], ["above 0.5 and below 1, got `1`"]),
    "no coverage": ([("coverage: 0.98", "coverage: ^0")], ["above 0 and at most 1, got `0`"]),
    "a level above one": (
        [(">= 0.20", ">= 1.20"), ("codebook >=", "^codebook >=")],
        ["expected a level in the range of measure `codebook`, `0` to `1`, got `1.2`"],
    ),
    "a negative margin": ([("margin: 0.05", "margin: ^-0.05")], ["a number of at least 0, got `-0.05`"]),
    "negative demonstrations": ([("tions: 16", "tions: ^-1")], ["whole number of at least 0, got `-1`"]),
    "a fine-tuned result on nothing": (
        [
            ("tions: 16", "tions: 0"),
            ("[few-shot, fine-tuned]", "[few-shot, ^fine-tuned]"),
            ("[few-shot, fine-tuned, rl", "[few-shot, ^fine-tuned, rl"),
        ],
        ["`fine-tuned` needs `demonstrations`", "`fine-tuned` needs `demonstrations`"],
    ),
    "a margin that swallows the level": (
        [(">= 0.10\n    rule_out: {", ">= 0.05\n    rule_out: ^{")],
        ["`codebook-use-open` could never be ruled out", "a margin below `0.05`", "got `0.05`"],
    ),
    "a multiple without its x": ([("compute: 6x", "compute: ^6")], ["a multiple such as `6x`, got `6`"]),
    "a multiple below one": ([("compute: 4x", "compute: ^0.5x")], ["at least `1x`, got `0.5x`"]),
    "a buffer of none": (
        [("buffer: {effective_compute", "buffer: ^none # {")],
        ["expected a buffer as a mapping, got `none`"],
    ),
    "a buffer without its source": (
        [
            ("buffer: {", "^buffer: {"),
            (', source: "illustrative; a real policy measures it in its own model family"', ""),
        ],
        ["expected field `source`"],
    ),
    # times
    "a wrong unit": ([("30 days", "^30 moths")], ["expected a duration", "`30 moths`; did you mean `months`?"]),
    "a duration without a unit": ([("30 days", "^30")], ["a duration such as `30 days`, got `30`"]),
    "a duration of nothing": ([("30 days", "^0 days")], ["above nothing", "`0 days`"]),
    "a negative duration": ([("30 days", "^-3 days")], ["expected a duration", "`-3 days`"]),
    "a duration beyond the calendar": ([("30 days", "^99999999999999 years")], ["at most 100 years"]),
    "a time without a zone": ([("2026-01-01T00:00:00Z", "^2026-01-01T00:00:00")], ["a time with its zone"]),
    "a date for a policy": ([("2026-01-01T00:00:00Z", "^2026-01-01")], ["a time with its zone", "`2026-01-01`"]),
    "a day that does not exist": ([("2027-06-01", "^2027-02-30")], ["expected a date", "`2027-02-30`"]),
    "a time before the calendar": ([("2026-01-01T00:00:00Z", "^0001-01-01T00:00:00+01:00")], ["expected a time"]),
    # references
    "an undefined role": (
        [("run_by: evaluation-team", "run_by: ^evaluation-tem")],
        ["role `evaluation-tem` is not defined; did you mean `evaluation-team`?"],
    ),
    "an undefined measure": (
        [("codebook >= 0.20", "^codbook >= 0.20")],
        ["measure `codbook` is not defined; did you mean `codebook`?"],
    ),
    "an undefined threshold": (
        [("{codebook-use: [security-3], takeover", "{^codebok-use: [security-3], takeover")],
        ["threshold `codebok-use` is not defined; did you mean `codebook-use`?"],
    ),
    "an undefined requirement": (
        [("[security-3, misuse-3]", "[security-3, ^misuse-4]")],
        ["requirement `misuse-4` is not defined; did you mean `misuse-3`?"],
    ),
    "an undefined signer of permits": ([("issued_by: gatekeeper", "issued_by: ^gate")], ["role `gate` is not defined"]),
    "an undefined approver": ([("approved_by: board", "approved_by: ^bored")], ["role `bored`", "`board`?"]),
    "an undefined role to be independent of": (
        [("[evaluation-team, gatekeeper, board]", "[evaluation-team, ^gate-keeper, board]")],
        ["role `gate-keeper` is not defined; did you mean `gatekeeper`?"],
    ),
    "an undefined role that states": (
        [("stated_by: external-auditor", "stated_by: ^auditor")],
        ["role `auditor` is not"],
    ),
    "an undefined role that attests": (
        [("by: external-auditor, about", "by: ^auditor, about")],
        ["role `auditor` is not"],
    ),
    "an undefined owner of a hole": ([("owner: board", "owner: ^bord")], ["role `bord` is not defined"]),
    "a threshold like one that is not there": (
        [("like: codebook-use, e", "like: ^codebok-use, e")],
        ["threshold `codebok-use` is not defined; did you mean `codebook-use`?"],
    ),
    "a threshold like itself": (
        [("rule_out: {like: codebook-use}", "rule_out: {like: ^takeover}")],
        ["goes round in a circle: `takeover` -> `takeover`"],
    ),
    "thresholds like one another": (
        [("like: codebook-use, e", "like: ^takeover, e"), ("{like: codebook-use}", "{like: ^codebook-use-open}")],
        ["in a circle: `codebook-use-open` -> `takeover` -> `codebook-use-open`", "in a circle"],
    ),
    "an assumption that nobody stated": (
        [
            ("  good-demonstrations:    {", "  better-demonstrations:  {"),
            ("[few-shot, f", "[few-shot, ^f"),
            ("[few-shot, fine-tuned, rl", "[few-shot, ^fine-tuned, rl"),
        ],
        ["`fine-tuned` takes `good-demonstrations` for granted, which is not defined", "`good-demonstrations`"],
    ),
    # gates
    "an empty cell": ([("[never]", "^[]")], ["at least one requirement, got an empty cell"]),
    "an empty gate": (
        [
            ("{codebook-use-open: [never], takeover: [understanding]}", "^{}"),
            ("  codebook-use-open:", "  ^codebook-use-open:"),
        ],
        ["`codebook-use-open` stands at no gate", "at least one threshold at gate `release-weights`, got none"],
    ),
    "a cell that is not a list": ([("[never]", "^never")], ["expected a list of requirements, got `never`"]),
    "a requirement twice in a cell": ([("[never]", "^[never, never]")], ["`never` is listed twice"]),
    "a threshold at no gate": (
        [("  codebook-use-open:", "  ^codebook-use-open:"), ("codebook-use-open: [never], ", "")],
        ["threshold `codebook-use-open` stands at no gate"],
    ),
    "an action that is not gated": (
        [("\ngates:", "\n^gates:"), ("release-weights:", "release-weight:")],
        ["action `release-weights` under `gates`, or", "got neither; did you mean `release-weight`?"],
    ),
    "never is built in": (
        [("  misuse-3:", "  ^never:"), (", misuse-3]", ", security-3]"), ("[security-3, s", "^[security-3, s")],
        ["`never` is built in", "`security-3` is listed twice"],
    ),
    "an elicitation twice": (
        [("[few-shot, fine-tuned]", "^[few-shot, few-shot]")],
        ["`few-shot` is listed twice"],
    ),
    "no elicitation": ([("[few-shot, fine-tuned]", "^[]")], ["a list of at least one, got an empty list"]),
    "an elicitation nobody knows": (
        [("[few-shot, f", "[^few-shots, f")],
        ["expected one of `prompted`", "got `few-shots`; did you mean `few-shot`?"],
    ),
    # what the parts can say
    "another range than the level's": (
        [("[0, 1]", "[0.3, 10]"), ("codebook >= 0.20", "^codebook >= 0.20"), ("codebook >= 0.10", "^codebook >= 0.10")],
        ["`0.3` to `10`, got `0.2`", "got `0.1`"],
    ),
    "a range of one number": ([("[0, 1]", "^[0]")], ["a range of two numbers such as `[0, 1]`, or `unbounded`"]),
    "a range that ends before it starts": ([("[0, 1]", "^[1, 1]")], ["from a lower to a higher number, got `[1, 1]`"]),
    "a strict comparison": ([("codebook >= 0.20", "^codebook > 0.20")], ["`>=` or `<=` in a comparison, got `>`"]),
    "a comparison away from danger": (
        [("codebook >= 0.20", "^codebook <= 0.20")],
        ["`>=`, the dangerous side of measure `codebook` (danger: higher), got `<=`"],
    ),
    "a comparison of two": ([("codebook >= 0.20", "^codebook >= 0.20 or x >= 1")], ["a comparison such as"]),
    "a comparison with a level of NaN": (
        [(">= 0.20", ">= NaN"), ("codebook >= N", "^codebook >= N")],
        ["a number", "`NaN`"],
    ),
    "a comparison with half a FLOP": (
        [("codebook >= 0.20", "^training_compute >= 1.5e0")],
        ["a whole number of FLOP such as `1e18`, got `1.5e0`"],
    ),
    "a comparison with a misspelt quantity": (
        [("codebook >= 0.20", "^training_compue >= 1e25")],
        ["quantity `training_compue` is not defined; did you mean `training_compute`?"],
    ),
    "a quantity that is reached from above": (
        [("codebook >= 0.20", "^training_compute <= 1e25")],
        ["expected `>=`, since more of `training_compute` reaches it, got `<=`"],
    ),
    "a measure where a threshold belongs": (
        [("codebook >= 0.20", "^codebook")],
        ["a comparison such as `codebook >= 0.50`, or a threshold, got measure `codebook`"],
    ),
    "a requirement of two kinds": (
        [("{attested: weight security level 3 audit,", "^{attested: x, hole: y,")],
        ["with one of `attested`", "got `attested` and `hole`"],
    ),
    "a requirement of no kind": (
        [("{attested: weight", "^{atested: weight")],
        ["with one of `attested`", "got none; did you mean `attested`?"],
    ),
    "a task without a version": (
        [("codebook@3", "codebook"), ("interlock/c", "^interlock/c")],
        ["a task and its version"],
    ),
    "a hole without an owner": (
        [("understanding: {", "^understanding: {"), (", owner: board", "")],
        ["expected field `owner`"],
    ),
    "a hole without a review": (
        [("understanding: {", "^understanding: {"), (", review: 2027-06-01", "")],
        ["expected field `review`"],
    ),
    "takeover potential that is neither": ([("potential: true", "potential: ^yes")], ["`true`, `false`, got `yes`"]),
    # roles
    "a quorum of nobody": ([("quorum: 2", "quorum: ^0")], ["at least 1, got `0`"]),
    "a quorum of more than there are": ([("quorum: 2", "quorum: ^4")], ["number of keys, 3, got `4`"]),
    "a key file that is not there": (
        [("keys/board-2.pub", "^keys/board-9.pub")],
        ["expected a key file", "board-9.pub"],
    ),
    "a key file elsewhere": ([("keys/board-2.pub", "^/etc/board.pub")], ["a relative path to a .pub file"]),
    "a key in another text form": ([("keys/board-2.pub", "^ed25519:AAAA")], ["public key"]),
    "a file twice in a role": (
        [("[keys/board-1.pub, keys/board-2", "^[keys/board-1.pub, keys/board-1")],
        ["listed twice"],
    ),
    "a key twice in a role under two names": (
        [("keys/board-2.pub", "^keys/../keys/board-1.pub")],
        ["is used twice in role `board`"],
    ),
    "independent roles that share a key": (
        [("team, gatekeeper, b", "team, ^gatekeeper, b"), ("[keys/gatekeeper.pub]", "[keys/external-auditor.pub]")],
        ["`external-auditor` is independent of `gatekeeper` and yet shares a key"],
    ),
    "a role independent of itself": (
        [("[evaluation-team, gatekeeper, board]", "[^external-auditor]")],
        ["cannot be independent of itself"],
    ),
    "the role that runs an evaluation vouches for it": (
        [
            (
                "no-evaluation-gaming:   {stated_by: external-auditor",
                "no-evaluation-gaming: {stated_by: ^evaluation-team",
            )
        ],
        ["shares no key with `evaluation-team`", "got `evaluation-team`"],
    ),
    "the role that runs an evaluation vouches for it under another name": (
        [("{stated_by: external-auditor", "{stated_by: ^gatekeeper"), ("keys/gatekeeper", "keys/evaluation-team")],
        ["shares no key with `evaluation-team`", "got `gatekeeper`"],
    ),
    "an attacker with nothing, and no reason why": (
        [('share: 0, source: "the', 'share: ^0} # source: "the')],
        ["expected a `source` for a share below the default `0.01`"],
    ),
    # YAML that is more than data
    "a key twice in a mapping": (
        [("      coverage: 0.98\n", "      coverage: 0.98\n      ^coverage: 0.5\n")],
        ["`coverage` is written twice, first on line"],
    ),
    "an anchor": ([("title: Ex", "title: ^&a Ex")], ["anchors are not allowed", "`&a`"]),
    "an alias": ([("title: Ex", "title: ^*a # ")], ["aliases are not allowed", "`*a`"]),
    "a merge key": ([("title: Ex", "^<<: {}\ntitle: Ex")], ["merge keys are not allowed"]),
    "a tag": ([("title: Ex", "title: ^!!str Ex")], ["tags are not allowed"]),
    "an object of Python": (
        [("title: Ex", "title: ^!!python/object:os.system Ex")],
        ["tags are not allowed", "python"],
    ),
    "a second document": (
        [("\namendments:", "\n^---\namendments:"), ("interlock:", "^interlock:")],
        ["field `amend", "one"],
    ),
    "a directive": ([("# An example", "^%YAML 1.1\n---\n# An example")], ["directives are not allowed"]),
    "nothing where a value belongs": ([("coverage: 0.98", "^coverage:")], ["a value for `coverage`, got nothing"]),
    "null where a value belongs": ([("coverage: 0.98", "^coverage: ~")], ["a value for `coverage`, got nothing"]),
    "null for what could be left out": ([("takeover_potential: true", "^takeover_potential: null")], ["got nothing"]),
    "nothing in a list": ([("[evaluation-team, g", "[evaluation-team, ^~, g")], ["a value in the list, got nothing"]),
    "an alias as a key": ([("title: Ex", "^*a : b\ntitle: Ex")], ["aliases are not allowed", "`*a`"]),
    "a list as a key": ([("title: Ex", "^[a]: b\ntitle: Ex")], ["expected a name as the key, got a list"]),
    "broken YAML": ([("permits: {", "permits: [{"), ("\nplans:   {", "\n^plans:   {")], ["expected valid YAML"]),
    "a tab for indentation": ([("  evaluation-team:", "^\tevaluation-team:")], ["expected valid YAML"]),
    "an escape for the terminal": ([("title: Ex", 'title: ^"\\e[2J" # ')], ["control character `U+001B`"]),
    "half a character": ([("title: Ex", 'title: ^"\\ud800" # ')], ["control character `U+D800`"]),
    "a number beyond Unicode": ([("# An ex", "^# An ex"), ("title: Ex", 'title: "\\UFFFFFFFF" # ')], ["valid YAML"]),
    "text that runs backwards": ([("title: Ex", "title: a ^\u202eEx")], ["control character `U+202E`"]),
    "a letter without width": ([("title: Ex", "title: E^\u200bx")], ["control character `U+200B`"]),
    "a letter without width, as an escape": (
        [("title: Ex", 'title: ^"E\\u200bx" # ')],
        ["control character `U+200B`"],
    ),
    "a tag, as an escape": ([("title: Ex", 'title: ^"E\\U000e0041x" # ')], ["control character `U+E0041`"]),
    "a mark of byte order where no file begins": ([("title: Ex", "title: ^\ufeffEx")], ["control character `U+FEFF`"]),
    "a comment that ends for YAML and not for a reader": (
        [("title: Ex", "# as it was^\rtitle: Ex")],
        ["control character `U+000D`"],
    ),
    "a carriage return, as an escape": ([("title: Ex", 'title: ^"a\\rb" # ')], ["control character `U+000D`"]),
}


# the same, as edits of the policy that says everything
MISTAKES_IN_FULL = {
    "requirements that are a list": (
        [("\nrequirements:\n", "\nrequirements: ^[a]\n^further:\n")],
        ["a mapping of at least one, got a list", "unknown field `further`"],
    ),
    "like a list of thresholds": (
        [
            ("  takeover:     {reached_when: replication >= 0.6", "  takeover:     {reached_when: replicatio >= 0.6"),
            (
                "takeover_potential: true, rule_out: {like: cyber-high}",
                "takeover_potential: true, rule_out: {like: ^[cyber-high]}",
            ),
            ("reached_when: replicatio >=", "reached_when: ^replicatio >="),
        ],
        [
            "measure `replicatio` is not defined; did you mean `replication`?",
            "a name of lower-case letters, digits and hyphens, got a list",
        ],
    ),
    "an undefined threshold beside another mistake": (
        [("{any_rung: high}}", "{all_of: [^cyber-hi, cyber-medium]}, ^rank: high}")],
        ["threshold `cyber-hi` is not defined", "unknown field `rank`"],
    ),
    # expressions
    "an empty combination": (
        [("{any_of: [ctf-skewed >= 50, ctf-worst >= 80]}", "{any_of: ^[]}")],
        ["a list of at least one, got an empty list"],
    ),
    "a combination of no kind": (
        [("{any_rung: high}", "^{any_runk: high}")],
        ["with one of `any_of`, `all_of`, `at_least`, `any_rung`, got none; did you mean `any_rung`?"],
    ),
    "a mistake deep in a combination": (
        [("[ctf-skewed >= 50, ctf-worst >= 80]", "[ctf-skewed >= 50, {all_of: [{any_of: [^ctf-worst > 80]}]}]")],
        ["`>=` or `<=` in a comparison, got `>`"],
    ),
    "an undefined threshold deep in a combination": (
        [("[cyber-high, bio-high]}]", "[cyber-high, ^bio-hihg]}]")],
        ["threshold `bio-hihg` is not defined; did you mean `bio-high`?"],
    ),
    "an undefined threshold in a combination of one": (
        [("[cyber-high, bio-high]}]", "[^cyber-hi]}]")],
        ["threshold `cyber-hi` is not defined; did you mean `cyber-high`?"],
    ),
    "a comparison away from danger, in a count": (
        [("replication >= 0.5, ctf-web", "replication >= 0.5, ^ctf-web"), ("^ctf-web >= 50", "^ctf-web <= 50")],
        ["`>=`, the dangerous side of measure `ctf-web` (danger: higher)"],
    ),
    "more than there are": (
        [("{at_least: {count: 2, of: [replication", "^{at_least: {count: 4, of: [replication")],
        ["from 1 to"],
    ),
    "a comparison away from danger, of a mean": (
        [("ctf-mean >= 30", "^ctf-mean <= 30")],
        ["the dangerous side of measure `ctf-mean` (danger: higher), got `<=`"],
    ),
    "a comparison away from danger, of the worst": (
        [("ctf-worst >= 80", "^ctf-worst <= 80")],
        ["the dangerous side of measure `ctf-worst` (danger: higher), got `<=`"],
    ),
    "a comparison away from danger, where lower is worse": (
        [("honesty <= -0.5", "^honesty >= -0.5")],
        ["`<=`, the dangerous side of measure `honesty` (danger: lower), got `>=`"],
    ),
    "an unbounded measure in a comparison": (
        [("honesty <= -0.5", "^bio-study <= 3")],
        ["expected a measure with a range, got `bio-study`, a quantity without bounds"],
    ),
    "a rung that no threshold has": (
        [("any_rung: high", "any_rung: ^hihg")],
        ["no threshold has rung `hihg`; did you mean `high`?"],
    ),
    "a scope over what is measured": (
        [("[training_compute >= 1e25, eff", "[^replication >= 0.5, eff")],
        ["quantities such as `training_compute`, got `replication`"],
    ),
    "thresholds that are one another": (
        [
            ("  cyber-medium:", "  ^cyber-medium:"),
            (
                "ctf-mean >= 30, rule_out: {like: cyber-high, buffer: {none: a level between two others}}",
                "cyber-medium",
            ),
        ],
        ["threshold `cyber-medium` depends on itself: `cyber-medium` -> `cyber-medium`"],
    ),
    "thresholds that are one another, along a way": (
        [
            ("training_compute >= 1e26}", "{any_of: [grown]}}"),
            ("growth >= 4}", "any-high}"),
            ("{any_rung: high}", "{any_of: [grown]}"),
            ("  grown:", "  ^grown:"),
        ],
        ["threshold `grown` depends on itself: `grown` -> `any-high` -> `grown`"],
    ),
    "a threshold with the name of a measure": (
        [("  cyber-screen:", "  ^growth:"), ("below: cyber-screen", "below: growth")],
        ["threshold `growth` has the name of a measure; expected another name"],
    ),
    # measures
    "a maximum of what is not there": (
        [("{max_of: [ctf-web,", "{max_of: [^ctf-wed,")],
        ["measure `ctf-wed` is not defined"],
    ),
    "a maximum of a maximum": (
        [('sources: ["4.3"]}', 'sources: ["4.3"]}\n  ctf-all: {max_of: [replication, ^ctf-worst]}')],
        ["expected a measure with a range, got `ctf-worst`"],
    ),
    "a maximum of what has no bounds": (
        [("{max_of: [ctf-web, ctf-binary]", "{max_of: [ctf-web, ^bio-study]")],
        ["expected a measure with a range, got `bio-study`"],
    ),
    "a maximum over two dangers": (
        [('sources: ["4.3"]}', 'sources: ["4.3"]}\n  all: {max_of: ^[honesty, ctf-mean]}')],
        ["expected measures of one danger, got higher and lower"],
    ),
    "a mean with a weight of nothing": ([("ctf-web: 2,", "ctf-web: ^0,")], ["a number above 0, got `0`"]),
    "a mean of the same twice": (
        [("{mean_of: [ctf-web, ctf-binary]", "{mean_of: ^[ctf-web, ctf-web]")],
        ["listed twice"],
    ),
    "a mean of a name with capitals": (
        [("{mean_of: [ctf-web,", "{mean_of: [^CTF,")],
        ["a name of lower-case", "`CTF`"],
    ),
    "a weight of a name with capitals": ([("{ctf-web: 2,", "{^CTF: 2,")], ["a name of lower-case", "`CTF`"]),
    "a measure of two kinds": (
        [("{mean_of: [ctf-web, ctf-binary],", "^{mean_of: [ctf-web], max_of: [ctf-web],")],
        ["with one of `mean_of`", "got `mean_of` and `max_of`"],
    ),
    "a saturation for what has no bounds": (
        [("range: unbounded,", "range: unbounded, ^valid_below: 3,")],
        ["unknown field `valid_below`"],
    ),
    "samples that are no digest": (
        [("samples: sha256:0011", "samples: ^sha256:11")],
        ["`sha256:` and 64 lower-case hexadecimal digits, got `sha256:11"],
    ),
    "a source with a misspelt field": (
        [("at_least: 100,", "^at_last: 100,")],
        ["unknown field `at_last`; did you mean `at_least`?"],
    ),
    # assumptions
    "an assumption of two kinds": (
        [
            (
                "{stated_by: external-auditor, fresh_for: 6 months}",
                "^{stated_by: external-auditor, checked: x, fresh_for: 6 months}",
            )
        ],
        ["got `stated_by` and `checked`"],
    ),
    "an assumption of no kind": (
        [("{stated_by: external-auditor, fresh_for: 6 months}", "^{sated_by: external-auditor, fresh_for: 6 months}")],
        ["got none; did you mean `stated_by`?"],
    ),
    "organisms of half a parameter": (
        [("least_parameters: 5e5", "least_parameters: ^1.5e0")],
        ["a whole number of parameters such as `5e5`, got `1.5e0`"],
    ),
    "a sharpness over 1": ([("sharpness: 0.8", "sharpness: ^1.2")], ["a share above 0 and at most 1, got `1.2`"]),
    "a stated assumption with a coverage": (
        [
            (
                "{stated_by: external-auditor, fresh_for: 6 months}",
                "{stated_by: external-auditor, ^coverage: 1, fresh_for: 6 months}",
            )
        ],
        ["unknown field `coverage`"],
    ),
    # rules
    "an elicitation of two words": (
        [("- rl-fine-tuned: {demonstrations: 4}", "- ^{prompted: {}, scaffolded: {}}")],
        ["expected one elicitation and its fields, got 2 of them"],
    ),
    "demonstrations for no fine-tuned": (
        [("- fine-tuned: {flop", "- scaffolded: {flop"), ("      demonstrations: 16", "      ^demonstrations: 16")],
        ["expected `fine-tuned` under `elicitation`, which `demonstrations` are for, got none"],
    ),
    "demonstrations for a fine-tuned that says how many": (
        [
            ("- fine-tuned: {flop", "- fine-tuned: {demonstrations: 1, flop"),
            ("      demonstrations: 16", "      ^demonstrations: 16"),
        ],
        ["in one place, got a second; `elicitation` has a `fine-tuned` that says `1`"],
    ),
    "demonstrations for a fine-tuned that is taken over and says how many": (
        [
            ("- fine-tuned: {flop", "- fine-tuned: {demonstrations: 1, flop"),
            ("      demonstrations: 16\n", ""),
            (">= 0.40, rule_out: {like: cyber-high}", ">= 0.40, rule_out: {like: cyber-high, ^demonstrations: 64}"),
        ],
        ["in one place, got a second; `elicitation` has a `fine-tuned` that says `1`"],
    ),
    "demonstrations beside an elicitation that takes the place of a fine-tuned": (
        [("elicitation: [few-shot], buffer", "elicitation: [few-shot], ^demonstrations: 0, buffer")],
        ["`demonstrations` are for, got none; any other elicitation says its own"],
    ),
    "demonstrations of a measured requirement for no fine-tuned": (
        [("[{fine-tuned: {attempts: 3}}]\n    dem", "[{few-shot: {attempts: 3}}]\n    ^dem")],
        ["expected `fine-tuned` under `elicitation`"],
    ),
    "demonstrations of a measured requirement for a fine-tuned that says how many": (
        [("[{fine-tuned: {attempts: 3}}]\n    dem", "[{fine-tuned: {demonstrations: 4}}]\n    ^dem")],
        ["in one place, got a second; `elicitation` has a `fine-tuned` that says `4`"],
    ),
    "no demonstrations of a measured requirement that takes its elicitations over": (
        [("{measured: jailbreaks <= 0.05}", "{measured: jailbreaks <= 0.05, ^demonstrations: 0}")],
        ["expected field `elicitation` beside `demonstrations`"],
    ),
    "an elicitation twice, once with fields": (
        [
            ("elicitation:\n        - few-shot", "elicitation:\n        ^- few-shot"),
            ("- rl-fine-tuned: {d", "- few-shot: {d"),
        ],
        ["`few-shot` is listed twice"],
    ),
    "a misspelt elicitation with fields": (
        [("- rl-fine-tuned:", "- ^rl-fine-tune:")],
        ["one of `prompted`", "got `rl-fine-tune`; did you mean `rl-fine-tuned`?"],
    ),
    "a misspelt field of an elicitation": (
        [("flop: 1e18", "^flops: 1e18")],
        ["unknown field `flops`; did you mean `flop`?"],
    ),
    "an elicitation with half a FLOP": ([("flop: 1e18", "flop: ^1e-18")], ["a whole number of FLOP", "`1e-18`"]),
    "a buffer of two kinds": (
        [("buffer: {none: a level between two others}", "buffer: ^{none: x, margin: 1}")],
        ["a buffer with one of `margin`, `forecast_by`, `none`, got `margin` and `none`"],
    ),
    "an item of a margin below nothing": ([("future-gain: 0.07", "future-gain: ^-0.07")], ["at least 0, got `-0.07`"]),
    "an item of a margin with capitals": (
        [("future-gain: 0.07", "^FutureGain: 0.07")],
        ["a name of lower-case", "`FutureGain`"],
    ),
    "a margin of no items": ([("{under-elicitation: 0.05, future-gain: 0.07}", "^{}")], ["a mapping of at least one"]),
    "a misspelt field of a refresh": (
        [("period: 1 month,", "^perod: 1 month,"), ("refresh: {eff", "^refresh: {eff")],
        ["field `period`", "`period`?"],
    ),
    "an undefined assumption": (
        [("assumes: [weights-not-swapped]\n      refresh", "assumes: [^weights-swapped]\n      refresh")],
        ["assumption `weights-swapped` is not defined; did you mean `weights-not-swapped`?"],
    ),
    "a screen from above": (
        [("- effective_compute < 1e22", "- ^effective_compute > 1e22")],
        ["expected `<` in a comparison, got `>`"],
    ),
    "a screen that is not there": ([("- below: cyber-screen", "- below: ^cyber-scren")], ["threshold `cyber-scren`"]),
    "a way to be below of no kind": (
        [("- below: cyber-screen", "- ^above: cyber-screen")],
        ["a way to be below with one of"],
    ),
    # thresholds
    "a threshold that nothing reaches": (
        [("  precursor:    {reached_when: training_compute >= 1e26}", "  ^precursor:    {rung: top}")],
        ["`precursor` is never reached; expected `reached_when` or `judged_by`"],
    ),
    "a threshold that is judged on what it does not say": (
        [("  bio-5:        {judged_by: board, on: unspecified}", "  ^bio-5: {judged_by: board}")],
        ["expected field `on` of a judged threshold"],
    ),
    "a threshold that nobody judges": (
        [("  bio-5:        {judged_by: board, on: unspecified}", "  ^bio-5: {on: unspecified}")],
        ["expected field `judged_by` of a judged threshold"],
    ),
    "a judged threshold on names with capitals": (
        [("on: [bio-study, cap", "on: [^Bio, cap")],
        ["a name of lower-case"],
    ),
    "a threshold with a measure and no rule": (
        [("  takeover:     {", "  ^takeover: {"), (", rule_out: {like: cyber-high}}\n\nreq", "}\n\nreq")],
        ["expected `rule_out`, which says what measure `replication` of threshold `takeover` is ruled out by"],
    ),
    "an alert at a gate": (
        [("any-high: [next-ruled-out]", "any-high: [next-ruled-out]\n    ^cyber-alert: [security-3]")],
        ["threshold `cyber-alert` has `role: alert` and stands at no gate"],
    ),
    "an alert for nothing": (
        [("  cyber-alert:", "  ^cyber-alert:"), ("alert_for: cyber-high, ", "")],
        ["expected `alert_for`"],
    ),
    "a threshold that is not listed and does not say why": (
        [
            ("  cyber-alert:", "  ^cyber-alert:"),
            ("role: alert, alert_for: cyber-high, ", ""),
            ("{alert: [cyber-alert]}", "{alert: [cyber-high]}"),
        ],
        ["threshold `cyber-alert` stands at no gate; expected it in `gates`, or `role: watch`"],
    ),
    "a role nobody knows": (
        [("role: watch", "role: ^watcher")],
        ["one of `watch`, `alert`, got `watcher`; did you mean `watch`?"],
    ),
    # requirements
    "a hole that could be gone round": (
        [("any_of: [security-3, security-interim]", "any_of: [security-3, ^understanding]")],
        ["`understanding` is never met, and requirement `either` reads as if it could be; expected it under `all_of`"],
    ),
    "never, gone round": (
        [("any_of: [security-3, security-interim]", "any_of: [security-3, ^never]")],
        ["`never` is never met, and requirement `either` reads as if it could be; expected it under `all_of` only"],
    ),
    "never as the only way": (
        [("any_of: [security-3, security-interim]", "any_of: [^never]")],
        ["`never` is never met, and requirement `either` reads as if it could be; expected it under `all_of` only"],
    ),
    "a hole in a count of which all are needed": (
        [
            (
                "count: 2, of: [security-3, misuse-4, misuse-5]",
                "count: 4, of: [security-3, misuse-4, misuse-5, ^understanding]",
            )
        ],
        ["`understanding` is never met, and requirement `most` reads as if it could be"],
    ),
    "what combines a hole, as the only way": (
        [
            ("any_of: [security-3, security-interim]", "any_of: [^stuck]"),
            ("requirements:\n", "requirements:\n  stuck: {all_of: [security-3, understanding]}\n"),
        ],
        ["`understanding` is never met, and requirement `either` reads as if it could be"],
    ),
    "a combination in a combination": (
        [("any_of: [security-3, security-interim]", "any_of: [security-3, ^{all_of: [security-interim]}]")],
        ["expected the name of a requirement, got a mapping; what stands in a combination is an entry of its own"],
    ),
    "never in a count": (
        [("of: [security-3, misuse-4, misuse-5]", "of: [^never, misuse-4, misuse-5]")],
        ["`never` is never met, and requirement `most` reads as if it could be; expected it under `all_of` only"],
    ),
    "a combination of no requirements": (
        [("any_of: [security-3, security-interim]", "any_of: ^[]")],
        ["at least one, got an empty list"],
    ),
    "requirements that are one another": (
        [("  either:", "  ^either:"), ("any_of: [security-3, security-interim]", "any_of: [either]")],
        ["requirement `either` depends on itself"],
    ),
    "a requirement that is shown on the dangerous side": (
        [("measured: jailbreaks <= 0.01", "measured: ^jailbreaks >= 0.01")],
        ["`<=`, the safe side of measure `jailbreaks` (danger: higher), got `>=`"],
    ),
    "a requirement that is shown on the dangerous side, where lower is worse": (
        [("measured: refusals >= 0.99", "measured: ^refusals <= 0.99")],
        ["`>=`, the safe side of measure `refusals` (danger: lower), got `<=`"],
    ),
    "a requirement that several measures show at once": (
        [("measured: jailbreaks <= 0.01", "measured: ^ctf-worst <= 0.01")],
        ["expected one measure, got `ctf-worst`, the worst of `ctf-web`, `ctf-binary`; require each of them"],
    ),
    "a requirement on a measure that is not there": (
        [("measured: jailbreaks <= 0.01", "measured: ^jailbreak <= 0.01")],
        ["measure `jailbreak` is not defined; did you mean `jailbreaks`?"],
    ),
    "a measured requirement of no cell": (
        [("  misuse-5: ", "  ^misuse-5: "), (", misuse-5]", ", security-interim]")],
        ["expected field `confidence`, got nothing; it stands in no cell", "`coverage`", "`elicitation`", "`run_by`"],
    ),
    "a measured requirement in cells that others run": (
        [
            ("  misuse-3: ", "  ^misuse-3: "),
            ("run_by: evaluation-team\n  precursor", "run_by: safety-officer\n  precursor"),
            ("will: [go-ahead]}", "will: [misuse-3]}"),
        ],
        [
            "expected field `run_by`, got nothing; the thresholds in whose cells it stands say",
            "`evaluation-team` and `safety-officer`",
        ],
    ),
    "demonstrations of no elicitation": (
        [("elicitation: [prompted], sources", "^demonstrations: 4, sources")],
        ["expected field `elicitation` beside `demonstrations`"],
    ),
    "propensity shown by watching, where it could take over": (
        [
            (
                "measured: jailbreaks <= 0.01, elicitation: [prompted]",
                (
                    "measured: honesty >= 0.5, confidence: 0.95, elicitation: [prompted], coverage: 1, "
                    "run_by: evaluation-team"
                ),
            ),
            ("{takeover: [understanding]}", "{takeover: [understanding, ^misuse-3]}"),
        ],
        ["threshold `takeover` has takeover potential, for which", "of a propensity", "got `misuse-3`"],
    ),
    "an exception to what can never be": (
        [("instead_of: [security-3], requires: [go-ahead]", "instead_of: [^understanding], requires: [go-ahead]")],
        ["`understanding` is never met, and no exception can stand in for it"],
    ),
    "an exception of no kind": (
        [("kind: emergency", "kind: ^urgent")],
        ["one of `interim`, `marginal-risk`, `emergency`"],
    ),
    "a requirement that is a word": (
        [('{defined: bio-5, sources: ["7.4"]}', "^defined")],
        ["expected a requirement as a mapping, got `defined`"],
    ),
    # gates
    "an action that is neither gated nor left open": (
        [
            ("  deploy-robots:  {}", "  ^deploy-robots:  {}"),
            ("  deploy-robots:  {takeover: [understanding]}\n", ""),
            ("  release-weights: {c", "  release-weights: {takeover: [understanding], c"),
        ],
        ["expected a gate for action `deploy-robots`, or `not_governed`, got neither"],
    ),
    "a standard action that is neither gated nor left open": (
        [("\ngates:", "\n^gates:"), ("  deploy-api: section", "  deploy-testers-too: section")],
        ["expected action `deploy-api` under `gates`, or with its source under `not_governed`, got neither"],
    ),
    "an action that is both": (
        [("  deploy-api: section", "  ^scale: nowhere\n  deploy-api: section")],
        ["action `scale` is gated and not governed"],
    ),
    "a gate of nothing but wishes": (
        [
            (
                "{cyber-medium: [safety-case], two-of-three: [most]}",
                "^{cyber-medium: {intends: [safety-case]}, two-of-three: {recommends: [most]}}",
            )
        ],
        ["at least one cell of gate `deploy-testers` with `must` or `will`"],
    ),
    "a cell with a misspelt word": (
        [("{will: [security-3],", "{^wil: [security-3],")],
        ["unknown field `wil`; did you mean `will`?"],
    ),
    "a cell of nothing": ([("{must: [either], will: [go-ahead]}", "^{sources: [x]}")], ["an empty cell"]),
    "an undefined requirement under will": (
        [("{must: [either], will: [go-ahead]}", "{must: [either], will: [^go-head]}")],
        ["requirement `go-head` is not defined; did you mean `go-ahead`?"],
    ),
    "an undefined requirement under must": (
        [("{must: [either], will: [go-ahead]}", "{sources: [x], must: [^eiter]}")],
        ["requirement `eiter` is not defined"],
    ),
    "an undefined requirement among wishes": (
        [("intends: [go-ahead]", "intends: [^go-head]")],
        ["requirement `go-head`"],
    ),
    "a cell with a name with capitals": (
        [("bio-4: [go-ahead]", "bio-4: [^GoAhead]")],
        ["a name of lower-case", "`GoAhead`"],
    ),
    "a gate that is a list": (
        [("  deploy-robots:  {takeover: [understanding]}", "  deploy-robots: ^[takeover]")],
        ["a mapping from thresholds"],
    ),
    # holds and duties
    "a stop that nobody knows": (
        [("do: pause-training", "do: ^pause-traning")],
        ["got `pause-traning`; did you mean `pause-training`?"],
    ),
    "nobody to tell": (
        [("{do: notify, notify: [board], within", "{do: ^notify, within")],
        ["expected `notify`, the roles that are told"],
    ),
    "nothing to do": (
        [("[{do: write-policy}]", "[^{within: 24 hours}]")],
        ["expected `notify`, the roles that are told"],
    ),
    "a state that does not exist": (
        [("when: [reached]", "when: [^reachd]")],
        ["one of `reached`", "did you mean `reached`?"],
    ),
    "an undefined requirement that is unmet": (
        [('"unmet:security-3"', '^"unmet:security-4"')],
        ["requirement `security-4`"],
    ),
    "a requirement with capitals that is unmet": (
        [('"unmet:security-3"', '^"unmet:Sec"')],
        ["a name of lower-case", "`Sec`"],
    ),
    "a hold on what is not there": (
        [("  scale:      [{do", "  ^scales:      [{do")],
        ["`scales` is not defined; did you mean `scale`?"],
    ),
    "a hold that is no list": (
        [("[{do: write-policy}]", "^{do: write-policy}")],
        ["a list of at least one, got a mapping"],
    ),
    "business days where no clock stands": (
        [("lease: 30 days", "lease: ^30 business days")],
        ["business days count in deadlines only, got `30 business days`"],
    ),
    "no business days": (
        [("5 business days", "^0 business days")],
        ["from 1 to 36600 business days, got `0 business days`"],
    ),
    "a wrong unit of a deadline": (
        [("5 business days", "^5 business dais")],
        ["a duration such as `30 days`, got `5 business dais`"],
    ),
    "a zone nobody knows": (
        [("Europe/Brussels", "^Europe/Brusels")],
        ["expected a time zone such as `Europe/Brussels`, got `Europe/Brusels`; did you mean `Europe/Brussels`?"],
    ),
    "a zone that each machine sets": ([("Europe/Brussels", "^localtime")], ["a time zone such as", "`localtime`"]),
    "a zone that some machines set": ([("Europe/Brussels", "^posixrules")], ["a time zone such as", "`posixrules`"]),
    "a zone that nobody has set": ([("Europe/Brussels", "^Factory")], ["a time zone such as", "got `Factory`"]),
    "a zone that counts leap seconds": (
        [("Europe/Brussels", "^right/Europe/Brussels")],
        ["got `right/Europe/Brussels`; did you mean `Europe/Brussels`?"],
    ),
    "a subject to whose name some space belongs": (
        [("no_more_capable_than: base-model", 'no_more_capable_than: ^"base\\u3000model"')],
        ["expected printable text on one line"],
    ),
    "a subject of two lines": (
        [("compute_ratio_to: base-model", 'compute_ratio_to: ^"base\\nmodel"')],
        ["expected printable text on one line, got `base model`"],
    ),
    "a zone outside": ([("Europe/Brussels", "^../../etc/passwd")], ["expected a time zone"]),
    "a holiday that does not exist": (
        [("2026-12-25", "^2026-02-30")],
        ["a date such as `2027-06-01`, got `2026-02-30`"],
    ),
    "a holiday with a time": ([("2026-12-25", "^2026-12-25T00:00:00Z")], ["a date such as `2027-06-01`"]),
    "a duty that two things start": (
        [("starts: {reached: [cyber-high]}", "starts: ^{reached: [cyber-high], hold: [scale]}")],
        ["exactly one of `incident`, `reached`", "got `reached` and `hold`"],
    ),
    "a duty that nothing starts": ([("starts: {reached: [cyber-high]}", "starts: ^{}")], ["got none"]),
    "a duty that starts when nothing takes effect": (
        [("{effective: true}", "{effective: ^false}")],
        ["expected `true`, got `false`"],
    ),
    "a duty of an undefined threshold": (
        [("{overdue: [cyber-high]}", "{overdue: [^cyber-hi]}")],
        ["threshold `cyber-hi`"],
    ),
    "a duty of an undefined action": (
        [("{permit: [deploy-testers]}", "{permit: [^deploy-tester]}")],
        ["action `deploy-tester`"],
    ),
    "a duty with a misspelt start": (
        [("starts: {reached:", "starts: {^reachd:")],
        ["unknown field `reachd`; did you mean `reached`?"],
    ),
    "a duty at an undefined exception": (
        [("{exception: [interim-security]}", "{exception: [^interim-securty]}")],
        ["exception `interim-securty` is not defined; did you mean `interim-security`?"],
    ),
    "a duty at a misspelt kind of incident": (
        [("starts: {incident: [critical]", "starts: {incident: [^critcal]")],
        ["incident kind `critcal` is not defined; did you mean `critical`?"],
    ),
    "results that end with a misspelt kind of incident, in one threshold and all that are like it": (
        [("events: [new-elicitation, leak]", "events: [new-elicitation, ^leek]")],
        ["incident kind `leek` is not defined; did you mean `leak`?"],
    ),
    "a near miss of nothing": ([("near_miss_of: critical", "near_miss_of: ^critcal")], ["did you mean `critical`?"]),
    "a window that ends before it begins": (
        [("not_before: 2 months", "not_before: ^4 months")],
        ["a time that never ends after `within`, got `4 months`"],
    ),
    "sources of a plan": (
        [("plans:   {report_within: 21 days}", "plans:   {report_within: 21 days, ^sources: [x]}")],
        ["unknown field `sources`"],
    ),
    "sources beside a source": (
        [("share: 1/200,", "share: 1/200, ^sources: [x],")],
        ["unknown field `sources`; did you mean `source`?"],
    ),
    "a change log that is optional": ([("changelog: required", "changelog: ^optional")], ["expected `required`"]),
    "a duty without a deadline": (
        [("  next-level:", "  ^next-level:"), (", within: 90 days}", "}")],
        ["no deadline; expected `within`"],
    ),
    "a moment of what has none": (
        [("starts: {reached: [cyber-high]}", "starts: {reached: [cyber-high], from: ^awareness}")],
        ["only an incident has other moments"],
    ),
    # the top, and what it speaks of
    "a policy that ends before it starts": (
        [("2028-12-01T00:00:00Z", "^2026-01-01T00:00:00Z")],
        ["a time after `effective`"],
    ),
    "a policy that follows a later one": (
        [("supersedes: 1.0.0", "supersedes: ^3.0")],
        ["a version below this one, `2.0.0`"],
    ),
    "an undefined independent role": ([("independent: external-auditor", "independent: ^auditor")], ["role `auditor`"]),
    "an independent role that runs evaluations": (
        [("independent: external-auditor", "independent: ^evaluation-team")],
        ["no key with"],
    ),
    "an undefined domain": (
        [("    domain: cyber", "    domain: ^siber")],
        ["domain `siber` is not defined; did you mean `cyber`?"],
    ),
    "an undefined actor": (
        [("actor: novice,", "actor: ^novize,")],
        ["actor `novize` is not defined; did you mean `novice`?"],
    ),
    "an undefined standard": (
        [("standard: sl-3", "standard: ^sl-4")],
        ["standard `sl-4` is not defined; did you mean `sl-3`?"],
    ),
    "an undefined report": ([("report: risk-report", "report: ^risk")], ["report `risk` is not defined"]),
    "a probability above one": (
        [("probability: 0.001", "probability: ^1.001")],
        ["a proportion between 0 and 1, got `1.001`"],
    ),
    "a refresh that is a word": (
        [
            (
                (
                    "\nrefresh: {effective_compute: 4x, period: 3 months, events: [new-elicitation], "
                    'discretion: safety-officer, sources: ["8.2"]}'
                ),
                "\nrefresh: ^always",
            )
        ],
        ["expected a mapping, got `always`"],
    ),
    "keys that are a word": (
        [("{keys: unassigned", "{keys: ^unasigned")],
        ["a list of keys, or `unassigned`, got `unasigned`"],
    ),
    "an amendment that freezes otherwise": (
        [("frozen_while: reached", "frozen_while: ^held")],
        ["expected `reached`, got `held`"],
    ),
    "a section that is a list": (
        [("\nduties:\n", "\nduties: ^[a]\n^x:\n")],
        ["a mapping of at least one, got a list", "unknown field `x`"],
    ),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_mistake_is_told_where_it_is(sentence, text, folder):
    told(*MISTAKES[sentence], text, folder)


@pytest.mark.parametrize("sentence", MISTAKES_IN_FULL)
def test_a_mistake_in_a_larger_policy_is_told_where_it_is(sentence, full_text, folder):
    told(*MISTAKES_IN_FULL[sentence], full_text, folder)


def told(edits, words, text, folder):
    """The problems of an edited policy stand at the marks: all words in the only one, or one word in each."""
    changed, marks = marked(text, *edits)
    found = problems(changed, folder)
    if len(marks) == 1 and len(found) == 1:
        assert found[0].startswith(marks[0]), found
        assert [word for word in words if word not in found[0]] == [], found
        return
    assert len(found) == len(words), found
    assert [line for line in found if not line.startswith(tuple(marks))] == []
    assert [mark for mark in marks if not any(line.startswith(mark) for line in found)] == []
    assert [line for line, word in zip(found, words, strict=True) if word not in line] == []


def test_all_problems_come_in_one_go_in_the_order_of_the_file(text, folder):
    changed, marks = marked(
        text,
        ("id: example-lab/rsp", "id: ^Example"),
        ("quorum: 2", "quorum: ^many"),
        ("danger: higher", "danger: ^sideways"),
        ("confidence: 0.95", "confidence: ^2"),
        ("run_by: evaluation-team", "run_by: ^nobody"),
        ("coverage: 0.98", "^coverage:"),
        ("fresh_for: 12 months", "fresh_for: ^12 parsecs"),
        ("issued_by: gatekeeper", "issued_by: ^nobody"),
        ("[never]", "^[]"),
        ("{do: pause-training}", "{do: ^pause-trainin}"),
        ("frozen_while: reached", "^frozen: reached"),
    )
    assert [line.split(" ")[0] + " " for line in problems(changed, folder)] == marks


@pytest.mark.parametrize(
    "content", ["", "ed25519:AAAA\n", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "x" * 99999]
)
def test_a_bad_key_file_is_refused_and_not_shown(content, text, folder, tmp_path):
    (tmp_path / "keys").mkdir()
    for path in (folder / "keys").iterdir():
        (tmp_path / "keys" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "keys" / "gatekeeper.pub").write_text(content, encoding="utf-8")
    (line,) = problems(text, tmp_path)
    assert "expected one line `ed25519:BASE64` in key file" in line
    assert "c2VjcmV0" not in line


HOSTILE = {
    "an empty file": (b"", "1:1: expected a mapping"),
    "a comment": (b"# nothing", "1:1: expected a mapping"),
    "a list": (b"- a\n- b\n", "1:1: expected a mapping, got a list"),
    "a word": (b"policy", "1:1: expected a mapping, got `policy`"),
    "bytes that are no text": (b"id: a\nab\xff\xfe", "2:3: expected UTF-8 text, got byte `0xff`"),
    "UTF-16": ("interlock: policy/v1".encode("utf-16"), "1:1: expected UTF-8 text"),
    "a zero byte": (b"id: a\r\nab\x00", "2:3: expected plain text, got control character `U+0000`"),
    "two megabytes": (b"a: " + b"x" * (2 << 20), "1:1: expected a policy of at most 1 MiB"),
    "10,000 lists in flow": (b"a: " + b"[" * 10_000, "1:35: expected at most 32 levels"),
    "10,000 closed lists in flow": (b"a: " + b"[" * 10_000 + b"]" * 10_000, "1:35: expected at most 32 levels"),
    "10,000 mappings in flow": (b"{a: " * 10_000, "1:129: expected at most 32 levels"),
    "10,000 lists in block": (b"- " * 10_000 + b"x", "1:65: expected at most 32 levels"),
    "1,400 mappings in block": (
        b"\n".join(b" " * depth + b"a:" for depth in range(1400)),
        "33:33: expected at most 32 levels",
    ),
    "10,000 combinations in an expression": (
        b"thresholds:\n  a:\n    reached_when: " + b"{any_of: [" * 10_000 + b"a" + b"]}" * 10_000,
        "3:168: expected at most 32 levels",
    ),
    "binary junk": (bytes(range(1, 256)) * 40, "3:115: expected UTF-8 text, got byte `0x80`"),
    "binary junk after a while": (b"id: a\n" + b"\x8f" + hashlib.sha512(b"junk").digest() * 64, "2:"),
    "10,000 complex keys": (b"? " * 10_000, "1:65: expected at most 32 levels"),
    "an endless number in a directive": (b"%YAML 1." + b"9" * 5000 + b"\n---\na: b", "1:1: expected valid YAML"),
}


@pytest.mark.parametrize("sentence", HOSTILE)
def test_a_hostile_file_gets_a_plain_answer(sentence, tmp_path):
    content, expected = HOSTILE[sentence]
    path = tmp_path / "lab.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load(path)
    assert caught.value.problems[0].startswith(f"{path}:{expected}")


def test_a_hundred_megabytes_are_not_read(tmp_path):
    path = tmp_path / "lab.yaml"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(PolicyError, match="1:1: expected a policy of at most 1 MiB, got a larger file"):
        load(path)
    with pytest.raises(PolicyError, match="1:1: expected a policy of at most 1 MiB"):
        loads("a" * (100 << 20), name="lab.yaml", folder=None)


def test_what_no_editor_shows_is_refused_wherever_it_stands():
    unseen = [it for it in map(chr, range(0x110000)) if unicodedata.category(it) == "Cf"]
    assert len(unseen) > 150
    for letter in unseen:
        found = problems(f"id: a{letter}b", None)
        assert found == [f"lab.yaml:1:6: expected plain text, got control character `U+{ord(letter):04X}`"]


def test_a_file_may_begin_with_its_mark_and_end_its_lines_in_two_characters(text, folder):
    written = "\ufeff" + text.replace("\n", "\r\n")
    assert loads(written, name="lab.yaml", folder=folder) == load(folder / "lab.yaml")


def test_an_expired_policy_is_refused_by_whoever_says_the_time(full_text, folder):
    (line,) = problems(full_text, folder, at=datetime(2028, 12, 1, tzinfo=UTC))
    assert line == (
        "lab.yaml:7:10: expected a policy in force at `2028-12-01T00:00:00Z`, got one that expired at "
        "`2028-12-01T00:00:00Z`"
    )
    before = datetime(2028, 11, 30, 23, 59, 59, tzinfo=UTC)
    assert loads(full_text, name="lab.yaml", folder=folder, at=before).expires == datetime(2028, 12, 1, tzinfo=UTC)
    with pytest.raises(PolicyError, match="expected a policy in force at `2030-01-01T00:00:00Z`, got one that expired"):
        load(folder / "full.yaml", at=datetime(2030, 1, 1, tzinfo=UTC))


def test_mistakes_of_every_kind_are_told_together(full_text, folder):
    changed, marks = marked(
        full_text,
        ("expires: 2028", "expires: ^2028"),
        ("\nscope:\n", "\n^scop: x\nscope:\n"),
        ("fresh_for: 6 months, void_at", "fresh_for: ^6 moons, void_at"),
        ("confidence: 0.95", "confidence: ^NaN"),
        ("[cyber-high, bio-high]}]", "[cyber-high, ^bio-hihg]}]"),
        ("{any_rung: high}", "{any_of: ^[]}"),
        ("any_of: [security-3, security-interim]", "any_of: [security-3, ^understanding]"),
        ("do: pause-training", "do: ^pause-traning"),
    )
    found = problems(changed, folder, at=datetime(2030, 1, 1, tzinfo=UTC))
    assert [line.split(" ")[0] + " " for line in found] == marks


def test_a_misspelt_gate_is_told_with_the_name_that_it_has(text, folder):
    (line, *_) = [
        it for it in problems(text.replace("  deploy-api: ", "  deploy-apl: "), folder) if "`deploy-api`" in it
    ]
    assert "under `not_governed`, got neither; did you mean `deploy-apl`?" in line


def test_a_missing_gate_is_not_mistaken_for_another_standard_action(text, folder):
    without = "\n".join(line for line in text.split("\n") if not line.startswith("  deploy-internal: "))
    (line,) = problems(without, folder)
    assert line.endswith("got neither")


def test_a_field_that_is_like_no_other_is_told_with_those_there_are(text, folder):
    (line,) = problems(text.replace("[security-3, misuse-3]", "{should: [security-3]}"), folder)
    assert line.endswith("unknown field `should`; expected one of `intends`, `must`, `recommends`, `sources`, `will`")


def test_a_name_that_is_like_no_other_is_told_with_those_there_are(text, folder):
    (line,) = problems(text.replace("issued_by: gatekeeper", "issued_by: zzz"), folder)
    assert line.endswith(
        "role `zzz` is not defined; expected one of `board`, `evaluation-team`, `external-auditor`, `gatekeeper`"
    )


def test_a_hundred_mistakes_are_printed_and_the_others_counted(text, folder):
    unknown = "".join(f"field-{n}: x\n" for n in range(250))
    with pytest.raises(PolicyError) as caught:
        loads(text + unknown, name="lab.yaml", folder=folder)
    assert len(caught.value.problems) == 250
    *shown, last = str(caught.value).split("\n")
    assert shown == caught.value.problems[:100]
    assert last == "and 150 more, not shown"
    assert "expected one of" in shown[99]
    assert "expected one of" not in caught.value.problems[249]


def test_of_many_names_the_nearest_is_found_among_those_that_begin_or_end_alike():
    many = {f"requirement-{n:05}" for n in range(3000)} | {"security-level"}
    assert suggest("securitylevel", many) == "; did you mean `security-level`?"
    assert suggest("zzz", many) == ""


def test_an_alias_bomb_does_not_go_off(text, folder):
    bomb = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(12))
    found = problems(text + bomb, folder)
    assert sum("aliases are not allowed" in line for line in found) == 9 * 11
    assert sum("anchors are not allowed" in line for line in found) == 12


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path):
    with pytest.raises(UsageError, match="expected a policy file at"):
        load(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path)


PIECES = [
    *(b"- ", b"[", b"{", b"}", b": ", b"\n", b"  ", b"&a ", b"*a", b"!x ", b"'", b'"', b"? ", b"---\n", b"%", b"~"),
    *(b"#", b"\t", b"\xef\xbb\xbf", b"\xc2\x85", b"\\U", b"<<: ", b"@", b"`", b">", b"like: takeover", b"/0", b"null"),
]
EDIT = st.tuples(
    st.floats(0, 1), st.integers(0, 12), st.binary(max_size=4) | st.sampled_from(PIECES)
)  # a place, as a share of the length; how many bytes go; which come instead


@settings(max_examples=150)
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
@example(edits=[(0.0, 3, b'"\\UFFFFFFFF"')])
@pytest.mark.parametrize("name", ["text", "full_text"])
def test_a_damaged_file_loads_or_is_refused_and_nothing_else(edits, name, request, folder):
    content = request.getfixturevalue(name).encode()
    for place, gone, come in edits:
        at = int(place * len(content))
        content = content[:at] + come + content[at + gone :]
    path = folder / "damaged.yaml"
    path.write_bytes(content)
    assert [line for line in refusals(path) if not line.startswith(f"{path}:") or "\n" in line] == []


def test_a_name_that_is_broken_over_two_lines_is_one_mistake_on_one_line(full_text, folder):
    path = folder / "broken.yaml"
    path.write_text(full_text.replace("like: cyber-high}}", "like: cyb\n\ner-high}}"))
    assert any("`cyb\\ner-high` is not defined" in line for line in refusals(path))
    assert not any("\n" in line for line in refusals(path))


def refusals(path):
    try:
        load(path)
    except PolicyError as error:
        return error.problems
    return []
