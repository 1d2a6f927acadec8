"""Tables as files: CSV, Parquet and NPZ."""
