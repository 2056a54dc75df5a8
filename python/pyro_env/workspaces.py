"""Workspaces: machines with a name and a disk that stay until they are deleted (docs/workspaces.md)."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environments import EnvironmentStore, Progress
from .machines import CompletedCommand, Output, command_fields, complete


@dataclass(frozen=True)
class CopiedOut:
    """What a copy out did not do, and what to look at."""

    #: Files that were changed on the host since the workspace was made.
    left_alone: tuple[str, ...]
    #: Entries called .git, in a checkout.
    left_out: tuple[str, ...]
    #: New files in a checkout that programs may run without being told.
    may_run: tuple[str, ...]


class Workspaces:
    """The workspaces of a user. Any number of threads and processes may use the same ones.

        >>> fix = Workspaces().create("fix", environment="debian:12-build", from_directory=".")
        >>> fix.run(["make", "test"]).exit_code
        >>> print(fix.diff()["patch"])
    """

    def __init__(
        self,
        *,
        store: EnvironmentStore | None = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        place = None if directory is None else os.fspath(directory)
        self._workspaces = (store or EnvironmentStore())._open_workspaces(place)

    def create(
        self,
        name: str,
        *,
        environment: str = "debian:12",
        from_directory: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> Workspace:
        """Makes a workspace, as a whole or not at all; one of that name is left as it is. ``options``
        are those of the request ``create`` (pyro/pyro.h): ``memory_mib``, ``idle``, ``ttl``, ..."""
        fields = {"environment": environment, **options}
        if from_directory is not None:
            fields["from"] = os.path.abspath(from_directory)
        self._workspaces.call("create", name, fields, progress)
        return Workspace(self._workspaces, name)

    def __getitem__(self, name: str) -> Workspace:
        """An existing one; ``NotFoundError`` where there is none."""
        workspace = Workspace(self._workspaces, name)
        workspace.status()
        return workspace

    def list(self) -> list[dict[str, Any]]:
        """The state of each, as ``pyro workspace list --json`` tells."""
        return self._workspaces.call("list", None, {}, None)["workspaces"]


class Workspace:
    """One workspace. Its machine starts or resumes when it is needed, and goes on without this program."""

    def __init__(self, workspaces: Any, name: str) -> None:
        self._workspaces = workspaces
        self.name = name

    def _call(self, request: str, progress: Progress | None = None, **fields: object) -> dict[str, Any]:
        return self._workspaces.call(request, self.name, fields, progress)

    def status(self) -> dict[str, Any]:
        return self._call("status")

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | int | None = None,
        output: Output | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        timeout: float | None = None,
        **options: object,
    ) -> CompletedCommand:
        """Runs a command to its end, in /workspace, as ``Machine.run()`` does."""
        fields = command_fields(command, env=env, cwd=cwd, user=user, timeout=timeout, **options)

        def run(asked: dict[str, object], source: int, hear: Output) -> dict[str, Any]:
            return self._workspaces.run(self.name, asked, source, hear)

        return complete(run, fields, input, output)

    def spawn(self, command: Sequence[str], **options: Any) -> int:
        """Starts a command that goes on by itself. Returns its number."""
        return self._call("spawn", **command_fields(command, **options))["process"]

    def processes(self) -> list[dict[str, Any]]:
        return self._call("processes")["processes"]

    def output(self, process: int, *, error: bool = False, offset: int = 0) -> bytes:
        """What a process has written so far, as far as it is kept."""
        text = b""
        while True:
            piece = self._call("output", process=process, is_error=error, offset=offset)
            text += base64.b64decode(piece["base64"])
            if piece["next"] == offset:
                return text
            offset = piece["next"]

    def signal(self, process: int, name: str = "TERM") -> None:
        self._call("signal", process=process, signal=name)

    def read(self, path: str) -> bytes:
        """The content of a file. A relative path is below /workspace."""
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "file"
            self._call("copy_out", **{"from": path, "to": str(copy)})
            return copy.read_bytes()

    def write(self, path: str, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._call("copy_in", **{"from": file.name, "to": path})

    def copy_in(
        self, source: str | os.PathLike[str], target: str = ".", *, progress: Progress | None = None
    ) -> int:
        """As ``Machine.copy_in()``."""
        fields = {"from": os.path.abspath(source), "to": target}
        return self._call("copy_in", progress, **fields)["left_out"]

    def copy_out(
        self,
        source: str,
        target: str | os.PathLike[str],
        *,
        include_git: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> CopiedOut:
        """Copies a file or tree to the host; nothing is written outside of ``target``. Files that were
        changed there since the workspace was made are left alone, without ``force``."""
        fields = {"from": source, "to": os.fspath(target), "include_git": include_git, "force": force}
        copied = self._call("copy_out", progress, **fields)
        return CopiedOut(**{name: tuple(paths) for name, paths in copied.items()})

    def diff(self, *paths: str, against: str = "baseline", all: bool = False) -> dict[str, Any]:
        """``files`` and ``patch``, as ``pyro workspace diff --json`` tells."""
        return self._call("diff", paths=list(paths), against=against, all=all)

    def patch(self, patch: str) -> list[str]:
        """Applies a patch: all of it, or nothing. Returns the changed files."""
        return self._call("patch", patch=patch)["files"]

    def publish(self, port: str) -> int:
        """Publishes "[ADDRESS:]PORT:GUESTPORT" until the workspace is stopped. Returns the port."""
        return self._call("publish", publish=port)["port"]

    def snapshot(self, name: str = "") -> str:
        return self._call("snapshot", snapshot=name)["name"]

    def snapshots(self) -> list[dict[str, Any]]:
        return self._call("snapshots")["snapshots"]

    def remove_snapshots(self, *names: str) -> None:
        self._call("remove_snapshots", snapshots=list(names))

    def reset(self, to: str = "baseline") -> None:
        self._call("reset", to=to)

    def fork(self, name: str, *, snapshot: str = "") -> Workspace:
        self._call("fork", to=name, snapshot=snapshot)
        return Workspace(self._workspaces, name)

    def commit(
        self,
        environment: str,
        catalog: str | os.PathLike[str],
        *,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Makes an environment of it, whose entry is added to the file ``catalog``."""
        fields = {"environment": environment, "catalog": os.fspath(catalog), "replace": replace}
        self._call("commit", progress, **fields)

    def rename(self, name: str) -> None:
        self._call("rename", to=name)
        self.name = name

    def suspend(self) -> None:
        self._call("suspend")

    def stop(self) -> None:
        self._call("stop")

    def remove(self, *, force: bool = False) -> None:
        self._call("remove", force=force)
