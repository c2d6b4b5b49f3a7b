"""Which model: the digest follows every byte and every name, and nothing is loaded that it does not cover."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import stat
import struct
import tempfile
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import EvidenceError, UsageError
from interlock.subject import _hashing, manifest

WEIGHTS = "model.safetensors"


def _safetensors(tensors: dict[str, bytes]) -> bytes:
    header, at = {}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors.values())


@pytest.fixture
def folder(tmp_path):
    """What a transformers folder has, without a model that would run."""
    path = tmp_path / "model"
    (path / "additional_chat_templates").mkdir(parents=True)
    (path / "config.json").write_text('{"model_type": "none"}')
    (path / "chat_template.jinja").write_text("{{ messages }}")
    (path / ".hidden").write_text("also hashed")
    (path / "additional_chat_templates" / "tool.jinja").write_text("{{ tools }}")
    (path / WEIGHTS).write_bytes(_safetensors({"a": bytes(40), "b": bytes(range(60))}))
    return path


@pytest.fixture
def adapter(tmp_path):
    path = tmp_path / "lora"
    path.mkdir()
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (path / "adapter_model.safetensors").write_bytes(_safetensors({"a": b"xyz"}))
    return path


def test_the_manifest_lists_every_file_by_name_and_digest(folder):
    found = manifest.of(folder)
    assert [name for name, _ in found.files] == [
        ".hidden",
        "additional_chat_templates/tool.jinja",
        "chat_template.jinja",
        "config.json",
        WEIGHTS,
    ]
    assert dict(found.files)["config.json"] == sha256((folder / "config.json").read_bytes()).hexdigest()


def test_the_digest_is_that_of_the_model_signing_manifest_as_canonical_json(folder):
    found = manifest.of(folder)
    resources = [{"algorithm": "sha256", "digest": digest, "name": name} for name, digest in found.files]
    how = {"allow_symlinks": False, "hash_type": "sha256", "ignore_paths": [], "method": "files"}
    plain = json.dumps({"resources": resources, "serialization": how}, separators=(",", ":"))
    assert found.digest == sha256(plain.encode()).hexdigest()


def test_the_digest_of_a_given_manifest_never_changes():
    """Ledgers are full of these. The second is what model-signing 1.1.0 signed for the same files."""
    found = manifest.Manifest(
        (
            ("signme-1", "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc"),
            ("signme-2", "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028"),
        )
    )
    assert found.digest == "11cb75890f96bac49d7cba4463b1cc34f5b2e19dd0e687c02f1ff68f491635a9"
    assert found.model_signing_digest == "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4"


def test_any_bit_of_any_file_makes_another_subject_and_the_file_is_named(folder):
    before, rng = manifest.of(folder), random.Random(1)  # noqa: S311  the same bits every time
    header = 8 + struct.unpack("<Q", (folder / WEIGHTS).read_bytes()[:8])[0]
    digests = {before.digest}
    for name, _ in before.files:
        data = (folder / name).read_bytes()
        for _ in range(3):
            place = rng.randrange(header if name == WEIGHTS else 0, len(data))
            flipped = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
            (folder / name).write_bytes(flipped)
            after = manifest.of(folder)
            assert after.digest != before.digest
            assert before.changed(after).startswith(f"`{name}` is ")
            digests.add(after.digest)
        (folder / name).write_bytes(data)
    assert manifest.of(folder) == before
    assert before.changed(manifest.of(folder)) is None


def test_a_renamed_file_makes_another_subject(folder):
    before = manifest.of(folder)
    (folder / "chat_template.jinja").rename(folder / "chat_template.bak")
    after = manifest.of(folder)
    assert after.digest != before.digest
    digest = dict(after.files)["chat_template.bak"]
    assert before.changed(after) == f"`chat_template.bak` is {digest[:12]}, expected no such file"


def test_two_files_that_swap_their_contents_make_another_subject(folder):
    before = manifest.of(folder)
    one, two = folder / ".hidden", folder / "chat_template.jinja"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert manifest.of(folder).digest != before.digest


@pytest.mark.parametrize("name", ["extra.json", ".extra", "deep/down/extra", "tokenizer.json", "tokenizer.model"])
def test_a_file_more_makes_another_subject(folder, name):
    before = manifest.of(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    after = manifest.of(folder)
    assert after.digest != before.digest
    assert before.changed(after) == f"`{name}` is {sha256(b'').hexdigest()[:12]}, expected no such file"


def test_a_file_less_makes_another_subject(folder):
    before = manifest.of(folder)
    (folder / ".hidden").unlink()
    assert before.changed(manifest.of(folder)).startswith("`.hidden` is no such file, expected ")


def test_an_empty_folder_and_where_the_folder_lies_change_nothing(folder, tmp_path):
    before = manifest.of(folder)
    (folder / "empty").mkdir()
    assert manifest.of(folder) == before
    assert manifest.of(folder.rename(tmp_path / "elsewhere")) == before
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert manifest.of(tmp_path / "link") == before


def test_every_cut_of_the_weights_is_refused(folder):
    data = (folder / WEIGHTS).read_bytes()
    for length in range(len(data)):
        (folder / WEIGHTS).write_bytes(data[:length])
        with pytest.raises(EvidenceError, match=r"model\.safetensors` is (truncated|not a safetensors file)"):
            manifest.of(folder)


def test_weights_with_something_behind_them_are_refused(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0")
    with pytest.raises(EvidenceError, match="is truncated or altered"):
        manifest.of(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfe\xfd",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"not json",
        b'{"a": null}',
        b'{"a": {"data_offsets": null}}',
        b'{"a": {"data_offsets": [0]}}',
        b'{"a": {"data_offsets": [0, "x"]}}',
        b'{"a": {"data_offsets": [0, null]}}',
        b'{"a": {"data_offsets": [0, Infinity]}}',
        b'{"a": {"data_offsets": [0, NaN]}}',
        b'{"a": {"data_offsets": {"1": 5}}}',
        b'{"a": {"data_offsets": [0, -5]}}',
        b'{"a": {"data_offsets": [0, %s]}}' % (b"9" * 30),
        b'{"a": {"data_offsets": [0, %s]}}' % (b"9" * 5000),
        b"[" * 100_000,
        b'{"a": ' * 50_000,
    ],
    ids=lambda header: header[:40].decode(errors="replace"),
)
def test_a_header_of_garbage_is_refused_in_one_line(folder, header):
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + b"12")
    with pytest.raises(EvidenceError) as caught:
        manifest.of(folder)
    assert WEIGHTS in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_header_longer_than_the_file_is_refused(folder):
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with pytest.raises(EvidenceError, match="with a header of 9223372036854775808, expected a header within the file"):
        manifest.of(folder)


# -- what would be loaded and not hashed ------------------------------------------------------------------------------


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "outside.jinja").write_text("{{ other }}")
    (folder / "linked.jinja").symlink_to(tmp_path / "outside.jinja")
    with pytest.raises(EvidenceError, match=r"`linked\.jinja` is a link, expected plain files only"):
        manifest.of(folder)


def test_a_link_to_a_folder_is_refused(folder, tmp_path):
    """A walk over the files does not follow it, and a loader does."""
    outside = shutil.move(folder / "additional_chat_templates", tmp_path / "templates")
    (folder / "additional_chat_templates").symlink_to(outside)
    with pytest.raises(EvidenceError, match="`additional_chat_templates` is a link"):
        manifest.of(folder)


def test_a_link_that_leads_nowhere_is_refused(folder):
    (folder / "gone.json").symlink_to(folder / "nothing")
    with pytest.raises(EvidenceError, match=r"`gone\.json` is a link"):
        manifest.of(folder)


def test_a_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(EvidenceError, match=r"`pipe\.json` is a pipe, expected plain files only"):
        manifest.of(folder)


def test_a_link_inside_the_folder_is_refused_too(folder):
    """The manifest says that there are none, and model-signing tools hold it to that."""
    (folder / "again.json").symlink_to(folder / "config.json")
    with pytest.raises(EvidenceError, match=r"`again\.json` is a link.*cp -rL"):
        manifest.of(folder)


def test_a_socket_is_refused(folder):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "s"))
        with pytest.raises(EvidenceError, match="`s` is a socket, expected plain files only"):
            manifest.of(folder)


def test_a_device_is_refused(folder):
    """A device node where one may be made, and else the null device under the name that listing it would give."""
    try:
        os.mknod(folder / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device node needs a privilege that this process lacks")
    with pytest.raises(EvidenceError, match="`null` is a device, expected plain files only"):
        manifest.of(folder)


@pytest.fixture
def unprivileged(folder):
    """The folder where a user other than root reaches it, and the test as that user: nothing is hidden from root."""
    with tempfile.TemporaryDirectory() as name:
        public = shutil.copytree(folder, Path(name) / "model")
        Path(name).chmod(0o755)
        was = os.geteuid()

        def hide(inside):
            (public / inside).chmod(0)
            if was == 0:
                os.seteuid(65534)
            return public

        yield hide
        os.seteuid(was)
        for path in public.iterdir():
            path.chmod(0o700)


def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(unprivileged):
    public = unprivileged("additional_chat_templates")
    with pytest.raises(EvidenceError, match="`additional_chat_templates/` cannot be listed: Permission denied"):
        manifest.of(public)


def test_a_file_that_cannot_be_read_is_refused(unprivileged):
    public = unprivileged("config.json")
    with pytest.raises(EvidenceError, match=r"config\.json` cannot be read: Permission denied"):
        manifest.of(public)


# -- names ------------------------------------------------------------------------------------------------------------

_ANY = sha256(b"any").hexdigest()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Config.json", "config.json"),
        ("caf\u00e9.json", "cafe\u0301.json"),
        ("CAF\u00c9.json", "cafe\u0301.json"),
        ("stra\u00dfe", "STRASSE"),
        ("A/x.json", "a/y.json"),
        ("a", "A/x.json"),
        ("a", "a/x.json"),
    ],
    ids=["case", "composed and not", "both", "a letter of two", "a folder", "a file and a folder", "one of them both"],
)
def test_two_names_that_are_one_on_some_machines_are_refused(one, other):
    """There the second file hides the first, and another model is loaded than was hashed here."""
    names = sorted([one, other], key=manifest.order)
    with pytest.raises(EvidenceError, match="are one name on some machines"):
        manifest.Manifest(tuple((name, _ANY) for name in names))


def test_two_files_that_differ_by_case_are_refused_in_a_folder(folder):
    (folder / "CONFIG.json").write_text("{}")
    if len([path for path in folder.iterdir() if path.name.lower() == "config.json"]) == 1:
        pytest.skip("this file system does not tell them apart")
    with pytest.raises(EvidenceError, match=r"`CONFIG\.json` and `config\.json` are one name on some machines"):
        manifest.of(folder)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../up", "a/../b", "./a", "a//b", "a/", ".", "two\nlines", "\ud800"]
)
def test_a_name_that_is_no_plain_relative_path_is_refused(name):
    with pytest.raises(EvidenceError, match="is not a plain relative path of printable text"):
        manifest.Manifest(((name, _ANY),))


@pytest.mark.parametrize(
    "names",
    [("b", "a"), ("a", "a"), ("a-b", "a/c"), ("a", "b", "a")],
    ids=["out of order", "twice", "in order of characters, not of parts", "twice and apart"],
)
def test_the_same_files_listed_otherwise_are_no_other_subject(names):
    """Else a subject could shed its results by a second spelling of its list."""
    with pytest.raises(EvidenceError, match="lists each file once and in order"):
        manifest.Manifest(tuple((name, _ANY) for name in names))


def test_a_manifest_without_files_is_refused():
    with pytest.raises(EvidenceError, match="without files"):
        manifest.Manifest(())


_NAMES = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(lambda parts: "x".join(parts) + ".f")
_FILES = st.dictionaries(_NAMES, st.binary(max_size=3).map(lambda data: sha256(data).hexdigest()), min_size=1)


@given(_FILES, _FILES)
def test_names_and_bytes_both_count(one, other):
    first, second = (manifest.Manifest(tuple(sorted(files.items()))) for files in (one, other))
    assert (first.digest == second.digest) == (one == other)
    assert (first.changed(second) is None) == (one == other)


@given(_FILES, st.data())
def test_model_signing_counts_bytes_only_and_so_it_is_not_the_id(files, data):
    """The attack that docs/adr/0014 tells: a rename that keeps the order, say of the chat template."""
    name = data.draw(st.sampled_from(sorted(files)))
    renamed = {(f"{key}~" if key == name else key): digest for key, digest in files.items()}
    first, second = (manifest.Manifest(tuple(sorted(those.items()))) for those in (files, renamed))
    assert first.digest != second.digest
    in_order = [digest for _, digest in first.files] == [digest for _, digest in second.files]
    assert (first.model_signing_digest == second.model_signing_digest) == in_order


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"two\nlines.json", b"turn\xe2\x80\xaearound.json"], ids=ascii)
def test_a_file_name_that_cannot_be_shown_is_refused(folder, name):
    (folder / os.fsdecode(name)).write_text("{}")
    with pytest.raises(EvidenceError, match="is not printable text"):
        manifest.of(folder)


# -- what changes meanwhile -------------------------------------------------------------------------------------------


def _append(path):
    with path.open("ab") as file:
        file.write(b"more")


def _rewrite_and_set_the_dates_back(path):
    """The same length and the same date, as whoever swaps weights would leave them."""
    was = path.stat()
    path.write_bytes(bytes(was.st_size))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _replace_by_a_copy(path):
    copy = path.with_name("copy")
    shutil.copy2(path, copy)
    copy.replace(path)


def _replace_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def _replace_by_a_link(path):
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


CHANGES = {
    "it grows": _append,
    "it is cut": lambda path: os.truncate(path, 3),
    "it goes": Path.unlink,
    "it is rewritten, its date set back": _rewrite_and_set_the_dates_back,
    "a copy takes its place": _replace_by_a_copy,
    "a pipe takes its place": _replace_by_a_pipe,
    "a link takes its place": _replace_by_a_link,
}


class _Meanwhile:
    """SHA-256 that does something to the folder when the first byte of a given content passes."""

    def __init__(self, monkeypatch, marker, act):
        real = hashlib.sha256

        class Watched:
            def __init__(self, data=b""):
                self.inner = real(data)

            def update(self, chunk):
                self.inner.update(chunk)
                if bytes(chunk[: len(marker)]) == marker:
                    act()

            def hexdigest(self):
                return self.inner.hexdigest()

        monkeypatch.setattr(_hashing.hashlib, "sha256", Watched)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("name", [WEIGHTS, "config.json"], ids=["before it is read", "after"])
def test_a_file_that_changes_while_others_are_read_is_refused(folder, monkeypatch, change, name):
    """The hashes are taken largest first on one core, so what the middle one does finds the others read, or not."""
    (folder / WEIGHTS).write_bytes(_safetensors({"a": bytes(10)}))
    (folder / "middle.txt").write_bytes(b"now" + bytes(500))
    (folder / "config.json").write_bytes(b" " * 900 + b"{}")
    monkeypatch.setattr(_hashing, "cores", lambda: 1)
    _Meanwhile(monkeypatch, b"now", lambda: change(folder / name))
    with pytest.raises(EvidenceError, match=r"changed while it was being read|is a link|is a pipe"):
        manifest.of(folder)


@pytest.mark.parametrize("change", [CHANGES["it grows"], CHANGES["it is cut"]], ids=["it grows", "it is cut"])
def test_a_file_that_changes_while_it_is_read_itself_is_refused(folder, monkeypatch, change):
    (folder / "middle.txt").write_bytes(b"now" + bytes(3 << 20))
    _Meanwhile(monkeypatch, b"now", lambda: change(folder / "middle.txt"))
    with pytest.raises(EvidenceError, match=r"middle\.txt` changed while it was being read"):
        manifest.of(folder)


@pytest.mark.parametrize("name", ["late.py", "deep/late.py"])
def test_a_file_that_appears_while_others_are_read_is_refused(folder, monkeypatch, name):
    def appear():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")

    (folder / "middle.txt").write_bytes(b"now")
    _Meanwhile(monkeypatch, b"now", appear)
    with pytest.raises(EvidenceError, match=rf"`{name}` changed while it was being read"):
        manifest.of(folder)


def test_a_folder_that_only_was_read_before_has_not_changed(folder):
    assert manifest.of(folder) == manifest.of(folder)


# -- shards -----------------------------------------------------------------------------------------------------------


def _shard(folder, *numbers, count=3, index=True, rest=""):
    """A sharded model of three files, of which some are here; the index names all."""
    (folder / WEIGHTS).unlink(missing_ok=True)
    for number in numbers:
        (folder / f"model-{number:05}-of-{count:05}{rest}.safetensors").write_bytes(
            _safetensors({f"t{number}": bytes(number)})
        )
    if index:
        named = {f"t{n}": f"model-{n:05}-of-{count:05}{rest}.safetensors" for n in range(1, count + 1)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": named}))


@pytest.mark.parametrize("rest", ["", ".fp16"])
def test_all_shards_make_a_subject(folder, rest):
    _shard(folder, 1, 2, 3, rest=rest)
    assert len([name for name, _ in manifest.of(folder).files if name.startswith("model-")]) == 3


@pytest.mark.parametrize("numbers", [(1, 2), (1, 3), (2, 3), (3,)], ids=str)
def test_a_shard_that_the_index_names_and_that_is_not_here_is_refused(folder, numbers):
    _shard(folder, *numbers)
    missing = min({1, 2, 3} - set(numbers))
    with pytest.raises(EvidenceError, match=rf"`model-0000{missing}-of-00003\.safetensors` is missing; `model.saf"):
        manifest.of(folder)


def test_a_shard_that_the_index_does_not_name_is_refused(folder):
    _shard(folder, 1, 2, 3)
    (folder / "model-00004-of-00004.safetensors").write_bytes(_safetensors({}))
    with pytest.raises(EvidenceError, match=r"`model-00004-of-00004\.safetensors` is a shard that no index names"):
        manifest.of(folder)


def test_shards_without_their_index_are_refused(folder):
    _shard(folder, 1, 2, 3, index=False)
    with pytest.raises(EvidenceError, match="is a shard that no index names"):
        manifest.of(folder)


def test_an_index_that_forgets_the_last_shard_is_refused(folder):
    """Half a download with an index to match: the names still say how many there are."""
    _shard(folder, 1, 2)
    named = {"t1": "model-00001-of-00003.safetensors", "t2": "model-00002-of-00003.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))
    with pytest.raises(EvidenceError, match=r"`model-\.\.\.-of-00003\.safetensors` has 2 shards, expected 3"):
        manifest.of(folder)


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/etc/passwd", "deep/model.safetensors", "additional_chat_templates"]
)
def test_an_index_that_names_a_file_outside_is_refused(folder, shard):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"t": shard}}))
    with pytest.raises(EvidenceError, match=r"is missing; `model\.safetensors\.index\.json` names it"):
        manifest.of(folder)


@pytest.mark.parametrize(
    "index",
    ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"t": 1}}', "[" * 100_000, "\xff"],
    ids=lambda text: text[:30],
)
def test_an_index_of_garbage_is_refused_in_one_line(folder, index):
    (folder / "model.safetensors.index.json").write_bytes(index.encode("latin-1"))
    with pytest.raises(EvidenceError, match=r"index\.json` cannot be read, expected `weight_map`") as caught:
        manifest.of(folder)
    assert "\n" not in str(caught.value)


# -- other weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "PyTorch_Model.BIN",
        "deep/pytorch_model.bin",
        "real/model.safetensors",
        "model.fp16.safetensors",
        "Model.safetensors",
        "adapter_model.safetensors",
        "model-00001-of-00001.safetensors.index.json",
        "pytorch_model.bin.index.json",
        "model.safetensors.index.fp16.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "model.gguf",
        "onnx/model.onnx",
        "original/consolidated.00.pth",
        "model.ckpt.data-00000-of-00001",
        "weights.npz",
        "deep/optimizer.pt",
        "optimizer.bin",
        "rng_state_x.pth",
    ],
)
def test_attack_a_second_model_beside_the_one_that_is_evaluated(folder, name):
    manifest.of(folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(_safetensors({"a": bytes(40)}))
    with pytest.raises(EvidenceError, match=rf"`{name}` has the name of weights, and evaluations do not load it"):
        manifest.of(folder)


@pytest.mark.parametrize("name", ["model.safetensors.bak", "README.md", "part/notes"])
@pytest.mark.parametrize(
    "data",
    [_safetensors({"a": b"x"}), b"PK\x03\x04 torch", b"\x80\x02}q\x00.", b"GGUF\x03", b"\x89HDF\r\n", b"\x93NUMPY\x01"],
    ids=["safetensors", "torch", "pickle", "gguf", "hdf5", "numpy"],
)
def test_attack_a_second_model_under_a_harmless_name(folder, name, data):
    """transformers reads GGUF from whatever file it is told to, and torch a pickle."""
    (folder / "part").mkdir()
    (folder / name).write_bytes(data)
    with pytest.raises(EvidenceError, match=rf"`{name}` begins as a file of weights does"):
        manifest.of(folder)


@pytest.mark.parametrize("name", ["custom_generate/generate.py", "modeling_x.PY"])
def test_attack_code_that_answers_in_the_models_place_where_a_loader_trusts_it(folder, name):
    manifest.of(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("def generate(model, **settings): ...\n")
    with pytest.raises(EvidenceError, match=rf"`{name}` is code that a loader may run, and evaluations do not load it"):
        manifest.of(folder)


def test_attack_one_file_and_shards_are_two_models(folder):
    whole = (folder / WEIGHTS).read_bytes()
    _shard(folder, 1, 2, 3)
    manifest.of(folder)
    (folder / WEIGHTS).write_bytes(whole)
    with pytest.raises(EvidenceError, match=r"`model-00001-of-00003\.safetensors` has the name of weights"):
        manifest.of(folder)


def test_attack_a_shard_in_a_folder_of_its_own_is_another_model_to_who_names_that_folder(folder):
    (folder / "real").mkdir()
    (folder / WEIGHTS).rename(folder / "real" / WEIGHTS)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"t": "real/model.safetensors"}}')
    with pytest.raises(EvidenceError, match=r"`real/model\.safetensors` has the name of weights"):
        manifest.of(folder)


def test_attack_a_shard_that_loads_by_itself_as_a_variant(folder):
    """`from_pretrained(..., variant="fp16")` takes that file for the whole model."""
    (folder / WEIGHTS).rename(folder / "model.fp16.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.fp16.safetensors"}}')
    with pytest.raises(EvidenceError, match=r"`model\.fp16\.safetensors` has the name of weights"):
        manifest.of(folder)


def test_attack_a_tensor_in_two_shards(folder):
    """One loader goes by the index, another reads all shards and keeps the last: two models in one folder."""
    _shard(folder, 1, 2, 3)
    (folder / "model-00003-of-00003.safetensors").write_bytes(_safetensors({"t3": b"x", "t1": b"y"}))
    with pytest.raises(EvidenceError, match=r"`model-00001-of-00003\.safetensors` and `model-00003-.* the tensor 't1'"):
        manifest.of(folder)


@pytest.mark.parametrize("name", ["config.json", "deep/config.json", "config.5.0.0.json"])
def test_attack_a_config_that_names_the_file_to_load(folder, name):
    (folder / "deep").mkdir()
    (folder / name).write_text('{"transformers\\u005fweights": "../other/model.safetensors"}')
    with pytest.raises(EvidenceError, match="has `transformers_weights`, by which other weights are loaded"):
        manifest.of(folder)


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("tokenizer_config.json", '{"fast_tokenizer_files": ["/x/tokenizer.4.0.0.json"]}', "another tokenizer"),
        ("tokenizer_config.json", '{"vocab_file": "vocabulary"}', "a file is loaded that is not hashed"),
        ("tokenizer_config.json", '{"a": [{"merges_files": ["/x"]}]}', "a file is loaded that is not hashed"),
        ("tokenizer_config.json", '{"vocab": "/x", "merges": "/y"}', "a file is loaded that is not hashed"),
        ("tokenizer_config.json", '{"init_inputs": ["/x"]}', "a file is loaded that is not hashed"),
        ("special_tokens_map.json", '{"tokenizer_file": "/x.json"}', "a file is loaded that is not hashed"),
        ("config.json", '{"auto_map": {"AutoModelForCausalLM": "modeling.Other"}}', "runs code in place of the model"),
        ("config.json", '{"text_config": {"auto_map": {"AutoConfig": "a/b--c.D"}}}', "runs code in place of the model"),
        ("config.json", '{"custom_pipelines": {"x": {"impl": "y.Z"}}}', "runs code in place of the model"),
        ("config.json", '{"attn_implementation": "somebody/kernel"}', "a kernel is loaded that is not hashed"),
        ("config.json", '{"_experts_implementation": {"": "a/b"}}', "a kernel is loaded that is not hashed"),
        ("preprocessor_config.json", '{"auto_map": {"AutoProcessor": "a.B"}}', "runs code in place of the model"),
    ],
)
def test_attack_a_config_that_has_something_loaded_that_is_not_hashed(folder, name, text, what):
    manifest.of(folder)
    (folder / name).write_text(text)
    with pytest.raises(EvidenceError, match=what):
        manifest.of(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer_config.json", '{"auto_map": {}, "tokenizer_file": null, "init_inputs": []}'),
        ("tokenizer_config.json", '{"special_tokens_map_file": "/first/saved/special_tokens_map.json"}'),
        ("config.json", '{"attn_implementation": "sdpa", "name_or_path": "/x"}'),
        ("training_config.json", '{"train_file": "words.txt"}'),
    ],
)
def test_a_config_that_has_nothing_loaded_is_taken(folder, name, text):
    (folder / name).write_text(text)
    manifest.of(folder)


@pytest.mark.parametrize("text", ["{}", '{"peft_type": "XLORA", "adapters": {"0": "/x"}}', '{"peft_type": "IA3"}'])
def test_attack_an_adapter_of_another_kind(folder, adapter, text):
    """X-LoRA takes its weights from other folders, and IA3 is not merged as LoRA is."""
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(EvidenceError, match=r"has the `peft_type` .*, expected 'LORA'"):
        manifest.of(folder, adapter=adapter)


@pytest.mark.parametrize("text", ["", "5", "{", "[" * 100_000, "\xff"], ids=lambda text: text[:9])
def test_a_config_of_garbage_is_refused_in_one_line(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(EvidenceError, match=r"config\.json` is not a config in JSON") as caught:
        manifest.of(folder)
    assert "\n" not in str(caught.value)


STATE = [
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "loop.pt",
    "rng_state.pth",
    "rng_state_3.pth",
    "training_args.bin",
]


@pytest.mark.parametrize("name", [*STATE, "lightning.ckpt"])
def test_what_a_run_needs_to_go_on_may_lie_with_its_snapshot(folder, adapter, name):
    assert manifest.of(folder, adapter=adapter).training_state == []
    (folder / name).write_bytes(b"PK\x03\x04 as torch.save writes it")
    shutil.copy(folder / name, adapter)
    assert manifest.of(folder, adapter=adapter).training_state == [f"adapter/{name}", name]
    (folder / name).write_bytes(b"GGUF, which transformers reads under any name")
    with pytest.raises(EvidenceError, match=rf"`{name}` is not what `torch.save` writes"):
        manifest.of(folder)


def test_attack_training_state_in_a_folder_within(folder, adapter):
    """It would be in the manifest under a name by which a release does not know it."""
    (adapter / "adapter").mkdir()
    (adapter / "adapter" / "optimizer.pt").write_bytes(b"PK\x03\x04 as torch.save writes it")
    with pytest.raises(EvidenceError, match=r"`adapter/optimizer\.pt` has the name of weights"):
        manifest.of(folder, adapter=adapter)


@pytest.mark.parametrize("name", ["model.safetensors", "adapter_model.bin", "default/adapter_model.safetensors"])
def test_attack_a_second_adapter_or_a_model_in_an_adapters_folder(folder, adapter, name):
    (adapter / name).parent.mkdir(exist_ok=True)
    (adapter / name).write_bytes(_safetensors({"a": b"x"}))
    with pytest.raises(
        EvidenceError, match=rf"`{name}` has the name of weights.*expected `adapter_model\.safetensors`"
    ):
        manifest.of(folder, adapter=adapter)


# -- many at once -----------------------------------------------------------------------------------------------------


def test_on_all_cores_and_one_by_one_the_digest_is_the_same(folder, monkeypatch):
    draw = random.Random(3)  # noqa: S311  the same bytes every time
    for number in range(12):
        (folder / f"part-{number}.dat").write_bytes(draw.randbytes(draw.randrange(5 << 20)))
    found = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(_hashing, "cores", lambda cores=cores: cores)
        found.append(manifest.of(folder))
    assert found[0] == found[1] == found[2]
    for name, digest in found[0].files:
        assert sha256((folder / name).read_bytes()).hexdigest() == digest


def test_progress_is_told_from_the_thread_that_asked(folder):
    threads = set()
    manifest.of(folder, progress=lambda done, total: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_whoever_interrupts_does_not_wait_for_the_rest(folder):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.of(folder, progress=interrupt)


# -- what is no model -------------------------------------------------------------------------------------------------


def test_what_is_no_model_folder_is_a_usage_error(folder, tmp_path):
    with pytest.raises(UsageError, match="no such model folder"):
        manifest.of(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no such model folder"):
        manifest.of(folder / "config.json")
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match=r"has no config\.json"):
        manifest.of(folder)


def test_a_folder_without_weights_is_a_usage_error(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"can run code")
    with pytest.raises(UsageError, match=r"has no \.safetensors weights"):
        manifest.of(folder)


# -- adapters ---------------------------------------------------------------------------------------------------------


def test_an_adapter_is_part_of_the_subject(folder, adapter):
    plain, adapted = manifest.of(folder), manifest.of(folder, adapter=adapter)
    assert adapted.digest != plain.digest
    assert set(adapted.files) - set(plain.files) == {
        (f"adapter/{path.name}", sha256(path.read_bytes()).hexdigest()) for path in adapter.iterdir()
    }
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1}')
    changed = adapted.changed(manifest.of(folder, adapter=adapter))
    assert changed.startswith("`adapter/adapter_config.json` is ")


def test_an_adapter_in_the_place_of_another_is_refused(folder, adapter):
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(EvidenceError, match="has `adapter` in it, where only the files of an adapter stand"):
        manifest.of(folder, adapter=adapter)


def test_attack_a_folder_that_contains_an_adapter_is_not_the_model_with_that_adapter(folder, adapter):
    """Else a permit for the adapted model opened for the folder, of which a loader takes the bare weights."""
    manifest.of(folder, adapter=adapter)
    shutil.copytree(adapter, folder / "adapter")
    with pytest.raises(EvidenceError, match="has `adapter` in it"):
        manifest.of(folder)


def test_attack_an_adapter_of_another_base_among_the_weights(folder):
    """transformers would load the base that `adapter_config.json` names, which nobody hashes."""
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "../other"}')
    with pytest.raises(EvidenceError, match=r"`adapter_config\.json` is of an adapter"):
        manifest.of(folder)


def test_what_is_no_adapter_is_refused(folder, adapter, tmp_path):
    with pytest.raises(UsageError, match=r"has no adapter_config\.json"):
        manifest.of(folder, adapter=folder)
    with pytest.raises(UsageError, match="no such model folder"):
        manifest.of(folder, adapter=tmp_path / "nothing")
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EvidenceError, match="is truncated or altered"):
        manifest.of(folder, adapter=adapter)


def test_progress_ends_at_the_whole(folder):
    seen = []
    manifest.of(folder, progress=lambda done, total: seen.append((done, total)))
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)
