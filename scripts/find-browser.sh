#!/bin/sh
# Find the browser in which a test opens the report, or install Debian's Chromium where root may.
# Without one the test is skipped, and says so: nothing else needs a browser.
set -eu

for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the test of the report: some hundred megabytes."
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq >/dev/null 2>&1 &&
        apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1; then
        exit 0
    fi
fi
echo "There is no browser, so the report is not tested in one; installing chromium changes that."
