#!/bin/sh
# Print the path of a Python that autosched runs on: 3.12, or else 3.10 (ttnn has wheels for no
# other). PYTHON=/path/to/python decides without a search.
set -u

# runs INTERPRETER VERSION: it starts (pyenv's shims may not), is VERSION, and can make a
# virtual environment (Debian's python3.12 without python3.12-venv cannot).
runs() {
    "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" \
        </dev/null >/dev/null 2>&1
}

# candidates VERSION: the places where that version may be, one a line.
candidates() {
    (
        set -f
        IFS=:
        for directory in ${PATH:-}; do
            printf '%s\n' "${directory:-.}/python$1" "${directory:-.}/python3"
        done
    )
    for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv" /opt/pyenv; do
        for interpreter in "$root/versions/$1"*/bin/"python$1"; do
            printf '%s\n' "$interpreter"
        done
    done
    if command -v uv >/dev/null 2>&1; then
        uv python find "$1" 2>/dev/null
    fi
    printf '%s\n' "/usr/bin/python$1" "/usr/local/bin/python$1" "/opt/homebrew/bin/python$1"
}

# find VERSION: print the first candidate that runs.
find() {
    candidates "$1" | while IFS= read -r interpreter; do
        if [ -x "$interpreter" ] && runs "$interpreter" "$1"; then
            printf '%s\n' "$interpreter"
            break
        fi
    done
}

if [ -n "${PYTHON:-}" ]; then
    if runs "$PYTHON" 3.12 || runs "$PYTHON" 3.10; then
        command -v "$PYTHON"
        exit 0
    fi
    echo "PYTHON=$PYTHON is not a Python 3.12 or 3.10 that can make virtual environments." >&2
    exit 1
fi

for version in 3.12 3.10; do
    found=$(find "$version")
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        exit 0
    fi
done

if command -v uv >/dev/null 2>&1 && uv python install 3.12 >&2; then
    found=$(find 3.12)
    if [ -n "$found" ]; then
        printf '%s\n' "$found"
        exit 0
    fi
fi

cat >&2 <<'MESSAGE'
autosched needs Python 3.12 (or 3.10), and none was found on PATH, in pyenv or through uv.
Install one, for example with `uv python install 3.12`, `pyenv install 3.12` or
`apt-get install python3.12-venv`, or name it: make setup PYTHON=/path/to/python3.12
MESSAGE
exit 1
