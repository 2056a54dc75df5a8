"""Times the commands that should feel immediate: one at a time, many times, the median counts."""
import json
import pathlib
import shutil
import subprocess
from dataclasses import dataclass
from statistics import median

INSTALLED_FILES = {"vmlinux": b"\x7fELF", "rootfs.ext4": bytes(1024)}


@dataclass
class CommandTimes:
    """Medians in seconds."""

    version: float
    inspect: float
    pull_installed: float
    requests: int  # that inspect and the second pull sent to the registry; none are allowed
    list_1000: float
    list_4000: float
    stripped_bytes: int


class Commands:
    def __init__(self, installed, work, runs):
        self.installed, self.work, self.runs = installed, work, runs
        self.registry, self.pyro = installed.registry, installed.pyro

    def measure(self):
        requests = self.registry.requests()
        return CommandTimes(
            version=self._median([self.pyro, "--version"]),
            inspect=self._median(self.installed.command("env", "inspect", "debian:12")),
            pull_installed=self._median(self.installed.command("env", "pull", "debian:12")),
            requests=self.registry.requests() - requests,
            list_1000=self._list(1000),
            list_4000=self._list(4000),
            stripped_bytes=self._stripped_size(),
        )

    def _median(self, command):
        return median(self.installed.seconds(command) for _ in range(self.runs))

    def _list(self, count):
        """The time of `list` with so many environments, all of them installed."""
        cache, catalog = self.work / f"list-{count}", self.work / f"list-{count}.json"
        entries = [catalog_entry(number) for number in range(count)]
        catalog.write_text(json.dumps({"catalog_version": "bench", "environments": entries}))
        for entry in entries:
            install(cache, entry, catalog)
        seconds = self._median([self.pyro, "--cache-dir", cache, "--catalog", catalog, "env", "list"])
        shutil.rmtree(cache)
        return seconds

    def _stripped_size(self):
        stripped = self.work / "stripped"
        subprocess.run(["strip", "-o", stripped, self.pyro], check=True)
        return stripped.stat().st_size


def catalog_entry(number):
    return {
        "name": f"bench:{number:04}",
        "version": "1.0.0",
        "description": "One of many, to time the listing.",
        "default_packages": ["bash", "coreutils"],
        "distribution": "debian",
        "distribution_version": "12",
        "source_profile": f"bench-{number:04}",
        "platform": "linux-x86_64",
        "oci_registry": "registry.example",
        "oci_repository": f"bench/{number:04}",
        "oci_reference": "1.0.0",
        "compatibility": ">=4.5.0,<5.0.0",
    }


def install(cache, entry, catalog):
    """Lays an installed environment into a cache, as a pull would, with tiny files."""
    directory = pathlib.Path(cache) / "linux-x86_64" / f"{entry['name'].replace(':', '_')}-{entry['version']}"
    directory.mkdir(parents=True)
    digest = "sha256:" + "0" * 64
    record = {
        "artifacts": {},
        "catalog_file": str(catalog),
        "catalog_version": "bench",
        "installed_at": 1704067200,
        "name": entry["name"],
        "source": f"oci://{entry['oci_registry']}/{entry['oci_repository']}@{digest}",
        "source_digest": digest,
        "version": entry["version"],
    }
    for name, content in INSTALLED_FILES.items():
        (directory / name).write_bytes(content)
        record["artifacts"][name] = {"digest": digest, "size": len(content)}
    (directory / "environment.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
