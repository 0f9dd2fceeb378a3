"""Near-duplicate texts by MinHash: Jaccard similarity of their runs of words.

Problems are alike that differ in nothing but their numbers, and yet are other problems. So two
texts are near duplicates only if they are alike *and* carry the same label, which for prompts is
the numbers they hold and for traces the prompt they answer.
"""

import re
from typing import Any

from datasketch import MinHash, MinHashLSH

SHINGLE_WORDS = 3
NUM_PERMUTATIONS = 128  # similarity is estimated within about .09 (one standard error, at .5)
NUMBER = re.compile(r"\d+")


def numbers_in(text: str) -> tuple[str, ...]:
    """The numbers of a text, sorted."""
    return tuple(sorted(NUMBER.findall(text)))


def signature(text: str) -> MinHash:
    """MinHash of a text's runs of three words; of all its words if it has fewer."""
    found = text.casefold().split()
    last = max(1, len(found) - SHINGLE_WORDS + 1)
    shingles = {" ".join(found[i : i + SHINGLE_WORDS]) for i in range(last)}
    sketch = MinHash(num_perm=NUM_PERMUTATIONS)
    sketch.update_batch([shingle.encode() for shingle in shingles])
    return sketch


class NearDuplicates:
    """Remembers texts and says which ones resemble one it has seen.

    Args:
        similarity: Jaccard similarity from which texts count as the same; None finds none.
    """

    def __init__(self, similarity: float | None) -> None:
        self.similarity = similarity
        self.seen: dict[str, tuple[MinHash, Any]] = {}
        self.index = None
        if similarity is not None:
            self.index = MinHashLSH(threshold=similarity, num_perm=NUM_PERMUTATIONS)

    def match(self, key: str, text: str, label: Any) -> str | None:
        """Key of a near duplicate that was seen before; without one, remember this text.

        Args:
            key: a name for the text, used once.
            text: what is compared.
            label: only texts of equal labels can be duplicates.
        """
        if self.index is None:
            return None
        sketch = signature(text)
        # The index proposes; the estimate decides, since the index has a soft threshold.
        for other in sorted(self.index.query(sketch)):
            before, its_label = self.seen[other]
            if its_label == label and sketch.jaccard(before) >= self.similarity:
                return other
        self.index.insert(key, sketch)
        self.seen[key] = (sketch, label)
        return None
