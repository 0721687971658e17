"""The learner's work: where it is, how it is run and judged, and how it is kept when something new arrives."""
