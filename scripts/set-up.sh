#!/bin/sh
# Make .venv in the project's root, or bring it up to date; does nothing when it is current.
# "set-up.sh studies" installs what a search of studies/ needs, "set-up.sh dev" tests and linters,
# too. .venv/.complete is written last and says for which files, place and extra it was made;
# .venv/.started marks a set-up that was interrupted, whose packages cannot be trusted.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
extra=${1:-dev}

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
files="$(cat pyproject.toml constraints.txt | cksum)"
wanted="$extra $files $(pwd -P)"

current() {
    [ -f "$venv/.complete" ] || return 1
    made=$(cat "$venv/.complete")
    [ "$made" = "$wanted" ] || [ "$made" = "dev ${wanted#* }" ] || return 1
    healthy && [ -x "$venv/bin/autosched" ]
}

if current; then
    exit 0
fi
begun=$(date +%s)

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
    echo "Installing autosched and what it needs."
else
    echo "Bringing $venv up to date."
    # What else was installed before stays.
    case "$(cat "$venv/.complete" 2>/dev/null)" in
        dev\ *) extra=dev wanted="dev ${wanted#* }" ;;
    esac
fi

rm -f "$venv/.complete"
: >"$venv/.started"
quiet=--quiet
if [ -t 1 ]; then
    quiet=
fi

with_pip() {
    # shellcheck disable=SC2086 # no word where it is empty
    "$venv/bin/python" -m pip install $quiet --disable-pip-version-check \
        --constraint constraints.txt "$@"
}

# with_uv: as with_pip, faster, and it knows PyTorch's own index and can leave packages out.
with_uv() {
    # shellcheck disable=SC2086
    "$venv/bin/uv" pip install $quiet --system-certs --python "$venv/bin/python" \
        --constraint constraints.txt "$@"
}

# install PACKAGE...: PyTorch's CPU build where its index is within reach; else the build of PyPI,
# without those of CUDA's packages that importing it does not load; else whatever pip makes of it.
install() {
    if with_pip uv; then
        if UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=1 with_uv --torch-backend cpu "$@" 2>/dev/null; then
            echo "PyTorch is its CPU build."
            return
        fi
        echo "PyTorch's own index is out of reach: taking PyPI's build, with 3 GB of CUDA's libraries" \
            "that nothing here uses."
        if with_uv --excludes scripts/unused-packages.txt "$@"; then
            return
        fi
        echo "uv cannot install it: trying pip."
    fi
    with_pip "$@"
}

install --editable ".[$extra]" || {
    # An installation that fails is undone, so the next attempt can go on from here.
    rm -f "$venv/.started"
    echo "Set-up failed: see the message above, then run make setup again." >&2
    exit 1
}
# The TT-CNN builder, of which tests of the export need one file that loads ttnn and torch alone:
# without transformers and what else its package asks for.
install_builder() {
    with_uv --no-deps tt-symbiote 2>/dev/null || with_pip --no-deps tt-symbiote
}

if [ "$extra" = dev ]; then
    if install_builder; then
        echo "tt-symbiote is there for its TT-CNN builder, without what the rest of it needs."
    else
        echo "tt-symbiote cannot be installed: tests of the ttcnn export are skipped."
    fi
fi
printf '%s\n' "$wanted" >"$venv/.complete"
rm -f "$venv/.started"
took="$(du -sh "$venv" | cut -f1) in $venv, $(($(date +%s) - begun)) s"
printf '%s\n' "$took" >"$venv/.took"
echo "Set-up complete: $took."
