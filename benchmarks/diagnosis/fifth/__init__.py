"""A fifth frozen set: more loops in the styles of public training code, each fault a small change of their text."""
