RESULTS="results.jsonl"
HTML="report.html"
