"""Write the plan of each file, so that assembling its video later needs only files."""

import dataclasses

import apache_beam as beam

from schemas import storage
from schemas.layout import Work
from schemas.video import Plan


def write_plan(plan: Plan, work: Work) -> Plan:
    """Writes a plan."""
    storage.write_bytes(work.plan(plan.file.uri), plan.to_json())
    return plan


@dataclasses.dataclass(eq=False)
class WritePlan(beam.PTransform):
    """Plan → the same, once it is durable.

    Attributes:
      work: names of the unfinished work of the run's configuration.
    """

    work: Work

    def expand(self, plans: beam.PCollection[Plan]) -> beam.PCollection[Plan]:
        return plans | beam.Map(write_plan, self.work).with_output_types(Plan)
