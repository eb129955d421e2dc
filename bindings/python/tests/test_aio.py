"""Mailboxes with asyncio."""

import asyncio
import threading
import unittest

import tong
from tong.aio import AsyncMailbox

BOTH = tong.SEND | tong.RECEIVE | tong.CREATE
LONG = 60


async def until(holds):
    for _ in range(LONG * 200):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not in time")


class Aio(unittest.TestCase):
    """Waits by the descriptor of the mailbox."""

    def make(self, **options):
        return AsyncMailbox("py", BOTH, **options)

    def receives(self, box):
        return box.waiting & tong.RECEIVE

    def sends(self, box):
        return box.waiting & tong.SEND

    def run_with_box(self, run, **options):
        async def main():
            async with self.make(**options) as box:
                await run(box)

        try:
            asyncio.run(main())
        finally:
            tong.remove("py")

    def test_loop_goes_on_while_a_receive_waits(self):
        async def run(box):
            receiving = asyncio.ensure_future(box.receive(LONG))
            await until(lambda: self.receives(box))
            self.assertTrue(await box.send(b"x"))
            self.assertEqual(await receiving, b"x")

        self.run_with_box(run)

    def test_send_waits_for_room(self):
        async def run(box):
            await box.send(b"1")
            sending = asyncio.ensure_future(box.send(b"2", LONG))
            await until(lambda: self.sends(box))
            self.assertEqual(await box.receive(), b"1")
            self.assertTrue(await sending)
            self.assertEqual(await box.receive(), b"2")

        self.run_with_box(run, capacity=1)

    def test_time_that_is_over_is_a_timeout(self):
        async def run(box):
            for timeout in (0, 0.01):
                with self.assertRaises(tong.Timeout):
                    await box.receive(timeout)
            await box.send(b"x")
            for timeout in (0, 0.01):
                with self.assertRaises(tong.Timeout):
                    await box.send(b"y", timeout)

        self.run_with_box(run, capacity=1)

    def test_cancelled_wait_loses_no_message(self):
        async def run(box):
            for _ in range(20):
                receiving = asyncio.ensure_future(box.receive(LONG))
                await until(lambda: self.receives(box))
                box.box.send(b"x")
                receiving.cancel()
                try:
                    got = await receiving
                except asyncio.CancelledError:
                    got = await box.receive(LONG)
                self.assertEqual(got, b"x")
            self.assertEqual(tong.stat("py").done, 20)

        self.run_with_box(run)

    def test_cancel_of_one_wait_does_not_end_the_other(self):
        async def run(box):
            await box.send(b"1")
            claim = await box.claim()
            sending = asyncio.ensure_future(box.send(b"2", LONG))
            receiving = asyncio.ensure_future(box.receive(LONG))
            await until(lambda: self.receives(box) and self.sends(box))
            receiving.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await receiving
            self.assertFalse(sending.done())
            claim.done()
            self.assertTrue(await sending)
            self.assertEqual(await box.receive(LONG), b"2")

        self.run_with_box(run, capacity=1)

    def test_claim_is_read_in_place(self):
        async def run(box):
            await box.send(b"abc")
            with await box.claim() as claim:
                self.assertEqual(bytes(claim.data), b"abc")

        self.run_with_box(run)

    def test_loop_waits_for_what_is_asked_for(self):
        async def run(box):
            receiving = asyncio.ensure_future(box.receive(LONG, tag=7))
            await until(lambda: self.receives(box))
            await box.send(b"other", tag=1)
            await box.send(b"wanted", tag=7)
            self.assertEqual(await receiving, b"wanted")
            self.assertEqual(await box.receive(), b"other")

        self.run_with_box(run)


class AioWithoutThreads(unittest.TestCase):
    def test_hundred_waits_take_no_thread(self):
        async def main():
            before = threading.active_count()
            boxes = [AsyncMailbox(f"py.{i}", BOTH, capacity=1) for i in range(100)]
            waits = [asyncio.ensure_future(box.receive(LONG)) for box in boxes]
            await until(lambda: all(box.waiting for box in boxes))
            self.assertLessEqual(threading.active_count(), before)  # some of before may end
            for i, box in enumerate(boxes):
                self.assertTrue(await box.send(str(i).encode()))
            self.assertEqual([int(data) for data in await asyncio.gather(*waits)], list(range(100)))
            for box in boxes:
                await box.close()

        try:
            asyncio.run(main())
        finally:
            for i in range(100):
                tong.remove(f"py.{i}")


class AioInThreads(Aio):
    """Where there is no descriptor."""

    def make(self, **options):
        box = AsyncMailbox("py", BOTH, **options)
        box._descriptor = lambda side: None
        return box

    def receives(self, box):
        return tong.stat("py").receivers_asleep == 1

    def sends(self, box):
        return tong.stat("py").senders_blocked == 1

    def test_two_of_one_loop_meet(self):
        async def run(box):
            receiving = asyncio.ensure_future(box.receive(LONG))
            self.assertTrue(await box.send(b"x", LONG))
            self.assertEqual(await receiving, b"x")

        async def main():
            async with AsyncMailbox("py", BOTH, capacity=0) as box:
                await run(box)

        try:
            asyncio.run(main())
        finally:
            tong.remove("py")
