"""Reports on a run of learning."""

import dataclasses

from ._certificate import Certificate
from ._health import Health
from ._loop import LearningState


@dataclasses.dataclass(frozen=True)
class Report:
    """Report on the batches since the report before.

    Attributes
    ----------
    batches, samples : int
        Number of batches and of samples learned from since training started.
    cost : float
        Cost that the rule gives for the last batch, before learning from it: the dual cost (9) for `GradientRule`.
    residual : float
        Largest residual of any sample since the last report.
    steps : float
        Mean number of solver steps of a sample since the last report, summed over the phases of the rule.
    unconverged : int
        Number of samples since the last report that did not reach the tolerance.
    saturated, silent : dict of str to float
        For every population that relaxes in the first phase of the rule, the share of activities near a bound and the
        share of units that respond to no sample, on the last batch.
    health : dict of str to Health
        More on the state of the same populations, on the last batch.
    rate : float
        Learning rate of descending parameters in the last batch.
    seconds : float
        Wall time since training started.
    certificate : Certificate or None
        Distance from the optimum of learning after the last batch, on held-out samples; only in some reports of a run
        with held-out samples.
    state : LearningState
        State of the rule and of the transformation after the last batch; `training` continues from it.
    """

    batches: int
    samples: int
    cost: float
    residual: float
    steps: float
    unconverged: int
    saturated: dict[str, float]
    silent: dict[str, float]
    health: dict[str, Health]
    rate: float
    seconds: float
    certificate: Certificate | None = None
    state: LearningState = dataclasses.field(default=LearningState(None, None), repr=False, compare=False)
