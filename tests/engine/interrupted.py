"""A training that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from detectron2.engine import HookBase

ROOT = Path(__file__).resolve().parents[2]


class Sleeper(HookBase):
    """Says when an iteration is over, and stays there to be killed; -1 for never."""

    def __init__(self, at):
        self.at = at

    def after_step(self):
        if self.trainer.iter == self.at:
            Path(self.trainer.cfg.OUTPUT_DIR, "reached").write_text("")
            time.sleep(600)


def run_and_kill(function, output, *arguments):
    """Call ``function`` of an importable module in a process of its own, and SIGKILL it and its children.

    Args:
        function: gets ``arguments`` as strings; one of them makes it build a :class:`Sleeper`.
        output: folder that the training writes to; made here.
    """
    output.mkdir()
    code = f"import sys; from {function.__module__} import {function.__name__} as run; run(*sys.argv[1:])"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (output / "stdout.txt").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 300
    while not (output / "reached").exists():
        assert process.poll() is None and time.monotonic() < deadline, (output / "stdout.txt").read_text()[-3000:]
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
