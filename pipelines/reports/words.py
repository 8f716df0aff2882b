"""What reports alone say in words: statuses, a model's test figures, and what can be done about a file."""

from __future__ import annotations

from pipelines.words import percent

END_REASONS = {"lost": "it was lost", "cut": "the shot ended", "eof": "the video ended"}

STATUSES = {
    "ok": "read whole",
    "partial": "read in part",
    "no_video": "no video in it",
    "corrupt": "unreadable",
    "failed": "failed",
}
"""Statuses of `videos` in words."""

_FIGURES = {
    "accuracy": "right label",
    "mean_recall": "right label, mean over classes",
    "ferplus_accuracy": "right label, by ten people's votes (FER+)",
    "ferplus_mean_recall": "the same, mean over classes",
    "age_mae": "mean error of age",
    "age_coverage_80": "ages within the 80 % interval",
    "age_interval_80": "mean width of that interval",
    "gender_accuracy": "right gender",
    "gender_unknown": "gender left unknown",
    "gender_accuracy_known": "right gender where it is not",
    "end_to_end_found": "faces found in whole pictures",
}
_IN_YEARS = ("age_mae", "age_interval_80")

_AGAIN = "run the same command again"
_MORE_RUNS = _AGAIN.capitalize()
_ADVICE = {
    "empty_file": f"Copy the file again from where it came from. {_MORE_RUNS}: a file that has changed is read anew.",
    "unreadable": f"See whether a player opens it. If so, convert it (ffmpeg -i FILE NEW.mp4); if not, copy it again. "
    f"{_MORE_RUNS} then.",
    "no_frames": f"Copy it again, or look for a better copy. {_MORE_RUNS} then.",
    "truncated": "What is there was analyzed. Copy it again if the source is longer, and run the same command.",
    "damaged": "The rest was analyzed. If there is a better copy, put it in place and run the same command.",
    "missing_stretch": "The rest was analyzed. If there is a better copy, put it in place and run the same command.",
    "unread_streams": "Split the file where its programme changes (ffmpeg reads each part), and analyze the parts.",
    "unread_file": "Split the file where the second one begins, or join them by ffmpeg, and analyze what comes of it.",
    "animated_webp": "Convert it (to GIF, say, or mp4), and run the same command.",
    "no_video": "Nothing, if it is meant to be sound alone; --exclude leaves such files out.",
    "not_found": f"Put the file back, and {_AGAIN} with --retry-failed; or let facelog prune remove its row.",
    "permission_denied": f"Grant read access to the user who runs facelog. {_MORE_RUNS} with --retry-failed then.",
    "storage_error": f"{_MORE_RUNS}: it tries such files anyway.",
    "changed_while_read": f"{_MORE_RUNS} when the file is complete; --settle SECONDS passes over files that are new.",
    "frame_too_large": "Raise max_pixels in the configuration, if the file is trusted and the memory suffices.",
    "worker_died": f"{_MORE_RUNS} with --retry-failed and fewer --workers, should memory have been short; if it fails "
    "again, convert the file (ffmpeg -i FILE NEW.mp4).",
    "time_limit": f"{_MORE_RUNS} with --retry-failed when the machine is less busy; if it fails again, convert the "
    "file (ffmpeg -i FILE NEW.mp4).",
    "no_tables": f"{_MORE_RUNS}; should the tables stay away, remove the file's row in DIR/videos first.",
}
_OTHERWISE = f"{_MORE_RUNS} with --retry-failed and --log-file FILE; the log says more."


def advice(status: str, error_type: str | None) -> str | None:
    """What can be done about a file's status; None where there is nothing to be done."""
    return None if status == "ok" else _ADVICE.get(error_type or "", _OTHERWISE)


def figures(measured: dict[str, float]) -> list[tuple[str, str]]:
    """The few test figures of a model that a reader needs, in words."""
    return [
        (words, f"{measured[name]:.1f} years" if name in _IN_YEARS else percent(measured[name]))
        for name, words in _FIGURES.items()
        if name in measured and not ("gender_accuracy" in measured and name in ("accuracy", "mean_recall"))
    ]
