"""Turns the results into tables: for the terminal, and as the page in docs/benchmarks."""
from dataclasses import dataclass

import chart
from contestants import BOUND, PYRO

MIB = 2**20


@dataclass
class Report:
    results: list  # of Result
    rows: list  # of Row
    machine: list  # of (what, value)
    layer_sizes: dict
    data: int
    rounds: int
    command: str

    def of(self, compression):
        """The results of one compression: pyro and its peers by speed, then the bounds."""
        chosen = [r for r in self.results if r.contestant.compression == compression]
        return sorted(chosen, key=lambda r: (r.contestant.kind == BOUND, r.median))

    def pull_table(self, compression):
        pyro = next(r for r in self.of(compression) if r.contestant.kind == PYRO)
        table = [("", "median", "fastest", "slowest", "÷ pyro", "memory", "disk")]
        for result in self.of(compression):
            bound = result.contestant.kind == BOUND
            table.append((
                result.contestant.name,
                f"{result.median:.2f} s",
                f"{min(result.seconds):.2f} s",
                f"{max(result.seconds):.2f} s",
                f"{result.median / pyro.median:.2f}",
                "" if bound else f"{result.memory / MIB:.0f} MiB",
                f"{result.disk_after / MIB:.0f} MiB" if result.disk_after else "",
            ))
        return table

    def rows_table(self):
        return [("", "target", "measured", "")] + [(r.what, r.target, r.measured, r.verdict) for r in self.rows]

    def layer_title(self, compression):
        return f"tar+{compression}, {self.layer_sizes[compression] / MIB:.1f} MiB"

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "README.md").write_text(self.markdown())
        (directory / "pull.svg").write_text(chart.pull_chart(self))

    def terminal(self):
        parts = []
        for compression in self.layer_sizes:
            parts += ["", self.layer_title(compression), "", aligned(self.pull_table(compression))]
        return "\n".join([*parts, "", "Targets", "", aligned(self.rows_table())])

    def markdown(self):
        tables = []
        for compression in self.layer_sizes:
            tables += [f"### {self.layer_title(compression)}", "", piped(self.pull_table(compression)), ""]
        return "\n".join([
            "# Benchmarks",
            "",
            f"Written by `{self.command}`; run it to measure your own machine.",
            "",
            "![Time of a pull, pyro beside other tools](pull.svg)",
            "",
            "## Method",
            "",
            METHOD.format(data=self.data / MIB, rounds=self.rounds),
            *tables,
            "## Targets",
            "",
            piped(self.rows_table()),
            "",
            "## Host",
            "",
            piped([("", "")] + self.machine),
            "",
        ])


METHOD = """\
A real Debian 12 (`tools/build-environment`: a 2 GiB `rootfs.ext4`, its kernel and an initrd, together
{data:.0f} MiB of blocks that are not zero) is one layer of an image in Debian's `docker-registry`, on
loopback, over TLS, on the same cores as everything else. Each contestant writes these three files to the
disk:

* **Alternating**: {rounds} rounds, each beginning with another contestant; the result is the median.
* **Same initial state**: an empty directory, no dirty pages, the layer in the page cache.
* **Synced**: the time ends when the files and their directory are on disk.
* **Same result**: in a round before the timed ones, every output is compared byte for byte.
* **Memory** is the sum of the peaks (`VmHWM`) of all processes of a contestant, including the shell of a
  pipeline: an upper bound of the memory at any one time. It is sampled every 5 ms in the round before the
  timed ones. For pyro the maximum includes the kernel's own count of each timed run (`ru_maxrss`).
* **Disk** is the space used at the end: the three files, and all other files that a contestant leaves.

The bounds do part of the work and keep nothing: the decoder alone, the network alone, and copying the data
from the page cache into new files with the same holes, synced.

**Machines** are `pyro run` from that environment, with one processor, 512 MiB and the accelerator that pyro
chooses. A time is that of the whole process, the median of many runs, alternating between booted and
prepared ones (after `pyro prepare`). A block of guest code is translated once in a run, before its first
execution. A run from the state of its kernel finds no prepared one, as the first run of an image after its pull.
Idle guests run `sleep`; their memory is the sum of `Pss` of their QEMUs. A run fails if its exit code is
not 0 or if it prints anything. It leaves something if a process outlives it, or if the cache, the home or the
temporary directory has changed.

**Container images**: one of three layers (`bench/container_image.py`), of which the second removes and changes files
of the first, from the same registry to one file system on the disk, synced. The figures are medians of the ratios of
each round; memory and disk are those of a pull that is not timed. Its machines boot the environment's kernel.
"""


def aligned(table):
    """Columns for a terminal: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def piped(table):
    """A table in Markdown, in which a bar inside a cell must be escaped."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in table]
    head = "| " + " | ".join(escaped[0]) + " |"
    rule = "| --- |" + " ---: |" * (len(table[0]) - 1) if len(table[0]) > 2 else "| --- | --- |"
    return "\n".join([head, rule] + ["| " + " | ".join(row) + " |" for row in escaped[1:]])
