"""Measures workspaces, in multiples of one prepared run of true in the same rounds."""
import json
from dataclasses import dataclass
from statistics import median

NAME = "debian:12"
FILES = 1_000
FILE_BYTES = 20_000
IN_USE = 140 << 20
SHAPE = ("--memory", "512M", "--disk", "1G")


@dataclass
class WorkspaceFigures:
    exec: float  # of true in one that runs
    restart: float  # of true in one that is stopped
    empty: float  # create
    seeded: float  # create with FILES files
    reset: float  # to the next answer, as the others
    resume: float  # of a suspended one
    fork: float
    pause: float  # for a snapshot of one that uses IN_USE of its memory


class Workspaces:
    def __init__(self, installed, work, say, quick):
        self.installed, self.say, self.rounds = installed, say, 3 if quick else 11
        self.tree = work / "seed"
        self.made = 0

    def measure(self):
        self._make_files()
        self._seconds("prepare", NAME)
        self._seconds("prepare", NAME, *SHAPE)
        self._seconds("workspace", "create", "bench", "--environment", NAME, *SHAPE)
        self._fill_memory()
        rounds = [self._round() for _ in range(self.rounds)]
        self._seconds("workspace", "delete", "bench")
        figures = WorkspaceFigures(*(median(each) for each in zip(*rounds)))
        for what, ratio in vars(figures).items():
            self.say(f"  {'workspaces':10}  {what:34} {ratio:.2f} x a prepared run")
        return figures

    def _round(self):
        run = self._seconds("run", NAME, "--", "true")
        running = self._seconds("workspace", "exec", "bench", "--", "true")
        self._seconds("workspace", "stop", "bench")
        restart = self._seconds("workspace", "exec", "bench", "--", "true")
        self._seconds("workspace", "suspend", "bench")
        resume = self._answer("bench")
        fork = self._seconds("workspace", "fork", "bench", "child") + self._answer("child")
        self._seconds("workspace", "delete", "child")
        reset = self._seconds("workspace", "reset", "bench") + self._answer("bench")
        states = reset, resume, fork, self._pause()
        return tuple(seconds / run for seconds in (
            running, restart, self._create(), self._create("--from", str(self.tree)), *states))

    def _answer(self, name):
        return self._seconds("workspace", "exec", name, "--", "true")

    def _pause(self):
        """Seconds that the machine stands still for a snapshot."""
        self._fill_memory()
        self._seconds("workspace", "snapshot", "bench", "--json")
        taken = json.loads(self.installed.log.read_text())
        self._seconds("workspace", "snapshot-delete", "bench", taken["name"])
        return taken["paused_seconds"]

    def _fill_memory(self):
        """With what a file system in memory holds, beside what a fresh machine uses."""
        fill = f"used=$(awk '/MemTotal/ {{t=$2}} /MemFree/ {{f=$2}} END {{print (t-f)*1024}}' /proc/meminfo); " \
               f"left=$(({IN_USE} - used)); [ $left -le 0 ] || head -c $left /dev/urandom > /dev/shm/used"
        self._seconds("workspace", "exec", "bench", "--", "sh", "-c", fill)

    def _create(self, *options):
        self.made += 1
        name = f"made-{self.made}"
        seconds = self._seconds("workspace", "create", name, "--environment", NAME, *SHAPE, *options)
        self._seconds("workspace", "delete", name)
        return seconds

    def _seconds(self, *words):
        return self.installed.seconds(self.installed.command(*words))

    def _make_files(self):
        for number in range(FILES):
            folder = self.tree / str(number % 20)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / str(number)).write_bytes(bytes(str(number), "ascii") * (FILE_BYTES // len(str(number))))
