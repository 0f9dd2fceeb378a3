"""Figures drawn with matplotlib: for papers, and as inline SVG for the page."""
