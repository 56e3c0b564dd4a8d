"""Does what sections of the README say, as they say it, with the programs that PATH finds.

Usage: run.py README.md SECTION...

Blocks of a section that are marked `sh` are run one after the other by one shell. A block that ends with `asof ... serve` goes on beside
the others, which wait until it answers. A block whose first line is a comment with a file's name is that file. Programs in Rust are
run by `cargo test`, for the README is part of the crate's documentation.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def sections(text):
    """Heading -> (language, lines) of each fenced block."""
    found, heading, block = {}, None, None
    for line in text.splitlines():
        if block is not None:
            if line == "```":
                found.setdefault(heading, []).append(block)
                block = None
            else:
                block[1].append(line)
        elif line.startswith("```"):
            block = (line[3:], [])
        elif line.startswith("## "):
            heading = line[3:]
    return found


def script(blocks):
    """One for bash."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT"]
    for number, (language, block) in enumerate(blocks):
        named = re.fullmatch(r"# ([a-z_]+\.[a-z]+)", block[0])
        if named:
            lines += [f"cat > {named[1]} <<'END OF {number}'", *block, f"END OF {number}"]
        elif language == "sh" and " serve" in block[-1]:
            protocol, port = re.search(r"--(redis|http) 127\.0\.0\.1:(\d+)", block[-1]).groups()
            answers = {"redis": f"redis-cli -p {port} PING", "http": f"curl -sf 127.0.0.1:{port}/health"}[protocol]
            lines += ["(", *block[:-1], f"exec {block[-1]}", ") &"]
            lines += [f"for _ in $(seq 300); do {answers} >/dev/null 2>&1 && break; sleep 0.1; done"]
        elif language == "sh":
            lines += ["set -x", *block, "{ set +x; } 2>/dev/null"]
    return "\n".join(lines)


def main():
    path, *wanted = sys.argv[1:]
    found = sections(pathlib.Path(path).read_text())
    for heading in wanted:
        text = script(found[heading])
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(["bash", "-c", text], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ran.returncode:
            raise SystemExit(f"{heading}: status {ran.returncode}\n{ran.stdout}")
        last = "\n  ".join(ran.stdout.strip().splitlines()[-8:])
        print(f"{heading}: as written; it ends with\n  {last}")


main()
