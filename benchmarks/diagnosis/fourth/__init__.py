"""A fourth frozen set: loops in the styles of known public training code, each fault a small change of their text."""
