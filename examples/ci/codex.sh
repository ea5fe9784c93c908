#!/bin/sh
# Codex, headless, against the script: otari.pyz stub --script coding.yaml -- ./codex.sh "write a greeting to a.txt"
# Its provider is given on the command line. It may do anything: a job is a sandbox of its own.
exec "${CODEX:-codex}" exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox \
    -c model=scripted -c model_provider=stub -c check_for_update_on_startup=false \
    -c 'model_providers.stub.name="Scripted"' -c "model_providers.stub.base_url=\"$OPENAI_BASE_URL\"" \
    -c 'model_providers.stub.env_key="OPENAI_API_KEY"' -c 'model_providers.stub.wire_api="responses"' \
    -c model_providers.stub.request_max_retries=0 -c model_providers.stub.stream_max_retries=0 \
    -c analytics.enabled=false -c features.apps=false -c features.plugins=false "$@"
