"""Runs of programs on one core, and what pairs of them say: plain arithmetic, and the kernel's own accounting."""

import os
import resource
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass


class Failed(Exception):
    """A run that is no measurement; the text says why, in a line."""


@dataclass(frozen=True)
class Run:
    """One run of a program to its end."""

    wall: float  # seconds
    cpu: float  # seconds, user and system, of all its threads
    rss: int  # KiB at the most
    rss_is_ours: bool  # the figure is that of this script: the program took less

    def as_json(self):
        return {"wall_s": self.wall, "cpu_s": self.cpu, "rss_kib": self.rss, "rss_is_upper_bound": self.rss_is_ours}


def run(command, core, log, limit):
    """Runs the command on that core to its end. What it prints goes to the file `log`.

    A process takes over the peak memory of the one that started it, so less than this script's own can't be told.
    """
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(log, "wb") as out:
        begun = time.monotonic()
        try:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(f"could not be started: {error}") from error
        over = threading.Event()

        def end():
            over.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(limit, end)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            # Interrupted: nothing that was started may outlive this script.
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            raise
        finally:
            timer.cancel()
        wall = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if over.is_set():
        raise Failed(f"did not end within {limit} s")
    if process.returncode != 0:
        raise Failed(f"ended with {process.returncode}: {last_line(log)}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, usage.ru_maxrss <= ours)


def last_line(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


@dataclass(frozen=True)
class Spread:
    """The middle one of some figures, the least and the greatest."""

    median: float
    least: float
    greatest: float

    def as_json(self):
        return {"median": self.median, "min": self.least, "max": self.greatest}


def spread(figures):
    return Spread(statistics.median(figures), min(figures), max(figures))


def rates(packets, seconds):
    """Packets a second, for each of the runs that took `seconds`."""
    return [packets / each for each in seconds]


def ratios(ours, theirs, our_start=0.0, their_start=0.0):
    """Pair by pair, how many times more we do in a second: their seconds over ours, each less what starting takes.

    None where a run took no longer than a start: then the capture is too small to tell.
    """
    ours = [each - our_start for each in ours]
    theirs = [each - their_start for each in theirs]
    if min(ours) <= 0 or min(theirs) <= 0:
        return None
    return [their / our for our, their in zip(ours, theirs)]


def json_in(log):
    """The JSON in what a program printed, behind what its libraries had to say."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    for nth, line in enumerate(lines):
        if line.startswith("{"):
            return "\n".join(lines[nth:])
    raise Failed(f"printed no JSON: {last_line(log)}")
