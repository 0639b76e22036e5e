"""FireAct: fine-tune language agents on the successful episodes of a stronger one, and measure what it was worth."""

__version__ = "0.1.0"
