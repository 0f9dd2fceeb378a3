"""Near duplicates by MinHash, checked against exact Jaccard similarities."""

import random

from handan.evaluation.contamination import SHINGLE_WORDS, NearDuplicates, numbers_in


def jaccard(a, b):
    shingles = []
    for text in (a, b):
        found = text.split()
        last = len(found) - SHINGLE_WORDS + 1
        shingles.append({tuple(found[i : i + SHINGLE_WORDS]) for i in range(last)})
    return len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


def texts(rng, changed):
    """A text and a copy in which some words in a row are replaced."""
    text = [f"w{rng.randrange(5_000)}x" for _ in range(200)]
    copy = text[: 200 - changed] + [f"v{rng.randrange(5_000)}y" for _ in range(changed)]
    return " ".join(text), " ".join(copy)


def test_what_is_clearly_alike_goes_and_what_is_not_stays():
    rng = random.Random(0)
    for number in range(40):
        for changed in (5, 100):
            text, copy = texts(rng, changed)
            index = NearDuplicates(0.7)
            assert index.match("first", text, None) is None
            found = index.match("second", copy, None)
            similarity = jaccard(text, copy)
            assert not 0.4 < similarity < 0.9
            assert found == ("first" if similarity > 0.7 else None), (number, similarity)


def test_equal_texts_with_other_labels_are_no_duplicates():
    index = NearDuplicates(0.5)
    question = "What is the area of a square of side {} in square metres, if you please?"
    assert index.match("a", question.format(4), numbers_in(question.format(4))) is None
    assert index.match("b", question.format(5), numbers_in(question.format(5))) is None
    assert index.match("c", question.format(4), numbers_in(question.format(4))) == "a"


def test_short_texts_are_compared_by_their_words():
    index = NearDuplicates(0.9)
    assert index.match("a", "Why?", None) is None
    assert index.match("b", "WHY?", None) == "a"
    assert index.match("c", "How?", None) is None


def test_no_similarity_finds_nothing():
    index = NearDuplicates(None)
    assert index.match("a", "same words here", None) is None
    assert index.match("b", "same words here", None) is None


def test_numbers_are_a_multiset():
    assert numbers_in("3 and 5 and 3") == ("3", "3", "5") == numbers_in("3 3 5")
