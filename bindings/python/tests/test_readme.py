"""The programs of README.md and of this package's page do what they say."""

import os
import re
import subprocess
import sys
import unittest

import tong

package = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
pages = [os.path.join(package, "README.md"), os.path.join(package, "..", "..", "README.md")]


@unittest.skipUnless(all(map(os.path.exists, pages)), "the pages are not beside it")
class Readme(unittest.TestCase):
    def test_program_of_the_pages_works(self):
        for page in pages:
            with open(page, encoding="utf-8") as file:
                program = re.search(r"```python\n(.*?)```", file.read(), re.DOTALL).group(1)
            run = [sys.executable, "-W", "error", "-c", program]
            with subprocess.Popen(run, stdout=subprocess.PIPE) as receiver:
                subprocess.check_call([*run, "good morning"])
                self.assertEqual(receiver.communicate()[0], b"good morning\n")
            tong.remove("hello")
