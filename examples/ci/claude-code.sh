#!/bin/sh
# Claude Code, headless, against the script: otari.pyz stub --script coding.yaml -- ./claude-code.sh "write a greeting to a.txt"
# ANTHROPIC_BASE_URL and the key are set by the stub; the switches keep it from asking other hosts, and from hiding a
# broken answer by asking again.
export ANTHROPIC_MODEL="${ANTHROPIC_MODEL:-scripted}" ANTHROPIC_SMALL_FAST_MODEL="${ANTHROPIC_MODEL:-scripted}"
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 DISABLE_TELEMETRY=1 DISABLE_ERROR_REPORTING=1
export CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK=1 CLAUDE_CODE_MAX_RETRIES=0
exec "${CLAUDE:-claude}" -p "$@" --permission-mode acceptEdits --allowedTools Write
