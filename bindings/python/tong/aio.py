"""Mailboxes for asyncio.

A wait is one for the descriptor of the mailbox, which the event loop watches with all its others: tong_fd() of
tong.h. A wait that is cancelled, as by asyncio.wait_for(), has taken nothing and sent nothing.

A rendezvous (capacity 0) needs both sides inside a call, and a few carriers have no descriptor: there a call
that would wait does it in a thread, at most one that receives and one that sends for each mailbox. Cancelled, it
ends at once, and no message is lost with it: one that was just taken goes back, marked. A send that is cancelled
there may have been made.
"""

from __future__ import annotations

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, TypeVar

from ._errors import Error, Interrupted, Timeout, error
from ._mailbox import RECEIVE, SEND, Bytes, Claim, Mailbox, stat

T = TypeVar("T")


class AsyncMailbox:
    """A mailbox whose waits are awaited. Arguments and timeouts as for tong.Mailbox."""

    def __init__(self, name: str, flags: int, **options: Any) -> None:
        self.box = Mailbox(name, flags, **options)
        self.waiting = 0  #: SEND and RECEIVE bits: what is awaited now
        self._sides = {RECEIVE: asyncio.Lock(), SEND: asyncio.Lock()}
        self._meets = stat(name).capacity == 0
        self._threads: Optional[ThreadPoolExecutor] = None

    async def send(self, data: Bytes, timeout: Optional[float] = None, **what: Any) -> bool:
        return await self._until(SEND, lambda left: self.box.send(data, left, **what), timeout, None)

    async def claim(self, timeout: Optional[float] = None, **which: Any) -> Claim:
        """A message to be read in place, until done() or give_back()."""
        return await self._until(
            RECEIVE, lambda left: self.box.claim(left, **which), timeout, Claim.give_back
        )

    async def receive(self, timeout: Optional[float] = None, **which: Any) -> bytes:
        claim = await self.claim(timeout, **which)
        data = bytes(claim)
        claim.done()
        return data

    async def _until(
        self,
        side: int,
        call: Callable[[Optional[float]], T],
        timeout: Optional[float],
        undo: Optional[Callable[[T], None]],
    ) -> T:
        """The call: what need not wait is done at once."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        async with self._sides[side]:
            try:
                return call(0)
            except Timeout:
                if timeout == 0:
                    raise
            self.waiting |= side
            try:
                fd = self._descriptor(side)
                if fd is None:
                    return await self._in_thread(call, end, undo)
                while True:
                    try:
                        return call(0)
                    except Timeout:
                        await self._readable(fd, end)
            finally:
                self.waiting &= ~side

    def _descriptor(self, side: int) -> Optional[int]:
        if self._meets:
            return None
        try:
            return self.box.fd(side)
        except Error as e:
            if e.errno == errno.EOPNOTSUPP:
                return None
            raise

    async def _readable(self, fd: int, end: Optional[float]) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await asyncio.wait_for(ready, None if end is None else max(0.0, end - loop.time()))
        except asyncio.TimeoutError:
            raise error(-errno.ETIMEDOUT, self.box.name) from None
        finally:
            loop.remove_reader(fd)

    async def _in_thread(
        self,
        call: Callable[[Optional[float]], T],
        end: Optional[float],
        undo: Optional[Callable[[T], None]],
    ) -> T:
        """The call in a thread. An interrupt ends all waits of the handle: those that were not meant
        begin again, for the time that is left."""
        loop = asyncio.get_running_loop()
        if self._threads is None:
            name = f"tong-{self.box.name}"
            self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix=name)
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
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def __aenter__(self) -> "AsyncMailbox":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
