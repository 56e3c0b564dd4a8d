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
    """`asof serve` over what `asof init` and `asof apply` made; gives HOST:PORT of the Redis protocol."""
    with tempfile.TemporaryDirectory(prefix="asof-serve-") as folder:
        project = pathlib.Path(folder) / "project"
        subprocess.run([binary, "init", project], check=True, capture_output=True)
        with serve(binary, project, "redis") as address:
            yield address


@contextlib.contextmanager
def asof_http(binary, definitions, *arguments):
    """`asof serve` over these definitions; gives HOST:PORT of HTTP."""
    with tempfile.TemporaryDirectory(prefix="asof-serve-") as folder:
        project = pathlib.Path(folder)
        (project / "asof.toml").write_text(definitions)
        with serve(binary, project, "http", *arguments) as address:
            yield address


@contextlib.contextmanager
def serve(binary, project, protocol, *arguments):
    """`asof serve` of a project, by this protocol; gives HOST:PORT."""
    subprocess.run([binary, "--project", project, "apply"], check=True, capture_output=True)
    command = [binary, "--project", project, "serve", f"--{protocol}", "127.0.0.1:0", "--print-address", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith(f"{protocol} "), f"asof serve said {line!r} instead of its address"
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
