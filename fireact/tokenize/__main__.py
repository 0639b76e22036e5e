"""Do a tokenising job: `python -m fireact.tokenize FOLDER/job.json`."""

import sys

from fireact.process import stage_main
from fireact.tokenize import run

if __name__ == "__main__":
    sys.exit(stage_main(run, sys.argv))
