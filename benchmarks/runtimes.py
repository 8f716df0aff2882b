"""What the models cost on the CPU by LiteRT and by TensorFlow: start, memory and time a face.

    python -m benchmarks.runtimes

Each runtime has a process of its own, which loads both default models. CPU seconds and milliseconds are of one thread.
"""

import json
import subprocess
import sys

_PROCESS = """
import json, resource, sys, time
from models.bundle import bundle_path, read_bundle
from pipelines.settings import AGE_GENDER_MODEL, EMOTION_MODEL
from training.judging.evaluate import milliseconds_per_face

bundles = [read_bundle(bundle_path(name), runtime=sys.argv[1]) for name in (EMOTION_MODEL, AGE_GENDER_MODEL)]
used = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
costs = [milliseconds_per_face(bundle, batch) for bundle in bundles for batch in (1, 32)]
print(json.dumps([*used, *costs]))
"""


def main() -> None:
    """Prints the table."""
    print("| runtime | start, CPU s | memory, MB | emotion, 1 face, ms | of 32 | age and gender, 1 face, ms | of 32 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for runtime, name in (("litert", "LiteRT"), ("tensorflow", "TensorFlow")):
        done = subprocess.run([sys.executable, "-c", _PROCESS, runtime], check=True, capture_output=True, text=True)
        start, memory, *costs = json.loads(done.stdout.splitlines()[-1])
        print(f"| {name} | {start:.1f} | {memory:.0f} |", " | ".join(f"{cost:.2f}" for cost in costs), "|")


if __name__ == "__main__":
    main()
