"""Load as the suites ask for it: closed or open, from one process or several, and a search for what is held."""
