"""Networks by LiteRT, the runtime of TensorFlow Lite: on the CPU, in one thread, without TensorFlow.

A network is called with one face at a time. So a face's result cannot depend on the other faces, nothing is padded, and
no call costs less a face than this one.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from models.outputs import Network, RawOutputs
from models.runtime import quiet

CHIP, SECOND = "chip", "second"
"""Names of a converted network's inputs."""

ONLY = "output"
"""Name of a converted network's only output."""


def litert_network(path: Path) -> Network:
    """The network in a .tflite file that `models.conversion` made.

    Raises:
      ValueError: it is none.
    """
    from ai_edge_litert.interpreter import Interpreter

    with quiet():  # it says on standard error how it runs
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        run = interpreter.get_signature_runner()
    sizes = {name: int(of["shape"][-1]) for name, of in run.get_output_details().items()}
    lock = threading.Lock()  # some runners have several threads, and an interpreter serves one at a time

    def network(*inputs: np.ndarray) -> RawOutputs:
        found = {name: np.empty((len(inputs[0]), size), np.float32) for name, size in sizes.items()}
        names = (CHIP, SECOND)[: len(inputs)]
        with lock:
            for row in range(len(inputs[0])):
                given = {name: of[row : row + 1] for name, of in zip(names, inputs, strict=True)}
                for name, values in run(**given).items():
                    found[name][row] = values[0]
        return {None if name == ONLY else name: values for name, values in found.items()}

    return network
