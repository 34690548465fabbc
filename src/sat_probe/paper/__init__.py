"""The study of the paper: training, measurements, claims and the page."""
