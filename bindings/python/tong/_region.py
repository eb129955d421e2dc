"""Regions: named memory that several processes share."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional

from . import _c
from ._c import lib
from ._errors import checked, waited
from ._mailbox import Handle, Owner, from_struct, list_all
from ._memory import Memory

READ = 0x10
WRITE = 0x20


@dataclass(frozen=True)
class RegionStatus:
    """What tong_region_stat() tells."""

    name: str
    size: int
    bytes: int
    owner: int
    mode: int
    owner_uid: int
    owner_pid: int
    locked: int


class Region(Handle):
    """Mapped memory: tong_region_open() of tong.h. size 0: as it is. flags: READ, WRITE, CREATE, EXCL.

    data is a memoryview, read-only without WRITE. It is not unmapped while a slice of it, or another
    view, is alive.
    """

    def __init__(
        self, name: str, size: int, flags: int, owner: int = Owner.SYSTEM, mode: int = 0o600
    ) -> None:
        handle = ctypes.c_void_p()
        plain = owner == Owner.SYSTEM and mode == 0o600
        struct = None if plain else _c.RegionOptions(owner=owner, mode=mode)
        self._handle = None
        checked(lib.tong_region_open(name.encode(), size, flags, struct, handle), name)
        super().__init__(name, handle.value or 0)
        self._memory = Memory(
            lib.tong_region_data(handle), lib.tong_region_size(handle), not flags & WRITE
        )
        self.seen = 0

    @property
    def data(self) -> memoryview:
        """The bytes."""
        return self._memory.view

    def __len__(self) -> int:
        return len(self.data)

    def __buffer__(self, flags: int) -> memoryview:
        return self.data

    def close(self) -> None:
        """Unmaps it. BufferError: somebody still has a view of the memory."""
        if self._handle is not None:
            self._must_be_alone()
            self._memory.release()
            self._close(lib.tong_region_close)

    def __enter__(self) -> "Region":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        # A view that outlives this keeps the mapping, until the process ends.
        if self._handle is not None and not self._threads:
            try:
                self.close()
            except BufferError:
                pass

    @contextmanager
    def lock(self, timeout: Optional[float] = None) -> Iterator[bool]:
        """Excludes the others inside `with`. Gives True if the holder before died inside: look at the
        data first."""
        with self._inside() as handle:
            recovered = waited(lambda ns: lib.tong_region_lock(handle, ns), timeout, self.name)
        try:
            yield bool(recovered)
        finally:
            with self._inside() as handle:
                checked(lib.tong_region_unlock(handle), self.name)

    def notify(self) -> None:
        """Counts one event and wakes all who wait for one."""
        with self._inside() as handle:
            checked(lib.tong_region_notify(handle), self.name)

    def wait(self, timeout: Optional[float] = None) -> int:
        """Waits for an event after those this object has seen, and gives their count."""
        seen = ctypes.c_uint32(self.seen)
        with self._inside() as handle:
            waited(lambda ns: lib.tong_region_wait(handle, seen, ns), timeout, self.name)
        self.seen = seen.value
        return self.seen


def remove_region(name: str) -> None:
    """Ends a region by name; who has it mapped keeps the memory."""
    checked(lib.tong_region_remove(name.encode()), name)


def stat_region(name: str) -> RegionStatus:
    status = _c.RegionStatus()
    checked(lib.tong_region_stat(name.encode(), status), name)
    return from_struct(RegionStatus, status)


def list_regions() -> List[RegionStatus]:
    """All regions of the folder that can be looked at, by name."""
    return list_all(lib.tong_region_list, _c.REGION_LIST_FN, RegionStatus)[0]
