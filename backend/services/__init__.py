"""The way of a request: who is asked, for how long, what is done when a side fails."""
