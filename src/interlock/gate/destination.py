"""Where weights are released to: a folder of this machine, or a place that fsspec knows, such as `s3://bucket/m`.

Guarantees: what is staged lies beside the destination, under a name of its own that follows from destination and
permit, until `publish`; nothing is written at a destination before. On this machine `publish` is one rename, the staged
folder is its owner's alone until then, and no link in it or in the destination is followed. Elsewhere there is no
rename of many objects at once: they are copied one by one, checked where they are, and the marker comes last.
What it leaves to the caller: the order of steps, and that one release at a time runs (`interlock.gate.release`); and
that nobody else reads the staged place of a store whose rights go by bucket and not by object.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from interlock.errors import EvidenceError, UsageError, missing_extra

__all__ = ["Destination", "Local", "Read", "Remote", "at"]

#: Reads a file by its name, in pieces.
Read = Callable[[str], Iterator[bytes]]
_CHUNK = 1 << 20
_MOST_NAME = 4096  # characters that the ledger takes
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # not to wait for a pipe
_NOT_PLAIN = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}  # a link, a link or file on the way, a socket


class Destination(Protocol):
    """A place to release to. `name` is how the ledger records it: one spelling a place."""

    @property
    def name(self) -> str:
        """The whole path, or the URL."""

    def standing(self) -> list[str]:
        """What lies at the destination, by name; empty where there is nothing, or an empty folder.

        Raises:
            UsageError: it is something that no release can take the place of.
        """

    def staged(self) -> list[str]:
        """What is staged, by name."""

    def stage(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file, beside the destination; it is durable when this returns.

        Raises:
            OSError: it cannot be written, as where the disk is full.
        """

    def read_staged(self, name: str) -> Iterator[bytes]:
        """Read back what was staged.

        Raises:
            FileNotFoundError: it is not there.
            EvidenceError: something else lies there than the plain file that was staged.
        """

    def read(self, name: str) -> Iterator[bytes]:
        """Read what lies at the destination.

        Raises:
            FileNotFoundError: it is not there.
            EvidenceError: it is no plain file.
        """

    def publish(self, marker: str, check: Callable[[Read], None], ask: Callable[[], None]) -> None:
        """Make all that is staged visible at the destination, `marker` last.

        `check` is given what reads it there, where it was copied; `ask` is called right before it is a release.

        Raises:
            Exception: what `check` or `ask` raises; there is no release then.
        """

    def discard(self) -> None:
        """Remove what is staged."""


def at(destination: str, permit: str) -> Destination:
    """The place that a path or URL names, for a release under a permit (its digest).

    Raises:
        UsageError: it names none, says a user, cannot finish a release, or is nothing that the ledger could record.
    """
    _check_text(destination)
    found = _at(destination, permit)
    _check_text(found.name)  # what a link leads to
    return found


def _check_text(name: str) -> None:
    """Check that the ledger can record a name, before anything is copied; surrogates are bytes that are not UTF-8."""
    if not name.isprintable():  # urlsplit would leave out a tab
        raise UsageError(f"the destination {name!a:.200} is not printable text")
    if len(name) > _MOST_NAME:
        raise UsageError(f"the destination `{name[:80]}...` has {len(name)} characters, expected at most {_MOST_NAME}")


def _at(destination: str, permit: str) -> Destination:
    if "://" not in destination:
        return Local(Path(destination), permit)
    parts = _parts(destination)
    if parts.scheme in {"file", "local"}:  # fsspec's two words for the file system; there is a rename
        if parts.netloc:
            raise UsageError(f"`{destination[:200]}` names a host; expected a path of this machine, as file:///srv/m")
        return Local(Path(parts.path), permit)
    if "::" in destination or parts.query or parts.fragment:
        raise UsageError(f"`{destination[:200]}`: expected a plain path or URL, without `::`, `?` or `#`")
    if "@" in parts.netloc:
        raise UsageError("the destination names a user, and the ledger would record it; give that to fsspec's config")
    if not parts.netloc:
        raise UsageError(f"`{destination[:200]}` names no host or bucket; expected one: a configuration could name any")
    return Remote(destination, permit)


def _parts(destination: str) -> SplitResult:
    try:
        return urlsplit(destination)
    except ValueError as error:
        raise UsageError(f"`{destination[:200]}` is no URL: {error}") from error


class Local:
    """A folder of this machine. It becomes visible by one rename, which takes the place of nothing but an empty folder.

    Raises:
        UsageError: the path is no place for a folder.
    """

    def __init__(self, path: Path, permit: str) -> None:
        resolved = path.resolve()
        if not resolved.name or os.path.ismount(resolved):
            raise UsageError(f"`{path}` is no folder that a release can make; name one inside it")
        self._path = resolved
        self._staging = resolved.with_name(f".{resolved.name}.release-{permit[:16]}")

    @property
    def name(self) -> str:
        """The whole path, without links."""
        return str(self._path)

    def standing(self) -> list[str]:
        """What lies there; an empty folder within counts, since a rename would not take its place."""
        if self._path.exists() and not self._path.is_dir():
            raise UsageError(f"`{self._path}` is a file, expected nothing there, or an empty folder")
        return _leaves(self._path)

    def staged(self) -> list[str]:
        """What is staged."""
        return _leaves(self._staging)

    def stage(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file and have the disk take it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(mode=0o700, exist_ok=True)
        _check_own(self._staging)
        path = self._staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # never through a link, or into a file that has a second name
        with path.open("xb", buffering=0) as file:
            for piece in pieces:
                _write(file.fileno(), piece)
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # to be read back from the disk, not from memory
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def read_staged(self, name: str) -> Iterator[bytes]:
        """Read back what was staged, if it has no other name and no other owner, who could change it afterwards."""
        return _pieces(self._staging, name, _check_only)

    def read(self, name: str) -> Iterator[bytes]:
        """Read what lies there."""
        return _pieces(self._path, name)

    def publish(self, marker: str, check: Callable[[Read], None], ask: Callable[[], None]) -> None:  # noqa: ARG002
        """Rename the staged folder, which was checked where it is, and is all there at once."""
        for folder in [self._staging, *(it for it in self._staging.rglob("*") if it.is_dir())]:
            _sync(folder)
        ask()
        self._staging.chmod(0o755)
        # crash point: whole, and its marker in it, under the staged name
        try:
            self._staging.rename(self._path)
        except OSError:
            self._staging.chmod(0o700)  # somebody was quicker: it stays out of sight
            raise
        _sync(self._path.parent)

    def discard(self) -> None:
        """Remove what is staged."""
        if self._staging.exists():
            shutil.rmtree(self._staging)


class Remote:
    """A place that fsspec knows.

    Raises:
        UsageError: fsspec, or what it needs for this protocol, is not here; it cannot copy or remove there; or it does
            not look for host and path where the URL has them.
    """

    def __init__(self, url: str, permit: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise missing_extra("release", "fsspec") from error
        parts = _parts(url)
        try:
            _check_finishes(fsspec.get_filesystem_class(parts.scheme), url)
            self._fs, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"`{url[:200]}`: fsspec cannot write there: {str(error)[:200]}") from error
        self._path: str = str(path).rstrip("/")
        if not self._path.strip("/"):
            raise UsageError(f"`{url[:200]}` names no place in its store")
        self._name = _url(self._fs, self._path, parts)
        self._staging = f"{self._path}.release-{permit[:16]}"

    @property
    def name(self) -> str:
        """The URL, with the host and port that are used."""
        return self._name

    def standing(self) -> list[str]:
        """The objects that lie there."""
        return self._names(self._path)

    def staged(self) -> list[str]:
        """The objects that are staged."""
        return self._names(self._staging)

    def stage(self, name: str, pieces: Iterable[bytes]) -> None:
        """Upload an object."""
        self._write(f"{self._staging}/{name}", pieces)

    def read_staged(self, name: str) -> Iterator[bytes]:
        """Read back what was staged."""
        return self._pieces(f"{self._staging}/{name}")

    def read(self, name: str) -> Iterator[bytes]:
        """Read what lies there."""
        return self._pieces(f"{self._path}/{name}")

    def publish(self, marker: str, check: Callable[[Read], None], ask: Callable[[], None]) -> None:
        """Copy object by object, check them where they are, and write the marker."""
        for name in self.staged():
            if name != marker:
                # crash point: some of the objects are there, without the marker; going on copies all again
                self._copy(name)
        check(self.read)
        ask()
        self._copy(marker)
        # crash point: released, and the staged objects are left
        self.discard()

    def discard(self) -> None:
        """Remove what is staged."""
        self._fs.invalidate_cache()
        if self._fs.exists(self._staging):
            self._fs.rm(self._staging, recursive=True)

    def _copy(self, name: str) -> None:
        target = f"{self._path}/{name}"
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        self._fs.cp_file(f"{self._staging}/{name}", target)

    def _names(self, root: str) -> list[str]:
        self._fs.invalidate_cache()
        return sorted(str(it)[len(root) :].lstrip("/") or str(it) for it in self._fs.find(root))

    def _write(self, path: str, pieces: Iterable[bytes]) -> None:
        try:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._fs.open(path, "wb") as file:
                for piece in pieces:
                    file.write(piece)
        except NotImplementedError as error:
            raise UsageError(f"`{self.name}`: fsspec cannot write there") from error

    def _pieces(self, path: str) -> Iterator[bytes]:
        opened: Any = self._fs.open(path, "rb")
        with opened as file:
            while piece := file.read(_CHUNK):
                yield piece


def _check_finishes(store: type, url: str) -> None:
    """Check that a class of fsspec's can do what a release ends with; one that cannot has a base's method, which fails.

    Raises:
        UsageError: it cannot.
    """
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    bases = (AbstractFileSystem, AsyncFileSystem)
    for what, names in {"copy": ("cp_file", "_cp_file"), "remove": ("rm", "rm_file", "_rm", "_rm_file")}.items():
        if all(getattr(store, name, None) in [getattr(base, name, None) for base in bases] for name in names):
            raise UsageError(f"`{url[:200]}`: fsspec cannot {what} there, which a release needs; name another store")


def _url(store: Any, path: str, parts: SplitResult) -> str:  # noqa: ANN401 - fsspec's
    """One spelling a place: fsspec's path has a bucket in it; a host it leaves out, and connects to.

    Raises:
        UsageError: it makes something else of the URL, so that two places could have one name.
    """
    if path.strip("/") == (parts.netloc + parts.path).strip("/"):
        return str(store.unstrip_protocol(path))
    host, options = parts.netloc.rsplit(":", 1)[0], store.storage_options
    if path.strip("/") != parts.path.strip("/") or options.get("host") != host or not host.isascii():
        raise UsageError(
            f"`{parts.geturl()[:200]}`: fsspec takes another host or path than the URL says, and the ledger could not "
            "say where; expected a plain host and path"
        )
    port = options.get("port") or parts.port  # a configuration may say which
    return f"{parts.scheme}://{host.lower()}{f':{port}' if port else ''}/{path.removeprefix('/')}"


def _leaves(folder: Path) -> list[str]:
    """Everything in a folder that has nothing in it: files, links, empty folders."""
    found = folder.rglob("*") if folder.is_dir() else ()
    return sorted(
        it.relative_to(folder).as_posix()
        for it in found
        if it.is_symlink() or not it.is_dir() or next(it.iterdir(), None) is None
    )


def _check_own(folder: Path) -> None:
    """Check that nobody else put a folder there first, as one may where everybody can write.

    Raises:
        UsageError: somebody did, or others may write to it.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise UsageError(f"`{folder}` is somebody else's; expected a destination beside which nobody else writes")


def _write(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


def _pieces(root: Path, name: str, check: Callable[[os.stat_result, str], None] | None = None) -> Iterator[bytes]:
    with os.fdopen(_open(root, name), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _no_plain(root, name)
        if check is not None:
            check(found, name)
        while piece := file.read(_CHUNK):
            yield piece


def _open(root: Path, name: str) -> int:
    """Open a file within a folder, by no link on the way."""
    *folders, last = PurePosixPath(name).parts
    try:
        inside = os.open(root, _FOLDER)
        try:
            for folder in folders:
                inside, outside = os.open(folder, _FOLDER, dir_fd=inside), inside
                os.close(outside)
            return os.open(last, _FILE, dir_fd=inside)
        finally:
            os.close(inside)
    except OSError as error:
        if error.errno in _NOT_PLAIN:
            raise _no_plain(root, name) from error
        raise


def _no_plain(root: Path, name: str) -> EvidenceError:
    return EvidenceError(f"`{name}` in `{root}` is a link, lies behind one, or is no file; expected a plain file")


def _check_only(found: os.stat_result, name: str) -> None:
    """Check that a staged file can be changed by no other name, and by no other owner."""
    if found.st_nlink != 1 or found.st_uid != os.geteuid():
        raise EvidenceError(
            f"`{name}` has {found.st_nlink} names and owner {found.st_uid}, expected a file that was staged here: "
            f"one name, owner {os.geteuid()}"
        )


def _sync(folder: Path) -> None:
    """Have the disk take a folder's entries."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
