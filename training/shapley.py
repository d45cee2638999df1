"""Contributions of small trees by looking them up: every answer a tree can give, worked out once.

A tree of up to eight leaves has at most seven splits, so a row meets it in
one of 128 patterns of going left or right. For each pattern the Shapley values
over cover-weighted conditional expectations (path-dependent TreeSHAP,
Lundberg et al. 2018, what LightGBM's `pred_contrib` gives) are tabled; a row
then costs seven comparisons and one look-up a tree. Sums run over the trees
in order, for one row and for many alike, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

MOST_LEAVES = 8
_SLOTS = 8
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_NAN, _MISSING_ZERO = 1, 2, 8, 4


@dataclass(frozen=True)
class Tree:
    """One tree of a LightGBM text. Children ≥ 0 are splits, < 0 leaves (~child)."""

    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf_value: np.ndarray
    leaf_count: np.ndarray
    split_count: np.ndarray

    def cover(self, child: int) -> float:
        """Training rows that reached a child."""
        return float(self.split_count[child] if child >= 0 else self.leaf_count[~child])

    @property
    def expected(self) -> float:
        if len(self.leaf_value) == 1:
            return float(self.leaf_value[0])
        return float(self.leaf_value @ self.leaf_count / self.leaf_count.sum())

    @property
    def nan_goes_left(self) -> np.ndarray:
        """Where no missing value was seen in training, LightGBM reads it as 0."""
        by_default = (self.decision & _DEFAULT_LEFT) > 0
        return np.where(self.decision & _MISSING_NAN, by_default, self.threshold >= 0.0)


def read_trees(text: str) -> list[Tree]:
    """The trees of a LightGBM model in native text, in order."""
    sections = text.split("\nTree=")[1:]
    return [
        _tree(dict(line.split("=", 1) for line in s.split("\n\n")[0].splitlines() if "=" in line)) for s in sections
    ]


def can_be_tabled(trees: Sequence[Tree]) -> bool:
    """Small trees of numbers, with nulls as NaN."""
    return all(
        len(t.leaf_value) <= MOST_LEAVES and not (t.decision & (_CATEGORICAL | _MISSING_ZERO)).any() for t in trees
    )


class TreeTables:
    """The tables of many trees side by side; `factors` scale each tree's contributions."""

    def __init__(self, trees: Sequence[Tree], factors: Sequence[float], width: int) -> None:
        split = [(t, f) for t, f in zip(trees, factors, strict=True) if len(t.feature)]
        self.width = width
        self.expected = float(sum(f * t.expected for t, f in zip(trees, factors, strict=True)))
        size = len(split)
        self._feature = np.zeros((size, _SLOTS), dtype=np.intp)
        self._threshold = np.full((size, _SLOTS), -np.inf)
        self._nan_left = np.zeros((size, _SLOTS), dtype=bool)
        self._places = np.full((size, _SLOTS - 1), width, dtype=np.intp)
        self._offset = np.zeros(size, dtype=np.intp)
        tables = [self._enter(number, tree, factor) for number, (tree, factor) in enumerate(split)]
        self._table = np.concatenate(tables) if tables else np.zeros((0, _SLOTS - 1))

    def row(self, x: np.ndarray) -> np.ndarray:
        """Contributions [width] of one row of encoded features [width]."""
        if not len(self._offset):
            return np.zeros(self.width)
        seen = x[self._feature]
        left = (seen <= self._threshold) | (np.isnan(seen) & self._nan_left)
        found = self._table[self._offset + np.packbits(left, axis=1)[:, 0]]
        return np.bincount(self._places.ravel(), found.ravel(), self.width + 1)[: self.width]

    def rows(self, table: np.ndarray) -> np.ndarray:
        """Contributions [n, width] of rows [n, width]."""
        total = np.zeros((self.width, len(table)))
        columns = np.ascontiguousarray(table.T)
        empty = np.isnan(columns)
        for tree, offset in enumerate(self._offset):
            pattern = np.full(len(table), offset)
            for slot in range(_SLOTS):
                if self._threshold[tree, slot] == -np.inf:
                    continue
                feature = self._feature[tree, slot]
                left = columns[feature] <= self._threshold[tree, slot]
                if self._nan_left[tree, slot]:
                    left |= empty[feature]
                pattern += left.astype(np.intp) << (_SLOTS - 1 - slot)
            found = self._table[pattern]
            for local, place in enumerate(self._places[tree]):
                if place < self.width:
                    total[place] += found[:, local]
        return total.T

    def _enter(self, number: int, tree: Tree, factor: float) -> np.ndarray:
        """Takes one tree's splits into the last slots; returns its table [patterns, 7]."""
        count = len(tree.feature)
        self._feature[number, _SLOTS - count :] = tree.feature
        self._threshold[number, _SLOTS - count :] = tree.threshold
        self._nan_left[number, _SLOTS - count :] = tree.nan_goes_left
        if number + 1 < len(self._offset):
            self._offset[number + 1] = self._offset[number] + 2**count
        features, values = tree_table(tree)
        self._places[number, : len(features)] = features
        table = np.zeros((2**count, _SLOTS - 1))
        table[:, : len(features)] = factor * values
        return table


def tree_table(tree: Tree) -> tuple[list[int], np.ndarray]:
    """(features in the tree, Shapley values [patterns, features]); split s is bit count − 1 − s, 1 for left."""
    count = len(tree.feature)
    patterns = np.arange(2**count)
    left = [(patterns >> (count - 1 - s)) & 1 == 1 for s in range(count)]
    features = sorted({int(f) for f in tree.feature})
    values = np.zeros((len(patterns), len(features)))
    for leaf, path in _paths(tree, 0, []):
        ones: dict[int, np.ndarray] = {}
        zeros: dict[int, float] = {}
        for split, goes_left, share in path:
            f = int(tree.feature[split])
            ones[f] = ones.get(f, True) & (left[split] == goes_left)
            zeros[f] = zeros.get(f, 1.0) * share
        for f, value in _leaf_values(ones, zeros, float(tree.leaf_value[leaf])).items():
            values[:, features.index(f)] += value
    return features, values


def _leaf_values(ones: dict[int, np.ndarray], zeros: dict[int, float], value: float) -> dict[int, np.ndarray]:
    """Each path feature's share of one leaf: v·(o − z)·Σ over coalitions, by the coefficients of Π(z + o·t)."""
    depth = len(ones)
    weight = [factorial(s) * factorial(depth - 1 - s) / factorial(depth) for s in range(depth)]
    found = {}
    for f, one in ones.items():
        coefficients = [np.ones(len(one))]
        for g, other in ones.items():
            if g != f:
                scaled = [c * zeros[g] for c in coefficients] + [np.zeros(len(one))]
                raised = [np.zeros(len(one))] + [c * other for c in coefficients]
                coefficients = [a + b for a, b in zip(scaled, raised, strict=True)]
        found[f] = value * (one - zeros[f]) * sum(w * c for w, c in zip(weight, coefficients, strict=True))
    return found


def _paths(
    tree: Tree, child: int, path: list[tuple[int, bool, float]]
) -> list[tuple[int, list[tuple[int, bool, float]]]]:
    """(leaf, [(split, goes left, share of the split's rows that went so)]) for every leaf beneath `child`."""
    if child < 0:
        return [(~child, path)]
    cover = tree.cover(child)
    found = []
    for goes_left, below in ((True, int(tree.left[child])), (False, int(tree.right[child]))):
        found += _paths(tree, below, [*path, (child, goes_left, tree.cover(below) / cover)])
    return found


def _tree(fields: dict[str, str]) -> Tree:
    def numbers(name: str, kind: type) -> np.ndarray:
        return np.array([kind(v) for v in fields.get(name, "").split()], dtype=kind)

    return Tree(
        feature=numbers("split_feature", int),
        threshold=numbers("threshold", float),
        decision=numbers("decision_type", int),
        left=numbers("left_child", int),
        right=numbers("right_child", int),
        leaf_value=numbers("leaf_value", float),
        leaf_count=numbers("leaf_count", float),
        split_count=numbers("internal_count", float),
    )
