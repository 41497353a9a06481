"""Generations of vector stores: begun, filled, switched, dropped. Each step is a transaction, so that whoever is killed
leaves the one before or the one after it.
"""

import logging
import secrets
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, case, delete, exists, func, insert, literal, null, select, update

from retrieval.store.base.removal import NOBODY, discard, leave_store, remove_store_step
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import TRIED_ANEW, cutting_code, cutting_of
from retrieval.store.base.tables import attachments, batches, store_files, vector_stores
from retrieval.store.base.values import STORE_PREFIX, NotFound
from retrieval.store.generations.rows import GENERATIONS, HERE, SAME, THERE, S, generation_of, lacking, recipe_of
from retrieval.store.generations.values import Generation, Recipe, State, Switched
from retrieval.store.outbox.events import announce_batches, announce_files

log = logging.getLogger("ragpod.store")

_Decision = Literal["leave", "anew", "drop", "build", "return", "resume"]

_V = store_files.c
_EVERY_FOUND = select(vector_stores).where(S.generation_of.is_(None), S.owner != NOBODY).order_by(S.n)
_FOUND = _EVERY_FOUND.where(S.n == bindparam("number")).with_for_update()
_BESIDE = select(vector_stores).where(S.generation_of == bindparam("number")).order_by(S.n)
_BESIDE_LOCKED = _BESIDE.with_for_update()
_NAMED = select(S.n, S.generation_of).where(S.index_id == bindparam("named"), S.owner != NOBODY)
_SPACES = select(S.embedder).where(S.embedder.is_not(None), S.generation_of.is_(None), S.owner != NOBODY).distinct()
_OF_STATE = select(S.index_id).where(S.generation_state == bindparam("state"), S.owner != NOBODY)
_ENDED = _OF_STATE.where(S.generation_ended <= bindparam("before"))
_VISIBLE = select(literal(1)).where(_V.store == bindparam("number"), _V.visible == 1).limit(1)
_PENDING = select(_V.version).where(_V.store == bindparam("number"), _V.status == "in_progress").order_by(_V.version)
_ANEW = (
    update(store_files)
    .where(_V.version == bindparam("of_version"))
    .values(stage="accepted", attempt=_V.attempt + 1, leased_by=null(), lease_until=null(), **TRIED_ANEW)
)
_SET = update(vector_stores).where(S.n == bindparam("number"))
_CUT_AS = (
    update(store_files)
    .where(_V.store == bindparam("number"), _V.chunk_size == bindparam("was_size"))
    .where(_V.chunk_overlap == bindparam("was_overlap"))
    .values(chunk_size=bindparam("size"), chunk_overlap=bindparam("overlap"))
)
# To be taken up once more: what has failed in a generation that is being built, and is found all the same.
_FAILED_HERE = delete(store_files).where(
    _V.store == bindparam("number"),
    _V.status == "failed",
    exists()
    .where(THERE.c.store == bindparam("of"), THERE.c.visible == 1)
    .where(THERE.c.filename == _V.filename, THERE.c.sha256 == _V.sha256),
)
_MISSING = ~exists().where(SAME, HERE.c.store == bindparam("into", type_=_V.store.type))
_STAYS = THERE.c.files > 0  # it does not leave just now
_LACKED = select(literal(1)).select_from(THERE).where(THERE.c.store == bindparam("of"), _STAYS, _MISSING).limit(1)
_ENDED_OTHERWISE = THERE.c.status.in_(("failed", "cancelled"))
_USUAL = (THERE.c.chunk_size == bindparam("was_size")) & (THERE.c.chunk_overlap == bindparam("was_overlap"))
# Files in the order in which they came; those that failed or were cancelled as they are, all others from the beginning.
_ROWS = {
    "store": bindparam("into", type_=_V.store.type),
    **{name: THERE.c[name] for name in ("file", "filename", "sha256", "attributes", "created_at", "files", "owner")},
    "status": case((_ENDED_OTHERWISE, THERE.c.status), else_="in_progress"),
    "error_code": case((_ENDED_OTHERWISE, THERE.c.error_code)),
    "error_message": case((_ENDED_OTHERWISE, THERE.c.error_message)),
    "chunk_size": case((_USUAL, bindparam("size", type_=_V.chunk_size.type)), else_=THERE.c.chunk_size),
    "chunk_overlap": case((_USUAL, bindparam("overlap", type_=_V.chunk_size.type)), else_=THERE.c.chunk_overlap),
}
_FILL = insert(store_files).from_select(
    list(_ROWS),
    select(*(column.label(name) for name, column in _ROWS.items()))
    .where(THERE.c.store == bindparam("of"), _STAYS, _MISSING)
    .order_by(THERE.c.version),
)
# Of whom nobody was told yet: in progress where they are found until now, and at their end here.
_ENDED_HERE = (
    select(HERE.c.version)
    .join(THERE, SAME)
    .where(THERE.c.store == bindparam("of"), THERE.c.status == "in_progress")
    .where(HERE.c.store == bindparam("into"), HERE.c.status.in_(("completed", "failed")))
)
_MOVE_ATTACHMENTS = (
    update(attachments)
    .where(attachments.c.store == bindparam("of"))
    .values(
        store=bindparam("into"),
        version=select(HERE.c.version)
        .join(THERE, SAME)
        .where(THERE.c.version == attachments.c.version, HERE.c.store == bindparam("into"))
        .scalar_subquery(),
    )
)
_COUNT_ATTACHMENTS = (
    update(store_files)
    .where(_V.store == bindparam("into"))
    .values(
        files=select(func.count()).select_from(attachments).where(attachments.c.version == _V.version).scalar_subquery()
    )
)
_MOVE_BATCHES = update(batches).where(batches.c.store == bindparam("of")).values(store=bindparam("into"))
_MOVE_OTHERS = update(vector_stores).where(S.generation_of == bindparam("of")).values(generation_of=bindparam("into"))
_IDENTITY = ("name", "composed_name", "metadata", "description", "created_at", "expires_days", "expired")


class Generations(Repository):
    """One vector store at a time is locked, and before the generations beside it (retrieval/store/base/guards.py)."""

    def begin(self, recipe: Recipe, *, alone: bool) -> None:
        """Every vector store is to be as the recipe makes it. One that is not gets a generation that is being built
        beside it; one in which nothing is visible yet is simply begun anew. alone: no other server may want another
        recipe, so that what is being built for another one is dropped. Writes only where there is something to do.
        """
        with self._database.read() as db:
            rows = db.execute(_EVERY_FOUND).all()
            todo = [row.n for row in rows if self._decided(db, row, recipe, alone=alone)[0] != "leave"]
        for number in todo:
            with self._database.write(grows=True) as db:
                if (row := db.execute(_FOUND, {"number": number}).first()) is not None:
                    self._begin(db, row, recipe, alone=alone)

    def _decided(
        self, db: Connection, row: Row[Any], recipe: Recipe, *, alone: bool
    ) -> tuple[_Decision, Row[Any] | None]:
        """What to do, with the generation that is there already."""
        beside, now = db.execute(_BESIDE, {"number": row.n}).all(), recipe_of(row)
        building = any(each.generation_state == "building" for each in beside)
        if now is None or db.execute(_VISIBLE, {"number": row.n}).first() is None:
            settled = cutting_of(row.cutting).matches(recipe.cutting) and (now is None or now.space == recipe.space)
            return ("leave" if settled and not building else "anew"), None
        if now.matches(recipe):
            return ("drop" if building and alone else "leave"), None
        same = next((each for each in beside if (made := recipe_of(each)) is not None and made.matches(recipe)), None)
        if same is None:
            return "build", None
        if same.generation_state == "refused":
            log.warning("vector store %s was switched back, and stays at %s until it is switched again", row.id, now)
            return "leave", same
        return ("return" if same.generation_state == "kept" else "resume"), same

    def _begin(self, db: Connection, row: Row[Any], recipe: Recipe, *, alone: bool) -> None:
        beside = db.execute(_BESIDE_LOCKED, {"number": row.n}).all()
        decision, same = self._decided(db, row, recipe, alone=alone)
        if decision in ("anew", "drop", "build", "return"):
            for each in beside:
                if each.generation_state == "building":
                    leave_store(db, each.n)  # upkeep removes the rest
        if decision == "anew":
            _begin_empty_anew(db, row, recipe)
        elif decision == "build":
            _insert(db, row, recipe, self._now)
            log.warning(
                "vector store %s is made anew in the background: %s, until now %s", row.id, recipe, recipe_of(row)
            )
        elif same is not None and decision == "return":
            db.execute(_SET.values(generation_state="building", generation_ended=None), {"number": same.n})
            log.warning("vector store %s goes back to what is kept of it: %s", row.id, recipe)
        elif same is not None and decision == "resume":
            db.execute(_FAILED_HERE, {"number": same.n, "of": row.n})
            log.warning("vector store %s goes on being made anew: %s", row.id, recipe)

    def fill(self, index_id: str) -> None:
        """A generation that is being built gets what it lacks of the vector store's files, to be ingested."""
        with self._database.one() as db:
            row = db.execute(_NAMED, {"named": index_id}).first()
            if row is None or row.generation_of is None:
                return
            if db.execute(_LACKED, {"of": row.generation_of, "into": row.n}).first() is None:
                return
        with self._database.write(grows=True) as db:
            if (pair := self._pair(db, index_id)) is not None:
                _fill(db, *pair)

    def switch(self, index_id: str, *, whole: bool = True, refuse: bool = False) -> Switched:
        """The generation is found from now on, in one step, and the one before is kept. whole: only where it shows
        every file that the vector store shows; else those that it lacks are found when they are ingested. refuse: the
        one before is not wanted again, whatever the settings say.
        """
        with self._database.write() as db:
            if (pair := self._pair(db, index_id)) is None:
                return "gone"
            found, other = pair
            _fill(db, found, other)
            waiting, failed = lacking(db, found.n, other.n)
            if whole and waiting:
                return "failed" if failed == waiting else "waiting"
            self._exchange(db, found, other, "refused" if refuse else "kept")
            return "switched"

    def of(self, owner: str | None, store_id: str | None = None) -> list[Generation]:
        """owner: None is every one. store_id: None is every vector store."""
        wanted = GENERATIONS if owner is None else GENERATIONS.where(S.owner == owner)
        with self._database.read() as db:
            rows = db.execute(wanted).all()
            return [generation_of(db, row) for row in rows if store_id in (None, row.store_id)]

    def lacking(self, index_id: str) -> tuple[int, int] | None:
        """Files that are found and not shown by this generation; those of them that failed here. None: it is none."""
        with self._database.read() as db:
            row = db.execute(_NAMED, {"named": index_id}).first()
            return None if row is None or row.generation_of is None else lacking(db, row.generation_of, row.n)

    def building(self) -> list[str]:
        """index_ids."""
        with self._database.one() as db:
            return list(db.scalars(_OF_STATE, {"state": "building"}))

    def spaces(self) -> list[str]:
        """Embedders of what is found."""
        with self._database.one() as db:
            return list(db.scalars(_SPACES))

    def drop(self, owner: str, index_id: str) -> None:
        """With its passages and vectors. Raises NotFound, also for what is found."""

        def leave() -> int:
            with self._database.write() as db:
                pair = self._pair(db, index_id)
                if pair is None or pair[1].owner != owner:
                    raise NotFound(f"no generation {index_id!r} that could be dropped")
                return leave_store(db, pair[1].n)[0]

        self._finish(remove_store_step, self._database.freeing(leave))

    def drop_ended(self, before: int) -> list[str]:
        """Those that are kept, and were last found before then (Unix seconds)."""
        with self._database.one() as db:
            ended = db.scalars(_ENDED, {"state": "kept", "before": before}).all()
        for index_id in ended:
            leaving: list[int] = []
            with self._database.write() as db:
                if (pair := self._pair(db, index_id)) is not None and pair[1].generation_state == "kept":
                    leaving = leave_store(db, pair[1].n)
            for number in leaving:
                self._finish(remove_store_step, number)
        return list(ended)

    def _pair(self, db: Connection, index_id: str) -> tuple[Row[Any], Row[Any]] | None:
        """What is found, and the generation beside it, both locked; None where there is none, or it is found itself."""
        named = db.execute(_NAMED, {"named": index_id}).first()
        if named is None or named.generation_of is None:
            return None
        found = db.execute(_FOUND, {"number": named.generation_of}).first()
        beside = db.execute(_BESIDE_LOCKED, {"number": named.generation_of}).all()
        other = next((each for each in beside if each.n == named.n), None)
        return None if found is None or other is None else (found, other)

    def _exchange(self, db: Connection, found: Row[Any], other: Row[Any], state: State) -> None:
        both = {"of": found.n, "into": other.n}
        ended = db.scalars(_ENDED_HERE, both).all()
        for move in (_MOVE_ATTACHMENTS, _COUNT_ATTACHMENTS, _MOVE_BATCHES, _MOVE_OTHERS):
            db.execute(move, both)
        used = self._uses.last(found)
        gone = {"id": f"{found.index_id}.", "generation_of": other.n, "generation_state": state}
        db.execute(_SET.values({**gone, "generation_ended": self._now, "expires_days": None}), {"number": found.n})
        here = {name: getattr(found, name) for name in _IDENTITY} | {"id": found.id, "last_active_at": used}
        here |= {"generation_of": None, "generation_state": None, "generation_ended": None}
        db.execute(_SET.values(here), {"number": other.n})
        announce_files(db, ended, self._clock())
        announce_batches(db, [other.n], self._clock())


def _fill(db: Connection, found: Row[Any], other: Row[Any]) -> None:
    was, cut = cutting_of(found.cutting).chunking, cutting_of(other.cutting).chunking
    usual = {"was_size": was.size, "was_overlap": was.overlap, "size": cut.size, "overlap": cut.overlap}
    db.execute(_FILL, {"of": found.n, "into": other.n, **usual})


def _insert(db: Connection, row: Row[Any], recipe: Recipe, now: int) -> None:
    new, space = f"{STORE_PREFIX}{secrets.token_hex(12)}", recipe.space
    made = {name: getattr(row, name) for name in ("owner", "name", "composed_name")}
    made |= {"id": f"{new}.", "index_id": new, "metadata": "{}", "created_at": now, "last_active_at": now}
    made |= {"embedder": space.embedder, "dim": space.dim, "lexical": int(space.lexical)}
    made |= {"cutting": cutting_code(recipe.cutting), "generation_of": row.n, "generation_state": "building"}
    db.execute(insert(vector_stores), made)


def _begin_empty_anew(db: Connection, row: Row[Any], recipe: Recipe) -> None:
    """Nothing of it is visible: what is pending of another recipe goes."""
    was, cut = cutting_of(row.cutting), recipe.cutting
    for version in db.scalars(_PENDING, {"number": row.n}).all():
        discard(db, version)
        db.execute(_ANEW, {"of_version": version})
    usual = {"was_size": was.chunking.size, "was_overlap": was.chunking.overlap}
    sizes = {"size": cut.chunking.size, "overlap": cut.chunking.overlap}
    db.execute(_CUT_AS, {"number": row.n, **usual, **sizes})
    made = {"embedder": None, "dim": None, "lexical": 0, "cutting": cutting_code(cut)}
    db.execute(_SET.values(made), {"number": row.n})
