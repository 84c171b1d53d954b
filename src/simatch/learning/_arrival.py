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

Measure = Callable[[Network], Certificate]


def measure_on(x: Inputs, *, phase: Phase | None = None, solver: Solver | None, tolerance: float) -> Measure:
    """Return the function that measures certificates of networks on given samples."""

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
        Distance at which the run ends.
    earlier : sequence of Report
        Reports of the same run before these.

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
        yield net, report
        if arrived(report, tol):
            return


def _due(report: Report) -> int:
    """Number of samples learned from at which the next certificate after this report is due."""
    assert report.certificate is not None
    return report.samples + _SPACING * report.certificate.samples


def arrived(report: Report, tol: float | None) -> bool:
    """Whether the certificate of a report shows a distance of at most `tol`."""
    return tol is not None and report.certificate is not None and report.certificate.distance <= tol


def concluded(net: Network, reports: list[Report], measure: Measure) -> list[Report]:
    """Return the reports of a complete run with a certificate in the last one."""
    last = reports[-1]
    return reports if last.certificate else [*reports[:-1], dataclasses.replace(last, certificate=measure(net))]


def warn_short(report: Report, tol: float | None, advice: str, stacklevel: int = 3) -> None:
    """Warn if learning ended before its distance from the optimum was at most `tol`."""
    if tol is None or report.certificate is None or report.certificate.distance <= tol:
        return
    warnings.warn(
        f"Learning ended after {report.samples:,} samples before it arrived at its optimum ("
        f"{report.certificate.shortfall()}; tol is {tol:g}); {advice}.",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )
