"""run.py - the tests beside this file, a line for each: "ok - NAME", as the other tests of tong print them."""

import os
import sys
import unittest

here = os.path.dirname(os.path.abspath(__file__))


class Lines(unittest.TextTestResult):
    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        print(f"ok - {test._testMethodName}", flush=True)

    def addSkip(self, test, reason):
        unittest.TestResult.addSkip(self, test, reason)
        print(f"ok - {test._testMethodName} # SKIP {reason}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(f"not ok - {test._testMethodName}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        print(f"not ok - {test}", flush=True)


suite = unittest.defaultTestLoader.discover(here)
result = unittest.TextTestRunner(resultclass=Lines, verbosity=0).run(suite)
sys.exit(0 if result.wasSuccessful() and result.testsRun > 20 else 1)
