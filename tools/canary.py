#!/usr/bin/env python3
"""Looks for secrets in everything the programs leave behind: no key, secret, signature or listen key may be there.

Runs the engine against the box with a key that is known here, provokes what goes wrong (refused and unreadable
answers, dead streams, an expired listen key, wrong and broken key files, a signal service that fails, words nobody knows on the control socket,
a death by signal with core dumps allowed, a panic in trader and shadow with every frame printed), and then reads every byte of every file they wrote, standard output and
error, the control replies, the truth, and the process's arguments and environment. Each canary is looked for as it
is, in hex and in base64 at any offset. The box's own key file and its ready line hand the test key out: they are the
only places that may hold it.

Exit code: 0 nothing found; 1 found, each place named (without the secret); 2 could not run.
"""

import argparse
import base64
import http.client
import json
import re
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from bench import Box, Engine, Failed

TRADE = ["--kappa", "1", "--hold", "1h", "--exit-basis", "5bps", "--min-net-apr", "15%", "--idle", "park"]
# A signature's value is not known here, but what it looks like behind its name is.
SIGNATURE = re.compile(rb"signature[\"']?\s*[=:]\s*[\"']?[0-9a-zA-Z+/%]{16,}", re.IGNORECASE)
HEADER = re.compile(rb"x-mbx-apikey\"?\s*:\s*\S", re.IGNORECASE)

TROUBLE = [
    {"kind": "html", "taken": True},
    {"kind": "html", "taken": False},
    {"kind": "status", "status": 503, "body": '{"code":-1007,"msg":"Timeout"}', "taken": True},
    {"kind": "status", "status": 400, "body": "{", "taken": False},
    {"kind": "refuse", "code": -2015, "msg": "Invalid API-key, IP, or permissions for action.", "status": 401},
    {"kind": "refuse", "code": -1022, "msg": "Signature for this request is not valid."},
    {"kind": "drop_ack"},
    {"kind": "lose"},
    {"kind": "bad_quote"},
    {"kind": "cut_streams"},
    {"kind": "cut_user"},
    {"kind": "expire_listen_key"},
]


class Canaries:
    """What may be nowhere, by name, in every form looked for."""

    def __init__(self):
        self.forms = {}

    def add(self, name, text):
        raw = text.encode()
        forms = {raw, raw.hex().encode(), raw.hex().upper().encode()}
        for skip in range(3):
            # A text inside other text stands at one of three offsets of base64; its ends depend on what is beside it.
            coded = base64.b64encode(b"\0" * skip + raw)[4 if skip else 0 : -4]
            forms |= {coded, coded.replace(b"+", b"-").replace(b"/", b"_")}
        self.forms[name] = {form for form in forms if len(form) >= 12}

    def found(self, data):
        names = [name for name, forms in self.forms.items() if any(form in data for form in forms)]
        names += ["a signature"] * bool(SIGNATURE.search(data)) + ["a key header"] * bool(HEADER.search(data))
        return names


def scan(folder, canaries, allowed):
    """Every file below a folder; what was found where, and how many files and bytes were read."""
    found, files, size = [], 0, 0
    for path in sorted(Path(folder).rglob("*")):
        if not path.is_file() or path in allowed:
            continue
        data = path.read_bytes()
        files, size = files + 1, size + len(data)
        found += [f"{path.relative_to(folder)} holds {name}" for name in canaries.found(data)]
        found += [f"the name {path.relative_to(folder)} holds {name}" for name in canaries.found(path.name.encode())]
    return found, files, size


class Witness(BaseHTTPRequestHandler):
    """A signal service that agrees, refuses, fails and talks nonsense in turn; it counts who knew its secret."""

    protocol_version = "HTTP/1.1"
    secret, asked, known = "", 0, 0
    lock = threading.Lock()

    def do_GET(self):
        kind = type(self)
        with kind.lock:
            kind.asked, kind.known = kind.asked + 1, kind.known + (self.headers["Authorization"] == kind.secret)
            turn = kind.asked % 5
        rows = [
            {"symbol": coin, "exchange": "Binance", "fundingRate": 0.0003, "direction": "short"}
            for coin in ("BTC", "ETH", "SOL", "DOGE", "PEPE")
        ]
        agrees = json.dumps({"data": rows, "meta": {"timestamp": int(time.time() * 1000)}})
        status, body = [(200, agrees), (200, agrees), (401, kind.secret), (200, "<html>"), (503, "")][turn]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def witness(folder, canaries, allowed):
    """Starts it, and says how it is asked."""
    Witness.secret = "Bearer canary-signal-9b1e47d2c05f83a6"
    canaries.add("the signal service's secret", Witness.secret.split()[1])
    file = key_file(folder / "signals.toml", f'header = "Authorization"\nsecret = "{Witness.secret}"\n')
    allowed.add(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Witness)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1/arbitrage/spot-perp?direction=all"
    words = ["--confirm-every", "500ms", "--confirm-enter-on", "agree,absent,old"]
    return server, ["--confirm-url", url, "--confirm-key-file", str(file), *words]


def listen_key(box):
    """The listen key of the account: asking for one again tells the one that lives."""
    at = urlsplit(box.ready["venues"]["binance"]["usdm_rest"])
    context = ssl.create_default_context(cafile=box.ready["ca"])
    link = http.client.HTTPSConnection(at.hostname, at.port, context=context, timeout=10)
    link.request("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": box.ready["venues"]["binance"]["key"]})
    return json.loads(link.getresponse().read())["listenKey"]


def key_file(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def told(folder, name, command, **how):
    """Runs a command to its end, and keeps what it says."""
    done = subprocess.run(command, capture_output=True, timeout=60, **how)
    (folder / f"{name}.out").write_bytes(done.stdout)
    (folder / f"{name}.err").write_bytes(done.stderr)
    return done


def proc(engine, name):
    return Path(f"/proc/{engine.process.pid}/{name}").read_bytes()


def allow_cores():
    # Whoever starts this in the background of a script may have let both be ignored, and children inherit that.
    for name in (signal.SIGABRT, signal.SIGQUIT):
        signal.signal(name, signal.SIG_DFL)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def trouble(program, folder, box, arguments, canaries, found):
    """One live run in which everything goes wrong that can be ordered."""
    engine = Engine(program, folder / "trouble", arguments)
    replies = folder / "trouble" / "replies"
    try:
        engine.live()
        canaries.add("a listen key", listen_key(box))
        answers = [engine.ctl("status"), engine.ctl("why", pair="BTC"), engine.ctl("why", pair="NOPE")]
        for order in TROUBLE:
            box.fault(**order)
            time.sleep(0.25)
        time.sleep(1)
        canaries.add("another listen key", listen_key(box))
        answers += [engine.ctl("nonsense", key="x"), engine.ctl("resume"), engine.ctl("status")]
        answers += [engine.ctl(word, reason="canary") for word in ("halt", "flatten", "kill", "flatten", "resume")]
        replies.write_text("\n".join(map(json.dumps, answers)))
        for name in ("cmdline", "environ"):
            found += [f"the process's {name} holds {what}" for what in canaries.found(proc(engine, name))]
        engine.signal(signal.SIGTERM)
        if not engine.ended(40):
            raise Failed("the engine did not stop")
    finally:
        engine.close()


def deaths(program, folder, arguments, found):
    """Live runs that die by a signal, though core dumps are allowed where they are started."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    for name in ("SIGABRT", "SIGQUIT"):
        where = folder / name
        (where / "cwd").mkdir(parents=True)
        engine = Engine(program, where, arguments, preexec_fn=allow_cores, cwd=where / "cwd")
        try:
            engine.live()
            limit = next(row for row in proc(engine, "limits").splitlines() if row.startswith(b"Max core file size"))
            if limit.split()[4:6] != [b"0", b"0"]:
                found.append(f"a live run may leave a core: {limit.decode()}")
            engine.signal(getattr(signal, name))
            if not engine.ended(20):
                raise Failed(f"{name} did not end the engine")
        finally:
            engine.close()
        cores = [path.name for path in (where / "cwd").iterdir()]
        if cores:
            found.append(f"{name} left {', '.join(cores)}")
    return pattern


def panics(program, folder, arguments):
    """Live runs in which a room panics: the trader between its two orders, the shadow with a fill half booked."""
    for point in ("K5", "K9"):
        where = folder / f"panic_{point}"
        environment = {"CONTANGO_CRASH": f"{point}:1:panic", "RUST_BACKTRACE": "full"}
        engine = Engine(program, where, arguments, environment, preexec_fn=allow_cores, cwd=folder)
        try:
            if not engine.ended(60):
                raise Failed(f"the engine did not come to {point}")
        finally:
            engine.close()
        if b"panicked at" not in (where / "engine.err").read_bytes():
            raise Failed(f"no panic at {point}: was it built with --features crashpoints?")


def run(program, folder, points):
    folder = Path(folder)
    canaries, found, allowed = Canaries(), [], set()
    box = Box(program, folder / "box", "--ticks-per-s", "60", "--for", "240s")
    try:
        at = box.ready["venues"]["binance"]
        allowed.add(Path(at["key_file"]))
        canaries.add("the test key", at["key"])
        canaries.add("the test secret", at["secret"])
        # Their own, for files that are refused.
        wrong = ("canary-key-5f1d0c9be27a4483", "canary-secret-a0c4e7d3196b4f52")
        canaries.add("the wrong key", wrong[0])
        canaries.add("the wrong secret", wrong[1])
        files = folder / "keys"
        files.mkdir()
        lines = f'key = "{wrong[0]}"\nsecret = "{wrong[1]}"\n'
        keys = {
            "wrong": key_file(files / "wrong.toml", 'env = "test"\n' + lines),
            "live": key_file(files / "live.toml", 'env = "live"\n' + lines),
            "open": key_file(files / "open.toml", 'env = "test"\n' + lines, 0o644),
            "broken": key_file(files / "broken.toml", f'env = "test"\nkey = "{wrong[0]}"\nsecret = "{wrong[1]}\n'),
            "unknown": key_file(files / "unknown.toml", 'env = "test"\n' + lines + f'{wrong[1]} = "{wrong[1]}"\n'),
        }
        allowed.update(keys.values())
        config = folder / "config.toml"
        config.write_text("[engine]\nlive = true\n")
        where = box.arguments()
        server, asking = witness(files, canaries, allowed)
        arguments = [*where, "--config", str(config), "--live", *TRADE, *asking]
        recorded = ["--record", str(folder / "trouble.session")]
        trouble(program, folder, box, [*arguments, *recorded], canaries, found)
        pattern = deaths(program, folder, arguments, found)
        if points:
            panics(points, folder, arguments)
        said = folder / "said"
        said.mkdir()
        at_key = where.index("--key-file")
        for name, file in keys.items():
            replaced = [*arguments[:at_key], "--key-file", f"binance={file}", *arguments[at_key + 2 :]]
            out = ["--out", str(said / name), "--data-dir", str(said / name), "--json", "--for", "2s"]
            done = told(said, name, [program, "run", *replaced, *out])
            if done.returncode not in (2, 3):
                raise Failed(f"a run with the key file `{name}` ended with {done.returncode}")
        secret = Witness.secret.split()[1]
        headers = {
            "open": key_file(files / "open_header.toml", f'header = "A"\nsecret = "{secret}"\n', 0o644),
            "broken": key_file(files / "broken_header.toml", f'header = "A"\nsecret = "{secret}\n'),
            "unknown": key_file(files / "unknown_header.toml", f'header = "A"\n{secret} = "{secret}"\n'),
        }
        allowed.update(headers.values())
        for name, file in headers.items():
            asks = [program, "demo", *asking, "--for", "1s", "--out", str(said / f"header_{name}")]
            asks[asks.index("--confirm-key-file") + 1] = str(file)
            if told(said, f"header_{name}", asks).returncode not in (2, 3):
                raise Failed(f"a demo with the header file `{name}` began")
        told(
            said,
            "demo",
            [program, "demo", "--for", "3s", "--out", str(said / "demo"), "--idle", "park", *asking],
        )
        if Witness.known < 3 or Witness.known != Witness.asked:
            raise Failed(f"the signal service was asked {Witness.asked} times, {Witness.known} with its secret")
        server.shutdown()
        told(said, "demo_json", [program, "demo", "--json", "--for", "2s", "--out", str(said / "demo_json")])
        (folder / "truth").write_text(json.dumps(box.truth()))
    finally:
        box.stop()
    allowed.update((folder / "said").rglob("binance.toml"))
    left, files, size = scan(folder, canaries, allowed)
    return found + left, {"files": files, "bytes": size, "canaries": len(canaries.forms), "core_pattern": pattern}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="target/release/contango", help="the program")
    parser.add_argument("--points-engine", help="one with crash points: its rooms are made to panic, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            points = options.points_engine and str(Path(options.points_engine).resolve())
            found, numbers = run(str(Path(options.engine).resolve()), folder, points)
        except (Failed, OSError, subprocess.TimeoutExpired) as error:
            print(f"cannot run: {error}", file=sys.stderr)
            return 2
    print(json.dumps({**numbers, "found": found}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
