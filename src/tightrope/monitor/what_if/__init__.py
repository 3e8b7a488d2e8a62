"""Copies of a training played on with one change each: what would help, and the cause that it speaks for."""
