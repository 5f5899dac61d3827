"""HTTP as every part of ours speaks it: pictures received within bounds, problems in words, calls with a deadline."""
