#!/usr/bin/env python3
"""Tests of machines in Python. PYRO_TEST_STORE holds the options of a store with a prepared tool:1."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import unittest
from pathlib import Path

import pyro_env

SHAPE = {"memory_mib": 192, "kvm": "never"}


class MachinesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.store = pyro_env.EnvironmentStore(options=json.loads(os.environ["PYRO_TEST_STORE"]))
        cls.machine = pyro_env.Machine("tool:1", store=cls.store, **SHAPE)

    @classmethod
    def tearDownClass(cls):
        cls.machine.close()

    def shell(self, script, **options):
        return self.machine.run(["sh", "-c", script], **options)

    def test_machine_starts_warm(self):
        self.assertEqual(self.machine.info["started"], "warm")
        self.assertEqual(self.machine.info["name"], "tool:1")

    def test_output_and_exit_code_are_returned(self):
        end = self.shell("echo out; echo err >&2; exit 3")
        self.assertEqual((end.stdout, end.stderr, end.exit_code), (b"out\n", b"err\n", 3))
        with self.assertRaises(pyro_env.CommandError) as caught:
            end.check()
        self.assertEqual(str(caught.exception), "sh ended with exit code 3: err")

    def test_input_variables_directory_and_timeout(self):
        every_byte = bytes(range(256)) * 5000
        self.assertEqual(self.machine.run(["cat"], input=every_byte).stdout, every_byte)
        end = self.shell("echo $A; pwd", env={"A": "a b"}, cwd="/tmp")
        self.assertEqual(end.stdout, b"a b\n/tmp\n")
        end = self.shell("sleep 1000", timeout=0.3)
        self.assertTrue(end.timed_out)
        self.assertEqual(end.exit_code, 124)

    def test_refusal_is_told(self):
        end = self.machine.run(["no-such-program"])
        self.assertEqual(end.exit_code, 127)
        self.assertIn("no-such-program", end.refusal)

    def test_output_is_passed_on_as_it_comes(self):
        heard = []
        end = self.shell("echo 1; echo 2 >&2", output=lambda *piece: heard.append(piece))
        self.assertEqual(sorted(heard), [(1, b"1\n"), (2, b"2\n")])
        self.assertEqual(end.stdout, b"")

    def test_exception_of_output_ends_command(self):
        def refuse(stream, data):
            raise KeyError("enough")

        with self.assertRaises(KeyError):
            self.shell("while echo more; do sleep 0.01; done", output=refuse)
        self.assertEqual(self.shell("echo on").stdout, b"on\n")

    def test_commands_run_at_the_same_time(self):
        ends = {}

        def work(number):
            ends[number] = self.shell(f"seq {number} | tail -n 1; sleep 0.1").stdout

        threads = [threading.Thread(target=work, args=(n,)) for n in (1000, 2000, 3000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(ends, {n: b"%d\n" % n for n in (1000, 2000, 3000)})

    def test_trees_are_copied(self):
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "in")
            source.write_bytes(b"content")
            self.assertEqual(self.machine.copy_in(source, "/work/"), 0)
            back = self.machine.copy_out("/work/in", Path(directory, "out"))
            self.assertEqual(back.read_bytes(), b"content")
            with self.assertRaisesRegex(pyro_env.PyroError, "No such file"):
                self.machine.copy_out("/nowhere", back)

    def test_bad_requests_are_refused(self):
        with self.assertRaises(pyro_env.UsageError):
            self.machine.run("true")
        with self.assertRaisesRegex(pyro_env.UsageError, "no field 'colour'"):
            self.machine.run(["true"], colour="red")
        with self.assertRaises(pyro_env.UsageError):
            pyro_env.Machine("tool:1", store=self.store, cpus=0)
        with self.assertRaises(pyro_env.NotFoundError):
            pyro_env.Machine("nothing:1", store=self.store)

    def test_closed_machine_fails(self):
        with pyro_env.Machine("tool:1", store=self.store, **SHAPE) as machine:
            pass
        with self.assertRaisesRegex(pyro_env.PyroError, "stopped"):
            machine.run(["true"])

    def test_one_command_in_a_machine_of_its_own(self):
        end = pyro_env.run("tool:1", ["echo", "once"], store=self.store, machine=SHAPE)
        self.assertEqual(end.check().stdout, b"once\n")


if __name__ == "__main__":
    unittest.main()
