"""Makes the pages that say what the code says already: the settings, the commands, the API."""
