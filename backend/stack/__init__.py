"""Everything on this machine as one stack: what its parts are, how they are started, watched, known again and ended."""
