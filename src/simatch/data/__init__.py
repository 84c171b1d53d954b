"""Data sets, files of samples, and preprocessing."""

from .._extras import Feature

with Feature("simatch.data", extra="sklearn"):
    from ._datasets import Dataset as Dataset
    from ._datasets import known_datasets as known_datasets
    from ._datasets import load_dataset as load_dataset
    from ._preprocessing import Preprocessing as Preprocessing
    from ._preprocessing import default_preprocessing as default_preprocessing
    from ._windows import time_windows as time_windows
