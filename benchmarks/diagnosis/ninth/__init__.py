"""A ninth frozen set of planted faults, written without a look at the rules."""
