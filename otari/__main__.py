"""`python -m otari`: the same as the built file."""

import sys

from otari.cli import main

sys.exit(main())
