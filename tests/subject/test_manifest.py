"""Which model: the digest follows every byte and every name, and nothing is loaded that it does not cover."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from hashlib import sha256

import pytest

from interlock.errors import EvidenceError, UsageError
from interlock.subject import manifest

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
    (path / "adapter_config.json").write_text("{}")
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


def test_the_digest_is_that_of_the_list_as_canonical_json(folder):
    found = manifest.of(folder)
    plain = json.dumps([list(item) for item in found.files], separators=(",", ":"))
    assert found.digest == sha256(plain.encode()).hexdigest()


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
    one, two = folder / "config.json", folder / "chat_template.jinja"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert manifest.of(folder).digest != before.digest


@pytest.mark.parametrize("name", ["extra.json", ".extra", "deep/down/extra", "tokenizer.json", "pytorch_model.bin"])
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
    with pytest.raises(EvidenceError, match="expected a header of 9223372036854775808 bytes"):
        manifest.of(folder)


# -- what would be loaded and not hashed ------------------------------------------------------------------------------


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "outside.jinja").write_text("{{ other }}")
    (folder / "linked.jinja").symlink_to(tmp_path / "outside.jinja")
    with pytest.raises(EvidenceError, match=r"`linked\.jinja` is not a plain file inside the folder"):
        manifest.of(folder)


def test_a_link_to_a_folder_is_refused(folder, tmp_path):
    """A walk over the files does not follow it, and a loader does."""
    outside = shutil.move(folder / "additional_chat_templates", tmp_path / "templates")
    (folder / "additional_chat_templates").symlink_to(outside)
    with pytest.raises(EvidenceError, match="`additional_chat_templates` is not a plain file inside the folder"):
        manifest.of(folder)


def test_a_link_that_leads_nowhere_is_refused(folder):
    (folder / "gone.json").symlink_to(folder / "nothing")
    with pytest.raises(EvidenceError, match=r"`gone\.json` is not a plain file"):
        manifest.of(folder)


def test_a_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(EvidenceError, match=r"`pipe\.json` is not a plain file"):
        manifest.of(folder)


def test_a_link_inside_the_folder_counts_as_a_file(folder):
    before = manifest.of(folder)
    (folder / "again.json").symlink_to(folder / "config.json")
    assert manifest.of(folder).digest != before.digest


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"two\nlines.json", b"turn\xe2\x80\xaearound.json"], ids=ascii)
def test_a_file_name_that_cannot_be_shown_is_refused(folder, name):
    (folder / os.fsdecode(name)).write_text("{}")
    with pytest.raises(EvidenceError, match="is not printable text"):
        manifest.of(folder)


def test_a_file_that_changes_while_it_is_read_is_refused(folder, monkeypatch):
    digest = manifest.hashlib.sha256

    class Growing:
        def __init__(self):
            self.inner = digest()

        def update(self, chunk):
            self.inner.update(chunk)
            (folder / ".hidden").write_text("another length")

        def hexdigest(self):
            return self.inner.hexdigest()

    monkeypatch.setattr(manifest.hashlib, "sha256", Growing)
    with pytest.raises(EvidenceError, match=r"\.hidden` changed while it was being read"):
        manifest.of(folder)


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
    (adapter / "adapter_config.json").write_text('{"r": 1}')
    changed = adapted.changed(manifest.of(folder, adapter=adapter))
    assert changed.startswith("`adapter/adapter_config.json` is ")


def test_an_adapter_in_the_place_of_another_is_refused(folder, adapter):
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(EvidenceError, match="which the adapter's own files would hide"):
        manifest.of(folder, adapter=adapter)


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
