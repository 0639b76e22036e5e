"""Files of other tools and of FireAct's release, read and written.

    python -m fireact.formats FILE --to sharegpt --out FILE

reads a file in any format that `read` knows, says what is in it and what is wrong with it, and writes it in another.
See `writing.py` for the formats, `released.py` for what is known about the release.
"""

from fireact.formats.reading import read
from fireact.formats.record import Defect, Imported, Kind
from fireact.formats.writing import SUFFIXES, Name, write, write_pairs

__all__ = ["SUFFIXES", "Defect", "Imported", "Kind", "Name", "read", "write", "write_pairs"]
