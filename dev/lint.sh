#!/usr/bin/env bash
# Style, format and types. One step by its name: dev/lint.sh style | format | types
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -d .venv/bin ]; then
  PATH="$PWD/.venv/bin:$PATH"
fi

style() { ruff check .; }
format() { ruff format --check .; }
types() { mypy; }

for step in "${@:-style format types}"; do
  for name in $step; do
    case "$name" in
      style | format | types) "$name" ;;
      *) echo "dev/lint.sh: no step '$name' (style, format, types)" >&2; exit 2 ;;
    esac
  done
done
