"""Reasoning traces for imitation: generated, published or chosen, always counted."""
