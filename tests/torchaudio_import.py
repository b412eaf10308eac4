"""The only place that imports torchaudio.

Its wheel links CUDA, so beside a CPU build of PyTorch the import fails although its Python parts would work. Then, and
only then, its extension module is replaced by an empty stand-in and the import is repeated: the Kaldi-compatible features,
the transforms and resampling work; `forced_align` and `rnnt_loss` do not.
"""

import sys
from types import ModuleType


def import_torchaudio() -> ModuleType:
    """torchaudio, whole where it can be imported, otherwise without its native library."""
    try:
        import torchaudio
    except OSError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _stand_in()
        import torchaudio
    import torchaudio.compliance.kaldi  # noqa: F401

    return torchaudio


def _stand_in() -> ModuleType:
    module = ModuleType("torchaudio._extension")
    module._IS_TORCHAUDIO_EXT_AVAILABLE = module._IS_ALIGN_AVAILABLE = module._IS_RIR_AVAILABLE = False
    module.lazy_import_sox_ext = None
    module.fail_if_no_align = module.fail_if_no_rir = lambda function: function
    return module
