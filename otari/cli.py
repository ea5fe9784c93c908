"""The command line: words → verbs. Only `sys` is imported at the top, so that `--help` answers at once."""

import sys

HELP = """\
otari - one local address in front of every LLM provider

usage: otari.pyz [serve] [--config FILE] [--host HOST] [--port PORT] [--port-file FILE] [--log-level LEVEL]
       otari.pyz check [--config FILE] [--json]
       otari.pyz routes [--json]
       otari.pyz version

commands:
  serve      run the gateway (the default)
  check      read the configuration, say what would be served, and end
  routes     list every endpoint
  version    print the version

options:
  -c, --config FILE     YAML configuration (without it: environment and defaults only)
      --host HOST       address to listen on, instead of the configured one
      --port PORT       port to listen on; 0 takes a free one
      --port-file FILE  write the port there once requests are answered
      --log-level LEVEL debug, info, warning or error
      --json            machine-readable output
  -h, --help            this text
      --version         the version

exit codes: 0 ended well, 1 stopped at once or failed, 2 wrong command line or configuration,
            3 the ledger is in use by another gateway, 4 the ledger can not be used, 78 wrong Python

documentation: docs/ beside the source, starting with README.md
"""

USAGE_ERROR = 2


def main() -> int:
    """Run the command line of this process; the exit code comes back."""
    words = sys.argv[1:]
    if words[:1] == ["help"] or "--help" in words or "-h" in words:
        sys.stdout.write(HELP)
        return 0
    if words and words[0] in ("version", "--version", "-V"):
        from otari import __version__  # lazy like everything below: see the module docstring

        sys.stdout.write(f"otari {__version__}\n")
        return 0
    from otari.verbs import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
