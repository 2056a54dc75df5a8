"""Runs a command and measures its cost: time, memory of all its processes, peak disk use."""
import contextlib
import os
import pathlib
import subprocess
import threading
import time
from dataclasses import dataclass, field

OBSERVATION_INTERVAL = 0.005  # seconds


@dataclass
class Cost:
    seconds: float
    # Peak resident bytes of the largest process, as the kernel counted. Never less than what this program held
    # when it started the process: the count begins before the exec.
    largest_process: int
    memory: int = 0  # sum of the peaks of all processes: an upper bound of what they held together
    disk: int = 0  # most bytes allocated in the watched directory at any moment


class CommandFailed(Exception):
    pass


def allocated_bytes(directory):
    """Bytes of disk that the regular files under a directory take."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # files come and go while we look
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def process_tree(root):
    """A process and all that came from it, by number."""
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    pending.extend(map(int, children.read().split()))


def process_field(pid, file, name):
    """A line such as "VmHWM:  1234 kB" of a file in /proc/PID, in bytes; none, once the process is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{file}") as lines:
        for line in lines:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


@dataclass
class Observer:
    """Looks at a process tree every few milliseconds.

    The kernel keeps the peak of each process (VmHWM), so a look at any moment sees all that came before;
    only what a process gains between the last look and its end is missed.
    """

    root: int
    directory: pathlib.Path
    peaks: dict = field(default_factory=dict)
    disk: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def look(self):
        for pid in process_tree(self.root):
            if peak := process_field(pid, "status", "VmHWM"):
                self.peaks[pid] = peak
        self.disk = max(self.disk, allocated_bytes(self.directory))

    def watch(self):
        while not self.done.wait(OBSERVATION_INTERVAL):
            self.look()


def run(command, environment, log, observe=None):
    """Runs a command to its end. With `observe`, a directory, also measures memory and disk; that costs the
    command a little time, so runs that are timed are not observed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    observer = watcher = None
    if observe:
        observer = Observer(process.pid, observe)
        watcher = threading.Thread(target=observer.watch)
        watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if watcher:
        observer.done.set()
        watcher.join()
    if process.returncode != 0:
        raise CommandFailed(f"exit code {process.returncode} from: {' '.join(map(str, command))}")
    cost = Cost(seconds, usage.ru_maxrss * 1024)
    if observer:
        cost.memory, cost.disk = sum(observer.peaks.values()), observer.disk
    return cost
