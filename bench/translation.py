"""Counts the blocks of guest code that an emulator translates: what a short run takes most of its time for, and
a figure that nothing else on the machine moves.

A confined monitor writes into no file of the caller's choice, and into the device of KVM, which an emulator does
not use. Thus the FIFO of the log lies over that device, in a mount namespace of the measured command."""
import contextlib
import os
import select
import shutil
import subprocess

MARK = b"\nIN:"  # begins each block in the log
PATIENCE = 0.05  # seconds
DEVICE = "/dev/kvm"
OVER_DEVICE = f'mount --bind "$0" {DEVICE} && exec "$@"'


def counts_translation():
    return os.geteuid() == 0 and os.path.exists(DEVICE)


class TranslationLog:
    """A context: a QEMU that writes what it translates into a FIFO, and the reader of it."""

    def __init__(self, work):
        self.program, self.path = work / "qemu-that-logs", work / "translated"

    def __enter__(self):
        os.mkfifo(self.path)
        self.program.write_text(f'#!/bin/sh\nexec {shutil.which("qemu-system-x86_64")} "$@" -d in_asm -D {DEVICE}\n')
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
        command = ["unshare", "--mount", "sh", "-c", OVER_DEVICE, str(self.path), *command]
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
