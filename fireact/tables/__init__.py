"""The tables of a study for papers: markdown, LaTeX (booktabs) or CSV.

    python -m fireact.tables multirun/<day>/<time>-<id> --format latex
    python -m fireact.tables outputs/<day>/<time>-<id> --table failures --format csv --out failures.csv
"""
