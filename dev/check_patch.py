"""Check that only the files listed in dev/patched_files.txt differ from the un-quantized base.

Usage: ``python dev/check_patch.py`` anywhere in a checkout. The base is the commit named in dev/UPSTREAM.
Exits with 1 and the names when an unlisted file under detectron2/ or tools/ differs.
"""

import subprocess
import sys
from pathlib import Path

FOLDERS = ("detectron2", "tools")


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without comments and blanks."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def changed_files(root: Path, base: str) -> set[str]:
    """Files under FOLDERS that the working tree has in another form than the commit ``base``."""
    command = ["git", "-C", str(root), "diff", "--name-only", base, "--", *FOLDERS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dev/check_patch.py: {done.stderr.strip()} (base {base} of dev/UPSTREAM)")
    return set(done.stdout.splitlines())


def check(root: Path) -> int:
    """Print what is wrong; return the exit status."""
    base = read_lines(root / "dev" / "UPSTREAM")
    if len(base) != 1:
        raise SystemExit(f"dev/check_patch.py: dev/UPSTREAM must name one commit, it names {len(base)}")
    listed, changed = set(read_lines(root / "dev" / "patched_files.txt")), changed_files(root, base[0])
    for name in sorted(changed - listed):
        print(f"{name}: differs from the base, but dev/patched_files.txt does not list it")
    for name in sorted(listed - changed):
        print(f"{name}: listed in dev/patched_files.txt, but equal to the base (take it off the list)")
    print(f"{len(changed)} files differ from {base[0][:12]}, {len(changed - listed)} of them unlisted")
    return 1 if changed - listed else 0


if __name__ == "__main__":
    sys.exit(check(Path(__file__).resolve().parents[1]))
