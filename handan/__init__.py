"""handan: does a language model that learns to reason learn when to think hard?"""

__version__ = "0.1.0"
