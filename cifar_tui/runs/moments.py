"""Lengths of time and dates as people type them."""

import math
import re
from datetime import datetime, timedelta

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2}))?)?)?)?")


def duration(text: str) -> float | None:
    """Seconds of `90`, `5m`, `1h30m`, `2d`, `1w` or `1:30:00`; None for anything else."""
    if re.fullmatch(r"\d+(:[0-5]\d){1,2}", text):
        seconds = 0
        for part in text.split(":"):
            seconds = 60 * seconds + int(part)
        return float(seconds)
    if re.fullmatch(r"(\d+(\.\d*)?[smhdw])+", text):
        parts = re.findall(r"([\d.]+)([smhdw])", text)
        return sum(float(number) * UNITS[unit] for number, unit in parts)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def span(text: str, now: datetime) -> tuple[datetime, datetime] | None:
    """First moment of the day, month, year, hour or minute that is named, and of the next one."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = {"today": 0, "yesterday": 1}.get(text.casefold())
    if days is not None:
        return today - timedelta(days), today - timedelta(days - 1)
    match = DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (
        None if part is None else int(part) for part in match.groups()
    )
    try:
        start = datetime(year or 1, month or 1, day or 1, hour or 0, minute or 0)
        if month is None:
            return start, start.replace(year=start.year + 1)
        if day is None:
            return start, (start + timedelta(31)).replace(day=1)
        step = timedelta(minutes=1) if minute is not None else timedelta(hours=1)
        return start, start + (timedelta(1) if hour is None else step)
    except (ValueError, OverflowError):
        return None
