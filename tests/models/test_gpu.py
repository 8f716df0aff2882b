"""The shipped models on a GPU, where there is one."""

import subprocess
import sys

import numpy as np
import pytest

from runners.devices import free_gpu_mb

_SCRIPT = """
import sys
import numpy as np
from models.bundle import bundle_path, read_bundle

chips, out = sys.argv[3], sys.argv[4]
# LiteRT runs other weights: tests/models/test_bundle.py compares these.
bundle = read_bundle(bundle_path(sys.argv[1]), sys.argv[2], runtime="tensorflow")
np.savez(out, **bundle.predict(np.load(chips)))
"""


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("task", ["emotion", "age_gender"])
def test_gpu_agrees_with_cpu(task, tmp_path):
    if free_gpu_mb() is None:
        pytest.skip("no GPU: nvidia-smi finds none")
    from models.bundle import bundle_path
    from models.cards import read_card
    from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL

    name = {"emotion": EMOTION_MODEL, "age_gender": AGE_GENDER_MODEL}[task]
    geometry = read_card(bundle_path(name)).geometry
    shape = (100, geometry.size, geometry.size) + ((3,) if geometry.channels == "rgb" else ())
    np.save(tmp_path / "chips.npy", np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    results = {}
    for device in ("cpu", "gpu"):  # a process each: TensorFlow decides once which devices it sees
        out = tmp_path / f"{device}.npz"
        subprocess.run([sys.executable, "-c", _SCRIPT, name, device, str(tmp_path / "chips.npy"), str(out)], check=True)
        results[device] = np.load(out)
    for key in results["cpu"]:
        np.testing.assert_allclose(results["gpu"][key], results["cpu"][key], rtol=1e-2, atol=1e-3)
