"""Adaptation of a trained model to pictures without labels.

    from resight.adapt import adapt, crops
    done = adapt("synth_small", crops("night/"), "runs/mine")
    done.model, done.advice                     # no advice: no sign of a bad result

First the running statistics of batch normalisation are taken anew, then the recipe's method trains on clusters.
docs/methods/unsupervised.md
"""

from resight.adapt.adaptation import Adaptation, adapt, ask
from resight.adapt.plan import crops, together
from resight.adapt.result_checks import advice

__all__ = ["Adaptation", "adapt", "advice", "ask", "crops", "together"]
