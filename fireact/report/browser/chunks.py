"""Parts of the page that are opened when they are looked at."""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Chunks:
    """JSON values under names, as gzip in base64: letters that no parser of HTML takes for markup."""

    texts: dict[str, str] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        """Add a value; a name is a letter, the number of its set, a hyphen and another number."""
        # Not ASCII only, for size; lone surrogates have no UTF-8 form.
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        text = base64.b64encode(gzip.compress(plain, 6, mtime=0)).decode()
        self.texts[name] = text
        for prefix in (name[0], name[: name.index("-") + 1]):
            self._sizes[prefix] = self._sizes.get(prefix, 0) + len(text)

    def size(self, prefix: str) -> int:
        """Characters of all chunks whose names begin with a letter, or with a letter and the number of a set."""
        return self._sizes.get(prefix, 0)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names and texts."""
        return iter(self.texts.items())
