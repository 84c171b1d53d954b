"""Drawings on Matplotlib's axes: features, similarities, activity in time, costs, and spectra.

Every function draws on the axes `ax`, or on those of a new figure, and returns them.
"""

from .._extras import Feature

with Feature("simatch.plot", extra="app"):
    from ._costs import costs as costs
    from ._costs import learning as learning
    from ._costs import samples_axis as samples_axis
    from ._mosaic import mosaic as mosaic
    from ._path import activity as activity
    from ._path import energy as energy
    from ._similarity import largest_off_diagonal as largest_off_diagonal
    from ._similarity import similarity as similarity
    from ._spectrum import spectrum as spectrum
    from ._style import COLOURS as COLOURS
    from ._style import FAINT as FAINT
    from ._style import INK as INK
    from ._style import MISSING as MISSING
    from ._style import SETTINGS as SETTINGS
    from ._style import SIGNED as SIGNED
    from ._style import new_axes as new_axes
    from ._style import style as style
