"""For all tests: laws are tried with as many examples as hypothesis finds fit, by night with many more.

A CI job is known by its variable, and the stub refuses to record there. Tests behave the same wherever they run: those
that are about such a job set the variable themselves.
"""

import os

from hypothesis import settings

settings.register_profile("nightly", max_examples=1_000, deadline=None)
os.environ.pop("CI", None)
