"""Runs the tests of a build: many tests in one process, and two processes for each processor.

CTest knows the programs. A GoogleTest program is listed once and its tests run in batches of a few
seconds, the longest first. Each test has its own result, its own output and its own time limit.
"""

import json
import os
import queue
import re
import selectors
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

BATCH_SECONDS = 5
BATCH_TESTS = 60
# What a test of a label takes until it was measured.
GUESSES = {"unit": 0.05, "support": 0.3, "scenario": 0.6, "crash": 5, "fuzz": 0.2}
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

BEGIN = re.compile(r"\[ RUN      \] (\S+)$")
END = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+)(?:, where .*)? \((\d+) ms\)$")
STATUS = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}


@dataclass
class Program:
    """One of CTest's tests."""
    name: str
    command: list
    environment: dict
    label: str
    timeout: float
    is_googletest: bool


@dataclass
class Test:
    program: Program
    filter: str  # of GoogleTest; empty for any other program

    @property
    def name(self):
        return f"{self.program.name}.{self.filter}" if self.filter else self.program.name


@dataclass
class Result:
    test: Test
    status: str = FAILED
    seconds: float = 0
    output: list = field(default_factory=list)


def read_programs(build, names):
    listing = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True,
                             capture_output=True, text=True)
    for test in json.loads(listing.stdout)["tests"]:
        if names and test["name"] not in names:
            continue
        if "command" not in test:
            raise SystemExit(f"{test['name']} is not built in {build}")
        properties = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
        labels = properties.get("LABELS", [])
        yield Program(test["name"], test["command"],
                      dict(line.split("=", 1) for line in properties.get("ENVIRONMENT", [])),
                      next((label for label in labels if label != "googletest"), "script"),
                      properties.get("TIMEOUT", 300), "googletest" in labels)


def list_tests(program):
    if not program.is_googletest:
        return [""]
    listing = subprocess.run([*program.command, "--gtest_list_tests"], check=True, text=True,
                             capture_output=True, env={**os.environ, **program.environment})
    tests, suite = [], ""
    for line in listing.stdout.splitlines():
        name = line.split("#")[0].rstrip()
        if not line.startswith(" "):
            suite = name
        elif not name.strip().startswith("DISABLED_"):
            tests.append(suite + name.strip())
    return tests


def write_json(path, value):
    """As a whole: another runner may read it at the same time."""
    part = path.with_name(f"{path.name}.{threading.get_ident()}")
    part.write_text(json.dumps(value))
    os.replace(part, path)


def read_tests(build, names=()):
    """Every test of the build, or of its programs of these names: the others need not be built. The lists
    of programs that did not change are remembered."""
    memory = Path(build, "test-lists.json")
    known = json.loads(memory.read_text()) if memory.exists() else {}

    def tests_of(program):
        status = os.stat(program.command[0])
        stamp = [program.name, status.st_mtime_ns, status.st_size, program.is_googletest]
        if known.get(program.name, {}).get("stamp") != stamp:
            known[program.name] = {"stamp": stamp, "tests": list_tests(program)}
        return [Test(program, name) for name in known[program.name]["tests"]]

    programs = list(read_programs(build, names))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tests = [test for found in pool.map(tests_of, programs) for test in found]
    write_json(memory, known)
    return tests


def without_check_only(tests):
    """`tests` without those of tests/check_only.txt."""
    lines = Path(__file__).with_name("check_only.txt").read_text().splitlines()
    patterns = [re.compile(line) for line in lines if line and not line.startswith("#")]
    return [test for test in tests if not any(pattern.search(test.name) for pattern in patterns)]


class Batch:
    """Tests of one program, run in one process."""

    def __init__(self, tests, seconds):
        self.tests = tests
        self.seconds = seconds
        self.program = tests[0].program
        self.process = None

    def run(self, environment, told):
        """Calls `told` with each result. A process that dies takes one test with it: the others of
        the batch run in another."""
        left = {test.filter: test for test in self.tests}
        while left and not told.stopped:
            done = self.run_process(list(left.values()), environment, told)
            for name in done:
                left.pop(name, None)

    def run_process(self, tests, environment, told):
        # A caller in the background or under nohup ignores signals, and its children would, too.
        command = ["env", "--default-signal", *self.program.command]
        if self.program.is_googletest:
            command += ["--gtest_color=no", "--gtest_filter=" + ":".join(test.filter for test in tests)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **self.program.environment, **environment}, start_new_session=True)
        reading = Reading(self.process, tests, self.program, told)
        reading.to_the_end()
        return reading.done


class Reading:
    """The output of one process, cut into results."""

    def __init__(self, process, tests, program, told):
        self.process = process
        self.program = program
        self.told = told
        self.by_filter = {test.filter: test for test in tests}
        self.done = []
        self.current = None if program.is_googletest else Result(tests[0])
        self.first = tests[0]
        self.began = time.monotonic()
        self.pending = b""

    def to_the_end(self):
        output = self.process.stdout
        os.set_blocking(output.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            # A process of a test's own may hold the pipe longer than the test itself.
            while self.process.poll() is None and self.in_time():
                if selector.select(0.25):
                    if not self.read():
                        self.wait()
                        break
            self.read()
        self.finish(self.process.wait())

    def wait(self):
        while self.process.poll() is None and self.in_time():
            time.sleep(0.01)

    def in_time(self):
        if time.monotonic() - self.began < self.program.timeout and not self.told.stopped:
            return True
        if self.current:
            self.current.output.append(f"no end within {self.program.timeout:.0f} s")
        end_group(self.process)
        return False

    def read(self):
        """False at the end of the output."""
        while True:
            try:
                part = self.process.stdout.read(1 << 16)
            except BlockingIOError:
                return True
            if part is None:
                return True
            if not part:
                return False
            *lines, self.pending = (self.pending + part).split(b"\n")
            for line in lines:
                self.take(line.decode(errors="replace").rstrip("\r"))

    def take(self, line):
        begin = self.program.is_googletest and BEGIN.search(line)
        if begin and begin[1] in self.by_filter:
            self.current = Result(self.by_filter[begin[1]])
            self.began = time.monotonic()
            return
        end = self.program.is_googletest and END.search(line)
        if end and self.current and end[2] == self.current.test.filter:
            self.current.output.append(line[: end.start()])
            self.tell(STATUS[end[1]], int(end[3]) / 1000)
        elif self.current:
            self.current.output.append(line)

    def tell(self, status, seconds):
        self.current.status = status
        self.current.seconds = seconds
        self.done.append(self.current.test.filter)
        self.told.result(self.current)
        self.current = None

    def finish(self, code):
        if self.pending:
            self.take(self.pending.decode(errors="replace"))
        seconds = time.monotonic() - self.began
        if not self.program.is_googletest:
            if self.current:
                self.tell({0: PASSED, 77: SKIPPED}.get(code, FAILED), seconds)
        elif self.current:
            self.current.output.append(f"the program ended with {code}")
            self.tell(FAILED, seconds)
        elif not self.done or (code not in (0, 1)):
            # Before its first test, or after its last one: a report of a sanitizer comes then.
            self.current = Result(self.by_filter[self.done[-1]] if self.done else self.first)
            self.current.output.append(f"the program ended with {code} outside of its tests")
            self.tell(FAILED, 0)


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Told:
    """Where the results of all threads arrive."""

    def __init__(self, listener, stop_at_failure):
        self.listener = listener
        self.stop_at_failure = stop_at_failure
        self.results = {}
        self.stopped = False
        self.lock = threading.Lock()

    def result(self, result):
        with self.lock:
            if self.stopped:
                return
            self.results[result.test.name] = result
            self.stopped = self.stop_at_failure and result.status == FAILED
            self.listener(result)


def make_batches(tests, times):
    batches, current, seconds = [], [], 0

    def close():
        nonlocal current, seconds
        if current:
            batches.append(Batch(current, seconds))
        current, seconds = [], 0

    for test in tests:
        cost = times.get(test.name, GUESSES.get(test.program.label, 1))
        if current and (current[0].program is not test.program or seconds + cost > BATCH_SECONDS
                        or len(current) == BATCH_TESTS):
            close()
        current.append(test)
        seconds += cost
    close()
    return sorted(batches, key=lambda batch: -batch.seconds)


def default_jobs():
    """Two for each processor: many tests wait."""
    return 2 * len(os.sched_getaffinity(0))


def run_tests(build, tests, *, jobs=0, environment=None, listener=lambda result: None,
              stop_at_failure=False):
    """Runs them. Returns {name: Result}."""
    memory = Path(build, "test-times.json")
    times = json.loads(memory.read_text()) if memory.exists() else {}
    told = Told(listener, stop_at_failure)
    waiting = queue.SimpleQueue()
    running = {}
    for batch in make_batches(tests, times):
        waiting.put(batch)

    def work():
        while not told.stopped:
            try:
                batch = waiting.get_nowait()
            except queue.Empty:
                return
            running[threading.get_ident()] = batch
            batch.run(environment or {}, told)

    threads = [threading.Thread(target=work) for _ in range(jobs or default_jobs())]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        told.stopped = True
        for batch in running.values():
            end_group(batch.process)
        raise
    times.update({name: result.seconds for name, result in told.results.items()})
    write_json(memory, times)
    return told.results
