"""What a run shows: figures and a page."""

from .figures import curves as curves
from .figures import mosaic as mosaic
from .figures import overview as overview
from .figures import similarity_matrices as similarity_matrices
from .page import Figure as Figure
from .page import Page as Page
from .page import write_page as write_page
from .provenance import Provenance as Provenance
from .provenance import provenance as provenance
from .story import Story as Story
