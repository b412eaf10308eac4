"""What lets SpeechBrain be imported beside a PyTorch without CUDA, which torchaudio's wheel links."""

import sys
import types

native = types.ModuleType("torchaudio._extension")
native._IS_TORCHAUDIO_EXT_AVAILABLE = native._IS_RIR_AVAILABLE = False
native.lazy_import_sox_ext = native.fail_if_no_align = lambda *arguments: arguments[0] if arguments else None
sys.modules["torchaudio._extension"] = native  # its Python parts work without the native library
