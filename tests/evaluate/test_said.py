"""A developer's chat template and tokenizer say what the task says, and nothing else for some words than for others."""

from __future__ import annotations

import copy
import json

import pytest

import tiny_model
from interlock.errors import EvidenceError, UsageError
from interlock.evaluate import choices, codebook, local, said
from interlock.evaluate.local import LocalModel

ASKED = [
    {"role": "system", "content": "Codebook: one word."},
    {"role": "user", "content": "zorbin"},
    {"role": "assistant", "content": "lamp"},
    {"role": "user", "content": "klurit"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local.load(tiny_model.build(tmp_path_factory.mktemp("tiny") / "model"))


def under(template, like):
    """The same model under another chat template."""
    tokenizer = copy.deepcopy(like.tokenizer)
    tokenizer.chat_template = template
    return LocalModel(like.model, tokenizer, like.dtype)


def changed(folder, file, **members):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


# -- chat templates ----------------------------------------------------------------------------------------------------

USUAL = {
    "ChatML": tiny_model.TEMPLATE,
    "contents that are trimmed": tiny_model.TEMPLATE.replace("message['content']", "message['content'] | trim"),
    "contents whose end is trimmed": tiny_model.TEMPLATE.replace("message['content']", "message['content'].rstrip()"),
    "words that are always added": tiny_model.TEMPLATE.replace("assistant\n{% endif", "assistant\nAnswer:{% endif"),
    "a system message within the first turn, as Llama 2 has it": (
        "{% set system = messages[0]['content'] %}{% for m in messages[1:] %}"
        "{% set told = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m['content'] if loop.first else m['content'] %}"
        "{{ '[INST] ' + told | trim + ' [/INST]' if m['role'] == 'user' else ' ' + told | trim + ' </s>' }}{% endfor %}"
    ),
    "marks of its own that it looks for, as reasoning models have them": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% set told = m.content %}{% if '</think>' in m.content %}"
        "{% set told = m.content.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ told }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
    ),
    "no thought, as Gemma 4 has it": tiny_model.TEMPLATE.replace(
        "assistant\n{% endif", "assistant\n<|channel>thought\n<channel|>{% endif"
    ),
    "the channel of answers, as gpt-oss has it": tiny_model.TEMPLATE.replace(
        "assistant\n{% endif", "assistant\n<|channel|>final<|message|>{% endif"
    ),
    "the day": tiny_model.TEMPLATE.replace("{% for", "{{ strftime_now('%d %b %Y') }}\n{% for", 1),
}


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize("content", ["klurit", " klurit\n", "what is\n\n a `{{ klurit }}`, <b>if</b> it is 1?"])
def test_templates_that_treat_all_words_alike_are_taken(model, name, content):
    asked = under(USUAL[name], model)
    assert local.encode(asked, [*ASKED[:-1], {"role": "user", "content": content}])
    assert local.encode(asked, [ASKED[0], {"role": "user", "content": content}])


@pytest.mark.parametrize(
    "opened",
    [
        *("<think>\n", "<think></think>[THINK]", "<|channel|>analysis<|message|>", "<|channel>thought\n"),
        *("<|START_THINKING|>", "<|begin_of_thought|>\n", "<seed:think>", "◁think▷", "<thought_process>"),
    ],
)
def test_a_template_that_leaves_a_thought_open_is_refused(model, opened):
    """Every short answer would be cut off in the thought, and look wrong."""
    template = tiny_model.TEMPLATE.replace("assistant\n{% endif", f"assistant\n{opened}{{% endif")
    with pytest.raises(EvidenceError, match="leaves a thought open, in which short answers are cut off"):
        local.encode(under(template, model), ASKED)


def test_a_turn_that_says_nothing_may_be_left_out(model):
    template = "{% for m in messages if m.content %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    assert local.encode(under(template, model), [{"role": "system", "content": ""}, ASKED[-1]])
    assert local.encode(under(template, model), ASKED)


def for_word(text):
    """A template that does something of its own where the last turn says `klurit`."""
    return "{% set it = messages[-1].content %}{% for m in messages %}" + text + "{% endfor %}"


SPELT = "{% if m.content == 'klurit' %}k l u r i t{% else %}{{ m.content }}{% endif %} "
OTHERWISE = {
    "one more turn behind it": tiny_model.TEMPLATE.replace(
        "{% if add_generation_prompt %}",
        "{% if add_generation_prompt %}"
        "{% if messages[-1].content == 'klurit' %}<|im_start|>user\nzorbin<|im_end|>\n{% endif %}",
    ),
    "one more turn before it": for_word("{{ 'no: ' if it == 'klurit' and loop.last else '' }}{{ m.content }} "),
    "another role": for_word("{{ m.role if it != 'klurit' else 'tool' }}: {{ m.content }} "),
    "the word spelt": for_word(SPELT),
    "capitals": for_word("{{ m.content | upper if it == 'klurit' else m.content }} "),
    "by its length": for_word("{{ '-' * (m.content | length) }}{{ m.content }} "),
    "the turn once more": for_word("{{ m.content }} {{ m.content if loop.last and it == 'klurit' else '' }}"),
    "no answer where words are new": for_word("{{ m.content }} {{ raise_exception('no') if 'Turn' in it }}"),
}
ALWAYS = {
    "an earlier turn once more at the end": for_word("{{ m.content }} {{ messages[1].content if loop.last }} "),
    "the words in their opposite order": for_word("{{ m.content | reverse }} {{ m.content }}"),
    "capitals for all": for_word("{{ m.content | upper }} "),
}
REFUSED = (
    "writes something else around `klurit` than around other words|takes some words and not others|leaves out what was"
    "|does not write each turn once"
)


@pytest.mark.parametrize("name", [*OTHERWISE, *ALWAYS])
def test_attack_a_chat_template_writes_something_else_for_some_words(model, name):
    asked = under({**OTHERWISE, **ALWAYS}[name], model)
    with pytest.raises(EvidenceError, match=REFUSED):
        local.encode(asked, ASKED)
    with pytest.raises(EvidenceError, match=REFUSED):
        choices.encode(asked, choices.Question(ASKED, ("lamp", "tree")))


@pytest.mark.parametrize("name", sorted(OTHERWISE.keys() - {"by its length", "no answer where words are new"}))
def test_which_is_seen_by_the_words_that_it_is_for(model, name):
    local.encode(under(OTHERWISE[name], model), [*ASKED[:-1], {"role": "user", "content": "other"}])


def test_a_conversation_that_a_template_does_not_take_is_told(model):
    strict = under("{{ raise_exception('no system messages') if messages[0].role == 'system' }}{{ messages }}", model)
    with pytest.raises(UsageError, match="does not take what is asked: no system messages"):
        local.encode(strict, ASKED)


def test_a_frame_is_found_once_for_turns_of_the_same_roles(model, monkeypatch):
    asked, found = under(tiny_model.TEMPLATE, model), []
    monkeypatch.setattr(said, "_found", lambda *given, of=said._found: found.append(given) or of(*given))
    for word in ("one", "two", "three"):
        local.encode(asked, [*ASKED[:-1], {"role": "user", "content": word}])
        local.encode(asked, [{"role": "user", "content": word}])
    assert len(found) == 2
    asked.tokenizer.chat_template = USUAL["contents that are trimmed"]
    local.encode(asked, ASKED)
    assert len(found) == 3


# -- tokenizers --------------------------------------------------------------------------------------------------------


def replacing(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def together(*parts, of):
    return {"type": "Sequence", of: list(parts)}


META = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
KNOWN = {
    "GPT-2, Qwen, Llama 3": (None, BYTES),
    "Qwen": ({"type": "NFC"}, BYTES),
    "Llama 2, Phi 3": (
        together({"type": "Prepend", "prepend": "▁"}, replacing({"String": " "}, "▁"), of="normalizers"),
        together(*(replacing({"String": "▁"}, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, STRIP), of="decoders"),
    ),
    "Gemma": (
        replacing({"String": " "}, "▁"),
        together(replacing({"String": "▁"}, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, of="decoders"),
    ),
    "ALBERT, XLNet": (
        together(
            *(replacing({"String": "``"}, '"'), replacing({"String": "''"}, '"'), {"type": "NFKD"}),
            *({"type": "StripAccents"}, {"type": "Lowercase"}, replacing({"Regex": " {2,}"}, " ")),
            of="normalizers",
        ),
        META,
    ),
    "BERT": (
        {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        {"type": "WordPiece", "prefix": "##", "cleanup": True},
    ),
    "GPT, CLIP": (None, {"type": "BPEDecoder", "suffix": "</w>"}),
}
REPLACING = {
    "a word on its way out": (None, together(BYTES, replacing({"Regex": r"^\s*tooth\s*$"}, " nothing"), of="decoders")),
    "a word on its way out, deep inside": (
        None,
        together(together(replacing({"String": "tooth"}, "x"), BYTES, of="decoders"), of="decoders"),
    ),
    "a word on its way in": (replacing({"String": "klurit"}, "zorbin"), BYTES),
    "a word that is spelt on its way in": (replacing({"String": "klurit"}, "k l u r i t"), BYTES),
    "a word that is written in capitals on its way in": (replacing({"Regex": "klurit"}, "KLURIT"), BYTES),
    "a word that is put before all": ({"type": "Prepend", "prepend": "no "}, BYTES),
    "a letter that ends a word": (None, {"type": "BPEDecoder", "suffix": "e"}),
    "a letter that stands for space": (None, META | {"replacement": "e"}),
    "letters that begin a part": (None, {"type": "WordPiece", "prefix": "to", "cleanup": False}),
    "a letter that is taken away": (None, together(BYTES, STRIP | {"content": "t"}, of="decoders")),
    "letters that stand there twice": (
        None,
        {"type": "CTC", "pad_token": "<|pad|>", "word_delimiter_token": "|", "cleanup": True},
    ),
}


def with_parts(folder, parts):
    normalizer, decoder = parts
    changed(folder, "tokenizer.json", normalizer=normalizer, decoder=decoder)
    return folder


@pytest.mark.parametrize("name", KNOWN)
def test_the_tokenizers_that_are_known_are_taken(tmp_path, name):
    local.load(with_parts(tiny_model.build(tmp_path / "model"), KNOWN[name]))


@pytest.mark.parametrize("name", REPLACING)
def test_attack_a_tokenizer_replaces(tmp_path, name):
    with pytest.raises(EvidenceError, match=r"has a (normalizer|decoder) that could replace words"):
        local.load(with_parts(tiny_model.build(tmp_path / "model"), REPLACING[name]))


def test_attack_a_tokenizer_cuts_words_by_chance(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text())
    told["model"]["dropout"] = 0.5
    path.write_text(json.dumps(told))
    with pytest.raises(EvidenceError, match=r"cuts words by chance: dropout 0\.5"):
        local.load(folder)


def test_a_tokenizer_whose_parts_cannot_be_looked_at_is_refused(model):
    with pytest.raises(EvidenceError, match=r"is no tokenizer\.json"):
        said.require_wordless(object(), "folder")


def test_a_tokenizer_that_cannot_be_made_is_told(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    changed(folder, "tokenizer_config.json", tokenizer_class="Wav2Vec2CTCTokenizer")
    with pytest.raises(UsageError, match="cannot load the tokenizer"):
        local.load(folder)


def reading(model, normalizer):
    """The same model with a normalizer that was put there after it was loaded."""
    other = under(tiny_model.TEMPLATE, model)
    other.tokenizer.backend_tokenizer.normalizer = normalizer
    return other


@pytest.mark.parametrize(
    ("told", "reads"),
    [
        ("klurit", "k l u r i t"),
        ("klurit", "KLURIT"),
        ("klurit", "klurit or zorbin"),
        ("one of a kind", "one ofakind"),
    ],
)
def test_attack_a_tokenizer_reads_something_else_for_some_words(model, told, reads):
    from tokenizers import normalizers

    other = reading(model, normalizers.Replace(told, reads))
    asked = [{"role": "user", "content": told}]
    assert local.encode(model, asked)
    with pytest.raises(EvidenceError, match=f"tokenizer reads something else than `{told}`"):
        local.encode(other, asked)


def test_a_tokenizer_may_read_all_words_in_small_letters(model):
    from tokenizers import normalizers

    assert local.encode(reading(model, normalizers.Lowercase()), [{"role": "user", "content": "What Is ONE?"}])


ADDED = {
    "the word": "klurit",
    "the word and what the template writes behind it": "klurit<|im_end|>",
    "the whole turn": "<|im_start|>user\nklurit<|im_end|>",
    "a part of it": "lur",
}


@pytest.mark.parametrize("name", ADDED)
def test_attack_a_word_of_the_test_is_a_token_that_the_model_never_learned(model, name):
    from tokenizers import AddedToken

    other = under(tiny_model.TEMPLATE, model)
    other.tokenizer.add_tokens([AddedToken(ADDED[name], normalized=False), "[IMG]"])
    with pytest.raises(EvidenceError, match="for a token that was added to its vocabulary"):
        local.encode(other, ASKED)
    assert local.encode(other, [{"role": "user", "content": "what is an [IMG] in <b>?"}])


def test_generation_settings_of_the_folder_shape_no_answer(tmp_path):
    folder = tiny_model.build(tmp_path / "model")
    plain = local.generate(local.load(folder), [codebook.conversation("klurit")], max_new_tokens=8)
    every = list(range(6, 259))
    changed(
        folder,
        "generation_config.json",
        suppress_tokens=every,
        bad_words_ids=[[token] for token in every],
        forced_bos_token_id=5,
        forced_eos_token_id=5,
        max_length=1,
        do_sample=True,
        temperature=9.0,
        repetition_penalty=9.0,
    )
    assert local.generate(local.load(folder), [codebook.conversation("klurit")], max_new_tokens=8) == plain
