"""A program in a terminal of its own, for tests.

terminal.py ROWS COLUMNS PROGRAM ARGUMENT...

Does what its standard input says, a JSON list on each line, and answers each with a line:
  ["see", TEXT]      waits until the program has written TEXT, behind what was seen before
  ["press", KEYS]    types
  ["signal", NAME]   sends the program a signal
  ["end"]            waits for the program's end: {"status", "is_as_before", "output"}
"""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 60
rows, columns, *command = sys.argv[1:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for stream in range(3):
        os.dup2(slave, stream)
    os.closerange(3, 64)
    os.environ["TERM"] = "xterm-256color"
    os.execv(command[0], command)

output = bytearray()
seen = 0


def read_on(seconds):
    """Takes what the program has written."""
    if select.select([master], [], [], seconds)[0]:
        output.extend(os.read(master, 65536))
        return True
    return False


def see(text):
    global seen
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        at = output.find(text.encode(), seen)
        if at >= 0:
            seen = at + len(text)
            return "seen"
        read_on(0.1)
    return "never seen: " + output[seen:].decode(errors="replace")


def end():
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        read_on(0.1)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            while read_on(0):
                pass
            return {
                "status": os.waitstatus_to_exitcode(status),
                "is_as_before": termios.tcgetattr(slave) == before,
                "output": output.decode(errors="replace"),
            }
    os.kill(child, signal.SIGKILL)
    return {"status": None, "is_as_before": None, "output": output.decode(errors="replace")}


for line in sys.stdin:
    step, *told = json.loads(line)
    answer = "done"
    if step == "see":
        answer = see(told[0])
    elif step == "press":
        os.write(master, told[0].encode())
    elif step == "signal":
        os.kill(child, getattr(signal, "SIG" + told[0]))
    elif step == "end":
        answer = end()
    print(json.dumps(answer), flush=True)
