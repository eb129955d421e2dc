"""tong: processes of a Linux computer talk to each other through mailboxes.

    import tong
    with tong.Mailbox("hello", tong.SEND | tong.CREATE) as box:
        box.send(b"good morning")

The contracts of all calls are those of <tong/tong.h>. Errors are exceptions, subclasses of tong.Error,
which is an OSError; times are seconds. tong.aio has the same for asyncio.
"""

import ctypes as _ctypes

from ._c import lib as _lib
from ._errors import Denied, Ended, Error, Exists, Forked, Interrupted, NoSuchName
from ._errors import Timeout, TooLong, checked as _checked
from ._mailbox import CREATE, EXCL, RECEIVE, SEND, UNBOUNDED, Claim, Death, Delivery, Full, Mailbox
from ._mailbox import Observer, Options, Origin, Owner, Peeked, Slot, Status, key_of, list_mailboxes
from ._mailbox import remove, stat
from ._mailbox import wait_any
from ._region import READ, WRITE, Region, RegionStatus, list_regions, remove_region, stat_region

__version__ = "0.1.0"


def version() -> str:
    """Of the C library that runs."""
    return _lib.tong_version().decode()  # type: ignore[no-any-return]


def folder() -> str:
    """Where the mailboxes of this process are."""
    path = _ctypes.create_string_buffer(4096)
    _checked(_lib.tong_folder(path, len(path)))
    return path.value.decode(errors="surrogateescape")


__all__ = [name for name in dir() if not name.startswith("_")]
