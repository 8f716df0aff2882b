"""What a job has done and what its steps have cost, as Beam metrics in the namespace `facelog`.

Flink shows them on the page of the job. Outside a pipeline these functions do nothing.
"""

from collections.abc import Mapping

from apache_beam.metrics import Metrics

NAMESPACE = "facelog"


def count(**amounts: int) -> None:
    """Adds to counters: `count(segments_done=1, samples=240)`."""
    for name, amount in amounts.items():
        Metrics.counter(NAMESPACE, name).inc(amount)


def count_times(seconds: Mapping[str, float]) -> None:
    """Adds the time of each step to a distribution of milliseconds, called `decode_ms` for the step `decode`."""
    for step, spent in seconds.items():
        Metrics.distribution(NAMESPACE, f"{step}_ms").update(round(1000 * spent))
