"""What `--help` says about the account commands. It imports nothing: help is answered before anything is unpacked."""

SHARED = """\
options of every verb:
  -c, --config FILE  YAML configuration, which names the ledger (without it: environment and defaults)
      --url URL      ask the gateway at this address instead of reading the ledger's file (or OTARI_URL)
      --json         machine-readable output, with the field names of the HTTP API
      --local        on a terminal, times of this machine's zone instead of UTC
  The master key for a gateway comes from OTARI_MASTER_KEY, never from the command line.

Without a verb: list. On a pipe: one line per entry, fields parted by tabs, times in UTC, no colours.

exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 the ledger is in use and no gateway could be
            asked to write it, 4 the ledger can not be used
"""

_KEYS = """\
otari.pyz keys - virtual keys, which clients present instead of a provider's

  keys list [--limit N]
  keys show ID
  keys create [--user ID] [OPTIONS]    the new key goes to standard output, this once; an unknown user is made,
                                       and without one the key gets a user of its own
  keys change ID [OPTIONS] [--active yes|no]
  keys revoke ID                       refuse it from now on (change --active yes takes it back)
  keys rotate ID                       a new secret; the old one is refused at once
  keys delete ID                       for good; its usage stays

options of create and change:
      --name TEXT                      what people call it (none clears)
      --expires TIME                   date, time, 30d from now, or none
      --models A,B                     models it may use: provider:model, provider:*, or any
      --budget ID                      a cap of its own, beside the user's (none takes it away)
      --exclude-from-budget yes|no     do not charge the user's account
      --reject-user-mismatch yes|no    refuse requests that name another user
      --translation strict|lenient|none   strict: refuse what can not be translated without loss
      --metadata JSON                  an object of your own
"""

_USERS = """\
otari.pyz users - who is charged

  users list [--limit N]
  users show ID
  users create ID [OPTIONS]            a deleted user comes back with nothing spent
  users change ID [OPTIONS]
  users block ID | users unblock ID
  users delete ID                      its keys are refused, its usage stays

options of create and change:
      --alias TEXT                     what people call the user (none clears)
      --blocked yes|no                 refuse its requests
      --budget ID                      put it under a budget, whose period begins now (none takes it away)
      --models A,B                     models it may use: provider:model, provider:*, or any
      --metadata JSON                  an object of your own
"""

_BUDGETS = """\
otari.pyz budgets - caps for users and keys

  budgets list [--limit N]
  budgets show ID
  budgets create [OPTIONS]
  budgets change ID [OPTIONS]          in force at once for everybody under it
  budgets delete ID                    only when nobody is under it
  budgets resets ID [--limit N]        how its periods ended, newest first

options of create and change:
      --name TEXT                      what people call it (none clears)
      --max USD                        the cap per account and period, such as 12.50 (none: no cap)
      --every LENGTH                   starts over after 12h, 7d, 4w or so many seconds (none: never)
      --align day|week|month           starts over with the calendar, UTC (none: not)
"""

_PRICES = """\
otari.pyz prices - what models cost; rates are USD per million tokens

  prices list [--limit N]
  prices show PROVIDER:MODEL [--at TIME]
  prices history PROVIDER:MODEL
  prices set PROVIDER:MODEL --input USD --output USD [OPTIONS]
  prices delete PROVIDER:MODEL (--effective-at TIME | --all)

options of set:
      --cache-read USD  --cache-write USD  --cache-write-1h USD  --reasoning USD
      --per-request USD  --per-image USD  --per-second USD  --per-character USD   (USD each, not per million)
      --effective-at TIME              from when on; without it from now
"""

_USAGE = """\
otari.pyz usage - what was used and what it cost

  usage list [--since TIME] [--until TIME] [--user ID] [--limit N]       newest first, 50 without --limit
  usage totals [--by day|model|key|user] [--since TIME] [--until TIME]   sums, with a bar for each cost
  usage explain ID                                                       the arithmetic of one charge

TIME: 2026-11-24, 2026-11-24T12:00:00+01:00 (UTC without an offset), epoch seconds, today, now, or 7d (so long ago).
--since is included, --until is not. Days are UTC days.
"""

_BATCH = """\
otari.pyz batch - the batches of a user

  batch list [--limit N]               newest first, 20 without --limit
  batch show ID
  batch watch ID [--every LENGTH]      how it comes along, until it has ended: a bar on a terminal, else a line for
                                       every change (state, requests, answered, failed); looks every second, or as
                                       --every says (5s, 1m). Ends with 1 when the batch did not complete.
  batch results ID                     what became of every request, one JSON document per line
  batch cancel ID                      begin no more of its requests; what is done keeps its results

options of every verb:
      --user ID                        whose batches, when the master key asks
  The key comes from OTARI_API_KEY; with --user the master key of OTARI_MASTER_KEY will do. Batches are always asked
  of a gateway: --url, OTARI_URL, or the address of the configuration.
"""

MANUAL = {"keys": _KEYS, "users": _USERS, "budgets": _BUDGETS, "prices": _PRICES, "usage": _USAGE, "batch": _BATCH}


def page(noun: str) -> str:
    """The help text for a noun."""
    return f"{MANUAL[noun]}\n{SHARED}"
