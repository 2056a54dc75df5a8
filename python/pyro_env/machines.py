"""Machines: commands in virtual machines that run environments."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from .environments import EnvironmentStore, Progress
from .errors import PyroError, UsageError

#: Called with 1 or 2 for standard output or error, and the bytes, in another thread than the caller's.
#: What it raises ends the command, and is raised there.
Output = Callable[[int, bytes], None]


@dataclass(frozen=True)
class CompletedCommand:
    """How a command ended, and its output as far as it was kept."""

    command: tuple[str, ...]
    #: As in a shell: 128 + n for a signal, 124 timed out, 126 not executable, 127 not found.
    exit_code: int
    #: The signal that ended it, or ``None``.
    signal: int | None
    timed_out: bool
    #: By Ctrl-C, or an exception of ``output``.
    interrupted: bool
    #: Why it could not be started, or ``None``.
    refusal: str | None
    #: How long it took.
    seconds: float
    stdout: bytes
    stderr: bytes

    def check(self) -> CompletedCommand:
        """Itself, unless the command failed: then ``CommandError`` is raised."""
        if self.exit_code != 0:
            raise CommandError(self)
        return self


class CommandError(PyroError):
    """A command that failed, raised by ``CompletedCommand.check()``."""

    def __init__(self, completed: CompletedCommand) -> None:
        name = completed.command[0] if completed.command else "the command of the image"
        last = completed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        why = completed.refusal or f"{name} ended with exit code {completed.exit_code}"
        super().__init__(why + (f": {last}" if last else ""))
        self.completed = completed


def command_fields(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    user: str | None = None,
    timeout: float | None = None,
    **options: object,
) -> dict[str, object]:
    """A command as the fields of ``pyro_machine_run()``."""
    if isinstance(command, str):
        raise UsageError("the command is a list of words, not a string")
    fields: dict[str, object] = {"command": list(command), **options}
    if env is not None:
        fields["variables"] = [f"{name}={value}" for name, value in env.items()]
    for field, value in (("directory", cwd), ("user", user), ("timeout", timeout)):
        if value is not None:
            fields[field] = value
    return fields


def complete(
    run: Callable[[dict[str, object], int, Output], dict[str, Any]],
    fields: dict[str, object],
    input: bytes | int | None,
    output: Output | None,
) -> CompletedCommand:
    """Runs a command to its end, with its streams."""
    kept: dict[int, list[bytes]] = {1: [], 2: []}

    def keep(stream: int, data: bytes) -> None:
        kept[stream].append(data)

    with tempfile.TemporaryFile() as file:
        if isinstance(input, bytes):
            file.write(input)
            file.seek(0)
        source = input if isinstance(input, int) else file.fileno() if input else -1
        report = run(fields, source, output or keep)
    return CompletedCommand(
        command=tuple(fields["command"]),  # type: ignore[arg-type]
        stdout=b"".join(kept[1]),
        stderr=b"".join(kept[2]),
        **report,
    )


class Machine:
    """A virtual machine that runs an environment, from here until it is closed.

        >>> with Machine("debian:12") as machine:
        ...     print(machine.run(["git", "--version"]).stdout)

    Any number of threads may run commands and copies at the same time. Changes in the guest are lost.
    Methods raise ``PyroError``. Ctrl-C ends a command with SIGINT, and a copy.
    """

    def __init__(
        self,
        name: str,
        *,
        store: EnvironmentStore | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> None:
        """Installs the environment if needed, and starts a machine. ``options`` are those of
        ``pyro_machine_start()`` (pyro/pyro.h): ``cpus``, ``memory_mib``, ``network``, ..."""
        self._machine = (store or EnvironmentStore())._start_machine(name, options, progress)
        self.info: dict[str, Any] = self._machine.describe()

    def run(
        self,
        command: Sequence[str] = (),
        *,
        input: bytes | int | None = None,
        output: Output | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        timeout: float | None = None,
        **options: object,
    ) -> CompletedCommand:
        """Runs a command to its end. Of a container image it may be left out: then its own is run.

        ``input``: bytes, or a descriptor. ``output`` takes the output as it comes; otherwise it is
        kept in ``stdout`` and ``stderr``. ``options`` are those of ``pyro_machine_run()``.
        """
        asked = command_fields(command, env=env, cwd=cwd, user=user, timeout=timeout, **options)
        return complete(self._machine.run, asked, input, output)

    def copy_in(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Copies a file or tree to the guest, with the rules of ``cp -r``. Returns the number of files
        that could not be read and were left out."""
        return self._copy("in", os.fsencode(source), os.fsencode(target), timeout, progress)["left_out"]

    def copy_out(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Copies a file or tree to the host; nothing is written outside of ``target``."""
        self._copy("out", os.fsencode(source), os.fsencode(target), timeout, progress)
        return Path(target)

    def _copy(
        self,
        direction: str,
        source: bytes,
        target: bytes,
        timeout: float | None,
        progress: Progress | None,
    ) -> dict[str, Any]:
        if b"\0" in source or b"\0" in target:
            raise UsageError("a path has no zero byte")
        options = {} if timeout is None else {"timeout": timeout}
        return self._machine.copy(direction, source, target, options, progress)

    def close(self) -> None:
        """Kills the machine. What goes on in it fails."""
        self._machine.stop()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def run(
    name: str,
    command: Sequence[str] = (),
    *,
    store: EnvironmentStore | None = None,
    machine: Mapping[str, object] | None = None,
    **options: Any,
) -> CompletedCommand:
    """Runs one command in a machine of its own, as ``pyro run`` does.

        >>> run("debian:12", ["git", "--version"]).check().stdout

    ``machine`` are options of ``Machine``, all others those of ``Machine.run()``.
    """
    with Machine(name, store=store, **(machine or {})) as one:
        return one.run(command, **options)
