"""Gets what can be had of the peers, into the work folder alone, and says by name what can't, and why."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent


def said(command, log):
    """Runs a command to its end. Returns why it failed, or None."""
    with open(log, "wb") as out:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            return str(error)
        try:
            process.wait()
        except BaseException:
            # Interrupted: what installs starts others, which would go on.
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return None if process.returncode == 0 else f"{measure.last_line(log)} ({Path(log).name} has more)"


class Programs:
    """The peers that are programs: in a small Debian of their own, or, where that can't be made, on this machine's path."""

    def __init__(self, work):
        self.root = work / "debian"
        self.missing = {}
        if os.geteuid() == 0:
            self.why = said(["bash", HERE / "debian.sh", self.root], work / "debian.log")
        else:
            self.why = "this user is not root, whom debootstrap needs"
        if self.why is not None:
            self.root = None
            return
        for line in (self.root / "missing").read_text().splitlines():
            package, why = line.split(": ", 1)
            self.missing[package] = why

    def find(self, peer):
        """The path of the peer's program, or None and why there is none."""
        if self.root is None:
            path = shutil.which(peer.program)
            return path, None if path else f"it is not on this machine's path, and there is no Debian to take it from: {self.why}"
        for folder in ("/usr/bin", "/usr/sbin"):
            if (self.root / folder[1:] / peer.program).exists():
                return f"{folder}/{peer.program}", None
        return None, self.missing.get(peer.package, f"the package {peer.package} has no {peer.program}")

    def command(self, path, arguments):
        """How it is called."""
        inside = [] if self.root is None else ["chroot", str(self.root)]
        return [*inside, path, *arguments]

    def show(self, file, name):
        """Makes a file visible to the programs. Returns the path under which they see it."""
        if self.root is None:
            return str(file)
        seen = self.root / "compare" / name
        seen.parent.mkdir(exist_ok=True)
        seen.touch()
        # Neither copied nor linked: captures are large, and may lie on another disk.
        subprocess.run(["mount", "--bind", "-o", "ro", str(file), str(seen)], check=True)
        return f"/compare/{name}"

    def out(self, work):
        """A folder for what they write: as this script sees it, and as they do."""
        folder = (work if self.root is None else self.root / "compare") / "out"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder, str(folder) if self.root is None else "/compare/out"


class Python:
    """A virtual environment with the libraries that score forests."""

    def __init__(self, work):
        self.python = work / "python" / "bin" / "python"
        self.missing = {}
        self.why = None
        if not self.python.exists():
            self.why = said([sys.executable, "-m", "venv", "--clear", work / "python"], work / "venv.log")
        if self.why is not None:
            self.why = f"no virtual environment, for which Debian's package is python3-venv: {self.why}"
            return
        wanted = [line for line in (HERE / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
        for each in wanted:
            name = each.partition("==")[0]
            command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *each.split()]
            why = said(command, work / f"pip-{name}.log")
            if why is not None:
                self.missing[name] = f"pip: {why}"
        self.why = self.missing.get("scikit-learn")
