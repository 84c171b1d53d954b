"""Whether learning has arrived at its optimum: certificates along a run, its end, and the warning."""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..network import Network
from ..relaxation import ConvergenceWarning, Inputs, Phase, Solver
from ._certificate import Certificate, certificate
from ._report import Report

# A certificate is measured whenever so many times as many samples as it has itself were learned from.
_SPACING = 10
# A run may end after so many batches, if the second half of them left more than this share of the distance.
_FEWEST, _STALLED = 100, 0.9

Measure = Callable[[Network], Certificate]


def measure_on(x: Inputs, *, phase: Phase | None = None, solver: Solver | None, tolerance: float) -> Measure:
    """Return the function that measures certificates of networks on given samples.

    Parameters
    ----------
    x : array of shape (samples, ...), or dict of such arrays
        Samples that the run does not learn from, as a rule.
    phase : Phase, optional
        Conditions of relaxation; by default all inputs are clamped.
    solver : Solver or None
        None for the default.
    tolerance : float
        Largest residual at which a sample counts as converged, above 0.

    Returns
    -------
    callable
        Function from a network to its `Certificate`. It does not warn of samples that do not settle.
    """

    def measure(net: Network) -> Certificate:
        with warnings.catch_warnings():
            # Samples that do not settle here do not settle in the run either, which warns of them.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return certificate(net, x, phase=phase, solver=solver, tolerance=tolerance)

    return measure


def certified(
    runs: Iterable[tuple[Network, Report]],
    measure: Measure,
    tol: float | None = None,
    earlier: Sequence[Report] = (),
    stalled: float | None = None,
) -> Iterator[tuple[Network, Report]]:
    """Add certificates to some reports of a run, and end the run once the distance from the optimum is at most `tol`.

    Measuring takes about a tenth of the time of learning.

    Parameters
    ----------
    runs : iterable of (Network, Report)
        As from `training`.
    measure : callable
        Returns the certificate of a network.
    tol : float, optional
        Distance at which the run ends, above 0; by default it ends with `runs`.
    earlier : sequence of Report
        Reports of the same run before these.
    stalled : float, optional
        The run also ends if the distance is at most this and hardly falls any more, as `ended` says.

    Yields
    ------
    network : Network
    report : Report
    """
    measured = [report for report in earlier if report.certificate is not None]
    due = _due(measured[-1]) if measured else 0
    for net, report in runs:
        if report.samples >= due:
            report = dataclasses.replace(report, certificate=measure(net))
            due = _due(report)
            measured.append(report)
        yield net, report
        if ended(report, measured, tol, stalled):
            return


def _due(report: Report) -> int:
    """Number of samples learned from at which the next certificate after this report is due."""
    assert report.certificate is not None
    return report.samples + _SPACING * report.certificate.samples


def arrived(report: Report, tol: float | None) -> bool:
    """Whether the certificate of a report shows a distance of at most `tol`.

    Parameters
    ----------
    report : Report
    tol : float or None
        Above 0; with None no distance suffices.

    Returns
    -------
    bool
        False if the report has no certificate.
    """
    return tol is not None and report.certificate is not None and report.certificate.distance <= tol


def ended(report: Report, reports: Sequence[Report], tol: float | None, stalled: float | None) -> bool:
    """Whether a run ends with a report: its distance is small enough, or it hardly falls any more.

    Parameters
    ----------
    report : Report
        The last one.
    reports : sequence of Report
        All of the run, or those with certificates.
    tol : float or None
        Distance at which the run ends, above 0.
    stalled : float or None
        Distance, above 0, at which the run ends if after at least 100 batches the second half of them has lowered it by
        less than a tenth.

    Returns
    -------
    bool
        False if the last report has no certificate.

    Examples
    --------
    >>> import simatch as sm
    >>> from simatch.learning import ended
    >>> report = sm.Report(10, 1000, 0.5, 1e-4, 12.0, 0, {}, {}, {}, rate=0.1, seconds=2.0)
    >>> ended(report, [report], tol=0.01, stalled=0.05)
    False
    """
    if arrived(report, tol):
        return True
    if not arrived(report, stalled) or report.batches < _FEWEST:
        return False
    halfway = [own.certificate for own in reports if own.certificate is not None and own.batches <= report.batches / 2]
    assert report.certificate is not None
    return bool(halfway) and report.certificate.distance > _STALLED * halfway[-1].distance


def concluded(net: Network, reports: list[Report], measure: Measure) -> list[Report]:
    """Return the reports of a complete run with a certificate in the last one.

    Parameters
    ----------
    net : Network
        The network at the end.
    reports : list of Report
        All reports of the run, at least one.
    measure : callable
        Function from a network to its `Certificate`; called only if the last report has none.

    Returns
    -------
    list of Report
        A new list if the last report had to be completed.
    """
    last = reports[-1]
    return reports if last.certificate else [*reports[:-1], dataclasses.replace(last, certificate=measure(net))]


def warn_short(report: Report, tol: float | None, advice: str, stacklevel: int = 3) -> None:
    """Warn if learning ended before its distance from the optimum was at most `tol`.

    Parameters
    ----------
    report : Report
        The last one of the run.
    tol : float or None
        Above 0; with None there is no warning.
    advice : str
        What to do, for the end of the message.
    stacklevel : int
        As in `warnings.warn`, at least 1; 3 points to the caller of the function that calls this one.

    Warns
    -----
    ConvergenceWarning
        If the certificate of the report shows a larger distance.
    """
    if tol is None or report.certificate is None or report.certificate.distance <= tol:
        return
    warnings.warn(
        f"Learning ended after {report.samples:,} samples before it arrived at its optimum ("
        f"{report.certificate.shortfall()}; tol is {tol:g}); {advice}.",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )
