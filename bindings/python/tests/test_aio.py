"""Mailboxes with asyncio."""

import asyncio
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


def asleep():
    return tong.stat("py").receivers_asleep == 1


class Aio(unittest.TestCase):
    def run_with_box(self, run, **options):
        async def main():
            async with AsyncMailbox("py", BOTH, **options) as box:
                await run(box)

        try:
            asyncio.run(main())
        finally:
            tong.remove("py")

    def test_loop_goes_on_while_a_receive_waits(self):
        async def run(box):
            receiving = asyncio.ensure_future(box.receive(LONG))
            await until(asleep)
            self.assertTrue(await box.send(b"x"))
            self.assertEqual(await receiving, b"x")

        self.run_with_box(run)

    def test_send_waits_for_room(self):
        async def run(box):
            await box.send(b"1")
            sending = asyncio.ensure_future(box.send(b"2", LONG))
            await until(lambda: tong.stat("py").senders_blocked == 1)
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
                await until(asleep)
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
            await until(lambda: asleep() and tong.stat("py").senders_blocked == 1)
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
