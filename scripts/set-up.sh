#!/bin/sh
# Make .venv in the project's root, or bring it up to date; does nothing when it is current.
# .venv/.complete is written last and says for which files, place and Python it was made;
# .venv/.started marks a set-up that was interrupted, whose packages cannot be trusted.
set -eu
cd "$(dirname "$0")/.."
venv=.venv

# Of two set-ups at once, the second waits and then finds nothing to do.
if command -v flock >/dev/null 2>&1; then
    exec 9<pyproject.toml
    flock 9
fi

# healthy: the interpreter starts, is a version ttnn has a wheel for, and pip is there.
healthy() {
    "$venv/bin/python" -c "import sys, pip; sys.exit(sys.version_info[:2] not in ((3, 12), (3, 10)))" \
        </dev/null >/dev/null 2>&1
}

# Scripts in .venv carry its absolute path, so a moved project is stale too.
wanted="$(cat pyproject.toml constraints.txt | cksum) $(pwd -P)"

current() {
    [ -f "$venv/.complete" ] && [ "$(cat "$venv/.complete")" = "$wanted" ] && healthy &&
        [ -x "$venv/bin/autosched" ]
}

if current; then
    exit 0
fi

moved=no
if [ -f "$venv/.complete" ]; then
    case "$(cat "$venv/.complete")" in
        *" $(pwd -P)") ;;
        *) moved=yes ;;
    esac
fi
if [ -e "$venv" ] && { [ "$moved" = yes ] || [ -e "$venv/.started" ] || ! healthy; }; then
    echo "Removing $venv: it is broken, was moved, or its set-up was interrupted."
    rm -rf "$venv"
fi
if [ ! -e "$venv" ]; then
    python=$(sh scripts/find-python.sh)
    echo "Making $venv with $("$python" --version) ($python)."
    mkdir "$venv"
    : >"$venv/.started"
    "$python" -m venv "$venv"
    echo "Installing autosched and what it needs: a few gigabytes, some minutes."
else
    echo "Bringing $venv up to date."
fi

rm -f "$venv/.complete"
: >"$venv/.started"
quiet=--quiet
if [ -t 1 ]; then
    quiet=
fi
"$venv/bin/python" -m pip install $quiet --disable-pip-version-check \
    --constraint constraints.txt --editable '.[dev]' || {
    # pip undoes an installation that fails, so the next attempt can go on from here.
    rm -f "$venv/.started"
    echo "Set-up failed: see pip's message above, then run make setup again." >&2
    exit 1
}
printf '%s\n' "$wanted" >"$venv/.complete"
rm -f "$venv/.started"
echo "Set-up complete."
