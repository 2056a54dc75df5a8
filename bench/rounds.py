"""Runs the contestants in turns, on equal terms."""
import filecmp
import os
import pathlib
import shutil
from dataclasses import dataclass, field
from statistics import median

import contestants
import measure

ARTIFACTS = ("vmlinux", "rootfs.ext4", "initrd.img")


@dataclass
class Result:
    """What one contestant's runs cost."""

    contestant: contestants.Contestant
    seconds: list = field(default_factory=list)
    memory: int = 0
    disk_peak: int = 0
    disk_after: int = 0

    @property
    def median(self):
        return median(self.seconds)


class Rounds:
    def __init__(self, registry, pyro, work, say):
        self.registry, self.pyro, self.work, self.say = registry, pyro, work, say
        self.results = {c.key: Result(c) for c in contestants.all_contestants()}

    def run(self, count):
        """One observed round, then `count` timed ones, each starting with another contestant."""
        everybody = list(self.results.values())
        for result in everybody:
            self._observed(result)
        for number in range(count):
            first = number % len(everybody)
            for result in everybody[first:] + everybody[:first]:
                cost = self._run(result.contestant)
                result.seconds.append(cost.seconds)
                # Both are true readings of one process; what the observer's last look missed is in here.
                if result.contestant.kind == contestants.PYRO:
                    result.memory = max(result.memory, cost.largest_process)
                self._say(f"round {number + 1}/{count}", result.contestant, f"{cost.seconds:6.2f} s")
                self._remove_output()

    def _observed(self, result):
        """The round before the timed ones: for memory and disk, and to see that the files come out right.
        It also brings everything into the page cache that will be read."""
        contestant = result.contestant
        cost = self._run(contestant, observe=True)
        result.memory, result.disk_peak = cost.memory, cost.disk
        if contestant.artifacts:
            files = self._out / contestant.artifacts
            result.disk_after = measure.allocated_bytes(self._out)
            for name in ARTIFACTS:
                if not filecmp.cmp(files / name, self.registry.environment / name, shallow=False):
                    raise SystemExit(f"bench: {contestant.name} did not reproduce {name}")
        self._say("observed", contestant, f"{cost.memory / 2**20:6.0f} MiB")
        self._remove_output()

    def _run(self, contestant, observe=False):
        """Starts from the same state for everybody: an empty directory, nothing left to be written by
        earlier runs, and the layer in the page cache on both sides."""
        image = self.registry.images[contestant.compression]
        self._out.mkdir()
        os.sync()
        for path in (image.layer, *self._stored_layers()):
            read_through(path)
        environment = contestants.environment(image, self.registry, self.pyro, self.work, self._out)
        command = ["bash", "-c", f"set -o pipefail; {contestant.script}"]
        log_path = self.work / "log"
        with open(log_path, "wb") as log:
            try:
                return measure.run(command, environment, log, self._out if observe else None)
            except measure.CommandFailed:
                tail = log_path.read_text(errors="replace")[-2000:]
                raise SystemExit(f"bench: {contestant.name} failed:\n{tail}") from None

    @property
    def _out(self):
        return self.work / "out"

    def _stored_layers(self):
        blobs = self.registry.directory / "images/docker/registry/v2/blobs"
        return blobs.glob("sha256/*/*/data")

    def _remove_output(self):
        shutil.rmtree(self._out)

    def _say(self, stage, contestant, figure):
        self.say(f"  {stage:10}  {contestant.compression:4}  {contestant.name:28} {figure}")


def read_through(path):
    with open(path, "rb") as file:
        while file.read(1 << 20):
            pass


def data_bytes(directory):
    """What the artifacts would take if nothing but their blocks that are not zero were stored."""
    return sum(nonzero_blocks(pathlib.Path(directory) / name) for name in ARTIFACTS) * 4096


def nonzero_blocks(path):
    zeros, count = bytes(4096), 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            if chunk.count(0) == len(chunk):
                continue
            for start in range(0, len(chunk), 4096):
                block = chunk[start : start + 4096]
                count += block != zeros[: len(block)]
    return count
