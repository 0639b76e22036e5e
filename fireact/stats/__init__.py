"""Statistics on numbers alone: which difference between two cells on the same questions can be believed."""

from fireact.stats.attempts import pass_at, pass_estimate
from fireact.stats.curve import Curve, Needed, Outside, learning_curve, needed
from fireact.stats.intervals import Estimate, estimate, seed_spread
from fireact.stats.mcnemar import Difference, paired_difference
from fireact.stats.means import Outcomes, Z, mean, standard_error
from fireact.stats.multiple import adjust, holm
from fireact.stats.paired import ALPHA, MCNEMAR, SIGN_FLIPS, Contrast, contrast
from fireact.stats.power import detectable, mcnemar_power, smallest_difference

__all__ = ["ALPHA", "MCNEMAR", "SIGN_FLIPS", "Contrast", "Curve", "Difference", "Estimate", "Needed", "Outcomes",
           "Outside", "Z", "adjust", "contrast", "detectable", "estimate", "holm", "learning_curve", "mcnemar_power",
           "mean", "needed", "paired_difference", "pass_at", "pass_estimate", "seed_spread", "smallest_difference",
           "standard_error"]
