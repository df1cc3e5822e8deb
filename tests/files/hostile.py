"""A second process that exchanges what stands under two names, as fast as it can, until it is told to stop.

Run with the folder: `kb/way` is by turns a folder and a link to where the secrets are, `kb/f.txt` a file, a link to a
secret, and another name of one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Exchange until the file `stop` is there."""
    kb = root / "kb"
    turn = 0
    (root / "ready").touch()
    while not (root / "stop").exists():
        turn += 1
        with contextlib.suppress(OSError):
            if turn % 2:
                os.rename(kb / "way", kb / "folder")
                os.rename(kb / "link", kb / "way")
            else:
                os.rename(kb / "way", kb / "link")
                os.rename(kb / "folder", kb / "way")
        with contextlib.suppress(OSError):
            spare = kb / "spare"
            if turn % 3 == 0:
                os.symlink("../hr/pay.txt", spare)
            elif turn % 3 == 1:
                os.link(root / "hr/second.txt", spare)
            else:
                spare.write_text("plain")
            os.rename(spare, kb / "f.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
