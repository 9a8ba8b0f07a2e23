"""Serving runs without torch, and importing it does nothing."""

import subprocess
import sys


def test_serving_imports_no_torch_and_no_platform() -> None:
    script = (
        "import sys, serving.app\n"
        "heavy = {'torch', 'torchvision', 'open_clip', 'mlflow', 'pymilvus', 'kfp', 'dvc'} & set(sys.modules)\n"
        "sys.exit(f'imported: {sorted(heavy)}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
