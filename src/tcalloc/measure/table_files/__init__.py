"""Tables as files: CSV, Parquet and NPZ.

The layout of table files
-------------------------
CSV and Parquet (one row per instance; columns in any order):

========== ================================================================================================
column     holds
========== ================================================================================================
id         optional: the instance's name, text; ids must differ. Without it rows are counted from 0.
acc:NAME   the expected accuracy of action NAME there; the order of these columns is the order of the actions
cost:NAME  its expected cost, at least 0, in any unit: samples, tokens, dollars, seconds
weight     optional: how often the instance occurs, at least 0
========== ================================================================================================

Where no gold answers were used, the column tcalloc_labels says what accuracies are shares of; `save_table` writes it.

An empty cell (null or NaN in Parquet) in both acc:NAME and cost:NAME: the row does not have that action. Other columns
are ignored, and said in `Table.ignored`. CSV is UTF-8 (a byte order mark is accepted), separated by commas, with one
header line:

    id,acc:vote1,acc:vote4,cost:vote1,cost:vote4
    q1,0.90,0.95,1,4
    q2,0.30,0.80,1,4

NPZ: arrays ``acc`` (N, K), ``cost`` (N, K) or (K,), and optionally ``ids`` (N,), ``actions`` (K,) names, ``available``
(N, K) of booleans, ``weights`` (N,).
"""
