"""What any response may show: records and findings."""
