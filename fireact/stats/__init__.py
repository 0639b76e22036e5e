"""Statistics on numbers alone: which difference between two cells on the same questions can be believed.

    estimate            a mean over questions, clustered by question over seeds, with its 95% interval
    contrast            two cells on the questions they share: interval, exact test
    adjust, holm        all contrasts that were planned together
    mcnemar_power, smallest_difference      what a number of questions can show
    learning_curve, needed                  nested data sizes, and how many samples a target takes
    pass_at, pass_estimate                  several attempts
    verdict, samples_needed                 the same in words
"""

from fireact.stats.attempts import pass_at, pass_estimate
from fireact.stats.curve import Curve, Needed, Outside, learning_curve, needed
from fireact.stats.intervals import Estimate, estimate, seed_spread
from fireact.stats.mcnemar import Difference, paired_difference
from fireact.stats.means import Outcomes, Z, mean, standard_error
from fireact.stats.multiple import adjust, holm
from fireact.stats.paired import ALPHA, MCNEMAR, SIGN_FLIPS, Contrast, contrast
from fireact.stats.power import detectable, mcnemar_power, smallest_difference
from fireact.stats.words import EM, F1, Measure, p_value, samples_needed, verdict

__all__ = ["ALPHA", "EM", "F1", "MCNEMAR", "SIGN_FLIPS", "Contrast", "Curve", "Difference", "Estimate", "Measure",
           "Needed", "Outcomes", "Outside", "Z", "adjust", "contrast", "detectable", "estimate", "holm",
           "learning_curve", "mcnemar_power", "mean", "needed", "p_value", "paired_difference", "pass_at",
           "pass_estimate", "samples_needed", "seed_spread", "smallest_difference", "standard_error", "verdict"]
