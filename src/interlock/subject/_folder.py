"""What lies in the folder of a model, and what may not.

Guarantees: everything in the folder is listed or refused; only plain files are listed; no link is followed below the
folder itself, since what it leads to can change without a trace in the folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import EvidenceError, UsageError
from interlock.subject import _others, _weights, configs

_ADAPTER = "adapter/"


@dataclass(frozen=True, slots=True)
class Listed:
    """A plain file as it was listed. The change time is the kernel's own: setting a file's dates back moves it on."""

    path: Path
    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path, found: os.stat_result) -> Listed:
        """A file with what the system says about it."""
        return cls(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def listing(folder: Path, adapter: Path | None) -> dict[str, Listed]:
    """Every file of a model's folder by its name in the manifest; those of the adapter under `adapter/`.

    Raises:
        UsageError: there is no such folder.
        EvidenceError: something that is no plain file, or that has the place of an adapter's files.
    """
    files = _walk(folder)
    if any(name.split("/")[0] == "adapter" for name in files):  # else bare weights would have an adapted model's digest
        raise EvidenceError(
            f"`{folder}` has `adapter` in it, where only the files of an adapter stand that is named beside the folder"
        )
    if adapter is None:
        return files
    return files | {f"{_ADAPTER}{name}": file for name, file in _walk(adapter).items()}


def check(files: dict[str, Listed], folder: Path, adapter: Path | None) -> None:
    """Check that what was listed is a transformers model, with a peft adapter if there is one, and all of it.

    Raises:
        UsageError: it is not one.
        EvidenceError: weights are truncated or missing, a loader could take something else for weights, or a config
            has something loaded that is not in the folder, or code.
    """
    adapted = {name: file.path for name, file in files.items() if name.startswith(_ADAPTER)}
    model = {name: file.path for name, file in files.items() if name not in adapted}
    _check_one(model, folder, needs="config.json")
    _others.check(model, folder, loaded=_weights.loaded(model))
    for name in model:
        if name.rpartition("/")[2].lower() == configs.ADAPTER:  # transformers would load the base that it names
            raise EvidenceError(f"`{folder}`: `{name}` is of an adapter; expected its folder beside, with --adapter")
    if adapter is not None:
        plain = {name.removeprefix(_ADAPTER): path for name, path in adapted.items()}
        _check_one(plain, adapter, needs=configs.ADAPTER)
        _others.check(plain, adapter, loaded=frozenset({_weights.ADAPTER}))
    for name, file in sorted(files.items()):
        if configs.is_config(name):
            configs.check(file.path)


def unchanged(before: dict[str, Listed], after: dict[str, Listed]) -> None:
    """Check that two listings are the same.

    Raises:
        EvidenceError: they are not; it names the first file.
    """
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise changed(name)


def settle(files: dict[str, Listed]) -> None:
    """Have the dates of these files show whoever writes to them from now on.

    A page that was changed through a mapping moves them no more until it is on the disk: so all is written there. In a
    file system without a disk it never is, and Linux is asked whether anybody has a file open, or mapped, for writing;
    it says so to the owner of the file, and to root.

    Raises:
        EvidenceError: somebody has, or the system cannot write one to the disk.
    """
    for name, file in files.items():
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise changed(name) from error
        try:
            _to_disk(descriptor)
            written_to = _is_open_for_writing(descriptor)
        except OSError as error:
            raise EvidenceError(f"`{name}` cannot be brought to rest: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if written_to:
            raise EvidenceError(f"`{name}` is open or mapped for writing; expected a model that nobody writes to")


@dataclass(frozen=True, slots=True)
class Still:
    """A model's folder as it lay there before it was read: each file as the system listed it, and the folder itself.

    Made before it is hashed, and checked after it was loaded: what was loaded is what was hashed. Weights that a loader
    maps are read from the disk page by page, at any later time: so it is checked once more when all is done with them.
    A folder further up that is renamed and put back is not seen.
    """

    folder: Path
    adapter: Path | None
    files: dict[str, Listed]
    folders: tuple[Listed, ...]

    @classmethod
    def of(cls, folder: Path, adapter: Path | None = None) -> Still:
        """A folder, with the adapter that is named beside it, brought to rest.

        Raises:
            UsageError: there is no such folder.
            EvidenceError: something in it is no plain file, or somebody writes to it.
        """
        files = listing(folder, adapter)
        settle(files)
        return cls(folder, adapter, files, _folders(folder, adapter))

    def check(self) -> None:
        """Check that no file was touched since, and that it is the same folder.

        Raises:
            EvidenceError: one was, or it is another.
            UsageError: it is gone.
        """
        unchanged(self.files, listing(self.folder, self.adapter))
        if self.folders != _folders(self.folder, self.adapter):
            raise changed(self.folder)


def _folders(folder: Path, adapter: Path | None) -> tuple[Listed, ...]:
    try:
        return tuple(Listed.of(path, path.stat()) for path in (folder, adapter) if path is not None)
    except OSError as error:
        raise changed(folder) from error


def _to_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EROFS}:  # of a file system that nobody can write to
            raise


def _is_open_for_writing(descriptor: int) -> bool:
    """Whether the kernel refuses a read lease for that (fcntl(2), leases); no, where it knows no leases, and on NFS,
    where it refuses them for other reasons, too.
    """
    if sys.platform != "linux":
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # who opens it meanwhile ends no process by SIGIO
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN and not _is_nfs(descriptor)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_nfs(descriptor: int) -> bool:
    """Whether a file is on NFS, by proc_pid_mountinfo(5): its device, and the type behind the dash."""
    device = os.fstat(descriptor).st_dev
    here = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    return any(
        before.split()[2] == here and after.startswith("nfs")
        for before, _, after in (line.partition(" - ") for line in mounts)
    )


def changed(name: str | Path) -> EvidenceError:
    """What is raised about a file that is not what it was."""
    return EvidenceError(f"`{name}` changed while it was being read; expected a model that nobody writes to")


def _check_one(files: dict[str, Path], folder: Path, *, needs: str) -> None:
    if needs not in files:
        raise UsageError(f"`{folder}` has no {needs}; expected a transformers folder as save_pretrained writes it")
    if not any(name.endswith(".safetensors") for name in files):
        raise UsageError(f"`{folder}` has no .safetensors weights")
    _weights.check(files, folder)


def _walk(folder: Path) -> dict[str, Listed]:
    if not folder.is_dir():
        raise UsageError(f"no such model folder: `{folder}`")
    files, todo = dict[str, Listed](), [""]
    while todo:
        inside = todo.pop()
        for entry in _entries(folder, inside):
            name = f"{inside}{entry.name}"
            if not name.isprintable():
                raise EvidenceError(f"`{folder}`: the file name {name!a:.80} is not printable text")
            if entry.is_dir(follow_symlinks=False):
                todo.append(f"{name}/")
            else:
                files[name] = _plain(folder, name)
    return files


def _entries(folder: Path, inside: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder / inside) as found:
            return list(found)
    except OSError as error:  # a folder that cannot be looked into is not an empty one
        raise EvidenceError(f"`{folder}`: `{inside or '.'}` cannot be listed: {error.strerror}") from error


def _plain(folder: Path, name: str) -> Listed:
    path = folder / name
    try:
        found = path.lstat()
    except OSError as error:
        raise changed(path) from error
    if stat.S_ISLNK(found.st_mode):
        raise EvidenceError(f"`{folder}`: `{name}` is a link, expected plain files only; copy the folder with cp -rL")
    if not stat.S_ISREG(found.st_mode):
        raise EvidenceError(f"`{folder}`: `{name}` is {_kind(found.st_mode)}, expected plain files only")
    return Listed.of(path, found)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "no file")
