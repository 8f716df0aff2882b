"""A small part of `make trust`: kills at random moments, and files from strangers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.trust import guests, kills
from benchmarks.trust.__main__ import attempt
from benchmarks.trust.archive import Archive, BrokenPromiseError, CannotTryError, Case


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("trust")).make()


@pytest.mark.multiprocess
@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_kill_9_of_any_process_at_any_moment(archive: Archive, number: int) -> None:
    case = list(kills.cases(archive, 2, seed=4))[number]
    assert case.check()


@pytest.mark.multiprocess
@pytest.mark.slow
@pytest.mark.parametrize("check", [guests.scripts, guests.bombs])
def test_files_from_strangers(archive: Archive, check: Callable[[Archive], str]) -> None:
    assert check(archive)


def test_broken_promises_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> str:
        raise BrokenPromiseError("it hangs")

    def impossible() -> str:
        raise CannotTryError("only root can")

    cases = [Case("a", lambda: "fine"), Case("b", broken), Case("c", impossible)]
    assert attempt(cases) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["kept", "BROKEN", "not", "1"]
    assert lines[-1] == "1 kept, 1 BROKEN, 1 not tried"


def test_a_bomb_is_small(tmp_path: Path) -> None:
    assert len(guests.bomb()) < 300_000
