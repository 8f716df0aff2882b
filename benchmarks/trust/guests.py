"""Files from strangers: they name other files, hold HTML and SQL, or unpack to ten billion bytes."""

import functools
import os
import resource
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av

from benchmarks.trust.archive import Archive, BrokenPromiseError, Case, run, said
from tests.clips import portrait_clip
from tests.runs import ROOT, command
from tests.tables import statuses, videos

_SCRIPT = "<script>alert(1)</script>"
_NAMES = (
    "<img src=x onerror=alert(1)>.mp4",
    "'; DROP TABLE faces; --.mp4",
    '=HYPERLINK("x").mp4',
    "$(touch pwned) `touch pwned`.mp4",
    "..%2F..%2Fetc%2Fpasswd.mp4",
    "...mp4",
    "a\nb\x1b[2J.mp4",
    "-rf.mp4",
)
_SIDE = 50_000
"""Of a picture; in RGBA it takes 10 GB."""


def cases(archive: Archive) -> Iterator[Case]:
    """Each kind of guest once."""
    tried: dict[str, Callable[[Archive], str]] = {
        "playlists and scripts that name other files": scripts,
        "HTML, SQL, formulas and .. in names and metadata": names,
        "links in the target of an export": links,
        "decompression bombs of 10 GB, as pictures and as video": bombs,
    }
    for name, check in tried.items():
        yield Case(name, functools.partial(check, archive))


def scripts(archive: Archive) -> str:
    """None of them is a video, and nobody opens what they name."""
    folder = _empty(archive.work / "scripts")
    secret = portrait_clip(archive.work / "secret.mp4", seconds=1).path
    guests = {
        "concat.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "hls.m3u8": f"#EXTM3U\n#EXTINF:1,\n{secret}\n",
        "list.ts": f"#EXTM3U\n{secret}\n",
        "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "dash.mpd": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{secret}</BaseURL></MPD>',
        "picture.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{secret}"/></svg>',
        "imf.mkv": f"<?xml version='1.0'?><AssetMap><Path>{secret}</Path></AssetMap>",
        "x_%d.jpg": "no picture",
    }
    for name, text in guests.items():
        (folder / name).write_text(text)
    os.utime(secret, (0, secret.stat().st_mtime))
    out = archive.fresh("of-scripts")
    program = [*archive.analyze(out, inputs=folder / "concat.mp4"), *(str(folder / name) for name in guests)]
    said(run(program), 3)
    found = statuses(out)
    if set(found) != set(guests) or not set(found.values()) <= {"corrupt", "no_video"}:
        raise BrokenPromiseError(f"they are not all refused: {found}")
    if secret.stat().st_atime != 0:
        raise BrokenPromiseError("a script had another file opened")
    return f"{len(guests)} refused"


def names(archive: Archive) -> str:
    """Names and metadata are shown as text on every page, in every export and answer, and never run."""
    folder = _empty(archive.work / "names")
    clip = portrait_clip(archive.work / "clip.mp4", seconds=1).path
    for number, name in enumerate(_NAMES):
        _with_metadata(clip, folder / name, number)
    out, made = archive.fresh("of-names"), _empty(archive.work / "made-of-names")
    # Names that begin with a dot are passed over in folders.
    program = [*archive.analyze(out, "--keep-observations", inputs=folder), *map(str, folder.glob(".*"))]
    said(run(program), 0)
    if set(statuses(out)) != set(_NAMES):
        raise BrokenPromiseError(f"not all names are kept: {sorted(statuses(out))}")
    said(run(command("report", out, "--out", made / "pages", "--json")), 0)
    for to in ("mot", "csv", "openface", "subtitles", "fiftyone"):
        said(run(command("export", out, "--to", to, "--out", made / to)), 0)
    table = run(command("query", out, "SELECT uri FROM videos"))
    said(table, 0)
    if "\x1b" in table.stdout:
        raise BrokenPromiseError("a name commands the terminal")
    for page in (made / "pages").glob("*.html"):
        text = page.read_text("utf-8")
        if "<img src=x" in text or _SCRIPT in text:
            raise BrokenPromiseError(f"{page.name} has the HTML of a name in it")
    with (made / "csv" / "videos.csv").open(encoding="utf-8") as file:
        if any(line.startswith(("=", '"=')) for line in file):
            raise BrokenPromiseError("a spreadsheet would run a name as a formula")
    outside = [*archive.work.rglob("pwned"), *ROOT.glob("pwned"), *archive.work.glob("*.facelog.ass")]
    if outside:
        raise BrokenPromiseError(f"files outside of the target: {outside}")
    return f"{len(_NAMES)} names, {sum(path.is_file() for path in made.rglob('*'))} files made of them"


def links(archive: Archive) -> str:
    """A link in the target is replaced, and what it leads to stays."""
    target, secret = _empty(archive.work / "linked"), archive.work / "precious.txt"
    secret.write_text("precious")
    for name in ("0.facelog.ass", "faces.csv", "facelog.json"):
        (target / name).symlink_to(secret)
    for to in ("subtitles", "csv", "fiftyone"):
        said(run(command("export", archive.reference, "--to", to, "--out", target)), 0)
    if secret.read_text() != "precious":
        raise BrokenPromiseError("an export wrote through a link")
    return "three links replaced"


def bombs(archive: Archive) -> str:
    """They cost their own row, and neither memory nor disk."""
    folder = _empty(archive.work / "bombs")
    picture = bomb()
    (folder / "picture.png").write_bytes(picture)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6)
    (folder / "picture.gif").write_bytes(
        gif + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02L\x01\0;"
    )
    for ending in ("avi", "mov"):
        with av.open(str(folder / f"video.{ending}"), "w") as container:
            stream = container.add_mux_stream("png", width=_SIDE, height=_SIDE)
            for number in range(3):
                packet = av.Packet(picture)
                packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
                container.mux(packet)
    out = archive.fresh("of-bombs")
    before = shutil.disk_usage(archive.work).free
    # More memory than this is not to be had, so that a bomb which goes off is seen.
    line = said(run(archive.analyze(out, inputs=folder), before="ulimit -d 2000000"), 3)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    found = {name: (row["status"], row["error_type"]) for name, row in videos(out).items()}
    if any(status not in ("failed", "corrupt") for status, _ in found.values()) or len(found) != 4:
        raise BrokenPromiseError(f"a bomb is no failure: {found}")
    if any(kind in ("worker_died", "time_limit") for _, kind in found.values()):
        raise BrokenPromiseError(f"a bomb went off: {found}; {line}")
    used = (before - shutil.disk_usage(archive.work).free) / 1e6
    kinds = ", ".join(sorted({str(kind) for _, kind in found.values()}))
    return f"{len(found)} bombs: {kinds}; {max(used, 0):.0f} MB of disk, at most {peak:.0f} MB of memory in any process"


def bomb() -> bytes:
    """The beginning of a PNG of 50,000 × 50,000 pixels, a thousand of its rows packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 4 * _SIDE)
    packed = b"".join(packer.compress(row) for _ in range(1000)) + packer.flush()
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _with_metadata(source: Path, path: Path, number: int) -> None:
    """A copy whose title, comment and artist are HTML and SQL, and whose content is its own."""
    with av.open(str(source)) as first, av.open(f"file:{path}", "w", format="mp4") as copy:
        stream = copy.add_stream_from_template(first.streams.video[0])
        copy.metadata.update({"title": f"{_SCRIPT}{number}", "comment": "'; DROP TABLE videos; --", "artist": "=1+1"})
        for packet in first.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
