"""The scripts of the upstream line, in a small repository of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEV = Path(__file__).resolve().parents[2] / "dev"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run(root, *command):
    return subprocess.run(command, cwd=root, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def git(root, *arguments):
    done = run(root, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "change")
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "dev").mkdir()
    for name in ("upstream.sh", "check_patch.py"):
        shutil.copy(DEV / name, tmp_path / "dev" / name)
    git(tmp_path, "init", "-q", "-b", "main")
    base = commit(tmp_path, detectron2__a="1", tools__b="1", dev__patched_files_txt="")
    (tmp_path / "dev" / "patched_files.txt").write_text("# none\n")
    (tmp_path / "dev" / "UPSTREAM").write_text(f"# base\n{base}\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "upstream")
    return tmp_path, base


def test_branch_is_made_and_moved(repository):
    root, base = repository
    assert run(root, "dev/upstream.sh").returncode == 0
    assert git(root, "rev-parse", "upstream") == base
    newer = commit(root, detectron2__a="2")
    (root / "dev" / "UPSTREAM").write_text(newer)
    assert run(root, "dev/upstream.sh").returncode == 0
    assert git(root, "rev-parse", "upstream") == newer


def test_commit_that_is_not_there(repository):
    root, _ = repository
    (root / "dev" / "UPSTREAM").write_text("0123456789" * 4)
    done = run(root, "dev/upstream.sh")
    assert done.returncode == 1 and "not in this history" in done.stderr and "--unshallow" in done.stderr


def test_commit_that_is_no_ancestor(repository):
    root, base = repository
    git(root, "checkout", "-q", "-b", "side", base)
    side = commit(root, detectron2__side="1")
    git(root, "checkout", "-q", "main")
    (root / "dev" / "UPSTREAM").write_text(side)
    done = run(root, "dev/upstream.sh")
    assert done.returncode == 1 and "not an ancestor" in done.stderr


def test_unmerged_commits_of_the_branch_are_kept(repository):
    root, _ = repository
    run(root, "dev/upstream.sh")
    git(root, "checkout", "-q", "upstream")
    fix = commit(root, detectron2__fix="1")
    git(root, "checkout", "-q", "main")
    done = run(root, "dev/upstream.sh")
    assert done.returncode == 1 and "merge it" in done.stderr
    assert git(root, "rev-parse", "upstream") == fix


def test_only_listed_files_may_differ(repository):
    root, base = repository
    command = (sys.executable, "dev/check_patch.py")
    assert run(root, *command).returncode == 0
    commit(root, detectron2__a="2", docs__c="1")
    done = run(root, *command)
    assert done.returncode == 1 and "detectron2/a: differs" in done.stdout and "docs" not in done.stdout
    (root / "dev" / "patched_files.txt").write_text("detectron2/a  # reason\n")
    assert run(root, *command).returncode == 0
    (root / "dev" / "UPSTREAM").write_text(git(root, "rev-parse", "HEAD"))
    done = run(root, *command)
    assert done.returncode == 0 and "take it off the list" in done.stdout
