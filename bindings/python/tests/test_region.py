"""Regions from Python."""

import ctypes
import os
import subprocess
import sys
import threading
import unittest

import tong

ALL = tong.READ | tong.WRITE | tong.CREATE
LONG = 60


class Regions(unittest.TestCase):
    def setUp(self):
        self.region = tong.Region("py", 4096, ALL)
        self.addCleanup(tong.remove_region, "py")
        self.addCleanup(self.region.close)

    def test_bytes_are_the_same_everywhere(self):
        self.region.data[:5] = b"words"
        with tong.Region("py", 0, tong.READ) as other:
            self.assertEqual((len(other), bytes(other.data[:5])), (4096, b"words"))
            self.assertTrue(other.data.readonly)
        with self.assertRaises(ValueError):
            other.data[0]

    def test_lock_excludes_and_tells_of_a_dead_holder(self):
        other = tong.Region("py", 0, tong.WRITE)
        with self.region.lock() as recovered:
            self.assertFalse(recovered)
            with self.assertRaises(tong.Timeout):
                with other.lock(0):
                    self.fail("two have the lock")
        other.close()
        code = (
            "import os, tong\nr = tong.Region('py', 0, tong.WRITE)\n"
            "with r.lock():\n    os._exit(0)"
        )
        subprocess.check_call([sys.executable, "-c", code])
        with self.region.lock(LONG) as recovered:
            self.assertTrue(recovered)

    def test_event_is_waited_for(self):
        with self.assertRaises(tong.Timeout):
            self.region.wait(0)
        thread = threading.Thread(target=self.region.notify)
        thread.start()
        self.assertEqual(self.region.wait(LONG), 1)
        thread.join()

    def test_memory_that_is_used_stays(self):
        using = (ctypes.c_char * 5).from_buffer(self.region.data)
        with self.assertRaises(BufferError):
            self.region.close()
        using.value = b"abc"
        self.assertEqual(bytes(self.region.data[:3]), b"abc")
        del using

    def test_status_is_that_of_the_library(self):
        status = tong.stat_region("py")
        self.assertEqual((status.name, status.size, status.owner_uid), ("py", 4096, os.getuid()))
        self.assertEqual([s.name for s in tong.list_regions()], ["py"])
        with self.assertRaises(tong.Exists):
            tong.Region("py", 8192, ALL)
        owned = tong.Region("py.mine", 1, ALL, owner=tong.Owner.PROCESS)
        self.assertEqual(tong.stat_region("py.mine").owner_pid, os.getpid())
        owned.close()
        with self.assertRaises(tong.NoSuchName):
            tong.stat_region("py.mine")
