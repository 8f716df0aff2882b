"""Numbers, times and sizes as people read them: the same in reports, in subtitles and at the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "unknown"


def percent(share: float | None) -> str:
    """A share or probability; one that is not 0 or 1 is never written as 0 % or 100 %."""
    if share is None:
        return UNKNOWN
    return "< 1 %" if 0 < share < 0.005 else "> 99 %" if 0.995 < share < 1 else f"{100 * share:.0f} %"


def counted(count: int, what: str) -> str:
    """A number of things, as "1 row" or "2,000 rows"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def size(count: int | None) -> str:
    """Bytes, as "512 bytes" or "1.5 MB"; a kB is 1,000 bytes."""
    if count is None:
        return UNKNOWN
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def clock(seconds: float, decimals: int = 0, *, hour_digits: int = 1) -> str:
    """A time as h:mm:ss.

    Args:
      seconds: the time; below 0 counts as 0.
      decimals: digits of the second's fraction, to which it is rounded; 0: the fraction is cut off.
      hour_digits: hours with fewer digits get zeros in front.
    """
    parts = 10**decimals
    total = max(seconds, 0.0) * parts
    rest, fraction = divmod(round(total) if decimals else int(total), parts)
    text = f"{rest // 3600:0{hour_digits}}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{text}.{fraction:0{decimals}}" if decimals else text


def at(seconds: float | None) -> str:
    """A time in a video as h:mm:ss.s, without a fraction that is 0."""
    return UNKNOWN if seconds is None else clock(seconds, 1).removesuffix(".0")


def lasting(seconds: float | None) -> str:
    """A length of time: 2.4 s, 3 min 05 s, 2 h 07 min."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def when(moment: datetime | str | None) -> str:
    """A moment in UTC, as "2026-11-28 00:36:09 UTC"."""
    if moment is None:
        return UNKNOWN
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
