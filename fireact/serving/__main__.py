"""Be the supervisor of an engine: `python -m fireact.serving FOLDER/spec.json`."""

import sys
from pathlib import Path

from fireact.serving.supervisor import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
