"""Persons and pictures: where the person in a picture appears, and persons that are made of pictures."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np

from models.embeddings.choose import embedding_card
from models.handlers import EmbeddingHandler
from pipelines.persons.kept import add_enrolled, read_kept
from pipelines.persons.state import centre, read_state, write_state
from pipelines.results.holding import hold
from pipelines.results.videos import require_results
from pipelines.settings import make_config
from schemas import storage
from schemas.errors import UsageError
from schemas.faces import EMBEDDING
from transforms.crop_faces import crop_faces
from transforms.decode_frames import decode_segment
from transforms.follow_faces import follow_faces
from transforms.ledger import read_ledger
from transforms.probe_video import probe_video

_DEFAULT = "sface"
_SURE, _LIKELY, _POSSIBLE = "sure", "likely", "possible"


@dataclasses.dataclass(frozen=True)
class Match:
    """A track that may show the person in a picture.

    Attributes:
      similarity: cosine, of the picture and the track.
      how_sure: sure, likely or possible.
      person_id: of the archive; None where `facelog persons` has not seen the track.
      name: of the person.
      uri: of the video.
      video_id, track_id, start_time, end_time: as in `appearances`.
    """

    similarity: float
    how_sure: str
    person_id: int | None
    name: str | None
    uri: str
    video_id: str
    track_id: int
    start_time: float
    end_time: float


def find_person(picture: str, out: str, *, limit: int = 20, embedding: str | None = None) -> list[Match]:
    """Where the person in a picture appears in DIR, best first.

    The embedding of the picture is forgotten at the end of the call.

    Args:
      picture: file with one face; of several, the largest is taken.
      out: DIR.
      limit: most matches.
      embedding: name of the embedding; needed where DIR has some of several.

    Raises:
      UsageError: there is no face in the picture, or there are no embeddings in DIR.
      StorageError: a file cannot be read.
    """
    out = require_results(out)
    state = read_state(out)
    kept = read_kept(out, embedding or state.texts.get("model"))
    if not len(kept):
        raise UsageError(f"{out} has no embeddings: `facelog analyze --persons archive` keeps them.")
    likeness = kept.vectors @ face_of(picture, kept.model)
    card = embedding_card(kept.model)
    uris = {row["video_id"]: uri for uri, row in sorted(read_ledger(out).items(), reverse=True)}
    steps = (
        (card.same_above + card.sure_above, _SURE),
        (card.same_above, _LIKELY),
        (card.same_above - card.sure_above, _POSSIBLE),
    )
    matches = []
    for i in np.argsort(-likeness, kind="stable")[:limit].tolist():
        how_sure = next((word for least, word in steps if likeness[i] >= least), None)
        if how_sure is not None:
            key = kept.keys[i]
            person = state.person.get(key)
            name = None if person is None else state.names.get(person)
            place = (uris.get(key[0], ""), *key, float(kept.span[i, 0]), float(kept.span[i, 1]))
            matches.append(Match(float(likeness[i]), how_sure, person, name, *place))
    return matches


def enroll(name: str, pictures: Sequence[str], out: str, *, embedding: str | None = None) -> int:
    """Makes a person of pictures, so that it is found in videos under its name; a person of that name gets them added.

    The embeddings are kept in DIR/embeddings; the next `facelog persons DIR` joins new tracks to the person. Tracks
    that are known already stay whose they are: `merge` makes two persons one.

    Args:
      name: of the person.
      pictures: files with one face each; of several faces in one, the largest is taken.
      out: DIR.
      embedding: name of the embedding; default: that of the persons and tracks in DIR, else sface.

    Returns:
      Number of the person.

    Raises:
      UsageError: a picture has no face, or the pictures show different people.
      FacelogError: a run is at work in DIR.
      StorageError: a file cannot be read or written.
    """
    out = require_results(out)
    with hold(out):
        state = read_state(out)
        kept = read_kept(out, embedding or state.texts.get("model"))
        model = embedding or state.texts.get("model") or kept.model or _DEFAULT
        card = embedding_card(model)
        vectors = np.stack([face_of(picture, model) for picture in pictures])
        for picture, likeness in zip(pictures, (vectors @ centre(vectors)).tolist(), strict=True):
            if likeness < card.same_above:
                raise UsageError(f"{picture} does not show the person that the other pictures show.")
        person = next((one for one, known in sorted(state.names.items()) if known == name), None)
        if person is None:
            person = state.new_person()
            state.names[person] = name
        state.enrolled.add(person)
        sha256 = (
            state.texts.get("model_sha256")
            or kept.sha256
            or make_config(persons="archive", embedding=model).embedding_sha256
        )
        add_enrolled(out, person, vectors, model, sha256)
        write_state(state, out)
    return person


def face_of(picture: str, embedding: str) -> np.ndarray:
    """The embedding of the largest face in a picture, [d] float32.

    Raises:
      UsageError: no face is found in it.
      StorageError: it cannot be read.
    """
    config = make_config(
        emotion_model=None, age_gender_model=None, sample_fps=1.0, persons="archive", embedding=embedding
    )
    plan = probe_video(storage.stat(storage.normalize(picture)), config)
    if not plan.segments:
        raise UsageError(f"{picture} is no picture that can be read: {plan.error_message}")
    stream = decode_segment(plan.segments[0], config)
    tracked = dataclasses.replace(stream, samples=follow_faces(stream.samples, config))
    (batch,) = crop_faces(tracked, config, part_rows=sys.maxsize)
    rows = batch.rows[EMBEDDING]
    if not len(rows):
        raise UsageError(f"No face is found in {picture}.")
    handler = EmbeddingHandler(config)
    (done,) = handler.run_inference([batch], handler.load_model())
    assert done.embeddings is not None
    vector: np.ndarray = done.embeddings[int(np.argmax(batch.columns["face_px"][rows]))]
    return vector
