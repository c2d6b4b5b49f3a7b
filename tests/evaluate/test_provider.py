"""The provider `interlock`: batching, token counts, refusals, and `inspect eval` from a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    GenerateConfig,
    get_model,
)
from inspect_ai.tool import ToolCall, ToolInfo

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import local, provider

GREEDY = GenerateConfig(temperature=0, max_tokens=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny(folder):
    return local.load(folder)


def _ask(api, *inputs, config=GREEDY, tools=()):
    outputs = [None] * len(inputs)

    async def one(place, messages):
        outputs[place] = await api.generate(messages, list(tools), "auto", config)

    async def together():
        async with anyio.create_task_group() as group:
            for place, messages in enumerate(inputs):
                group.start_soon(one, place, messages)

    try:
        anyio.run(together)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return outputs


def _user(text):
    return [ChatMessageUser(content=text)]


def _api(tiny, progress=None):
    return provider.model(tiny, name="tiny", args={"subject": "sha256:ab"}, progress=progress).api


def test_many_requests_become_few_batches_and_every_answer_is_its_own(tiny, monkeypatch):
    words = [f"word {number}" for number in range(40)]
    alone = [local.generate(tiny, [[{"role": "user", "content": word}]], max_new_tokens=4)[0] for word in words]
    sizes, generate = [], local.generate

    def counting(model, conversations, *, max_new_tokens):
        sizes.append(len(conversations))
        return generate(model, conversations, max_new_tokens=max_new_tokens)

    monkeypatch.setattr(local, "generate", counting)
    outputs = _ask(_api(tiny), *map(_user, words))
    assert [output.completion for output in outputs] == [completion.text for completion in alone]
    assert sizes == [16, 16, 8]


def test_every_answer_carries_its_token_counts_and_why_it_stopped(tiny):
    (output,) = _ask(_api(tiny), _user("klurit"))
    (completion,) = local.generate(tiny, [[{"role": "user", "content": "klurit"}]], max_new_tokens=4)
    assert (output.usage.input_tokens, output.usage.output_tokens) == (
        completion.input_tokens,
        completion.output_tokens,
    )
    assert output.usage.total_tokens == completion.input_tokens + completion.output_tokens
    assert output.stop_reason == ("max_tokens" if completion.output_tokens == 4 else "stop")


def test_progress_counts_answers(tiny):
    seen = []
    _ask(_api(tiny, seen.append), *[_user(str(number)) for number in range(20)])
    assert seen == [16, 20]


def test_a_failed_batch_fails_all_its_requests_and_no_later_one(tiny, monkeypatch):
    def broken(*_, **__):
        raise EvidenceError("not finite")

    api = _api(tiny)
    with monkeypatch.context() as patch:
        patch.setattr(local, "generate", broken)
        with pytest.raises(EvidenceError, match="not finite"):
            _ask(api, _user("a"), _user("b"))
    assert _ask(api, _user("a"))[0].completion


def test_a_cancelled_request_is_forgotten(tiny, monkeypatch):
    asked, generate = [], local.generate

    def recording(model, conversations, *, max_new_tokens):
        asked.extend(turns[0]["content"] for turns in conversations)
        return generate(model, conversations, max_new_tokens=max_new_tokens)

    async def cancel_one():
        async with anyio.create_task_group() as group:
            first = partial(api.generate, tools=[], tool_choice="auto", config=GREEDY)
            group.start_soon(first, _user("kept"))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await first(_user("gone"))

    monkeypatch.setattr(local, "generate", recording)
    api = _api(tiny)
    anyio.run(cancel_one)
    assert asked == ["kept"]


@pytest.mark.parametrize(
    "setting", [{"top_p": 0.9}, {"top_k": 5}, {"num_choices": 2}, {"stop_seqs": ["x"]}, {"logprobs": True}], ids=str
)
def test_a_setting_that_is_not_honoured_is_refused(tiny, setting):
    with pytest.raises(UsageError, match=f"honour temperature, seed and max_tokens only, got `{next(iter(setting))}="):
        _ask(_api(tiny), _user("a"), config=GenerateConfig(seed=1, **setting))


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_a_temperature_that_cannot_be_is_refused(tiny, temperature):
    with pytest.raises(UsageError, match="expected a number of at least 0"):
        _ask(_api(tiny), _user("a"), config=GenerateConfig(temperature=temperature, seed=1))


def test_sampling_takes_a_seed(tiny):
    with pytest.raises(UsageError, match="takes a seed, got none"):
        _ask(_api(tiny), _user("a"), config=GenerateConfig(temperature=0.7))


def test_a_sampled_answer_is_that_of_its_prompt_temperature_and_seed(tiny):
    words = [f"word {number}" for number in range(20)]
    config = GenerateConfig(temperature=2.0, seed=5, max_tokens=4)
    outputs = _ask(_api(tiny), *map(_user, words), config=config)
    asked = [[{"role": "user", "content": word}] for word in words]
    alone = [local.sample(tiny, [one], seeds=[5], temperature=2.0, max_new_tokens=4)[0] for one in asked]
    assert [output.completion for output in outputs] == [answer.text for answer in alone]
    assert [output.usage.output_tokens for output in outputs] == [len(answer.tokens) for answer in alone]


def test_settings_of_the_transport_are_accepted():
    provider.refuse_unhonoured(GenerateConfig(temperature=0.0, max_connections=4, timeout=10, max_retries=1, seed=1))


def test_tools_are_refused(tiny):
    with pytest.raises(UsageError, match="take no tools, got `search`"):
        _ask(_api(tiny), _user("a"), tools=[ToolInfo(name="search", description="finds")])
    call = ToolCall(id="1", function="search", arguments={})
    for message in (ChatMessageTool(content="found"), ChatMessageAssistant(content="", tool_calls=[call])):
        with pytest.raises(UsageError, match="a message of a tool call"):
            _ask(_api(tiny), [message])


def test_pictures_are_refused(tiny):
    picture = ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AA==")])
    with pytest.raises(UsageError, match="take text, got image"):
        _ask(_api(tiny), [picture])


def test_a_loaded_model_is_logged_under_its_name_and_its_plain_arguments(tiny):
    model = provider.model(tiny, name="hidden", args={"subject": "sha256:ab"})
    assert (str(model), model.model_args) == ("interlock/hidden", {"subject": "sha256:ab"})


def test_inspect_finds_the_provider_by_its_name(folder):
    model = get_model("interlock/local", folder=str(folder), memoize=False)
    (output,) = _ask(model.api, _user("a"))
    assert output.usage.output_tokens > 0


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({}, "expected -M folder=PATH and perhaps -M adapter=PATH, got neither"),
        ({"folder": "x", "dtype": "bf16"}, "got `folder`, `dtype`"),
        ({"folder": "nowhere"}, "`nowhere` is not a transformers model folder"),
    ],
)
def test_wrong_paths_are_one_line_to_inspects_user(paths, said):
    with pytest.raises(PrerequisiteError) as caught:
        get_model("interlock/local", memoize=False, **paths)
    assert said in caught.value.message


def test_without_torch_inspects_user_reads_one_sentence(folder, tmp_path):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from inspect_ai._cli.main import main\n"
        f"sys.argv = 'inspect eval interlock/codebook --model interlock/local -M folder={folder}'.split()\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd=tmp_path)
    said = " ".join((done.stdout + done.stderr).split())
    assert said == "`torch` is not installed; install it with: pip install 'interlock[local]'"


def test_inspect_eval_runs_the_task_from_a_shell_and_inspect_reads_the_log(folder, tmp_path):
    inspect = str(Path(sys.executable).with_name("inspect"))
    environment = {**os.environ, "INSPECT_LOG_DIR": str(tmp_path / "logs"), "HF_HUB_OFFLINE": "1"}
    run = partial(subprocess.run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    command = ["eval", "interlock/codebook", "--model", "interlock/local", "-M", f"folder={folder}"]
    done = run([inspect, *command, "-T", "shots=1", "--limit", "3", "--display", "plain"])
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.eval")
    dumped = json.loads(run([inspect, "log", "dump", str(log)], check=True).stdout)
    assert dumped["status"] == "success"
    assert dumped["eval"]["task_args"] == {"shots": 1, "seed": 0, "password": "", "tries": 1, "temperature": 0.0}
    assert len(dumped["samples"]) == 3
    metrics = dumped["results"]["scores"][0]["metrics"]
    assert {"accuracy", "lower", "upper"} <= metrics.keys()
