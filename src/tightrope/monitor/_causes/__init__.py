"""The texts of :mod:`tightrope.monitor.causes`, one file per kind."""
