"""Servers for tests in Python: `asof serve` over a new project, or a real Redis, each on a free loopback port."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

PATIENCE_S = 30


@contextlib.contextmanager
def asof(binary):
    """`asof serve` over what `asof init` and `asof apply` made; gives HOST:PORT."""
    with tempfile.TemporaryDirectory(prefix="asof-serve-") as folder:
        project = pathlib.Path(folder) / "project"
        for arguments in (["init", project], ["--project", project, "apply"]):
            subprocess.run([binary, *arguments], check=True, capture_output=True)
        command = [binary, "--project", project, "serve", "--redis", "127.0.0.1:0", "--print-address"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                line = process.stdout.readline()
                assert line.startswith("redis "), f"asof serve said {line!r} instead of its address"
                yield line.split()[1]
            finally:
                process.terminate()
                ended = process.wait(PATIENCE_S)
        assert ended == 0, f"asof serve ended with status {ended}"


@contextlib.contextmanager
def redis():
    """A real Redis that keeps nothing on disk; gives HOST:PORT."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise SystemExit("redis-server is not installed: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="asof-redis-") as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                wait_for(process, port)
                yield f"127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(PATIENCE_S)


def wait_for(process, port):
    """Until it is this process that answers: somebody else may have taken the port meanwhile."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(b"INFO server\r\n")
            if f"process_id:{process.pid}\r\n".encode() in client.recv(1 << 16):
                return
        time.sleep(0.01)
    raise SystemExit("redis-server does not start")
