"""For all tests: laws are tried with as many examples as hypothesis finds fit, by night with many more."""

from hypothesis import settings

settings.register_profile("nightly", max_examples=1_000, deadline=None)
