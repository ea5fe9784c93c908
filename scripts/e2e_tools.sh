#!/usr/bin/env bash
# Installs what `make e2e` needs beside Python, where that can be done: as root, on a system with apt-get. Elsewhere it
# only says what is missing; the tests that need it fail with the same words.
#
# The coding clients come from npm, by the tests themselves, and stay in ~/.cache/otari-e2e: 1 GB.
set -euo pipefail

missing=()
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing+=(chromium fonts-dejavu-core)
if [[ ${#missing[@]} -eq 0 ]]; then exit 0; fi

if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    printf 'e2e: missing: %s; as root: apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
    exit 0
fi
printf 'e2e: installing %s\n' "${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
