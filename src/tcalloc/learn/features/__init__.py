"""Cheap features of a question: what a policy can see before it pays for a sample.

What to use when
----------------
`Features`
    One matrix with named columns, from texts, categories, numbers and embeddings.
`LEXICAL`, `lexical_features`, `lexical_rows`
    The 16 counts only; as rows of X.
`EmbeddingsEndpoint`
    Embeddings from an OpenAI-compatible server, for ``Features(embed=...)``.
`probe_features`, `probe_names`, `PROBE`
    What the first paid samples of a question show.
"""

from tcalloc.learn.features.embeddings import EmbeddingsEndpoint
from tcalloc.learn.features.features import Features
from tcalloc.learn.features.lexical import LEXICAL, lexical_features, lexical_rows
from tcalloc.learn.features.probe import PROBE, probe_features, probe_names

__all__ = [
    "LEXICAL",
    "PROBE",
    "EmbeddingsEndpoint",
    "Features",
    "lexical_features",
    "lexical_rows",
    "probe_features",
    "probe_names",
]
