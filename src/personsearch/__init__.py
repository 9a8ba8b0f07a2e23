"""Find a person in surveillance imagery by describing them."""

import os

__version__ = "0.1.0"

# ONNX Runtime from 1.29 on reports its use to its maker by default, from the moment it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
