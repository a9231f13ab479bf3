"""JSON Lines to CSV and Parquet."""
