"""Comparisons of what both sides see, beside the traffic, and what is counted of them."""
