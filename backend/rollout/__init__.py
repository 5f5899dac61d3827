"""What share of the traffic Triton gets: the state, who changes it, and the decision for one request."""
