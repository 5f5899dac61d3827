"""What the commands show where somebody looks, and plain lines where a pipe does: bars, live lines, colours, words."""
