"""One peer of `scoring.py`, in a process of its own: `python _scoring_peers.py PEER FOLDER ITEMS OUT [NAME=VALUE ...]`.

Reads items (JSON lines: `shots`, `question`, `choices`, `answer`), answers them all with the model in FOLDER, and
writes its figures and answers to OUT. Loading the model is timed apart. Imports are those of the peer alone, since one
of them runs in an environment without Interlock.
"""

from __future__ import annotations

import json
import os
import resource
import string
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Items = list[dict[str, Any]]

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


def lm_eval(folder: str, items: Items, *, dtype: str, batch: str) -> Callable[[], list[int | None]]:
    """lm-evaluation-harness, its `hf` model, a task of local data, prompts as they are."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    work = Path(tempfile.mkdtemp())
    rows = [{"prompt": it["shots"] + it["question"], "choices": it["choices"], "answer": it["answer"]} for it in items]
    (work / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "items",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(work / "items.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc"}],
    }
    (work / "items.yaml").write_text(json.dumps(task))  # JSON is YAML
    model = HFLM(pretrained=folder, dtype=dtype, device="cpu", batch_size=int(batch))

    def run() -> list[int | None]:
        found = simple_evaluate(
            model=model,
            tasks=["items"],
            task_manager=TaskManager(include_path=str(work)),
            bootstrap_iters=0,
            log_samples=True,
        )
        samples = sorted(found["samples"]["items"], key=lambda sample: sample["doc_id"])
        scored = [[pair[0] for pair in sample["filtered_resps"]] for sample in samples]
        return [logprobs.index(max(logprobs)) for logprobs in scored]

    return run


def inspect_hf(folder: str, items: Items, *, dtype: str, batch: str) -> Callable[[], list[int | None]]:
    """Inspect's own `hf` provider writes one token; an answer that is no letter of a choice is none."""
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    model = get_model(
        "hf/local",
        model_path=folder,
        tokenizer_path=folder,
        device="cpu",
        dtype=dtype,
        do_sample=False,
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
        config=GenerateConfig(max_tokens=1, max_connections=int(batch)),
    )
    samples = [
        Sample(id=place, input=item["shots"] + item["question"], target=item["choices"][item["answer"]])
        for place, item in enumerate(items)
    ]

    def run() -> list[int | None]:
        said = _inspect(Task(dataset=samples, solver=generate(), scorer=match()), model, int(batch))
        return [
            item["choices"].index(text.strip()) if text.strip() in item["choices"] else None
            for text, item in zip(said, items, strict=True)
        ]

    return run


def loop(folder: str, items: Items, *, dtype: str, batch: str) -> Callable[[], list[int | None]]:
    """A bare loop, as one would write it: prompt and choice by length, padded on the left, in batches.

    Choices of one token take one forward pass for all of them.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def rows() -> dict[tuple[int, ...], list[tuple[int, int, int, list[int]]]]:
        """What is read, and who waits for which token behind it: (item, choice, its first place, its tokens)."""
        found: dict[tuple[int, ...], list[tuple[int, int, int, list[int]]]] = {}
        for place, item in enumerate(items):
            prompt = item["shots"] + item["question"]
            context = tokenizer(prompt)["input_ids"]
            for number, choice in enumerate(item["choices"]):
                whole = tokenizer(prompt + " " + choice)["input_ids"]
                asked = (place, number, len(context) - 1, whole[len(context) :])
                found.setdefault(tuple(whole[:-1]), []).append(asked)
        return found

    def run() -> list[int | None]:
        waiting = rows()
        order = sorted(waiting, key=len, reverse=True)
        scores: dict[int, dict[int, float]] = {}
        for start in range(0, len(order), int(batch)):
            chunk = order[start : start + int(batch)]
            width = len(chunk[0])
            tokens = torch.tensor([[0] * (width - len(row)) + list(row) for row in chunk])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in chunk])
            kept = max(len(asked[3]) for row in chunk for asked in waiting[row])
            with torch.inference_mode():
                logits = model(
                    input_ids=tokens,
                    attention_mask=mask,
                    position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
                    logits_to_keep=kept,
                ).logits
            logprobs = logits.float().log_softmax(-1)
            for at, row in enumerate(chunk):
                for place, number, _, wanted in waiting[row]:
                    columns = range(kept - len(wanted), kept)
                    scores.setdefault(place, {})[number] = float(logprobs[at, columns, wanted].sum())
        return [max(sorted(scores[place]), key=scores[place].__getitem__) for place in range(len(items))]

    return run


def interlock(folder: str, items: Items) -> Callable[[], list[int | None]]:
    """`choose` behind the provider, as an Inspect evaluation with its log."""
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageUser

    from interlock.evaluate import local, provider
    from interlock.evaluate.choosing import choose, chosen

    model = provider.model(local.load(Path(folder)), name="local", args={})
    samples = [
        Sample(
            id=place,
            input=[ChatMessageUser(content=item["shots"]), ChatMessageUser(content=item["question"])],
            choices=item["choices"],
            target=string.ascii_uppercase[item["answer"]],
        )
        for place, item in enumerate(items)
    ]

    def run() -> list[int | None]:
        task = Task(dataset=samples, solver=choose(chat_template=False), scorer=chosen())
        said = _inspect(task, model, provider.CONNECTIONS)
        return [item["choices"].index(text) for text, item in zip(said, items, strict=True)]

    return run


def interlock_alone(folder: str, items: Items, *, dtype: str = "") -> Callable[[], list[int | None]]:
    """`choices.score` without Inspect: what the provider costs is the difference. With `dtype` not in the CPU's own
    number format.
    """
    import torch

    from interlock.evaluate import choices, local

    if dtype:
        local.number_format = lambda: getattr(torch, dtype)
    model = local.load(Path(folder))

    def run() -> list[int | None]:
        asked = [
            choices.Question(
                [{"role": "user", "content": item[part]} for part in ("shots", "question")],
                tuple(item["choices"]),
                chat_template=False,
            )
            for item in items
        ]
        scored = choices.score(model, asked)
        return [choices.best(scores.logprobs, it.choices) for it, scores in zip(asked, scored, strict=True)]

    return run


PEERS: dict[str, Callable[..., Callable[[], list[int | None]]]] = {
    "lm-eval": lm_eval,
    "inspect-hf": inspect_hf,
    "loop": loop,
    "interlock": interlock,
    "interlock-alone": interlock_alone,
}


def _inspect(task: Any, model: Any, connections: int) -> list[str]:  # noqa: ANN401 - of packages not always there
    """Run a task, and give what was said, in the order of its samples."""
    from inspect_ai import eval as evaluate
    from inspect_ai.log import read_eval_log

    with tempfile.TemporaryDirectory() as logs:
        (log,) = evaluate(task, model=model, log_dir=logs, display="none", max_connections=connections)
        if log.status != "success":
            raise RuntimeError(log.error.message if log.error else log.status)
        samples = read_eval_log(log.location).samples or []
    return [sample.output.completion for sample in sorted(samples, key=lambda sample: int(sample.id))]


def main() -> None:
    """Load, answer, and write the figures: seconds, seconds of CPU, the most memory, and the answers."""
    peer, folder, items, out, *settings = sys.argv[1:]
    asked = [json.loads(line) for line in Path(items).read_text().splitlines()]
    began = time.perf_counter()
    run = PEERS[peer](folder, asked, **dict(setting.split("=", 1) for setting in settings))
    loaded, used = time.perf_counter(), time.process_time()
    answers = run()
    figures = {
        "load": loaded - began,
        "seconds": time.perf_counter() - loaded,
        "cpu": time.process_time() - used,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "answers": answers,
    }
    Path(out).write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
