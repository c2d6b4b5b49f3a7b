"""Where weights are released to: one name a place, with the host of its store; and which stores can take them."""

from __future__ import annotations

from collections import defaultdict

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem
from fsspec.utils import infer_storage_options

import release_lab
from interlock.errors import UsageError
from interlock.gate.destination import Remote, at
from interlock.gate.permit import Held
from interlock.gate.release import release

PERMIT = "0" * 64


class Hosts(MemoryFileSystem):
    """As those of fsspec's that stand for hosts (hdfs, webhdfs, ...): its paths do not say which."""

    protocol = "hosts"
    cachable = False

    def __init__(self, host="none", port=1, **options):
        super().__init__(**options)
        self.store, self.pseudo_dirs = STORES[host, port]

    @classmethod
    def _strip_protocol(cls, path):
        return infer_storage_options(path)["path"].rstrip("/")

    @staticmethod
    def _get_kwargs_from_urls(url):
        return {key: value for key, value in infer_storage_options(url).items() if key in {"host", "port"}}


class TakesNoHost(Hosts):
    protocol = "takesnohost"
    _get_kwargs_from_urls = staticmethod(lambda _: {})


class TakesAnotherPath(Hosts):
    protocol = "takesanotherpath"
    _strip_protocol = classmethod(lambda _, path: "/other" + Hosts._strip_protocol(path))


class DoesNotCopy(Hosts):
    protocol = "doesnotcopy"
    cp_file = AbstractFileSystem.cp_file


class DoesNotRemove(Hosts):
    protocol = "doesnotremove"
    rm, rm_file, _rm = AbstractFileSystem.rm, AbstractFileSystem.rm_file, AbstractFileSystem._rm


STORES = defaultdict(lambda: ({}, [""]))
for kind in (Hosts, TakesNoHost, TakesAnotherPath, DoesNotCopy, DoesNotRemove):
    fsspec.register_implementation(kind.protocol, kind)


@pytest.fixture
def permitted(tmp_path):
    """A workspace, and a permit to release its subject."""
    STORES.clear()
    workspace = release_lab.make(tmp_path)
    return workspace, release_lab.issue(workspace)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("memory://b/m/", "memory:///b/m"),
        ("s3://B.x/m/n", "s3://B.x/m/n"),
        ("s3a://b/m", "s3://b/m"),
        ("hosts://here/m/n/", "hosts://here/m/n"),
        ("hosts://HERE/M", "hosts://here/M"),
        ("hosts://here/here/m", "hosts://here/here/m"),
        ("hosts://here:8020/m", "hosts://here:8020/m"),
        ("webhdfs://here:50070/m", "webhdfs://here:50070/m"),
    ],
)
def test_the_name_of_a_destination_says_in_which_store_it_is(where, name):
    if where.startswith("s3"):
        pytest.importorskip("s3fs")
    if where.startswith("webhdfs"):
        pytest.importorskip("requests")
    assert at(where, PERMIT).name == name


def test_a_port_that_only_a_configuration_says_is_a_part_of_the_name(monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "hosts", {"host": "there", "port": 2})
    assert at("hosts://here/m", PERMIT).name == "hosts://here:2/m"
    assert at("hosts://here:3/m", PERMIT).name == "hosts://here:3/m"


@pytest.mark.parametrize("other", ["hosts://there/m", "hosts://here:2/m"])
def test_attack_a_release_is_finished_at_the_same_path_of_another_store(permitted, monkeypatch, other):
    """All that was staged in the one lies in the other, too, when the command comes again."""
    (workspace, permit), here = permitted, "hosts://here/m"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Remote, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            release(workspace, "real", here, permit=permit)
    assert workspace.read().spent[permit].destination == here
    theirs = fsspec.core.url_to_fs(other)[0]
    theirs.store.update(fsspec.core.url_to_fs(here)[0].store)
    with pytest.raises(Held, match=f"the permit was spent by gatekeeper in entry .*, on `{here}`"):
        release(workspace, "real", other, permit=permit)
    assert not theirs.find("/m")
    assert not release(workspace, "real", here, permit=permit).already
    assert not theirs.find("/m")


NONE = {
    "hdfs:///m": "names no host or bucket",  # Hadoop's configuration would say which
    "s3:///b/m": "names no host or bucket",
    "hosts://here/": "names no place in its store",
    "hosts://here:port/m": "fsspec cannot write there: Port",
    "hosts://hére/m": "expected a plain host and path",
    "takesnohost://here/m": "expected a plain host and path",
    "takesanotherpath://here/m": "expected a plain host and path",
    "doesnotcopy://here/m": "fsspec cannot copy there, which a release needs",
    "doesnotremove://here/m": "fsspec cannot remove there, which a release needs",
    "ftp://here/m": "fsspec cannot copy there, which a release needs",
}


@pytest.mark.parametrize(("where", "match"), NONE.items(), ids=NONE)
def test_a_place_that_cannot_be_named_or_released_to_is_refused(where, match):
    with pytest.raises(UsageError, match=match):
        at(where, PERMIT)


def test_a_store_that_cannot_finish_a_release_is_refused_before_anything_is_staged(permitted):
    workspace, permit = permitted
    with pytest.raises(UsageError, match="fsspec cannot copy there"):
        release(workspace, "real", "doesnotcopy://here/m", permit=permit)
    assert STORES == {}
    assert permit not in workspace.read().spent
