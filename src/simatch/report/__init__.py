"""Reports of runs: figures and pages."""

from .._extras import Feature

with Feature("simatch.report", extra="app"):
    from ..plot import COLOURS as COLOURS
    from ..plot import FAINT as FAINT
    from ..plot import INK as INK
    from ..plot import MISSING as MISSING
    from ..plot import SIGNED as SIGNED
    from ..plot import style as style
    from ._figures import curves as curves
    from ._figures import mosaic as mosaic
    from ._figures import overview as overview
    from ._figures import similarity_matrices as similarity_matrices
    from ._page import Figure as Figure
    from ._page import Page as Page
    from ._page import Table as Table
    from ._page import write_page as write_page
    from ._provenance import Provenance as Provenance
    from ._provenance import provenance as provenance
    from ._story import Story as Story
    from ._tasks import learning_curves as learning_curves
    from ._tasks import similarity_rows as similarity_rows
