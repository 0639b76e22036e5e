"""A sweep: cells that share stages. What it takes, how far it is, and what it left.

    python main.py -m experiment=strategies stage=plan         what it will take, before anything runs
    python main.py -m experiment=strategies stage=status       what is done, running, failed
    python main.py -m experiment=strategies                    what is missing

A cell is one configuration. Which of its stages are the same as another cell's is told by their keys alone.
"""
