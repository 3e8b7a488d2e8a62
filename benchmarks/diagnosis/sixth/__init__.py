"""A sixth frozen set: fifteen more loops as different people write them, each fault a small change of their text."""
