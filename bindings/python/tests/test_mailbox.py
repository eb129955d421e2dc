"""Mailboxes from Python."""

import array
import ctypes
import errno
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unittest

import tong

BOTH = tong.SEND | tong.RECEIVE | tong.CREATE
LONG = 60  # seconds; what ends a test that has failed


class Case(unittest.TestCase):
    def box(self, **options):
        box = tong.Mailbox("py", BOTH, **options)
        self.addCleanup(self.clear, box)
        return box

    def clear(self, box):
        box.close()
        for status in tong.list_mailboxes():
            tong.remove(status.name)

    def until(self, holds):
        end = time.monotonic() + LONG
        while not holds():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)


class Messages(Case):
    def test_message_comes_as_it_was_sent(self):
        box = self.box()
        for data in (b"good morning", b"", bytes(range(256)), b"x" * 5_000_000):
            self.assertTrue(box.send(data))
            self.assertEqual(box.receive(), data)

    def test_anything_with_a_buffer_is_sent(self):
        box = self.box()
        numbers = array.array("i", [1, 2, 3])
        for data in (bytearray(b"abc"), memoryview(b"abc"), memoryview(bytearray(b"abc")), numbers):
            box.send(data)
            self.assertEqual(box.receive(), bytes(data))
        box.send(bytearray())
        self.assertEqual(box.receive(), b"")

    def test_text_is_refused_with_a_way_out(self):
        with self.assertRaisesRegex(TypeError, "encode"):
            self.box().send("text")

    def test_message_is_received_into_a_buffer(self):
        box = self.box()
        box.send(b"abc")
        buffer = bytearray(5)
        self.assertEqual(box.receive_into(buffer), 3)
        self.assertEqual(buffer, b"abc\0\0")
        box.send(b"abcdef")
        with self.assertRaises(tong.TooLong):
            box.receive_into(buffer)
        self.assertEqual(box.receive(), b"abcdef")

    def test_time_that_is_over_is_a_timeout(self):
        box = self.box(capacity=1)
        for timeout in (0, 0.01):
            with self.assertRaises(TimeoutError):
                box.receive(timeout)
            with self.assertRaises(tong.Timeout):
                box.receive_into(bytearray(1), timeout)
            with self.assertRaises(tong.Timeout):
                box.watch(timeout)
            with self.assertRaises(tong.Timeout):
                tong.wait_any([box], timeout)
        with self.assertRaises(tong.Timeout):
            box.skip()
        box.send(b"x")
        for timeout in (0, 0.01):
            with self.assertRaises(tong.Timeout):
                box.send(b"y", timeout)
            with self.assertRaises(tong.Timeout):
                box.reserve(1, timeout)
        with self.assertRaises(ValueError):
            box.receive(-1)
        self.assertEqual(box.skip(), 1)

    def test_message_says_what_its_sender_wants_known(self):
        box = self.box()
        box.send(b"x", tag=7, key=b"account 4", priority=3, call=5, reply_to="py.back", expiry=LONG)
        with box.claim() as claim:
            self.assertEqual((claim.tag, claim.key), (7, tong.key_of(b"account 4")))
            self.assertEqual((claim.priority, claim.call, claim.reply_to), (3, 5, "py.back"))
            self.assertEqual(claim.sender, "")
        box.send(b"x")
        self.assertEqual(box.claim().tag, 0)
        with self.assertRaises(TypeError):
            box.send(b"x", colour="red")
        with self.assertRaises(tong.Error):
            box.send(b"x", priority=32)

    def test_dropped_message_is_said(self):
        box = self.box(capacity=1, full=tong.Full.DROP_NEWEST)
        self.assertTrue(box.send(b"x"))
        self.assertFalse(box.send(b"y"))
        self.assertEqual(tong.stat("py").dropped, 1)


class Calls(Case):
    def serve(self, *answers):
        """A thread that answers so many requests."""

        def run():
            with tong.Mailbox("py", tong.RECEIVE) as server:
                for answer in answers:
                    request = server.claim(LONG)
                    answer(request)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

    def test_call_gives_its_reply(self):
        box = self.box()
        self.serve(
            lambda request: request.reply(request.data[::-1].tobytes()),
            lambda request: request.reply(request.data),
            lambda request: request.reply(b""),
        )
        self.assertEqual(box.call(b"abc", LONG), b"cba")
        self.assertEqual(box.call(b"x" * 100000, LONG, size=100000), b"x" * 100000)
        self.assertEqual(box.call(b"abc", LONG, size=0, tag=7), b"")

    def test_caller_is_told_when_nobody_answers(self):
        box = self.box()
        self.serve(tong.Claim.done, lambda request: request.reply(b"too long"))
        with self.assertRaises(tong.Ended):
            box.call(b"abc", LONG)
        with self.assertRaises(tong.TooLong):
            box.call(b"abc", LONG, size=3)
        with self.assertRaises(tong.Timeout):
            box.call(b"abc", 0.01)
        with self.assertRaises(tong.Timeout):
            box.call(b"abc", 0)
        with self.assertRaises(tong.Error):
            box.call(b"abc", 1, call=3)

    def test_only_a_request_can_be_answered(self):
        box = self.box()
        box.send(b"x")
        claim = box.claim()
        with self.assertRaises(tong.Error):
            claim.reply(b"y")
        self.assertEqual(bytes(claim), b"x")
        claim.done()
        with self.assertRaises(ValueError):
            claim.reply(b"y")
        box.send(b"x", call=1, reply_to="nobody")
        claim = box.claim()
        part = claim.data[:1]
        with self.assertRaises(BufferError):
            claim.reply(b"y")
        del part
        self.assertFalse(claim.reply(b"y"))
        self.assertEqual(tong.stat("py").claimed, 0)


class Errors(Case):
    def test_errors_are_those_of_python(self):
        with self.assertRaises(FileNotFoundError) as caught:
            tong.Mailbox("none", tong.SEND)
        self.assertEqual((caught.exception.errno, caught.exception.filename), (errno.ENOENT, "none"))
        self.assertIsInstance(caught.exception, tong.Error)
        for call in (tong.stat, tong.remove, tong.stat_region, tong.remove_region):
            with self.assertRaises(tong.NoSuchName):
                call("none")
        box = self.box()
        with self.assertRaises(FileExistsError):
            tong.Mailbox("py", tong.SEND, capacity=3)
        with self.assertRaises(tong.Error) as caught:
            tong.Mailbox("", tong.SEND)
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        box.interrupt()
        with self.assertRaises(tong.Interrupted):
            box.receive(LONG)
        tong.remove("py")
        with self.assertRaises(tong.Ended):
            box.send(b"x")

    def test_mailbox_of_another_process_is_denied(self):
        box = self.box(owner=tong.Owner.PROCESS)
        code = "import tong\ntry: tong.Mailbox('py', tong.RECEIVE)\nexcept PermissionError: print('no')"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", code]), b"no\n")
        box.close()
        with self.assertRaises(tong.NoSuchName):
            tong.stat("py")

    def test_closed_mailbox_says_so(self):
        box = self.box()
        with box:
            box.send(b"x")
        self.assertTrue(box.closed)
        box.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            box.receive()

    def test_child_opens_again(self):
        box = self.box()
        pid = os.fork()
        if pid == 0:
            try:
                box.send(b"x")
            except ChildProcessError:
                tong.Mailbox("py", tong.SEND).send(b"from the child")
            os._exit(0)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertEqual(box.receive(LONG), b"from the child")


class InPlace(Case):
    def test_claim_is_a_buffer_until_it_is_done(self):
        box = self.box()
        box.send(b"abcdef")
        claim = box.claim()
        self.assertEqual((len(claim), bytes(claim), bytes(claim.data[2:4])), (6, b"abcdef", b"cd"))
        self.assertTrue(claim.data.readonly)
        self.assertEqual((claim.deliveries, claim.pid), (1, os.getpid()))
        self.assertEqual(claim.uid, os.getuid())
        self.assertIsNone(claim.origin)
        self.assertEqual(tong.stat("py").claimed, 1)
        data = claim.data
        claim.done()
        self.assertEqual(tong.stat("py").done, 1)
        with self.assertRaises(ValueError):
            data[0]
        with self.assertRaises(ValueError):
            claim.done()

    @unittest.skipIf(sys.version_info < (3, 12), "__buffer__ came with Python 3.12")
    def test_claim_itself_is_a_buffer(self):
        box = self.box()
        box.send(b"abc")
        with box.claim() as claim:
            self.assertEqual(bytes(memoryview(claim)), b"abc")

    def test_memory_that_is_used_is_not_given_away(self):
        box = self.box()
        box.send(b"abcdefgh")
        claim = box.claim()
        user = ctypes.c_char * 8
        with self.assertRaises(TypeError):
            user.from_buffer(claim.data)  # read-only
        slot = box.reserve(8)
        using = user.from_buffer(slot.data)
        with self.assertRaises(BufferError):
            slot.commit()
        using.value = b"written"
        del using
        gc.collect()
        slot.commit(7)
        part = claim.data[2:5]
        for finish in (claim.done, claim.give_back, box.close):
            with self.assertRaises(BufferError):
                finish()
        self.assertEqual(bytes(part), b"cde")
        del part
        claim.done()
        self.assertEqual(box.receive(), b"written")

    def test_work_that_fails_comes_again(self):
        box = self.box()
        box.send(b"job")
        with self.assertRaises(RuntimeError):
            with box.claim():
                raise RuntimeError("the work failed")
        with box.claim(0) as again:
            self.assertEqual(again.deliveries, 2)
        with self.assertRaises(tong.Timeout):
            box.claim(0)
        box.send(b"job")
        box.claim(0).give_back()
        box.claim(0)  # nobody keeps it
        gc.collect()
        self.assertEqual(box.claim(0).deliveries, 3)

    def test_claims_end_with_the_mailbox(self):
        box = self.box()
        box.send(b"job")
        claim = box.claim()
        box.close()
        with self.assertRaises(ValueError):
            claim.data[0]
        with self.assertRaises(ValueError):
            claim.done()
        with tong.Mailbox("py", tong.RECEIVE) as other:
            self.assertEqual(other.claim(LONG).deliveries, 2)

    def test_dead_letter_says_where_it_comes_from(self):
        dead = tong.Mailbox("py.dead", BOTH)
        box = self.box(max_deliveries=1, dead_letter="py.dead")
        box.send(b"job")
        box.claim().give_back()
        with self.assertRaises(tong.Timeout):
            box.claim(0)
        with dead.claim(0) as letter:
            self.assertEqual((letter.origin.name, letter.origin.deliveries), ("py", 1))
            self.assertEqual(letter.origin.id, tong.stat("py").id)
        dead.close()

    def test_message_is_written_in_place_or_not_sent(self):
        box = self.box()
        with box.reserve(3) as slot:
            slot.data[:] = b"abc"
        self.assertEqual(box.receive(0), b"abc")
        with self.assertRaises(RuntimeError):
            with box.reserve(3):
                raise RuntimeError
        box.reserve(3).abort()
        with self.assertRaises(ValueError):
            box.reserve(3).commit(4)
        with self.assertRaises(tong.Timeout):
            box.receive(0)


class Waiting(Case):
    def test_other_threads_run_while_one_waits(self):
        box = self.box()
        got = []
        thread = threading.Thread(target=lambda: got.append(box.receive(LONG)))
        thread.start()
        self.until(lambda: tong.stat("py").receivers_asleep == 1)
        box.send(b"x")
        thread.join()
        self.assertEqual(got, [b"x"])

    def test_mailbox_is_not_closed_under_a_thread(self):
        box = self.box()
        seen = []

        def wait():
            try:
                box.receive(LONG)
            except tong.Interrupted:
                seen.append("interrupted")

        thread = threading.Thread(target=wait)
        thread.start()
        self.until(lambda: tong.stat("py").receivers_asleep == 1)
        with self.assertRaisesRegex(RuntimeError, "interrupt"):
            box.close()
        box.interrupt()
        thread.join()
        self.assertEqual(seen, ["interrupted"])

    def when_asleep(self, call):
        """In another thread, when a receiver of this process sleeps."""

        def look():
            self.until(lambda: tong.stat("py").receivers_asleep == 1)
            call()

        thread = threading.Thread(target=look)
        thread.start()
        self.addCleanup(thread.join)

    def test_signal_handler_that_raises_ends_the_wait(self):
        box = self.box()

        def stop(number, frame):
            raise InterruptedError("stop")

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, stop))
        self.when_asleep(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with self.assertRaisesRegex(InterruptedError, "stop"):
            box.receive(LONG)
        box.send(b"x")
        self.assertEqual(box.receive(0), b"x")

    def test_signal_handler_that_returns_does_not(self):
        box = self.box()
        seen = []

        def note(number, frame):
            seen.append(number)
            box.send(b"after the signal")

        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, note))
        self.when_asleep(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        self.assertEqual(box.receive(LONG), b"after the signal")
        self.assertEqual(seen, [signal.SIGUSR1])

    def test_one_of_several_has_something(self):
        first = self.box()
        second = tong.Mailbox("py.second", BOTH)
        self.addCleanup(second.close)
        second.send(b"x")
        self.assertEqual(tong.wait_any([first, second], LONG), 1)

    def test_death_is_told(self):
        box = self.box()
        with self.assertRaises(tong.Timeout):
            box.watch(0)
        code = "import os, tong\nb = tong.Mailbox('py', tong.RECEIVE)\nos._exit(0)"
        subprocess.check_call([sys.executable, "-c", code])
        self.assertEqual(box.watch(LONG).roles, tong.RECEIVE)

    def test_mailbox_is_given_on(self):
        box = self.box(owner=tong.Owner.PROCESS)
        box.give(None)
        self.assertEqual(tong.stat("py").owner, tong.Owner.SYSTEM)
        with tong.Mailbox("py.me", BOTH, owner=tong.Owner.PROCESS):
            box.give("py.me")
            self.assertEqual(tong.stat("py").owner, tong.Owner.PROCESS)
            box.give(None)


class Looking(Case):
    def test_status_is_that_of_the_library(self):
        self.box(capacity=3, delivery=tong.Delivery.ANY, max_bytes=1 << 20).send(b"x")
        status = tong.stat("py")
        self.assertEqual((status.name, status.carrier, status.capacity), ("py", "shm", 3))
        self.assertEqual((status.delivery, status.waiting, status.sent), (tong.Delivery.ANY, 1, 1))
        self.assertEqual((status.max_bytes, status.mode, len(status.id)), (1 << 20, 0o600, 16))

    def test_list_is_in_order(self):
        self.box()
        tong.Mailbox("py.b", BOTH).close()
        tong.Mailbox("py.a", BOTH).close()
        self.assertEqual([s.name for s in tong.list_mailboxes()], ["py", "py.a", "py.b"])

    def test_folder_and_version(self):
        self.assertEqual(tong.folder(), os.environ["TONG_DIR"])
        self.assertEqual(tong.version(), tong.__version__)

    def test_observer_sees_and_takes_nothing(self):
        box = self.box()
        box.send(b"one", tag=7, priority=3)
        box.send(b"x" * 100)
        with tong.Observer("py") as observer:
            seen = observer.peek(0)
            self.assertEqual((seen.data, seen.length, seen.tag), (b"one", 3, 7))
            self.assertEqual((seen.priority, seen.deliveries, seen.pid), (3, 0, os.getpid()))
            seen = observer.peek(0, size=10)
            self.assertEqual((seen.data, seen.length), (b"x" * 10, 100))
            with self.assertRaises(tong.Timeout):
                observer.peek(0.01)
            box.send(b"later")
            self.assertEqual(observer.peek(LONG).data, b"later")
            self.assertEqual(observer.missed, 0)
        self.assertEqual(tong.stat("py").waiting, 3)
        self.assertEqual(tong.stat("py").receivers, 1)
        with self.assertRaises(ValueError):
            observer.peek(0)
        with self.assertRaises(tong.NoSuchName):
            tong.Observer("py.none")


class Choosing(Case):
    def test_receiver_takes_what_it_asks_for_and_the_rest_waits(self):
        box = self.box()
        for text, priority, tag in ((b"a", 0, 1), (b"b", 5, 2), (b"c", 3, 7), (b"d", 0, 7)):
            box.send(text, priority=priority, tag=tag)
        self.assertEqual(box.receive(0, tag=7), b"c")
        with box.claim(0, min_priority=4) as claim:
            self.assertEqual((bytes(claim), claim.priority, claim.tag), (b"b", 5, 2))
        buffer = bytearray(8)
        self.assertEqual(box.receive_into(buffer, 0, tag=7), 1)
        self.assertEqual(buffer[:1], b"d")
        with self.assertRaises(tong.Timeout):
            box.receive(0, tag=7)
        with self.assertRaises(tong.Timeout):
            box.receive(0, sender="P")
        with self.assertRaises(TypeError):
            box.receive(0, colour="red")
        self.assertEqual(box.receive(0), b"a")

    def test_descriptor_tells_of_messages_and_of_room(self):
        box = self.box(capacity=1)
        readable = lambda fd: bool(select.select([fd], [], [], 0)[0])
        messages, room = box.fd(), box.fd(tong.SEND)
        self.assertEqual((readable(messages), readable(room)), (False, True))
        box.send(b"x")
        with self.assertRaises(tong.Timeout):
            box.send(b"y", 0)
        self.assertEqual((readable(messages), readable(room)), (True, False))
        box.receive(0)
        with self.assertRaises(tong.Timeout):
            box.receive(0)
        self.assertEqual((readable(messages), readable(room)), (False, True))
