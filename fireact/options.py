"""What the options of plug-ins and sections are typed by: numbers in their ranges, and marks for store keys."""

from typing import Annotated

from pydantic import Field

RUNTIME = "runtime"
"""Marks a plug-in's field, as `Annotated[int, RUNTIME]`, that cannot change a result: it stays out of store keys."""
ADDED = "added"
"""Marks an option that came later: at its default it stays out of store keys, so that what was made before counts."""
REPLY = "reply"
"""Marks an option that shapes a model's replies only: what is trained does not depend on it."""
CONTENT = "content"
"""Marks a text, as `Annotated[str, CONTENT]`, that may be a path: what is there then counts, not where it is."""

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
