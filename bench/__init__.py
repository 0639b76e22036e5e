"""Benchmarks: they measure, print ratios against a baseline run side by side, and write JSON. They are no tests."""
