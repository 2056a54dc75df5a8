"""Measures what goes into a machine and comes out of it: many small files, a hole, and lines on a terminal."""
import shlex
import subprocess
import time
from dataclasses import dataclass
from statistics import median

NAME = "debian:12"
FILES = 100_000
FOLDERS = 100
FILE_BYTES = 8
HOLE_BYTES = 3 << 30
LINES = 300_000
MEMORY = ("--memory", "2G")  # each of the files takes a page of it


@dataclass
class CopyFigures:
    files: int
    over_tar: float  # tar over standard input ÷ copy in
    over_empty: float  # a file that is a hole ÷ an empty file, in and out
    terminal_rate: float  # bytes per second


class Copies:
    def __init__(self, installed, work, say, quick):
        self.installed, self.say, self.rounds = installed, say, 1 if quick else 3
        self.tree = work / "tree"
        self.empty, self.hole, self.out = work / "empty", work / "hole", work / "out"

    def measure(self):
        self._make_files()
        self.installed.seconds(self.installed.command("prepare", NAME, *MEMORY))
        tar, copy = self._medians(self._tar_in, self._copy_in)
        hole, empty = self._medians(lambda: self._both_ways(self.hole), lambda: self._both_ways(self.empty), times=5)
        rate = self._terminal_rate()
        self._say(f"{FILES} files in", f"{copy:.2f} s, tar {tar:.2f} s")
        self._say("a hole of 3 GiB, in and out", f"{hole:.2f} s, an empty file {empty:.2f} s")
        self._say(f"{LINES} lines on a terminal", f"{rate / 1e6:.1f} MB/s")
        return CopyFigures(FILES, tar / copy, hole / empty, rate)

    def _make_files(self):
        for folder in range(FOLDERS):
            (self.tree / str(folder)).mkdir(parents=True)
        for number in range(FILES):
            (self.tree / str(number % FOLDERS) / str(number)).write_bytes(b"8 bytes\n"[:FILE_BYTES])
        self.empty.touch()
        with self.hole.open("wb") as file:
            file.truncate(HOLE_BYTES)

    def _medians(self, *measures, times=None):
        """In turns, as a machine that others compute on has better minutes and worse ones."""
        seconds = [[measure() for measure in measures] for _ in range(times or self.rounds)]
        return (median(each) for each in zip(*seconds))

    def _run(self, *arguments):
        return self.installed.command("run", *MEMORY, NAME, *arguments)

    def _copy_in(self):
        return self.installed.seconds(self._run("--copy-in", f"{self.tree}:/w", "--", "true"))

    def _tar_in(self):
        return self._piped(["tar", "-C", self.tree, "-cf", "-", "."],
                           self._run("--", "sh", "-c", "mkdir /w && tar -C /w -xf -"))

    def _both_ways(self, file):
        subprocess.run(["rm", "-rf", self.out], check=True)
        return self.installed.seconds(
            self._run("--copy-in", f"{file}:/w", "--copy-out", f"/w:{self.out}", "--", "true"))

    def _piped(self, source, target):
        """How long two commands take, one of which reads what the other writes."""
        command = " | ".join(shlex.join(map(str, one)) for one in (source, target))
        started = time.perf_counter()
        subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], env=self.installed.environment, check=True,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - started

    def _terminal_rate(self):
        """Of the lines alone: what the same run takes without them is taken off."""
        count = sum(len(str(number)) + 2 for number in range(1, LINES + 1))  # a terminal adds CR
        lines, none = self._medians(lambda: self._on_terminal(LINES), lambda: self._on_terminal(0), times=5)
        return count / max(lines - none, 1e-3)

    def _on_terminal(self, lines):
        return self.installed.seconds(self._run("-t", "--no-stdin", "--", "seq", str(lines)))

    def _say(self, what, figure):
        self.say(f"  {'copies':10}  {what:34} {figure}")
