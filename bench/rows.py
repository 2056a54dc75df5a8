"""The targets of pyro, and whether it reaches them."""
from dataclasses import dataclass

MIB = 2**20


@dataclass
class Row:
    what: str
    target: str
    measured: str
    passed: bool | None  # None: not measured here

    @property
    def verdict(self):
        return {True: "pass", False: "MISS", None: "skipped"}[self.passed]


def at_most(what, value, limit, show):
    return Row(what, f"≤ {show(limit)}", show(value), value <= limit)


def at_least(what, value, limit, show):
    return Row(what, f"≥ {show(limit)}", show(value), value >= limit)


def reported(what, value, show):
    """Without a target: it follows the host."""
    return Row(what, "none", show(value), True)


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def mebibytes(count):
    return f"{count / MIB:.1f} MiB"


def times(ratio):
    return f"{ratio:.2f} ×"


def megabytes_per_second(rate):
    return f"{rate / 1e6:.1f} MB/s"


def machine_rows(figures):
    runs, under = f"{figures.runs} runs", f"under {figures.accelerator}"
    return [
        reported(f"run of true {under}, booted", figures.cold, milliseconds),
        reported(f"run of true {under}, prepared", figures.warm, milliseconds),
        reported(f"run of git --version {under}, prepared", figures.git, milliseconds),
        at_least("run of true, booted ÷ prepared", figures.cold / figures.warm, 10, times),
        at_most("run of true, from the state of its kernel ÷ prepared", figures.kernel, 3, times),
        at_least("run of true, booted ÷ from the state of its kernel", figures.kernel_boot, 4, times),
        at_most("first boot of a kernel, which saves its state ÷ a boot", figures.first_boot, 1.15, times),
        *([] if figures.translated is None else
          [at_most("blocks of guest code translated for true, prepared", figures.translated, 18_000, str)]),
        at_most("8 idle guests, memory prepared ÷ booted", figures.idle_warm / figures.idle_cold, 0.25, times),
        at_least("1 GB through standard output", figures.output_rate, 30e6, megabytes_per_second),
        Row("1 GB, byte for byte", "the same", "the same" if figures.output_identical else "another",
            figures.output_identical),
        at_most("1 GB, peak memory of pyro", figures.output_memory, 64 * MIB, mebibytes),
        at_most(f"{runs} one after the other, failures", figures.failed_in_turn, 0, str),
        at_most(f"{runs}, 8 at a time, failures", figures.failed_together, 0, str),
        at_most("processes left by these", figures.processes_left, 0, str),
        at_most("files and sockets left by these", figures.files_left, 0, str),
    ]


def copy_rows(figures):
    files = f"{figures.files} files of 8 bytes"
    return [
        at_least(f"{files}, tar over standard input ÷ copy in", figures.over_tar, 2, times),
        at_most("a hole of 3 GiB in and out ÷ an empty file", figures.over_empty, 1.1, times),
        at_least("300,000 lines on a terminal", figures.terminal_rate, 10e6, megabytes_per_second),
    ]


def workspace_rows(figures):
    return [
        at_most("workspace: exec of true, running ÷ a prepared run", figures.exec, 0.35, times),
        reported("workspace: exec of true, stopped ÷ a prepared run", figures.restart, times),
        at_most("workspace: create, empty ÷ a prepared run", figures.empty, 2.5, times),
        at_most("workspace: create with 1,000 files of 20 MB ÷ a prepared run", figures.seeded, 10, times),
        at_most("workspace: reset to the next answer ÷ a prepared run", figures.reset, 2.5, times),
        at_most("workspace: suspended, to the next answer ÷ a prepared run", figures.resume, 3, times),
        at_most("workspace: fork to the first answer ÷ a prepared run", figures.fork, 2.5, times),
        at_most("workspace: pause for a snapshot, 140 MiB in use ÷ a prepared run", figures.pause, 1, times),
    ]


def container_rows(figures):
    what = f"container image, {figures.layers} layers, {figures.tree / MIB:.0f} MiB, {figures.files} files"
    memory = max(64 * MIB, 64 * MIB + 220 * (figures.files - 100_000))
    disk = 1.02 * figures.tree + 256 * figures.files
    podman = "podman pull ÷ pull of the same"
    return [
        at_most(f"{what}: pull ÷ igzip -dc of its layers", figures.over_igzip, 1.7, times),
        at_least("skopeo + umoci + mke2fs -d ÷ pull of the same", figures.umoci, 7, times),
        Row(podman, f"≥ {times(5)}", figures.why_no_podman, None) if figures.podman is None
        else at_least(podman, figures.podman, 5, times),
        at_most("pull of it with zstd ÷ zstd -dc of its layers", figures.over_zstd, 2.0, times),
        at_most("peak memory of the pull", figures.memory, memory, mebibytes),
        at_most("disk after the pull (du of the tree + 2 % + 256 B a file)", figures.disk, disk, mebibytes),
        at_most("run of true in it ÷ in an environment, booted", figures.booted, 1.2, times),
        at_most("run of true in it ÷ in an environment, prepared", figures.prepared, 1.2, times),
    ]


class Rows:
    def __init__(self, results, commands, data, layer_sizes):
        self.results, self.commands, self.data, self.layer_sizes = results, commands, data, layer_sizes

    def all(self):
        return [
            self._against_bound("gzip", "igzip alone", 1.25),
            self._faster_than("gzip", "curl | igzip | bsdtar -xS", 2.7),
            self._faster_than("gzip", "skopeo copy + umoci unpack", 5.5),
            self._faster_than("gzip", "crane export | tar -x", 4.5, "set CRANE to the tool"),
            self._faster_than("gzip", "Python reference", 10, "set PYRO_REFERENCE to a command"),
            self._against_bound("zstd", "zstd alone", 1.5),
            self._faster_than("zstd", "curl | zstd | bsdtar -xS", 3.5),
            *(self._memory(compression) for compression in self.layer_sizes),
            *(self._disk_after(compression) for compression in self.layer_sizes),
            *(self._disk_peak(compression) for compression in self.layer_sizes),
            *self._commands(),
        ]

    def _pyro(self, compression):
        return self.results[compression, "pyro env pull"]

    def _against_bound(self, compression, bound, limit):
        ratio = self._pyro(compression).median / self.results[compression, bound].median
        command = bound.replace(" alone", " -dc layer >/dev/null")
        return at_most(f"pull of tar+{compression} ÷ {command}", ratio, limit, times)

    def _faster_than(self, compression, peer, factor, how_to=""):
        what = f"{peer} ÷ pull of tar+{compression}"
        if (compression, peer) not in self.results:
            return Row(what, f"≥ {factor:.2f} ×", how_to, None)
        ratio = self.results[compression, peer].median / self._pyro(compression).median
        return at_least(what, ratio, factor, times)

    def _memory(self, compression):
        what = f"peak memory of the pull, tar+{compression}"
        return at_most(what, self._pyro(compression).memory, 64 * MIB, mebibytes)

    def _disk_after(self, compression):
        what = f"disk after the pull, tar+{compression} (data + 1 %)"
        return at_most(what, self._pyro(compression).disk_after, self.data * 1.01, mebibytes)

    def _disk_peak(self, compression):
        what = f"peak disk use of the pull, tar+{compression} (data + 1 % + layer)"
        limit = self.data * 1.01 + self.layer_sizes[compression]
        return at_most(what, self._pyro(compression).disk_peak, limit, mebibytes)

    def _commands(self):
        commands = self.commands
        return [
            at_most("inspect", commands.inspect, 0.010, milliseconds),
            at_most("pull of an installed environment", commands.pull_installed, 0.010, milliseconds),
            at_most("requests sent by these two", commands.requests, 0, str),
            at_most("list with 1,000 installed", commands.list_1000, 0.100, milliseconds),
            # Four times as many may take four times as long, and a quarter more for the noise.
            at_most("list with 4,000 ÷ with 1,000", commands.list_4000 / commands.list_1000, 5, times),
            at_most("--version", commands.version, 0.010, milliseconds),
            at_most("size of the executable, stripped", commands.stripped_bytes, 5 * MIB, mebibytes),
        ]
