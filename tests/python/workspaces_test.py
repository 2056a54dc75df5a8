#!/usr/bin/env python3
"""Tests of workspaces in Python. PYRO_TEST_STORE holds the options of a store with tool:1."""

from __future__ import annotations

import json
import os
import tempfile
import unittest
from pathlib import Path

import pyro_env

SHAPE = {"environment": "tool:1", "memory_mib": 192, "disk_mib": 128}


class WorkspacesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        store = pyro_env.EnvironmentStore(options=json.loads(os.environ["PYRO_TEST_STORE"]))
        cls.workspaces = pyro_env.Workspaces(
            store=store, directory=Path(cls.directory.name) / "workspaces"
        )
        cls.seed = Path(cls.directory.name) / "seed"
        cls.seed.mkdir()
        (cls.seed / "file").write_text("one\ntwo\n")
        cls.workspace = cls.workspaces.create("w", from_directory=cls.seed, **SHAPE)

    @classmethod
    def tearDownClass(cls):
        for one in cls.workspaces.list():
            cls.workspaces[one["name"]].remove(force=True)
        cls.directory.cleanup()

    def setUp(self):
        self.workspace.reset()

    def shell(self, script, **options):
        return self.workspace.run(["sh", "-c", script], **options)

    def test_commands_run_in_the_workspace(self):
        end = self.shell("pwd; cat; echo err >&2; exit 3", input=b"input\n")
        self.assertEqual((end.stdout, end.stderr, end.exit_code), (b"/workspace\ninput\n", b"err\n", 3))
        self.assertEqual(self.workspaces.list()[0]["name"], "w")
        with self.assertRaises(pyro_env.NotFoundError):
            self.workspaces["none"]

    def test_processes_are_kept(self):
        number = self.workspace.spawn(["sh", "-c", "printf 'a\\377'; sleep 1000"])
        while self.workspace.output(number) != b"a\xff":
            pass
        self.workspace.signal(number, "KILL")
        while self.workspace.processes()[-1]["running"]:
            pass
        self.assertEqual(self.workspace.processes()[-1]["exit_code"], 137)

    def test_files_are_changed_compared_and_copied(self):
        self.workspace.write("new", b"\0\1")
        self.assertEqual(self.workspace.read("new"), b"\0\1")
        self.workspace.patch("--- a/file\n+++ b/file\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n")
        diff = self.workspace.diff("file")
        self.assertEqual(diff["files"], [{"path": "file", "binary": False, "added": 1, "removed": 1}])
        self.assertIn("+2\n", diff["patch"])
        copied = self.workspace.copy_out("/workspace/.", self.seed)
        self.assertEqual(copied, pyro_env.CopiedOut((), (), ()))
        self.assertEqual((self.seed / "file").read_text(), "one\n2\n")
        with self.assertRaisesRegex(pyro_env.PyroError, "does not apply"):
            self.workspace.patch("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-three\n+3\n")

    def test_snapshots_and_forks(self):
        self.shell("echo then > state")
        self.assertEqual(self.workspace.snapshot("then"), "then")
        self.shell("echo now > state")
        other = self.workspace.fork("other", snapshot="then")
        self.assertEqual(other.run(["cat", "state"]).stdout, b"then\n")
        other.remove(force=True)
        self.workspace.reset(to="then")
        self.assertEqual(self.workspace.read("state"), b"then\n")
        self.assertIn("then", [one["name"] for one in self.workspace.snapshots()])
        self.workspace.remove_snapshots("then")
        self.workspace.suspend()
        self.assertEqual(self.workspace.status()["state"], "suspended")
        self.workspace.stop()
        self.assertEqual(self.workspace.status()["state"], "stopped")


if __name__ == "__main__":
    unittest.main()
