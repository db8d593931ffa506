"""A gallery of ten lines in memory, and random programs that every back-end must answer like it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from resight.gallery import Filter, Gallery, Record
from resight.gallery.intake import merged
from tests.gallery.conftest import people

DIM = 8
IDS = [f"r{i:02}" for i in range(24)] + ["é", 'quote"d', "back\\slash", "100%", "sp ace"]
POOL = people(16, DIM, per_person=3)
PIDS, CAMERAS, LABELS = ["1", "2", "anna", "ö'\""], ["c1", "c2", "c10"], ["staff", "a\\b"]
SOURCES = ["d/a", "d/b/c", "e/", "d", "d0", ""]
TIMES = [0.0, 10.0, 20.5, 86_400.0 * 30, -5.0]


class Model:
    """What a gallery is."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[Record, np.ndarray[Any, Any]]] = {}

    def add(self, record: Record, vector: np.ndarray[Any, Any]) -> None:
        old = self.held.get(record.id)
        self.held[record.id] = (record if old is None else merged(old[0], record), vector)

    def select(self, where: Filter) -> dict[str, Record]:
        return {id: record for id, (record, _) in sorted(self.held.items()) if where.matches(record)}

    def search(self, query: np.ndarray[Any, Any], where: Filter) -> dict[str, float]:
        return {id: float(self.held[id][1] @ query) for id in self.select(where)}


def some(values: list[str]) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(st.sampled_from([*values, "absent"]), max_size=3)


CONDITIONS: dict[str, st.SearchStrategy[Any]] = {
    "pids": some(PIDS), "cameras": some(CAMERAS), "labels": some(LABELS), "sources": some([*SOURCES, "d/", "d/b/"]),
    "exclude_pids": st.lists(st.sampled_from(PIDS), max_size=2),
    "exclude_cameras": st.lists(st.sampled_from(CAMERAS), max_size=2),
    "after": st.sampled_from(TIMES), "before": st.sampled_from(TIMES), "older_than": st.sampled_from(TIMES),
}  # fmt: skip
filters = st.lists(st.sampled_from(sorted(CONDITIONS)), unique=True, max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: CONDITIONS[name] for name in names})
)
entries = st.fixed_dictionaries({
    "id": st.sampled_from(IDS), "vector": st.integers(0, len(POOL) - 1), "pid": st.none() | st.sampled_from(PIDS),
    "camera": st.none() | st.sampled_from(CAMERAS), "time": st.none() | st.sampled_from(TIMES),
    "source": st.sampled_from(SOURCES), "label": st.none() | st.sampled_from(LABELS),
    "note": st.none() | st.just("a note"),
})  # fmt: skip


class Programs(RuleBasedStateMachine):
    """Random programs of operations; a subclass says which gallery."""

    gallery: Gallery

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()

    def begin(self) -> Gallery:
        raise NotImplementedError

    def reopen(self, gallery: Gallery) -> Gallery:
        raise NotImplementedError

    @initialize(seed=st.integers(0, 3))
    def made(self, seed: int) -> None:
        """Programs begin with a gallery that is not empty: conditions then have something to choose among."""
        self.gallery = self.begin()
        rng = np.random.default_rng(seed)
        choices: dict[str, list[Any]] = {
            "pid": [None, *PIDS], "camera": [None, *CAMERAS], "time": [None, *TIMES], "source": SOURCES,
            "label": [None, *LABELS], "note": [None, "a note"],
        }  # fmt: skip
        drawn = [{name: values[rng.integers(len(values))] for name, values in choices.items()} for _ in IDS[::2]]
        vectors = rng.integers(0, len(POOL), len(drawn)).tolist()
        self.add([
            {"id": id, "vector": vector} | rest for id, vector, rest in zip(IDS[::2], vectors, drawn, strict=True)
        ])  # fmt: skip

    @rule(batch=st.lists(entries, min_size=2, max_size=8))
    def add(self, batch: list[dict[str, Any]]) -> None:
        names = [name for name in batch[0] if name != "vector"]
        columns: dict[str, Any] = {f"{name}s": [entry[name] for entry in batch] for name in names}
        vectors = POOL[[entry["vector"] for entry in batch]]
        assert self.gallery.add(vectors, **columns) == columns["ids"]
        there = self.gallery.backend.fetch(columns["ids"])
        for entry, vector in zip(batch, vectors, strict=True):
            fields = {name: value for name, value in entry.items() if name != "vector"}
            self.model.add(Record(**fields, added=there[entry["id"]].added), vector)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=4), pid=st.none() | st.sampled_from(PIDS),
          label=st.none() | st.sampled_from(LABELS), time=st.none() | st.sampled_from(TIMES))  # fmt: skip
    def update(self, ids: list[str], **changes: Any) -> None:
        there = {id for id in ids if id in self.model.held}
        assert self.gallery.update(ids, **changes) == len(there)
        for id in there:
            record, vector = self.model.held[id]
            kept = {name: getattr(record, name) for name in ("id", "camera", "source", "note", "added")}
            self.model.held[id] = (Record(**kept, **changes), vector)

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=4))
    def delete_ids(self, ids: list[str]) -> None:
        assert self.gallery.delete(ids) == len({id for id in ids if self.model.held.pop(id, None)})

    @precondition(lambda self: len(self.model.held) > 8)
    @rule(conditions=filters)
    def delete_matching(self, conditions: dict[str, Any]) -> None:
        gone = self.model.select(Filter.of(None, conditions))  # type: ignore[arg-type]
        assert self.gallery.delete(**conditions, everything=True) == len(gone)
        for id in gone:
            del self.model.held[id]

    @rule(conditions=filters, k=st.integers(1, 40), queries=st.lists(st.integers(0, len(POOL) - 1), max_size=3))
    def search(self, conditions: dict[str, Any], k: int, queries: list[int]) -> None:
        where = Filter.of(None, conditions)  # type: ignore[arg-type]
        found = self.gallery.search(POOL[queries].reshape(-1, DIM), k, exact=True, **conditions)
        assert len(found) == len(queries)
        for query, hits in zip(queries, found, strict=True):
            similarities = self.model.search(POOL[query], where)
            best = sorted(similarities.values(), reverse=True)[:k]
            np.testing.assert_allclose([hit.similarity for hit in hits], best, atol=2e-6)
            assert len({hit.id for hit in hits}) == len(best)
            for hit in hits:
                record = self.model.held[hit.id][0]
                assert all(getattr(hit, name) == getattr(record, name) for name in ("pid", "camera", "time", "source"))
                np.testing.assert_allclose(hit.similarity, similarities[hit.id], atol=2e-6)

    @rule(conditions=filters, limit=st.integers(1, 10), after=st.sampled_from(["", *IDS]))
    def read(self, conditions: dict[str, Any], limit: int, after: str) -> None:
        chosen = self.model.select(Filter.of(None, conditions))  # type: ignore[arg-type]
        assert self.gallery.count(**conditions) == len(chosen)
        assert self.gallery.get(after) == self.model.select(Filter()).get(after)
        page = self.gallery.list(limit=limit, after_id=after, **conditions)
        assert page == [record for id, record in chosen.items() if id > after][:limit]
        for field in ("pid", "camera", "label", "source"):
            values = [getattr(record, field) for record in chosen.values()]
            assert dict(self.gallery.facets(field, **conditions)) == {value: values.count(value) for value in values}

    @rule()
    def compact(self) -> None:
        self.gallery.compact()

    @rule()
    def optimize(self) -> None:
        self.gallery.optimize()

    @rule()
    def close_and_open(self) -> None:
        self.gallery = self.reopen(self.gallery)

    @precondition(lambda self: hasattr(self, "gallery"))
    @invariant()
    def what_is_there_is_found(self) -> None:
        ids = sorted(self.model.held)
        assert sorted(hit.id for hit in self.gallery.search(POOL[0], k=len(IDS) + 1)[0]) == ids
        if ids:
            np.testing.assert_array_equal(self.gallery.vectors(ids[:5]), [self.model.held[id][1] for id in ids[:5]])

    def teardown(self) -> None:
        if hasattr(self, "gallery"):
            self.gallery.close()
