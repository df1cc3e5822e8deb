"""A real OpenID provider (npm's `oidc-provider`) for tests."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

NODE = Path(sys.prefix) / "bin" / "node"


@contextmanager
def running_issuer() -> Generator[str]:
    """Run it, and give its URL."""
    modules = Path(sys.prefix) / "node" / "node_modules"
    script = (Path(__file__).parent / "issuer.mjs").read_text()
    copy = modules.parent / f"issuer-{os.getpid()}-{secrets.token_hex(4)}.mjs"  # where its imports are found
    copy.write_text(script)
    process = subprocess.Popen([str(NODE), str(copy)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield next(line.strip() for line in process.stdout if line.startswith("http://"))
    finally:
        process.kill()
        process.wait(30)
        copy.unlink()
