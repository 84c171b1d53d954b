"""How weights change: rules, schedules, the loop over batches, costs, features."""

from ._calibrate import calibrate as calibrate
from ._costs import Credit as Credit
from ._costs import credit as credit
from ._costs import objective as objective
from ._costs import similarity_cost as similarity_cost
from ._encode import encode as encode
from ._encode import samples_at_once as samples_at_once
from ._plasticity import check_rate as check_rate
from ._plasticity import largest_rate as largest_rate
from ._plasticity import learn as learn
from ._plasticity import plasticity as plasticity
from ._statistics import SILENT_BELOW as SILENT_BELOW
from ._statistics import saturated_share as saturated_share
from ._statistics import silent_share as silent_share
from ._training import DivergenceError as DivergenceError
from ._training import Report as Report
from ._training import Schedule as Schedule
from ._training import batches_in as batches_in
from ._training import describe as describe
from ._training import epochs_of as epochs_of
from ._training import hyperbolic as hyperbolic
from ._training import published_schedule as published_schedule
from ._training import train as train
from ._training import training as training
from ._training import warn_unconverged as warn_unconverged
