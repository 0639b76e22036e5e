"""Datasets: questions in splits, the corpus their answers stand in, and how an answer is judged, one a file."""
