"""What a server does with memory that it no longer needs."""

import os
import platform
import subprocess
import sys

import pytest

from tests.conftest import ROOT

HELD = """
import os, threading
import numpy as np
from asr.serving.memory import give_back, share_one_heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

share_one_heap()
before = resident()
def work():
    small = [bytearray(60_000) for _ in range(3_000)]  # below the size for which memory is taken from the system itself
    last = small[-1]
    del small
    return last
kept = []
threads = [threading.Thread(target=lambda: kept.append(work())) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
give_back()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_what_threads_took_is_given_back():
    found = subprocess.run([sys.executable, "-c", HELD], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) < 60  # of 690 MB
