"""What the tests print: TAP, as tests/run_tests.sh reads it."""

import sys
import time
import traceback

from cluster import Failure


class Skip(Exception):
    """Why a test cannot run here."""


class Report:
    def __init__(self):
        self.count = self.failed = 0

    def test(self, what, function):
        """Runs one test; its failure is reported and does not stop the others."""
        self.count += 1
        begin = time.monotonic()
        try:
            notes = function()
        except Skip as why:
            print(f"ok {self.count} - {what} # SKIP {why}", flush=True)
            return
        except Exception as error:
            self.failed += 1
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            print(f"not ok {self.count} - {what}")
            for line in text.splitlines():
                print(f"# {line}")
            sys.stdout.flush()
            return
        print(f"ok {self.count} - {what}")
        note(f"{time.monotonic() - begin:.1f} s" + (f"; {notes}" if notes else ""))

    def group(self, what, function):
        """Runs function(self), which makes several tests; what it raises itself fails as one test."""
        try:
            function(self)
        except Exception as error:
            def fail():
                raise error
            self.test(f"{what}: the tests could be set up", fail)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def note(text):
    print(f"# {text}", flush=True)
