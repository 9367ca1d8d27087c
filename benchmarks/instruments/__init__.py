"""What is measured with: counters, clocks, statistics and the record of results."""
