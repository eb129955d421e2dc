"""The structs of _c.py against tong.h, and the names of the package against its documents."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import tong
from tong import _c

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
header = os.path.join(root, "include", "tong", "tong.h")


@unittest.skipUnless(os.path.exists(header), "the header is not beside it")
class Layout(unittest.TestCase):
    @unittest.skipUnless(shutil.which("cc"), "there is no C compiler")
    def test_structs_lie_as_in_tong_h(self):
        lines, ours = [], []
        for name, struct in _c.STRUCTS.items():
            for field in struct._fields_[:-1]:
                place = getattr(struct, field[0])
                word = "from" if field[0] == "from_" else field[0]
                ours.append(f"{name}.{word} {place.offset} {place.size}")
                lines.append(
                    f'printf("{name}.{word} %zu %zu\\n", offsetof({name}, {word}),'
                    f" sizeof((({name} *)0)->{word}));"
                )
        source = (
            "#include <stddef.h>\n#include <stdio.h>\n#include <tong/tong.h>\nint main(void)\n{\n"
            + "\n".join(lines)
            + "\n}\n"
        )
        with tempfile.TemporaryDirectory() as work:
            program = os.path.join(work, "layout")
            include = os.path.join(root, "include")
            command = ["cc", "-x", "c", "-", "-I", include, "-o", program]
            subprocess.run(command, input=source.encode(), check=True)
            theirs = subprocess.check_output([program]).decode().split("\n")[:-1]
        self.assertEqual(ours, theirs)

    def test_words_have_the_numbers_of_tong_h(self):
        with open(header) as file:
            text = file.read()
        for enum, prefix in ((tong.Delivery, "TONG_"), (tong.Owner, "TONG_"), (tong.Full, "TONG_")):
            for word in enum:
                self.assertRegex(text, rf"\b{prefix}{word.name}\s*=\s*{word.value}\b")
        for flag in ("SEND", "RECEIVE", "CREATE", "EXCL", "READ", "WRITE"):
            value = re.search(rf"#define TONG_{flag} (0x\w+)u", text).group(1)
            self.assertEqual(int(value, 16), getattr(tong, flag))

    def test_defaults_are_those_of_the_library(self):
        with tong.Mailbox("py.plain", tong.SEND | tong.CREATE):
            tong.Mailbox("py.plain", tong.SEND, capacity=tong.UNBOUNDED).close()
        tong.remove("py.plain")

    def test_package_is_typed(self):
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(tong.__file__), "py.typed")))
