"""The embedding that a configuration names. Importing this file imports no network and no library of one."""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING

from schemas.config import Config
from schemas.errors import UsageError

if TYPE_CHECKING:
    from models.embeddings.interface import EmbeddingCard

EMBEDDINGS = {"sface": "models.embeddings.sface", "dlib": "models.embeddings.dlib_resnet"}
"""The module of each embedding, by the name that `--embedding` takes."""


def embedding_card(name: str) -> EmbeddingCard:
    """What is known of an embedding; imports its libraries.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in EMBEDDINGS:
        raise UsageError(f"There is no embedding called {name!r}; known: {', '.join(EMBEDDINGS)}.")
    card: EmbeddingCard = importlib.import_module(EMBEDDINGS[name]).EMBEDDING
    return card


def embedding_sha256(config: Config) -> str:
    """Checksum of the weights of the embedding that a configuration asks for; empty: it asks for no persons.

    Raises:
      UsageError: there is no embedding of that name.
      BundleError: its weights are missing or damaged.
    """
    if config.identity.persons is None:
        return ""
    from models.detectors.interface import checksum

    return checksum(embedding_card(config.identity.embedding).weights())


def with_embedding(config: Config) -> Config:
    """A configuration with the embedding's own values and the checksum of its weights; as it is without persons.

    Raises:
      UsageError, BundleError: as `embedding_sha256`.
    """
    identity = config.identity
    if identity.persons is None:
        return config
    if identity.same_above is None:
        identity = dataclasses.replace(identity, same_above=embedding_card(identity.embedding).same_above)
    return dataclasses.replace(config, identity=identity, embedding_sha256=embedding_sha256(config))
