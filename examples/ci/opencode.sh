#!/bin/sh
# opencode, headless, against the script: otari.pyz stub --script coding.yaml -- ./opencode.sh "write a greeting to a.txt"
# OPENCODE_CONFIG leads it to the settings beside this file; the switches keep it from asking other hosts.
here=$(dirname "$0")
export OPENCODE_CONFIG="${OPENCODE_CONFIG:-$here/opencode.json}"
export OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1
export OPENCODE_DISABLE_DEFAULT_PLUGINS=1 OPENCODE_DISABLE_SHARE=1 OPENCODE_PURE=1
exec "${OPENCODE:-opencode}" run "$@"
