"""What every room may use, the leaves too: errors, files, cache, progress, checks, words, version."""
