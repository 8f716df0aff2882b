"""Questions to begin with: what `facelog query DIR` shows."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Example:
    """A question with the SQL that answers it.

    Attributes:
      question: as a person would ask it.
      sql: over the views of `pipelines.results.database.connect`.
    """

    question: str
    sql: str


EXAMPLES = (
    Example(
        "Where do people smile longest without a break?",
        """\
SELECT uri, track_id, min(second) AS from_second, count(*) AS seconds, round(avg(emotion_smooth_happy), 2) AS happy
FROM (SELECT *, second - row_number() OVER (PARTITION BY video_id, track_id ORDER BY second) AS run
      FROM faces WHERE emotion_smooth = 'happy')
JOIN videos USING (video_id)
GROUP BY uri, track_id, run ORDER BY seconds DESC, happy DESC LIMIT 10;""",
    ),
    Example(
        "Which seconds show more than one face?",
        """\
SELECT uri, second, n_faces FROM timeline JOIN videos USING (video_id)
WHERE n_faces > 1 ORDER BY n_faces DESC, uri, second LIMIT 20;""",
    ),
    Example(
        "How old do the people of each video look, and how sure is that?",
        """\
SELECT uri, count(age) AS tracks, round(avg(age), 1) AS age,
       round(sqrt(avg(age_std * age_std)), 1) AS error_of_one, round(stddev_samp(age), 1) AS spread,
       round(min(age_low), 1) AS youngest_low, round(max(age_high), 1) AS oldest_high
FROM tracks JOIN videos USING (video_id)
GROUP BY uri HAVING count(age) > 0 ORDER BY uri;""",
    ),
    Example(
        "What could not be read, or not wholly?",
        """\
SELECT uri, status, error_type, error_message FROM videos WHERE status <> 'ok' ORDER BY status, uri;""",
    ),
    Example(
        "Who is seen how long: the share of the seconds that were looked at, by gender?",
        """\
SELECT uri, coalesce(gender, 'not asked') AS gender, count(DISTINCT (track_id, second)) AS face_seconds,
       round(count(DISTINCT second) / any_value(seconds), 2) AS share_of_seconds
FROM faces JOIN videos USING (video_id)
JOIN (SELECT video_id, count(n_faces) AS seconds FROM timeline GROUP BY video_id) USING (video_id)
GROUP BY uri, 2 ORDER BY uri, share_of_seconds DESC;""",
    ),
)
"""Five questions; which person speaks is not in the tables, so how long one is seen stands for it."""


def overview(columns: dict[str, list[tuple[str, str]]]) -> str:
    """The views with their columns, and the examples, as text that is SQL where it is not a comment.

    Args:
      columns: of each view, name and type.
    """
    lines = ["-- Views and their columns"]
    for view, pairs in columns.items():
        lines += [f"-- {view}:", *(f"--   {line}" for line in _wrapped([f"{n} {t}" for n, t in pairs]))]
    for example in EXAMPLES:
        lines += ["", f"-- {example.question}", example.sql]
    return "\n".join(lines) + "\n"


def _wrapped(words: list[str], width: int = 110) -> list[str]:
    lines = [""]
    for number, word in enumerate(words):
        word += "," if number < len(words) - 1 else ""
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
