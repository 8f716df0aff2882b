"""The timeline as a Plotly figure: plain dicts, drawn in the browser by plotly.js, themed by report.css.

Times are seconds on a plain axis; report.js writes its ticks as h:mm:ss. (A date axis would begin anew after a day.)
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from pipelines import face_words
from pipelines.colours import EMOTION_COLOURS, UNKNOWN_COLOUR, hex_code
from pipelines.reports.content import Age, Gender, Span, VideoReport
from pipelines.words import UNKNOWN, at, percent
from schemas.tables import EMOTIONS

COLOURS = {name: hex_code(colour) for name, colour in (EMOTION_COLOURS | {UNKNOWN: UNKNOWN_COLOUR}).items()}
"""The colour of each emotion, and of an unknown one, as HTML writes it."""
_DARK_GROUND = {"angry", "disgust", "sad"}  # white letters on these, black ones on the others

_LANE, _COUNTS, _SHARES, _GAP, _TOP, _BOTTOM = 24, 84, 132, 34, 26, 44
"""Heights in pixels."""
_NUMBERED, _LONGEST_LABEL = 11, 20
"""Letters of a lane's label that fit into the margin, and those that a name has at most; wider ones widen it."""
_LETTERED = 0.07
"""Share of the whole time from which a span is wide enough for the name of its emotion."""
_EDGED = 400
"""Spans that have an edge; where there are more, edges would be most of what is seen."""
_MOST_CUTS, _LONG_CUTS, _MOST_STRETCHES = 2000, 60, 200


def timeline_figure(report: VideoReport, part: tuple[float, float] | None = None) -> dict[str, Any]:
    """Lanes, beneath them faces and emotions over time, all on one axis.

    Args:
      report: of a video.
      part: first and last second of the part of the video that its timeline, counts and shares are of; None: the whole.

    Returns:
      `data` and `layout` for `Plotly.newPlot`.
    """
    lanes = report.timeline.lanes
    heights = [max(len(lanes), 1) * _LANE, _COUNTS, *([_SHARES] if report.shares.shares else [])]
    whole = sum(heights) + _GAP * (len(heights) - 1)
    domains, top = [], whole
    for height in heights:
        domains.append([round((top - height) / whole, 4), round(top / whole, 4)])
        top -= height + _GAP
    start, end = part or (0.0, end_of(report))
    layout: dict[str, Any] = {
        "height": whole + _TOP + _BOTTOM,
        "margin": {"l": 76, "r": 12, "t": _TOP, "b": _BOTTOM},
        "barmode": "stack",
        "bargap": 0,
        "hovermode": "closest",
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hoverlabel": {"align": "left", "namelength": 0, "font": {"family": "system-ui, sans-serif", "size": 13}},
        "dragmode": "zoom",
        "xaxis": {
            "type": "linear",
            "range": [start, end],
            "anchor": f"y{len(heights)}" if len(heights) > 1 else "y",
            "zeroline": False,
            "ticklabelstandoff": 4,
            "title": {"text": "time", "standoff": 6},
        },
        "yaxis": {
            "domain": domains[0],
            "range": [max(len(lanes), 1) - 0.5, -0.5],
            "tickvals": list(range(len(lanes))),
            "ticktext": [html.escape(_shortened(lane.label)) for lane in lanes],
            **({"automargin": True} if any(len(lane.label) > _NUMBERED for lane in lanes) else {}),
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
        },
        "yaxis2": {
            "domain": domains[1],
            "fixedrange": True,
            "rangemode": "tozero",
            "zeroline": False,
            "nticks": 4,
            "tickformat": "d",
            "title": {"text": "faces", "standoff": 6},
        },
        "shapes": [_shade(stretch.start, stretch.end) for stretch in report.unreadable[:_MOST_STRETCHES]],
    }
    most = max((count for count in report.counts.most if count is not None), default=0)
    layout["yaxis2"] |= {"range": [0, max(most, 1) * 1.1], "dtick": max(1, -(-most // 4))}
    data = [*_lanes(report, end - start), _cuts(report), _counts(report, start, end)]
    if len(heights) > 2:
        layout["yaxis3"] = {
            "domain": domains[2],
            "range": [0, 1],
            "fixedrange": True,
            "zeroline": False,
            "tickformat": ".0%",
            "tickvals": [0.5, 1],
            "title": {"text": "emotions", "standoff": 6},
        }
        data += _shares(report, start, end)
    return {"data": data, "layout": layout}


def age_words(age: Age | None) -> str:
    """An age with its interval."""
    known = None if age is None else face_words.age_words(age.years, age.low, age.high, note="80 %: ")
    return f"age {known or UNKNOWN}"


def gender_words(gender: Gender | None) -> str:
    """A gender with the probability of the likelier one."""
    if gender is None:
        return f"gender {UNKNOWN}"
    likelier = "female" if gender.female >= 0.5 else "male"
    text = face_words.gender_words(likelier, gender.female)
    return text if gender.label == likelier else f"gender {UNKNOWN} ({text})"


def emotion_words(emotion: str | None, probability: float | None) -> str:
    """An emotion with its probability."""
    return face_words.emotion_words(emotion, probability, unknown=f"emotion {UNKNOWN}")


def end_of(report: VideoReport) -> float:
    """Of the axis: the video's end, or where its header says otherwise that of the last second that was looked at."""
    duration = report.facts.get("duration") or 0.0
    counted = len(report.counts.mean) * report.counts.bin_seconds
    shown = duration if counted - 1 <= duration <= counted else counted
    return max(round(float(shown), 3), 1.0)


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"


def _shade(start: float, end: float) -> dict[str, Any]:
    place = {"x0": start, "x1": end, "y0": 0, "y1": 1, "xref": "x", "yref": "paper"}
    return {"type": "rect", "layer": "below", "fillcolor": "rgba(128,128,128,0.28)", "line": {"width": 0}} | place


def _lanes(report: VideoReport, seconds: float) -> list[dict[str, Any]]:
    spans = report.timeline.spans
    traces = []
    for emotion in (*EMOTIONS, None):
        chosen = [span for span in spans if span.emotion == emotion]
        if not chosen:
            continue
        name = emotion or UNKNOWN
        edge = {"color": "rgba(60,60,60,0.55)", "width": 0.5 if len(spans) <= _EDGED else 0}
        marker: dict[str, Any] = {"color": COLOURS[name], "line": edge}
        if emotion is None:
            marker["pattern"] = {"shape": "/", "size": 6, "solidity": 0.2}
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "meta": "lanes",
                "base": [round(span.start, 3) for span in chosen],
                "x": [max(round(span.end - span.start, 3), 0.001) for span in chosen],
                "y": [span.lane for span in chosen],
                "width": 0.74,
                "marker": marker,
                "text": [name if span.end - span.start >= _LETTERED * seconds else "" for span in chosen],
                "textposition": "inside",
                "insidetextanchor": "start",
                "textangle": 0,
                "constraintext": "none",
                "insidetextfont": {"color": "#fff" if emotion in _DARK_GROUND else "#111", "size": 11},
                "customdata": [_hover(span, report) for span in chosen],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    return traces


def _hover(span: Span, report: VideoReport) -> str:
    lane = report.timeline.lanes[span.lane]
    track = f"Track {span.track}"
    who = track if lane.shared or lane.label == track else f"{lane.label}, track {span.track}"
    return "<br>".join(
        (
            f"<b>{html.escape(who)}</b>, {at(span.start)}–{at(span.end)}",
            emotion_words(span.emotion, span.probability),
            age_words(span.age),
            gender_words(span.gender),
        )
    )


def _cuts(report: VideoReport) -> dict[str, Any]:
    """Dotted lines where a shot ends; where there are many, short ones at the top, for they would hide the spans."""
    cuts = [shot.start for shot in report.shots[1 : _MOST_CUTS + 1]]
    low, high = -0.5, -0.15 if len(cuts) > _LONG_CUTS else max(len(report.timeline.lanes), 1) - 0.5
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "cuts",
        "meta": "cuts",
        "x": _flat([cut, cut, None] for cut in cuts),
        "y": _flat([low, high, None] for _ in cuts),
        "line": {"color": "#808080", "width": 1, "dash": "solid" if len(cuts) > _LONG_CUTS else "dot"},
        "hoverinfo": "skip",
    }


def _flat(groups: Any) -> list[Any]:
    return [value for group in groups for value in group]


def _counts(report: VideoReport, start: float, end: float) -> dict[str, Any]:
    """Faces as bars that touch: a bin without a sample is a gap, and one without a face is not."""
    counts, width = report.counts, report.counts.bin_seconds
    known = [i for i, count in enumerate(counts.mean) if count is not None]

    def hover(i: int) -> str:
        span = f"<b>{at(start + i * width)}–{at(min(start + (i + 1) * width, end))}</b>"
        return f"{span}<br>{_faces(counts.mean[i], counts.most[i])}"

    return {
        "type": "bar",
        "name": "faces",
        "meta": "faces",
        "yaxis": "y2",
        "x": [_middle(i, width, start, end) for i in known],
        "width": [_width(i, width, start, end) for i in known],
        "y": [counts.mean[i] for i in known],
        "marker": {"color": "#6B7B8C", "line": {"width": 0}},
        "customdata": [hover(i) for i in known],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _faces(mean: float | None, most: int | None) -> str:
    if mean is None or mean == most:
        return f"{most} face{'' if most == 1 else 's'}"
    return f"{mean:.1f} faces in the mean, {most} at most"


def _shares(report: VideoReport, start: float, end: float) -> list[dict[str, Any]]:
    shares, width = report.shares, report.shares.bin_seconds
    known = [i for i, count in enumerate(shares.face_seconds) if count]
    places: dict[str, Sequence[float]] = {
        "x": [_middle(i, width, start, end) for i in known],
        "width": [_width(i, width, start, end) for i in known],
    }
    return [
        {
            "type": "bar",
            "name": emotion,
            "meta": "shares",
            "yaxis": "y3",
            "y": [values[i] for i in known],
            "marker": {"color": COLOURS[emotion], "line": {"width": 0}},
            "customdata": [
                f"<b>{at(start + i * width)}–{at(min(start + (i + 1) * width, end))}</b><br>{emotion} "
                f"{percent(values[i])}, over {shares.face_seconds[i]} s of faces"
                for i in known
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        }
        | places
        for emotion, values in shares.shares.items()
    ]


def _width(index: int, width: int, start: float, end: float) -> float:
    """Of a bar; the last bin may be cut short by the end of the video."""
    return max(round(min(start + (index + 1) * width, end) - start - index * width, 3), 0.001)


def _middle(index: int, width: int, start: float, end: float) -> float:
    return round(start + index * width + _width(index, width, start, end) / 2, 4)
