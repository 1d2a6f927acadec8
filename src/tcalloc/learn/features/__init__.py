"""Cheap features of a question: what a policy sees before it pays for anything.

What to use when
----------------
`Features`
    Texts, categories, numbers and embeddings to one matrix with named columns.
`LEXICAL`, `lexical_features`
    The 16 counts alone.
`EmbeddingsEndpoint`
    Embeddings from an OpenAI-compatible server, for ``Features(embed=...)``.
`probe_features`, `probe_names`, `PROBE`
    What the first paid samples of a question show.
"""

from tcalloc.learn.features.embeddings import EmbeddingsEndpoint
from tcalloc.learn.features.features import Features
from tcalloc.learn.features.lexical import LEXICAL, lexical_features
from tcalloc.learn.features.probe import PROBE, probe_features, probe_names

__all__ = [
    "LEXICAL",
    "PROBE",
    "EmbeddingsEndpoint",
    "Features",
    "lexical_features",
    "probe_features",
    "probe_names",
]
