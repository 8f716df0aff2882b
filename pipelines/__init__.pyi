# The public functions, for type checkers, and for __init__.py, which imports each of them when it is asked for.

from pipelines.annotations.annotate import annotate as annotate
from pipelines.annotations.image import image as image
from pipelines.cameras.watch import live as live
from pipelines.datasets.evaluate import evaluate as evaluate
from pipelines.datasets.prepare import prepare as prepare
from pipelines.detectors.compare import compare_detectors as compare_detectors
from pipelines.exports.export import export as export
from pipelines.inputs import Inputs as Inputs
from pipelines.keeping.compact import compact as compact
from pipelines.keeping.forget import forget as forget
from pipelines.keeping.prune import prune as prune
from pipelines.keeping.upgrade import upgrade as upgrade
from pipelines.queries.query import query as query
from pipelines.reports.report import report as report
from pipelines.results.database import connect as connect
from pipelines.runs.analyze_archive import analyze as analyze
from pipelines.runs.dry_run import plan_run as plan_run
from pipelines.settings import make_config as make_config
