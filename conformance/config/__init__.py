"""Settings of a run: options, profiles and the settings file."""
