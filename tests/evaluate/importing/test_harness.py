"""What results of lm-evaluation-harness say. They are real ones (tests/vectors/README.md), and altered ones."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import pytest

import foreign
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate.importing import harness
from interlock.evaluate.importing.found import count
from interlock.evidence.imported import Counts
from interlock.policy.model import Measure

TASK = "invented_words"


def _measure(**members):
    usual = {
        "name": "words",
        "kind": "capability",
        "on": "model",
        "danger": "higher",
        "low": Fraction(0),
        "high": Fraction(1),
        "task": TASK,
        "task_version": 1,
        "metric": "acc",
    }
    return Measure(**(usual | members))


def _read(path, *, measure=None, scorer=None):
    measure = measure or _measure()
    content = path.read_bytes()
    return harness.read(
        harness.parse(content, str(path)),
        content,
        path.name,
        beside=lambda name: (path.parent / name).read_bytes(),
        measure_of=lambda names: measure if measure.task in names else None,
        scorer=scorer,
    )


def test_real_results_say_what_they_are_of_and_count():
    (found,), others = _read(foreign.LM_EVAL / foreign.RESULTS)
    assert others == ["invented_words_said"]
    assert (found.names, found.version, found.scorer, found.planned) == ((TASK,), "1", "none", 6)
    assert (found.model, found.model_args) == ("tiny", {"pretrained": "tiny", "dtype": "float32"})
    assert (found.adapter, found.template) == ("unknown", "none")
    assert found.packages == {"lm_eval": "0.4.13", "transformers": "5.23.0", "dtype": "torch.float32"}
    assert [name for name, _ in found.files] == [foreign.RESULTS, foreign.SAMPLES]
    assert found.unchecked == ()
    assert count(found, _measure()) == Counts(6, 6, 6, 3, None, 0, 6, None, None)


def test_the_other_task_counts_too():
    measure = _measure(task="invented_words_said", task_version=2, metric="exact_match")
    (found,), _ = _read(foreign.LM_EVAL / foreign.RESULTS, measure=measure)
    assert (found.version, count(found, measure).correct) == ("2", 0)


def test_the_order_of_members_and_the_name_of_the_file_do_not_change_the_digests(tmp_path):
    (one,), _ = _read(foreign.LM_EVAL / foreign.RESULTS)
    (other,), _ = _read(foreign.harness(tmp_path))
    assert (one.samples, one.outcomes) == (other.samples, other.outcomes)
    assert one.files != other.files


# -- altered ----------------------------------------------------------------------------------------------------------


def _set(*path, to):
    """Set a member of the results document."""

    def change(results, samples):
        inner = results
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = to

    return change


def _sample(number, **members):
    def change(results, samples):
        samples[number].update(members)

    return change


def _both(*changes):
    def change(results, samples):
        for one in changes:
            one(results, samples)

    return change


def _repeat(results, samples):
    samples[5] = samples[0]


REFUSED = {
    "header rewritten": (_set("results", TASK, "acc,none", to=0.0), r"acc,none in the header: got 0\.0, .* give 0\.5"),
    "standard error rewritten": (
        _set("results", TASK, "acc_stderr,none", to=0.01),
        r"acc_stderr,none in the header: got 0\.01, its samples give 0\.22",
    ),
    "a score flipped": (_sample(0, acc=0.0), r"got 0\.5, its samples give 0\.33"),
    "a score and the header": (
        _both(_sample(0, acc=0.0), _set("results", TASK, "acc,none", to=2 / 6)),
        "acc_stderr,none in the header",
    ),
    "samples dropped": (lambda results, samples: samples.pop(), "got 5, the header says 6"),
    "samples and count dropped": (
        _both(lambda results, samples: samples.pop(), _set("n-samples", TASK, "effective", to=5)),
        "in the header: got .*, its samples give",
    ),
    "all samples dropped": (lambda results, samples: samples.clear(), "got 0, the header says 6"),
    "sample duplicated": (_repeat, "sample `0` is there more than once"),
    "a document changed": (_sample(0, doc={"word": "other"}), "doc_hash of sample `0`: got 928e"),
    "a target changed": (_sample(0, target="1"), "target_hash of sample `0`"),
    "a prompt changed": (_sample(0, arguments={"gen_args_0": {"arg_0": "hello"}}), "prompt_hash of sample `0`"),
    "a hash changed": (_sample(0, doc_hash="0" * 64), "doc_hash of sample `0`: got 0000"),
    "the task's hash changed": (
        _set("task_hashes", TASK, to="0" * 64),
        "hash of `invented_words` in the header: got 0",
    ),
    "a score is text": (_sample(0, acc="right"), "`acc,none|acc,none in the header is no mean"),
    "a score is infinite": (_sample(0, acc=math.inf), "in the header: got|finite"),
    "a number of 1000 digits": (_sample(0, acc=10**1000), "in the header: got|finite|too large"),
    "numbers that cannot be added": (_both(_sample(0, acc=1e308), _sample(1, acc=1e308)), "too large|in the header"),
    "no count": (_both(_set("n-samples", to={}), _set("results", TASK, "sample_len", to="six")), "got six, expected"),
    "no results of the task": (_set("results", TASK, to=3), "got int, expected an object"),
    "no mean": (
        _set("configs", TASK, "metric_list", to=[{"metric": "acc", "aggregation": "perplexity"}]),
        "acc,none in the header is no mean of its samples",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_results_that_contradict_themselves_are_refused_in_one_line(tmp_path, case):
    change, said = REFUSED[case]
    path = foreign.harness(tmp_path, change)
    with pytest.raises(EvidenceError, match=said) as caught:
        _read(path)
    assert "\n" not in str(caught.value)


def test_a_nan_score_is_planned_and_not_scored(tmp_path):
    def change(results, samples):
        samples[5]["acc"] = math.nan
        results["results"][TASK] = {"sample_len": 6, "acc,none": 3 / 5}

    (found,), _ = _read(foreign.harness(tmp_path, change))
    assert count(found, _measure()) == Counts(6, 6, 5, 3, None, 0, 6, None, None)


def test_unknown_everything_is_said_to_be_unknown(tmp_path):
    def change(results, samples):
        kept = {"results": {TASK: {"sample_len": 6, "acc,none": 0.5}}, "versions": {}}
        results.clear()
        results.update(kept)
        for sample in samples:
            for name in set(sample) - {"doc_id", "acc"}:
                del sample[name]

    (found,), _ = _read(foreign.harness(tmp_path, change))
    assert {found.run, found.version, found.model, found.adapter, found.template, found.status} == {"unknown"}
    assert count(found, _measure()).correct == 3


def test_several_filters_are_told_apart(tmp_path):
    def change(results, samples):
        samples += [sample | {"filter": "loose", "acc": 1.0} for sample in samples]
        results["results"][TASK] |= {"acc,loose": 1.0}
        results["task_hashes"] = {}

    path = foreign.harness(tmp_path, change)
    with pytest.raises(UsageError, match="it has: acc,none, acc,loose; choose with --scorer"):
        _read(path)
    (found,), _ = _read(path, scorer="loose")
    assert count(found, _measure()).correct == 6
    (found,), _ = _read(path, measure=_measure(metric="acc,loose"))
    assert found.scorer == "loose"


@pytest.mark.parametrize(
    ("args", "adapter"),
    [
        ({"pretrained": "base", "peft": "out/adapter"}, "peft=out/adapter"),
        ("pretrained=base,lora_path=x", "lora_path=x"),
        ({"pretrained": "base", "delta": "d"}, "delta=d"),
        ("pretrained=base", "unknown"),
        (None, "unknown"),
    ],
    ids=str,
)
def test_the_adapter_is_what_the_model_arguments_name(tmp_path, args, adapter):
    (found,), _ = _read(foreign.harness(tmp_path, _set("config", "model_args", to=args)))
    assert found.adapter == adapter


def test_a_results_file_without_its_date_names_no_samples(tmp_path):
    path = foreign.harness(tmp_path).rename(tmp_path / "results.json")
    with pytest.raises(UsageError, match="expected a name that ends in its date"):
        _read(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[" * 10**6 + b"]" * 10**6, "sample on line 2 is not JSON: nested too deeply"),
        (b'{"acc": 1, "acc": 0}', "member `acc` appears twice"),
        (b"[]", "sample on line 2: got list, expected an object"),
        (b"\xff", "sample on line 2 is not JSON"),
        (b'{"doc_id": ', "sample on line 2 is not JSON"),
    ],
    ids=["10^6 deep", "a member twice", "a list", "not text", "cut off"],
)
def test_lines_that_are_no_samples(line, said):
    with pytest.raises(EvidenceError, match=said):
        harness.rows(json.dumps({"doc_id": 0}).encode() + b"\n" + line)
