"""The C API (pyro/pyro.h) through ctypes: JSON in, JSON out, and exceptions for errors.

The library is the file in the variable ``PYRO_LIBRARY``, or else the one beside this module, as in a
wheel, or else ``libpyro.so.0`` as the dynamic linker finds it.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import UsageError, error_of

Document = Any
Progress = Callable[[dict[str, Any]], None]

_PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_OUTPUT = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char), ctypes.c_size_t
)
_ERROR = ctypes.POINTER(ctypes.c_void_p)


class _Streams(ctypes.Structure):
    _fields_ = [("input", ctypes.c_int), ("output", _OUTPUT), ("context", ctypes.c_void_p)]


# Documents are c_void_p: a c_char_p would be copied, and the original lost to pyro_free().
_FUNCTIONS = {
    "pyro_version": (ctypes.c_char_p, []),
    "pyro_free": (None, [ctypes.c_void_p]),
    "pyro_store_open": (
        ctypes.c_void_p,
        [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), _ERROR],
    ),
    "pyro_store_close": (None, [ctypes.c_void_p]),
    "pyro_store_describe": (ctypes.c_void_p, [ctypes.c_void_p, _ERROR]),
    "pyro_store_list": (ctypes.c_void_p, [ctypes.c_void_p, _ERROR]),
    "pyro_store_inspect": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, _ERROR]),
    "pyro_operation_new": (ctypes.c_void_p, [_PROGRESS, ctypes.c_void_p]),
    "pyro_operation_stop": (None, [ctypes.c_void_p]),
    "pyro_operation_free": (None, [ctypes.c_void_p]),
    "pyro_store_ensure_installed": (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, _ERROR],
    ),
    "pyro_store_pull": (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, _ERROR],
    ),
    "pyro_store_verify": (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, _ERROR],
    ),
    "pyro_store_prune": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p, _ERROR]),
    "pyro_machine_start": (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, _ERROR],
    ),
    "pyro_machine_describe": (ctypes.c_void_p, [ctypes.c_void_p, _ERROR]),
    "pyro_machine_run": (
        ctypes.c_void_p,
        [
            ctypes.c_void_p,
            ctypes.c_char_p,
            ctypes.POINTER(_Streams),
            ctypes.c_void_p,
            _ERROR,
        ],
    ),
    "pyro_machine_copy_in": (
        ctypes.c_void_p,
        [ctypes.c_void_p] + 3 * [ctypes.c_char_p] + [ctypes.c_void_p, _ERROR],
    ),
    "pyro_machine_copy_out": (
        ctypes.c_void_p,
        [ctypes.c_void_p] + 3 * [ctypes.c_char_p] + [ctypes.c_void_p, _ERROR],
    ),
    "pyro_workspaces_open": (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_char_p, _ERROR],
    ),
    "pyro_workspaces_close": (None, [ctypes.c_void_p]),
    "pyro_workspaces_call": (
        ctypes.c_void_p,
        [ctypes.c_void_p] + 3 * [ctypes.c_char_p] + [ctypes.c_void_p, _ERROR],
    ),
    "pyro_workspaces_run": (
        ctypes.c_void_p,
        [ctypes.c_void_p]
        + 2 * [ctypes.c_char_p]
        + [ctypes.POINTER(_Streams), ctypes.c_void_p, _ERROR],
    ),
    "pyro_machine_stop": (None, [ctypes.c_void_p]),
    "pyro_machine_free": (None, [ctypes.c_void_p]),
}


def beside_this_module(name: str) -> str | None:
    """A file that a wheel installs with the module, or ``None``."""
    path = Path(__file__).with_name(name)
    return str(path) if path.exists() else None


@functools.cache
def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(
        os.environ.get("PYRO_LIBRARY") or beside_this_module("libpyro.so.0") or "libpyro.so.0"
    )
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def version() -> str:
    """The version of pyro."""
    return _load().pyro_version().decode()


def _take(document: int) -> Document:
    try:
        return json.loads(ctypes.string_at(document))
    finally:
        _load().pyro_free(document)


def _call(name: str, *arguments: object) -> int:
    """Calls a function that returns a pointer, and raises its error as an exception."""
    error = ctypes.c_void_p()
    result = getattr(_load(), name)(*arguments, ctypes.byref(error))
    if result is not None:
        return result
    if error.value is None:
        raise MemoryError(f"{name}() failed without an error")
    raise error_of(_take(error.value))


def _text(value: str) -> bytes:
    """A name as bytes for C. A name with a zero byte cannot be passed."""
    if "\0" in value:
        raise UsageError(f"{value!r} has a zero byte")
    return value.encode(errors="surrogateescape")


def _options(fields: Mapping[str, object]) -> bytes:
    """Options as JSON, which is UTF-8: other paths cannot be options."""
    text = json.dumps(dict(fields), default=os.fspath, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{text!r} is not UTF-8") from error


class Operation:
    """A long call: reports progress, and can be stopped."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        # Kept: ctypes does not, and the library calls it.
        self._hear_c = _PROGRESS(self._hear) if progress else _PROGRESS()
        self.handle = _load().pyro_operation_new(self._hear_c, None)
        self.failure: BaseException | None = None
        if self.handle is None:
            raise MemoryError("pyro_operation_new() failed")
        self._free = weakref.finalize(self, _load().pyro_operation_free, self.handle)

    def stop(self) -> None:
        _load().pyro_operation_stop(self.handle)

    def _hear(self, _context: object, event: bytes) -> None:
        # An exception cannot cross C: it ends the call, and is raised where that was made.
        try:
            if self.failure is None and self._progress is not None:
                self._progress(json.loads(event))
        except BaseException as exception:  # noqa: BLE001
            self.failure = exception
            self.stop()


class Store:
    """A ``pyro_store``, for any number of threads."""

    def __init__(self, options: Mapping[str, object], variables: Mapping[bytes, bytes]) -> None:
        strings = [name + b"=" + value for name, value in variables.items()]
        environment = (ctypes.c_char_p * (len(strings) + 1))(*strings, None)
        self._handle = _call("pyro_store_open", _options(options), environment)
        self._close = weakref.finalize(self, _load().pyro_store_close, self._handle)

    def describe(self) -> Document:
        return _take(_call("pyro_store_describe", self._handle))

    def list(self) -> Document:
        return _take(_call("pyro_store_list", self._handle))

    def inspect(self, name: str) -> Document:
        return _take(_call("pyro_store_inspect", self._handle, _text(name)))

    def ensure_installed(self, name: str, progress: Progress | None) -> Document:
        return self._operate("pyro_store_ensure_installed", progress, _text(name))

    def pull(self, name: str, mode: str, progress: Progress | None) -> Document:
        return self._operate("pyro_store_pull", progress, _text(name), _options({"mode": mode}))

    def verify(self, name: str, progress: Progress | None) -> Document:
        return self._operate("pyro_store_verify", progress, _text(name))

    def prune(self, options: Mapping[str, object]) -> Document:
        return _take(_call("pyro_store_prune", self._handle, _options(options)))

    def start_machine(
        self, name: str, options: Mapping[str, object], progress: Progress | None
    ) -> Machine:
        def start(operation: Operation) -> int:
            return _call(
                "pyro_machine_start", self._handle, _text(name), _options(options), operation.handle
            )

        return Machine(_watch(progress, start, lose=_load().pyro_machine_free))

    def open_workspaces(self, directory: str | None) -> Workspaces:
        place = None if directory is None else _text(directory)
        return Workspaces(_call("pyro_workspaces_open", self._handle, place))

    def _operate(self, name: str, progress: Progress | None, *arguments: object) -> Document:
        # Read on that thread: an interrupt of the waiting thread would lose the document.
        def call(operation: Operation) -> Document:
            return _take(_call(name, self._handle, *arguments, operation.handle))

        return _watch(progress, call)


class Machine:
    """A ``pyro_machine``, for any number of threads."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._free = weakref.finalize(self, _load().pyro_machine_free, handle)

    def describe(self) -> Document:
        return _take(_call("pyro_machine_describe", self._handle))

    def run(
        self,
        command: Mapping[str, object],
        input: int,
        output: Callable[[int, bytes], None],
    ) -> Document:
        return _run("pyro_machine_run", (self._handle, _options(command)), input, output)

    def copy(
        self, direction: str, source: bytes, target: bytes, options: Mapping[str, object],
        progress: Progress | None,
    ) -> Document:
        def call(operation: Operation) -> Document:
            return _take(
                _call(
                    f"pyro_machine_copy_{direction}",
                    self._handle,
                    source,
                    target,
                    _options(options),
                    operation.handle,
                )
            )

        return _watch(progress, call)

    def stop(self) -> None:
        _load().pyro_machine_stop(self._handle)


class Workspaces:
    """``pyro_workspaces``, for any number of threads."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._close = weakref.finalize(self, _load().pyro_workspaces_close, handle)

    def call(
        self,
        request: str,
        name: str | None,
        options: Mapping[str, object],
        progress: Progress | None,
    ) -> Document:
        def call(operation: Operation) -> Document:
            return _take(
                _call(
                    "pyro_workspaces_call",
                    self._handle,
                    _text(request),
                    None if name is None else _text(name),
                    _options(options),
                    operation.handle,
                )
            )

        return _watch(progress, call)

    def run(
        self,
        name: str,
        command: Mapping[str, object],
        input: int,
        output: Callable[[int, bytes], None],
    ) -> Document:
        arguments = (self._handle, _text(name), _options(command))
        return _run("pyro_workspaces_run", arguments, input, output)


def _run(
    name: str,
    arguments: tuple[object, ...],
    input: int,
    output: Callable[[int, bytes], None],
) -> Document:
    """Calls a function that runs a command, and hands its output to ``output``."""
    failures: list[BaseException] = []

    def call(operation: Operation) -> Document:
        def hear(_context: object, stream: int, data: Any, size: int) -> None:
            try:
                if not failures:
                    output(stream, ctypes.string_at(data, size))
            except BaseException as exception:  # noqa: BLE001
                failures.append(exception)
                operation.stop()

        streams = _Streams(input, _OUTPUT(hear), None)
        return _take(_call(name, *arguments, ctypes.byref(streams), operation.handle))

    report = _watch(None, call)
    if failures:
        raise failures[0]
    return report


def _watch(
    progress: Progress | None,
    call: Callable[[Operation], Any],
    lose: Callable[[Any], None] = lambda result: None,
) -> Any:
    """Makes the call in a thread of its own: while the main thread is in C, Python handles no signal,
    so Ctrl-C would have no effect. ``lose`` releases the result of a call that was interrupted."""
    operation = Operation(progress)
    results: list[Any] = []
    failures: list[BaseException] = []
    done = threading.Event()  # after Ctrl-C, join() would treat the thread as ended

    def work() -> None:
        try:
            results.append(call(operation))
        except BaseException as exception:  # noqa: BLE001
            failures.append(exception)
        done.set()

    threading.Thread(target=work, name="pyro").start()
    try:
        done.wait()
    except BaseException:
        operation.stop()
        done.wait()
        for result in results:
            lose(result)
        raise
    for failure in (operation.failure, *failures):
        if failure is not None:
            for result in results:
                lose(result)
            raise failure
    return results[0]
