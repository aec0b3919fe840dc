#!/usr/bin/env bash
# Make the local branch `upstream` from the commit named in dev/UPSTREAM, for `git diff upstream`.
# Refuses when that commit is not an ancestor of HEAD, and when the branch holds commits that would be lost.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "dev/upstream.sh: $*" >&2; exit 1; }

id=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' dev/UPSTREAM | tr -d '[:space:]')
[ -n "$id" ] || fail "dev/UPSTREAM names no commit"
git cat-file -e "$id^{commit}" 2> /dev/null ||
  fail "the commit $id of dev/UPSTREAM is not in this history; in a shallow clone run: git fetch --unshallow"
git merge-base --is-ancestor "$id" HEAD ||
  fail "the commit $id of dev/UPSTREAM is not an ancestor of HEAD; merge it, or correct dev/UPSTREAM"

if git rev-parse --quiet --verify refs/heads/upstream > /dev/null; then
  git merge-base --is-ancestor upstream "$id" ||
    fail "the branch upstream holds commits that $id does not: merge it into HEAD and move dev/UPSTREAM on"
  [ "$(git symbolic-ref --quiet --short HEAD || true)" != upstream ] || fail "upstream is checked out: leave it first"
fi
git branch --no-track --force upstream "$id" > /dev/null
echo "upstream is at $(git log -1 --format='%h %s' upstream); review with: git diff upstream"
