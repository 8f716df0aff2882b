"""Keep what the probe found out, so that assembling needs nothing but files."""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam

from schemas import storage
from schemas.layout import Work
from schemas.video import Plan


def write_plan(plan: Plan, work: Work) -> Plan:
    """Makes a plan durable."""
    storage.write_bytes(work.plan(plan.file.uri), plan.to_json())
    return plan


def first_of_copies(plans: Iterable[Plan]) -> list[Plan]:
    """Of plans with the same content the first by uri; the others are its copies."""
    first: dict[str | None, Plan] = {}
    for plan in sorted(plans, key=lambda p: p.file.uri):
        first.setdefault(plan.video_id, plan)
    return list(first.values())


@dataclasses.dataclass(eq=False)
class WritePlan(beam.PTransform):
    """Plan → the same, once it is durable.

    Attributes:
      work: names of the unfinished work of the run's configuration.
    """

    work: Work

    def expand(self, plans):
        return plans | beam.Map(write_plan, self.work).with_output_types(Plan)
