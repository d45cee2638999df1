"""One row's LightGBM contributions through the C API's single-row call, about a third of `Booster.predict`'s cost.

The bindings used here (`lightgbm.basic._LIB`) are private; this file is the
only one that touches them, and falls back to the public call without them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import lightgbm
import numpy as np

_CONTRIBUTIONS = 3  # C_API_PREDICT_CONTRIB
_FLOAT64 = 1  # C_API_DTYPE_FLOAT64

RowContributions = Callable[[np.ndarray], np.ndarray]


def row_contributions(booster: lightgbm.Booster) -> RowContributions:
    """A function float64[k] → float64[k + 1]: each feature's contribution, then the expected value.

    Safe to call from several threads; always one thread inside, since
    LightGBM's default thread pool costs milliseconds at the 99th percentile.
    """
    try:
        return _native(booster)
    except (ImportError, AttributeError):
        return lambda row: booster.predict(row[None, :], pred_contrib=True, num_threads=1)[0]


def _native(booster: lightgbm.Booster) -> RowContributions:
    from lightgbm.basic import _LIB, _safe_call

    width = booster.num_feature()
    config = ctypes.c_void_p()
    _safe_call(
        _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(_CONTRIBUTIONS),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(width),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(config),
        )
    )
    predict = _LIB.LGBM_BoosterPredictForMatSingleRowFast

    def contributions(row: np.ndarray) -> np.ndarray:
        # The closure keeps `booster` alive: the configuration points into it.
        assert booster is not None
        out = np.empty(width + 1)
        length = ctypes.c_int64()
        _safe_call(
            predict(config, ctypes.c_void_p(row.ctypes.data), ctypes.byref(length), ctypes.c_void_p(out.ctypes.data))
        )
        return out

    return contributions
