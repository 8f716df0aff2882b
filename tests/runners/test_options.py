"""Names of runners, and silence."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.options import in_process_options, parse_runner, quiet_beam
from schemas.errors import UsageError


@pytest.mark.parametrize(
    ("name", "runner"),
    [
        ("local", "local"),
        ("direct", "direct"),
        ("DirectRunner", "direct"),
        ("FnApiRunner", "direct"),
        ("LOCAL", "local"),
        ("FlinkRunner", "flink"),
    ],
)
def test_names(name: str, runner: str) -> None:
    assert parse_runner(name) == runner


@given(st.text())
def test_any_other_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no such runner"):
        parse_runner(f"x{name}")


@pytest.mark.parametrize("name", ["", "prism", "PrismRunner", "DaskRunner", "Runner", "dataflow", "SparkRunner"])
def test_names_that_beam_knows_and_we_do_not(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such runner; use local .* as docs/other_runners.md shows$"):
        parse_runner(name)


def test_options_do_not_read_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["facelog", "--job_name=from-the-command-line"])
    assert "job_name" not in in_process_options().get_all_options(drop_default=True)


def test_quiet_beam_drops_only_its_noise(caplog: pytest.LogCaptureFixture) -> None:
    quiet_beam()
    quiet_beam()
    logging.warning("Resource module is not available for current platform, memory usage cannot be fetched.")
    logging.getLogger("apache_beam.runners.common").error("a traceback")
    logging.warning("ours")
    assert [record.getMessage() for record in caplog.records] == ["ours"]
