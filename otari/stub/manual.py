"""What `stub --help` says. It imports nothing: help is answered before anything is unpacked."""

STUB = """\
otari.pyz stub - the whole gateway with a script for a model: no configuration, key or network needed

  stub [OPTIONS]                 serve until a signal comes
  stub [OPTIONS] -- CMD [ARG]    run CMD against it: on a free port, with OPENAI_BASE_URL, ANTHROPIC_BASE_URL and keys
                                 in its environment, and no key of a real provider; signals go on to it
  stub check FILE                read scripts, tell everything that is wrong or can never answer, and end
  stub drift DIR [-c FILE]       ask the providers what was recorded, and tell what has changed in their answers' shape

options:
      --script FILE              a script, or a folder of them (may be repeated; without it: a small example)
      --lenient                  answer what no rule fits, instead of refusing it
      --seed N                   another seed than the script's: other ids, other chance
      --dialects A,B             speak only these of chat, messages, responses, gemini; the rest is translated
  -c, --config FILE              an ordinary configuration: its providers, prices and aliases, all played by the script
      --cassettes DIR            a folder of recordings, a file for each session: what was recorded is answered again
      --mode MODE                replay (the usual); record: ask the providers of the configuration for what is not
                                 recorded yet, and keep it; rerecord: keep everything anew; verify: ask them, and tell
                                 whether the shape of their answers has changed
      --allow-record-in-ci       record although CI is set
      --speed N                  N times as fast as it was recorded (1; 0 is at once)
      --host HOST                address to listen on (127.0.0.1)
      --port PORT                port; 0 takes a free one (8000; 0 with CMD, --port-file or --env-file)
      --port-file FILE           write the port there once requests are answered
      --env-file FILE            write the variables for clients there, as NAME=value
      --report FILE              how it went, as .json or (JUnit) .xml
      --log-level LEVEL          debug, info, warning or error

exit codes: that of CMD; else 0 ended well, 3 requests without a reply in the script, 4 what the script expects did not
            happen, or answers have another shape than recorded, 5 something was not recorded; 2 wrong command line or
            script, 126 and 127 CMD can not be run or is not there

Any key is accepted; sk-stub-NAME opens the session NAME, whose state is its own. More in docs/stub.md.
"""
