"""Measures container images: pulls beside the tools that unpack them today, and runs beside an environment's."""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from statistics import median

import container_image
import measure
from registry import ROOT
from rounds import read_through

NAME = "image:1"  # in catalogs
ENVIRONMENT = "debian:12"
PULL = '"$PYRO" --cache-dir "$OUT/cache" env pull -q "$IMAGE"'
ROOTLESS = "" if os.geteuid() == 0 else "--rootless "
UNPACK = ('skopeo --insecure-policy copy -q "docker://$IMAGE" "oci:$OUT/image:latest" && '
          f'umoci unpack {ROOTLESS}--image "$OUT/image:latest" "$OUT/bundle" && '
          '/sbin/mke2fs -q -t ext4 -m 0 -d "$OUT/bundle/rootfs" "$OUT/rootfs.ext4" 4G && sync "$OUT/rootfs.ext4" "$OUT"')
PODMAN = ('podman --root "$OUT/storage" --runroot "$OUT/running" --storage-driver overlay '
          'pull -q "docker://$IMAGE" && sync -f "$OUT"')


@dataclass
class ContainerFigures:
    """Ratios are medians of those of the rounds; bytes; seconds."""

    layers: int
    files: int
    tree: int  # bytes, as du counts them
    over_igzip: float
    umoci: float  # ÷ pyro
    podman: float | None
    why_no_podman: str
    over_zstd: float
    memory: int
    disk: int
    booted: float  # ÷ the environment's
    prepared: float


@dataclass
class Pull:
    """A way to the files on the disk, or a bound of it: a script that sees $OUT, an empty directory."""

    name: str
    compression: str
    script: str
    seconds: list = field(default_factory=list)

    def over(self, other):
        """Pair by pair, as a machine that others compute on has better minutes and worse ones."""
        return median(mine / others for mine, others in zip(self.seconds, other.seconds))


class Containers:
    def __init__(self, installed, work, say):
        self.installed, self.work, self.say = installed, work, say
        self.registry = installed.registry
        self.images = {}
        self.out = work / "container"

    def measure(self, rounds, runs):
        kept = ROOT / "build/container-image"
        container_image.build(ROOT, kept, self.say)
        for compression in ("gzip", "zstd"):
            self.images[compression] = self._push(kept / compression, compression)
        pyro, igzip = Pull("pyro env pull", "gzip", PULL), Pull("igzip alone", "gzip", self._decoder("igzip"))
        pyro_zstd, zstd = Pull("pyro env pull", "zstd", PULL), Pull("zstd alone", "zstd", self._decoder("zstd"))
        umoci, podman = Pull("skopeo + umoci + mke2fs -d", "gzip", UNPACK), Pull("podman pull", "gzip", PODMAN)
        why_no_podman = self._why_no_podman(podman)
        pulls = [pyro, igzip, umoci, *([] if why_no_podman else [podman]), pyro_zstd, zstd]
        tree = self._tree(umoci)
        memory, disk = self._observed(pyro)
        for number in range(rounds):
            for pull in pulls[number % len(pulls):] + pulls[:number % len(pulls)]:
                pull.seconds.append(self._run(pull).seconds)
                what = f"{pull.compression}  {pull.name}"
                self._say(f"round {number + 1}/{rounds}", what, f"{pull.seconds[-1]:6.2f} s")
                shutil.rmtree(self.out)
        booted, prepared = self._runs(runs)
        return ContainerFigures(
            layers=len(self._layers("gzip")), files=tree[0], tree=tree[1], over_igzip=pyro.over(igzip),
            umoci=umoci.over(pyro), podman=None if why_no_podman else podman.over(pyro), why_no_podman=why_no_podman,
            over_zstd=pyro_zstd.over(zstd), memory=memory, disk=disk, booted=booted, prepared=prepared)

    def _push(self, layout, compression):
        reference = f"{self.registry.address}/pyro/container:{compression}"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", f"oci:{layout}:latest",
                        f"docker://{reference}"], check=True, env=self._environment())
        return layout, reference

    def _layers(self, compression):
        layout, _ = self.images[compression]
        blob = json.loads((layout / "index.json").read_text())["manifests"][0]
        manifest = json.loads(self._blob(layout, blob).read_text())
        return [self._blob(layout, layer) for layer in manifest["layers"]]

    @staticmethod
    def _blob(layout, descriptor):
        return layout / "blobs" / descriptor["digest"].replace(":", "/")

    def _decoder(self, decoder):
        return f'for layer in "$@"; do {decoder} -dc "$layer" || exit; done >/dev/null'

    def _environment(self):
        """Configuration and credentials of nobody, and a catalog that each pull begins anew."""
        return self.installed.environment | {
            "PYRO": str(self.installed.pyro), "OUT": str(self.out), "XDG_CONFIG_HOME": str(self.out / "config")}

    def _run(self, pull, observe=None):
        """Starts from the same state for everybody."""
        self.out.mkdir()
        os.sync()
        layers = self._layers(pull.compression)
        for path in layers:
            read_through(path)
        environment = self._environment() | {"IMAGE": self.images[pull.compression][1]}
        command = ["bash", "-c", pull.script, "bash", *map(str, layers)]
        with open(self.installed.log, "wb") as log:
            try:
                return measure.run(command, environment, log, observe)
            except measure.CommandFailed:
                tail = self.installed.log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"bench: {pull.name} failed:\n{tail}") from None

    def _observed(self, pull):
        """Memory of all processes, and disk."""
        cost = self._run(pull, self.out)
        self._say("observed", pull.name, f"{cost.memory / 2**20:.0f} MiB")
        disk = measure.allocated_bytes(self.out / "cache")
        shutil.rmtree(self.out)
        return cost.memory, disk

    def _tree(self, pull):
        """How many inodes umoci unpacks, and what they take."""
        self._run(pull)
        inodes = {}
        for folder, folders, names in os.walk(self.out / "bundle/rootfs"):
            for path in (folder, *(os.path.join(folder, name) for name in names + folders)):
                status = os.lstat(path)
                inodes[status.st_ino] = status.st_blocks * 512
        shutil.rmtree(self.out)
        return len(inodes), sum(inodes.values())

    def _why_no_podman(self, pull):
        if not shutil.which("podman"):
            return "install podman"
        try:
            self._run(pull)
        except SystemExit as failure:
            return str(failure).strip().splitlines()[-1]
        finally:
            shutil.rmtree(self.out)
        return ""

    def _runs(self, rounds):
        """A machine of the image, booted and prepared, ÷ one of the environment whose kernel it boots."""
        command, seconds = self.installed.command, self.installed.seconds
        seconds(command("env", "add", NAME, "--container", "--base", ENVIRONMENT, self.images["gzip"][1]))
        for name in (NAME, ENVIRONMENT):
            seconds(command("prepare", name))
        return (median(self._pair(what, *options) for _ in range(rounds))
                for what, options in {"booted": ("--cold",), "prepared": ()}.items())

    def _pair(self, what, *options):
        image, environment = (self.installed.seconds(self.installed.command("run", name, *options, "--", "true"))
                              for name in (NAME, ENVIRONMENT))
        self._say(what, "image, environment", f"{image:6.2f} s {environment:6.2f} s")
        return image / environment

    def _say(self, stage, what, figure):
        self.say(f"  {stage:10}  {what:34} {figure}")
