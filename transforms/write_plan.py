"""Keep what the probe found out, so that assembling needs nothing but files."""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam

from schemas import storage
from schemas.layout import Layout
from schemas.storage import FileInfo
from schemas.video import Plan


def write_plan(plan: Plan, layout: Layout) -> Plan:
    """Makes a plan durable."""
    storage.write_bytes(layout.plan(plan.file.uri), plan.to_json())
    return plan


def read_plans(files: Iterable[FileInfo], layout: Layout) -> list[Plan]:
    """The plans of files that were probed, in the order of the files."""
    return [Plan.from_json(storage.read_bytes(layout.plan(file.uri))) for file in files]


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
      layout: where things lie.
    """

    layout: Layout

    def expand(self, plans):
        return plans | beam.Map(write_plan, self.layout).with_output_types(Plan)
