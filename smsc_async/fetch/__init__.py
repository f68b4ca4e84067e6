"""The path of a call: cache, single flight, attempts, and what an answer means."""
