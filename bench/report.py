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
        return "\n".join([*parts, "", "What must be reached", "", aligned(self.rows_table())])

    def markdown(self):
        tables = []
        for compression in self.layer_sizes:
            tables += [f"### {self.layer_title(compression)}", "", piped(self.pull_table(compression)), ""]
        return "\n".join([
            "# Benchmarks",
            "",
            f"Written by `{self.command}`; run it for figures of your own machine.",
            "",
            "![Time of a pull, pyro beside other tools](pull.svg)",
            "",
            "## What is measured",
            "",
            METHOD.format(data=self.data / MIB, rounds=self.rounds),
            *tables,
            "## What must be reached",
            "",
            piped(self.rows_table()),
            "",
            "## The machine",
            "",
            piped([("", "")] + self.machine),
            "",
        ])


METHOD = """\
A real Debian 12 (`tools/build-environment`: a 2 GiB `rootfs.ext4`, its kernel and an initrd, together
{data:.0f} MiB of blocks that are not zero) is one layer of an image in Debian's `docker-registry`, on
loopback, over TLS, on the same cores as everything else. Each contestant brings the three files from there
onto the disk:

* **In turns**, {rounds} rounds, each beginning with another contestant; the median counts.
* **From the same state**: an empty directory, nothing waiting to be written, the layer in the page cache.
* **Synced**: the time ends when the files and their directory are on disk.
* **The same result**: in a round before the timed ones, every output is compared byte for byte.
* **Memory** is the sum of the peaks (`VmHWM`) of all processes of a contestant, the shell of a pipeline
  included, so an upper bound of what they held at one time; seen every 5 ms in the round before. For pyro
  the kernel's own count of each timed run (`ru_maxrss`) is taken in, too.
* **Disk** is what lies on it when all is done: the three files, and what else a contestant leaves.

The bounds keep nothing: the decoder alone, the network alone, and the data alone copied from the page cache
into new files with the same holes, and synced.

**Machines** are `pyro run` from that environment, with one processor, 512 MiB and the accelerator that pyro
chooses; a time is that of the whole process, the median of many, in turns booted and prepared, which means
after `pyro prepare`. A block of guest code is translated once in a run, before it is first executed. Idle
guests sleep in a shell's place; their memory is the sum of `Pss` of their QEMUs. A run fails if it ends with
anything but 0 or says a word, and leaves something if a process outlives it, or if the cache, the home or
the temporary directory is not what it was.
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
