"""Do a parity job: `python -m fireact.parity FOLDER/job.json`."""

import sys

from fireact.parity import run
from fireact.process import stage_main

if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
