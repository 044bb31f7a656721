"""The box and the engine as two real processes, for scripts that press, kill and compare. Shares no code with them.

`Box` is the exchange that keeps the truth, `Engine` one process of `contango run` against it. Whatever is started here
ends with the script that started it.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class Failed(Exception):
    """Something that has to hold for the script to go on does not. The text says what."""


def wait(seen, seconds, what, pause=0.01):
    """What `seen` returns once that is true. `what` may be a function: it is asked when it was in vain."""
    end = time.monotonic() + seconds
    while True:
        value = seen()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(pause)


def flags(program, command):
    """The help of a command: which flags there are."""
    return subprocess.run([program, command, "--help"], capture_output=True, text=True, timeout=30).stdout


class Box:
    """`contango sim` in `folder`."""

    def __init__(self, program, folder, *options):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.log = open(self.folder / "sim.log", "wb")
        command = [program, "sim", "--json", "--out", str(self.folder), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise Failed(f"the box did not open; see {self.folder}/sim.log")
        self.ready = json.loads(line)
        self.address = self.ready["control"].removeprefix("http://")

    def ask(self, method, path, body=None):
        # One request, one answer, closed: that is all the control endpoint knows.
        link = http.client.HTTPConnection(self.address, timeout=30)
        try:
            link.request(method, path, body=None if body is None else json.dumps(body))
            answer = link.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            link.close()

    def truth(self):
        return self.ask("GET", "/truth")[1]

    def fault(self, **order):
        status, told = self.ask("POST", "/fault", order)
        if status != 200:
            raise Failed(f"the box refuses the fault {order}: {told}")

    def arguments(self):
        """What points an engine here."""
        arguments = ["--ca", self.ready["ca"]]
        for venue, at in self.ready["venues"].items():
            arguments += ["--key-file", f"{venue}={at['key_file']}"]
            for name, url in at.items():
                if url.startswith(("https://", "wss://")):
                    arguments += ["--endpoint", f"{venue}.{name}={url}"]
        return arguments

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Engine:
    """`contango run` in `folder`: its data lie in `folder`/data, what it says in `folder`/engine.*."""

    def __init__(self, program, folder, arguments, environment=None, **how):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)
        self.door = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY)
        command = [program, "run", "--json", "--out", str(self.folder), "--data-dir", str(self.data), *arguments]
        self.told = open(self.folder / "engine.json", "wb")
        self.errors = open(self.folder / "engine.err", "wb")
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            command, stdout=self.told, stderr=self.errors, env={**os.environ, **(environment or {})}, **how
        )

    def age(self):
        return time.monotonic() - self.begun

    def alive(self):
        return self.process.poll() is None

    def ctl(self, ask, **more):
        """One line to the control socket, one back; None while nobody is there."""
        # A Unix address is short; the folder may lie deep.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(6)
                link.connect(f"/proc/self/fd/{self.door}/ctl-0.sock")
                link.sendall(json.dumps({"ask": ask, **more}).encode() + b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    part = link.recv(1 << 16)
                    if not part:
                        return None
                    answer += part
            return json.loads(answer)
        except (ConnectionError, FileNotFoundError):
            return None
        except TimeoutError:
            return None

    def order(self, ask, **more):
        """An order that must be done."""
        told = self.ctl(ask, **more)
        if told is None or not told.get("ok"):
            raise Failed(f"`{ask}` was not done: {told}")
        return told

    def phase(self):
        status = self.ctl("status")
        return (status or {}).get("phase", "starting")

    def live(self, seconds=80):
        """Waits until it trades, or would; the status then."""

        def seen():
            if not self.alive():
                raise Failed(f"the engine ended by itself with {self.process.returncode}: {self.last_words()}")
            status = self.ctl("status")
            return status if status and status.get("phase") == "live" else None

        return wait(seen, seconds, lambda: f"the engine is live; it says {self.ctl('status')}", 0.02)

    def signal(self, number):
        if self.alive():
            os.kill(self.process.pid, number)

    def kill(self):
        """Signal 9; whether it was the end of it (it may have ended before)."""
        self.signal(signal.SIGKILL)
        return self.process.wait(20) == -signal.SIGKILL

    def ended(self, seconds):
        """Whether it ended within so long."""
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def last_words(self):
        return (self.folder / "engine.err").read_text(errors="replace").strip()[-600:]

    def close(self):
        if self.alive():
            self.kill()
        for file in (self.told, self.errors):
            file.close()
        if self.door is not None:
            os.close(self.door)
            self.door = None
