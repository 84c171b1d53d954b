"""Files: networks, results, checkpoints, and the folders of runs."""

from ._arrays_file import read_arrays as read_arrays
from ._arrays_file import write_arrays as write_arrays
from ._atomic import write_atomically as write_atomically
from ._checkpoints import Checkpoints as Checkpoints
from ._draft import Draft as Draft
from ._draft import draft as draft
from ._draft import manifest_of as manifest_of
from ._info import info as info
from ._network_file import load as load
from ._network_file import save as save
from ._numpy_file import DeclaredArray as DeclaredArray
from ._numpy_file import declared_numpy as declared_numpy
from ._numpy_file import read_numpy as read_numpy
from ._reading import regular as regular
from ._results import RUNS as RUNS
from ._results import as_json as as_json
from ._results import keep_numbers as keep_numbers
from ._results import results_of as results_of
from ._run_folder import RunFolder as RunFolder
from ._toml_file import read_toml as read_toml
