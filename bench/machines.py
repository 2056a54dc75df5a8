"""Measures machines: how soon a command runs in one, what idle ones hold, what goes through, what is left."""
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import measure
from translation import TranslationLog, counts_translation

NAME = "debian:12"
GUESTS = 8
SETTLE = 2.0  # seconds that guests are left alone before their memory is looked at

# What goes through standard output: a piece of the root file system, which both sides have, so many times, each
# under its number, so that none can be lost, doubled or out of place.
BLOCK_BYTES = 4 << 20
BLOCK_INDEX = 16  # far enough in to lie among files
BLOCKS = 240
SAY_BLOCKS = (
    f"dd if=/dev/vda of=/block bs={BLOCK_BYTES} skip={BLOCK_INDEX} count=1 status=none && "
    f"for i in $(seq {BLOCKS}); do echo $i; cat /block; done"
)

PR_SET_CHILD_SUBREAPER = 36


@dataclass
class MachineFigures:
    """Medians in seconds, memory in bytes."""

    accelerator: str
    cold: float
    warm: float
    git: float
    kernel: float  # from the state of the kernel ÷ prepared
    kernel_boot: float  # booted ÷ from the state of the kernel
    first_boot: float  # the boot that leaves it ÷ booted
    translated: int | None  # blocks of guest code for a prepared run of true, where it is emulated
    idle_cold: int
    idle_warm: int
    output_rate: float  # bytes per second
    output_identical: bool
    output_memory: int  # peak of the pyro process
    runs: int
    failed_in_turn: int
    failed_together: int
    processes_left: int
    files_left: int


@dataclass
class Output:
    rate: float
    identical: bool
    memory: int


class Machines:
    def __init__(self, installed, work, say, quick):
        self.installed, self.work, self.say, self.quick = installed, work, say, quick

    def measure(self):
        adopt_orphans()
        # The first run finds out about KVM; later ones know.
        accelerator = self._started("--cold")["accelerator"]
        idle_cold = self._idle_memory("booted", "--cold")
        self.installed.seconds(self.installed.command("prepare", NAME))
        if self._started()["started"] != "warm":
            raise SystemExit("bench: a run did not start from the state that was prepared for it")
        cold, warm, git = self._times(3 if self.quick else 11)
        kernel = self._kernel_ratios(3 if self.quick else 9)
        idle_warm = self._idle_memory("prepared")
        output = self._output()
        many = self._many_runs(24 if self.quick else 200)
        translated = self._translated() if accelerator == "tcg" else None
        return MachineFigures(
            accelerator, cold, warm, git, *kernel, translated, idle_cold, idle_warm, output.rate, output.identical,
            output.memory, **many,
        )

    def _times(self, rounds):
        """Medians of a booted run, a prepared one, and one of Git; in turns, as a machine that others compute
        on has better minutes and worse ones."""
        kinds = [
            ("booted", 1, ("--cold", "--", "true")),
            ("prepared", 5, ("--", "true")),
            ("prepared, git", 5, ("--", "git", "--version")),
        ]
        seconds = {what: [] for what, _, _ in kinds}
        for _ in range(rounds):
            for what, runs, arguments in kinds:
                seconds[what] += [self.installed.seconds(self._command(*arguments)) for _ in range(runs)]
        for what, taken in seconds.items():
            self._say(what, f"{median(taken):.3f} s, {min(taken):.3f} to {max(taken):.3f}, {len(taken)} runs")
        return (median(taken) for taken in seconds.values())

    def _kernel_ratios(self, rounds):
        """Medians of the ratios of each round. What was prepared is out of the way meanwhile: its environment
        was only pulled."""
        states, aside = self.installed.cache / "prepared" / NAME.replace(":", "_"), self.work / "aside"
        true, seconds = self._command("--", "true"), self.installed.seconds
        ratios = []
        for _ in range(rounds):
            prepared = median(seconds(true) for _ in range(3))
            states.rename(aside)
            first = seconds(true)
            booted = seconds(self._command("--cold", "--", "true"))
            kernel = median(seconds(true, PYRO_PREPARE="never") for _ in range(3))
            shutil.rmtree(states)
            aside.rename(states)
            ratios.append((kernel / prepared, booted / kernel, first / booted))
            self._say("from the kernel", f"{kernel:.3f} s, prepared {prepared:.3f} s, booted {booted:.3f} s, "
                                         f"first boot {first:.3f} s")
        return (median(each) for each in zip(*ratios))

    def _translated(self):
        """The last of all: its monitor is another, and takes a state of its own."""
        if not counts_translation():
            self._say("translated for true", "not counted: it takes root and a device of KVM to hide")
            return None
        with TranslationLog(self.work) as log:
            environment = self.installed.environment
            log.blocks(self.installed.command("prepare", NAME), environment)
            counts = [log.blocks(self._command("--", "true"), environment) for _ in range(5)]
        self._say("translated for true", f"{min(counts)} to {max(counts)} blocks")
        return median(counts)

    def _command(self, *arguments):
        return self.installed.command("run", NAME, *arguments)

    def _started(self, *options):
        """What a run says of itself."""
        command = self._command(*options, "--json", "--", "true")
        answer = subprocess.run(command, env=self.installed.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, check=True)
        return json.loads(answer.stdout)

    def _idle_memory(self, what, *options):
        """Bytes that the monitors of idle guests hold, what they share counted once."""
        with contextlib.ExitStack() as guests:
            pids = [guests.enter_context(self._idle_guest(*options)) for _ in range(GUESTS)]
            time.sleep(SETTLE)
            monitors = [pid for pyro in pids for pid in measure.process_tree(pyro) if pid != pyro]
            if len(monitors) != GUESTS:
                raise SystemExit(f"bench: {GUESTS} guests have {len(monitors)} monitors")
            memory = sum(measure.process_field(pid, "smaps_rollup", "Pss") for pid in monitors)
        self._say(f"{GUESTS} idle, {what}", f"{memory / 2**20:.0f} MiB")
        return memory

    @contextlib.contextmanager
    def _idle_guest(self, *options):
        command = self._command(*options, "--", "sh", "-c", "echo up; exec sleep 1000")
        # In the end it says that it was interrupted.
        with open(self.installed.log, "wb") as log, self._start(command, log) as process:
            try:
                if process.stdout.readline() != b"up\n":
                    raise SystemExit(f"bench: a guest did not come up\n{self.installed.log.read_text()}")
                yield process.pid
            finally:
                process.terminate()

    def _output(self):
        with open(self.installed.registry.environment / "rootfs.ext4", "rb") as file:
            block = os.pread(file.fileno(), BLOCK_BYTES, BLOCK_INDEX * BLOCK_BYTES)
        expected = hashlib.sha256()
        for number in range(1, BLOCKS + 1):
            expected.update(b"%d\n" % number)
            expected.update(block)
        command = self._command("--", "sh", "-c", SAY_BLOCKS)
        output, count = hashlib.sha256(), 0
        started = time.perf_counter()
        with self._start(command) as process, PeakMemory(process.pid) as memory:
            while piece := process.stdout.read1(1 << 20):
                output.update(piece)
                count += len(piece)
        rate = count / (time.perf_counter() - started)
        identical = process.returncode == 0 and output.digest() == expected.digest()
        self._say("output", f"{rate / 1e6:.1f} MB/s, pyro held {memory.peak / 2**20:.1f} MiB")
        return Output(rate, identical, memory.peak)

    def _start(self, command, errors=None):
        return subprocess.Popen(command, env=self.installed.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=errors)

    def _many_runs(self, count):
        """Many runs, in turn and side by side; what of it failed, and what was left behind."""
        files, processes = self._files(), set(measure.process_tree(os.getpid()))
        in_turn = self._failures("in turn", count, 1)
        together = self._failures(f"{GUESTS} at a time", count, GUESTS)
        return {
            "runs": count,
            "failed_in_turn": in_turn,
            "failed_together": together,
            "processes_left": len(set(measure.process_tree(os.getpid())) - processes),
            "files_left": len({path for path, _ in files ^ self._files()}),
        }

    def _failures(self, what, count, at_a_time):
        started = time.perf_counter()
        with ThreadPoolExecutor(at_a_time) as pool:
            failures = sum(pool.map(self._fails, range(count)))
        seconds = time.perf_counter() - started
        self._say(what, f"{count} runs in {seconds:.1f} s, {failures} failed")
        return failures

    def _fails(self, _):
        """Whether a run ends with anything but 0, or has anything to say, such as that it had to boot."""
        run = subprocess.run(self._command("--", "true"), env=self.installed.environment, check=False,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return run.returncode != 0 or run.stdout != b""

    def _files(self):
        """All that a run could leave, sockets too, each with what would tell that it changed; but for the time
        that it notes as the environment's last use, and for that of a folder, whose names are all here."""
        used = os.path.join(self.installed.cache, "used")
        found = set()
        for top in (self.installed.cache, self.installed.temporary, self.work / "home"):
            for folder, folders, names in os.walk(top):
                for name in folders + names:
                    path = os.path.join(folder, name)
                    status = os.lstat(path)
                    changed = 0 if folder == used or name in folders else status.st_mtime_ns
                    found.add((path, (status.st_ino, status.st_mode, status.st_size, changed)))
        return found

    def _say(self, what, figure):
        self.say(f"  {'machines':10}  {what:34} {figure}")


class PeakMemory:
    """A context: looks at the most that one process held, without what came from it."""

    def __init__(self, pid):
        self.pid, self.peak, self.done = pid, 0, threading.Event()
        self.watcher = threading.Thread(target=self._watch)

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.watcher.join()

    def _watch(self):
        while not self.done.wait(measure.OBSERVATION_INTERVAL):
            self.peak = max(self.peak, measure.process_field(self.pid, "status", "VmHWM") or 0)


def adopt_orphans():
    """What outlives its parent is ours from then on, and is found among our own."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt processes")
