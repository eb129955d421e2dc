"""What goes wrong, as exceptions; and calls that wait."""

from __future__ import annotations

import ctypes
import errno
import time
from typing import Any, Callable, Dict, Optional, Tuple, Type

from ._c import lib


class Error(OSError):
    """An error of the library: errno, strerror, and in filename the name it is about."""


class Timeout(Error, TimeoutError):
    """The time is over, or it was 0 and the call would have had to wait."""


class NoSuchName(Error, FileNotFoundError):
    """There is no mailbox or region of that name."""


class Exists(Error, FileExistsError):
    """It is there, with other options than the ones given."""


class Denied(Error, PermissionError):
    """Not yours to do: permissions, or the mailbox has an owner."""


class Ended(Error):
    """The mailbox or region was removed, or its owner is dead."""


class TooLong(Error):
    """A message longer than the buffer, or of another length than the mailbox has."""


class Interrupted(Error):
    """interrupt() ended the wait."""


class Forked(Error, ChildProcessError):
    """The handle is from before a fork: open again in the child."""


_CLASSES: Dict[int, Type[Error]] = {
    errno.EAGAIN: Timeout,
    errno.ETIMEDOUT: Timeout,
    errno.ENOENT: NoSuchName,
    errno.EEXIST: Exists,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EIDRM: Ended,
    errno.EOWNERDEAD: Ended,
    errno.EMSGSIZE: TooLong,
    errno.ECANCELED: Interrupted,
    errno.ECHILD: Forked,
}


def error(answer: int, name: Optional[str] = None) -> Error:
    text = lib.tong_strerror(answer).decode()
    return _CLASSES.get(-answer, Error)(-answer, text, name)


def checked(answer: int, name: Optional[str] = None) -> int:
    """The answer, if it is none of failure."""
    if answer < 0:
        raise error(answer, name)
    return answer


def to_ns(timeout: Optional[float]) -> int:
    """Seconds as the library wants them; None is no limit."""
    if timeout is None:
        return -1
    if timeout < 0:
        raise ValueError("timeout must not be negative; None has no limit")
    return min(int(timeout * 1e9), 2**63 - 1)


def waited(call: Callable[[int], Any], timeout: Optional[float], name: Optional[str]) -> int:
    """call(timeout_ns), begun again for the time that is left when a signal handler ran: Python runs
    its own handlers on the way back, and one that raises ends the wait (PEP 475)."""
    limit = to_ns(timeout)
    answer = call(limit)
    if answer == -errno.EINTR:
        end = time.monotonic_ns() + limit
        while answer == -errno.EINTR:
            answer = call(limit if limit <= 0 else max(0, end - time.monotonic_ns()))
    return checked(answer, name)


def pointer_to(data: Any) -> Tuple[Any, int]:
    """What ctypes takes for a pointer to the bytes and keeps them alive, and their number. No copy of
    bytes, nor of what may be written, as bytearray or array."""
    if isinstance(data, str):
        raise TypeError("a message is bytes; encode the text first, as text.encode()")
    if not isinstance(data, bytes):
        view = memoryview(data).cast("B")
        if not view.readonly:
            return writable(view), len(view)
        data = bytes(view)
    return data, len(data)


def writable(buffer: Any) -> Any:
    """The same for a buffer that the library writes to."""
    view = memoryview(buffer).cast("B")
    return (ctypes.c_char * len(view)).from_buffer(view)
