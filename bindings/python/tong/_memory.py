"""Views of memory that is not Python's."""

from __future__ import annotations

import ctypes
import sys
from typing import Optional

_count = getattr(sys, "getrefcount", None)


class Memory:
    """A memoryview of length bytes at an address, which can be taken back: nobody reads there afterwards.

    Every view made out of another one, a slice or numpy's, keeps the same object of ctypes alive. So
    what still counts as its user after view.release() is such a view. (An interpreter without counts
    looks at users of view alone.)
    """

    view: memoryview

    def __init__(self, address: Optional[int], length: int, readonly: bool) -> None:
        self._memory = (ctypes.c_char * length).from_address(address or 0) if length else None
        self._readonly = readonly
        self.look()

    def look(self) -> None:
        view = memoryview(b"" if self._memory is None else self._memory).cast("B")
        self.view = view.toreadonly() if self._readonly else view

    def release(self) -> None:
        """BufferError: somebody still has a view."""
        self.view.release()
        if self._memory is not None and _count is not None and _count(self._memory) > 2:
            self.look()
            raise BufferError("the memory is still in use: a slice or another view of it is alive")
