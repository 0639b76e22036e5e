"""A capsule: a run, or a sweep, with all that its numbers follow from, in one file that another person can check.

    python -m fireact.capsule pack outputs/<day>/<time>-<id>
    python -m fireact.capsule verify <time>-<id>.capsule.zip

`pack` puts in each run's configuration, manifest, metrics and results, and once for all of them the episodes, the
curated trajectories, the calls on the tape, the adapters and the user's own files of questions and passages. Nothing of
the machine goes along.

`verify` needs no network, no key and no weights. It says of every number which of these holds:

- recomputed: the number follows from the packed episodes, judged anew by the dataset's rules;
- replayed: these episodes follow from the answers on the tape, when they are played again from it alone.

What it cannot tell is whether the endpoint, or the weights, did give the answers that are on the tape.
"""
