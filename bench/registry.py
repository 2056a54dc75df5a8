"""The registry that every contestant pulls from: the demo's, with the environment as two images."""
import hashlib
import pathlib
import subprocess
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "registry"
REPOSITORY = "pyro/debian-12"
SUFFIXES = {"gzip": "gz", "zstd": "zst"}


@dataclass
class Image:
    """The environment as one layer of one compression, in the registry and as a local file."""

    compression: str
    layer: pathlib.Path
    address: str
    reference: str  # host:port/repository:tag
    layer_url: str
    catalog: pathlib.Path

    @property
    def size(self):
        return self.layer.stat().st_size


class Registry:
    """A context: serves within it, is gone after it."""

    def __init__(self, directory, environment):
        self.directory = directory
        self.environment = environment

    def __enter__(self):
        # It dies with us, however we end.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", TOOL, "serve", self.directory], stdout=subprocess.PIPE, text=True
        )
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            raise SystemExit("bench: the registry did not start")
        self.images = {compression: self._push(compression) for compression in SUFFIXES}
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    @property
    def authority(self):
        return self.directory / "ca.pem"

    def requests(self):
        """How many requests it has answered so far."""
        with open(self.directory / "access.log", "rb") as log:
            return sum(1 for _ in log)

    def _push(self, compression):
        layer = self.environment / f"environment.tar.{SUFFIXES[compression]}"
        diff_id = "sha256:" + (self.environment / "environment.tar.sha256").read_text().split()[0]
        name = f"{REPOSITORY}:{compression}"
        digest = self._tool("push", name, layer, diff_id).strip()
        catalog = self.directory / f"{compression}.json"
        catalog.write_text(self._tool("catalog", name, digest))
        with open(layer, "rb") as file:
            layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
        layer_url = f"https://{self.address}/v2/{REPOSITORY}/blobs/sha256:{layer_digest}"
        return Image(compression, layer, self.address, f"{self.address}/{name}", layer_url, catalog)

    def _tool(self, verb, *arguments):
        command = [TOOL, verb, self.directory, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
