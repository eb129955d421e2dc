"""Mailboxes for asyncio.

The library has no descriptor that an event loop could wait for; so a call that would wait does it in a
thread: at most one that receives and one that sends, for each mailbox. What need not wait is done at
once. A wait that is cancelled, as by asyncio.wait_for(), ends at once, and no message is lost with it: one
that was just taken goes back, marked. A send that is cancelled may have been made.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, TypeVar

from ._errors import Interrupted, Timeout
from ._mailbox import Bytes, Claim, Mailbox

T = TypeVar("T")


class AsyncMailbox:
    """A mailbox whose waits are awaited. Arguments and timeouts as for tong.Mailbox."""

    def __init__(self, name: str, flags: int, **options: Any) -> None:
        self.box = Mailbox(name, flags, **options)
        self._receiving = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=f"tong-{name}")

    async def send(self, data: Bytes, timeout: Optional[float] = None) -> bool:
        async with self._sending:
            try:
                return self.box.send(data, 0)
            except Timeout:
                if timeout == 0:
                    raise
            return await self._in_thread(lambda left: self.box.send(data, left), timeout, None)

    async def claim(self, timeout: Optional[float] = None) -> Claim:
        """A message to be read in place, until done() or give_back()."""
        async with self._receiving:
            try:
                return self.box.claim(0)
            except Timeout:
                if timeout == 0:
                    raise
            return await self._in_thread(self.box.claim, timeout, Claim.give_back)

    async def receive(self, timeout: Optional[float] = None) -> bytes:
        claim = await self.claim(timeout)
        data = bytes(claim)
        claim.done()
        return data

    async def _in_thread(
        self,
        call: Callable[[Optional[float]], T],
        timeout: Optional[float],
        undo: Optional[Callable[[T], None]],
    ) -> T:
        """The call in a thread. An interrupt ends all waits of the handle: those that were not meant
        begin again, for the time that is left."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            left = None if end is None else max(0.0, end - loop.time())
            future = loop.run_in_executor(self._threads, call, left)
            try:
                return await asyncio.shield(future)
            except Interrupted:
                continue
            except asyncio.CancelledError:
                future.add_done_callback(lambda ended: self._undo(ended, undo))
                await self._end(future)
                raise

    async def _end(self, future: "asyncio.Future[T]") -> None:
        """Until the thread has come back. Once is not always enough: an interrupt that finds the other
        thread asleep is used up by it."""
        while not future.done():
            self.box.interrupt()
            await asyncio.wait([future], timeout=0.05)

    @staticmethod
    def _undo(future: "asyncio.Future[T]", undo: Optional[Callable[[T], None]]) -> None:
        if not future.cancelled() and future.exception() is None and undo is not None:
            undo(future.result())

    async def close(self) -> None:
        """Nothing may be awaited on it any more."""
        self.box.close()
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> "AsyncMailbox":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
