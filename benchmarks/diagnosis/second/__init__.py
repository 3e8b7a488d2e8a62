"""A second frozen test set for the Monitor, made by an examiner who had read none of its rules; see FROZEN.md."""
