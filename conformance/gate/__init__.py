"""From results to an exit code: verdict, baseline and ratchet."""
