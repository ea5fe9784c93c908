"""The command line: words → verbs. Only `sys` is imported at the top, so that `--help` answers at once."""

import sys

HELP = """\
otari - one local address in front of every LLM provider

usage: otari.pyz [serve] [--config FILE] [--host HOST] [--port PORT] [--port-file FILE] [--log-level LEVEL]
       otari.pyz check [--config FILE] [--json]
       otari.pyz routes [--json]
       otari.pyz stub [OPTIONS] [-- CMD [ARG]]
       otari.pyz wait-ready [URL] [--port-file FILE] [--timeout SECONDS]
       otari.pyz keys|users|budgets|prices|usage|batch [VERB] [OPTIONS]
       otari.pyz version

commands:
  serve      run the gateway (the default)
  check      read the configuration, say what would be served, and end
  routes     list every endpoint
  stub       the whole gateway with a script for a model, to test clients and agents against
  wait-ready wait until a gateway answers
  keys       list, create, show, change, revoke, rotate and delete virtual keys
  users      who is charged: list, create, show, change, block and delete them
  budgets    caps for users and keys, and how their periods went
  prices     what models cost: list, set, show, history
  usage      what was used: list, totals with a chart, and how one charge came about
  batch      batches of a user: list, show, watch, results, cancel
  version    print the version
             (`otari.pyz keys --help` and so on: their verbs and options)

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
INTERRUPTED = 130  # 128 and the number of the signal, as shells say it


def main() -> int:
    """Run the command line of this process; the exit code comes back."""
    try:
        return _answer(sys.argv[1:])
    except KeyboardInterrupt:  # while something starts, nobody listens for it yet
        return INTERRUPTED


def _answer(words: list[str]) -> int:
    own = words[: words.index("--")] if "--" in words else words  # behind it stands somebody else's command
    if own[:1] == ["help"] or "--help" in own or "-h" in own:
        sys.stdout.write(_help(own))
        return 0
    if own[:1] == ["wait-ready"]:
        from otari.ready import wait_ready

        return wait_ready(own[1:])
    if words and words[0] in ("version", "--version", "-V"):
        from otari import __version__  # lazy like everything below: see the module docstring

        sys.stdout.write(f"otari {__version__}\n")
        return 0
    from otari.verbs import run

    return run(words)


def _help(words: list[str]) -> str:
    """The text for the noun that is named, `help keys` or `keys --help`; else the whole."""
    from otari.command.manual import MANUAL, page  # imports nothing, and is not needed to serve

    if "stub" in words[:2]:
        from otari.stub.manual import STUB

        return STUB
    noun = next((word for word in words[:2] if word in MANUAL), None)
    return HELP if noun is None else page(noun)


if __name__ == "__main__":
    sys.exit(main())
