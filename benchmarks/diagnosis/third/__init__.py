"""A third frozen set: plain loops as other people write them, each fault a small change of their text."""
