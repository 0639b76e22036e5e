"""A study: what one run or all cells of a sweep measured, read from their folders and put into tables of numbers.

A run is a study of one cell. Cells that differ in nothing but the seed are one condition, measured several times.

    study = read(Path("multirun/2026-11-28/12-00-00-ab12"))      # fireact/study/read.py

Only numbers and names here: fireact/report draws them, `python -m fireact.tables` prints them.
"""
