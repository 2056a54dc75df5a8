"""Counts the blocks of guest code that an emulator translates: what a short run takes most of its time for, and
a figure that nothing else on the machine moves."""
import contextlib
import os
import select
import shutil
import subprocess

MARK = b"\nIN:"  # begins each block in the log
PATIENCE = 0.05  # seconds


class TranslationLog:
    """A context: a QEMU that writes what it translates into a FIFO (it may write no file), and its reader."""

    def __init__(self, work):
        self.program, self.path = work / "qemu-that-logs", work / "translated"

    def __enter__(self):
        os.mkfifo(self.path)
        self.program.write_text(f'#!/bin/sh\nexec {shutil.which("qemu-system-x86_64")} "$@" -d in_asm -D {self.path}\n')
        self.program.chmod(0o755)
        self.fifo = os.open(self.path, os.O_RDWR)  # for writing, too: it has no end between two runs
        return self

    def __exit__(self, *_):
        os.close(self.fifo)
        for path in (self.program, self.path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def blocks(self, command, environment):
        """How many were translated while the command ran, which must end well."""
        environment = environment | {"PYRO_QEMU": str(self.program), "PYRO_KVM": "off"}
        count, tail = 0, b""
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            while True:
                ended = process.poll() is not None
                if not select.select([self.fifo], [], [], PATIENCE)[0]:
                    if ended:
                        break
                    continue
                piece = tail + os.read(self.fifo, 1 << 20)
                count += piece.count(MARK)
                tail = piece[-len(MARK) + 1:]
        if process.returncode != 0:
            raise SystemExit(f"bench: {command} ended with {process.returncode}")
        return count
