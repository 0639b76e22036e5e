"""Tools: what an agent can call with one string, one a file."""
