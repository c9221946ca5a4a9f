"""Side-by-side measurements of the mock against its peers. Ratios within one round count, never a lone figure."""
