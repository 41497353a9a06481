"""What /metrics reads when it is asked: how the house stands at that moment."""

from typing import TYPE_CHECKING

from models.engines.engine import Engine
from server.access.admission import Admission
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:  # each of these loads a heavy library
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.regeneration import Regeneration
    from retrieval.ingest.worker import Ingestor


def watch(
    metrics: Metrics,
    admission: Admission,
    engine: Engine,
    indexes: "IndexManager",
    ingestor: "Ingestor",
    regeneration: "Regeneration",
) -> None:
    metrics.watch("answers_running", "Answers being worked on.", lambda: admission.running)
    metrics.watch("answers_waiting", "Answers in the queue.", lambda: admission.waiting)
    metrics.watch("engine_up", "1 where the engine is ready.", lambda: engine.status == "ready")
    metrics.watch("engine_restarts", "Starts of the engine after its first.", lambda: engine.restarts)
    metrics.watch("generations_building", "Vector stores that are made anew.", lambda: regeneration.building)
    metrics.watch("ingest_unfinished", "Files waiting or being ingested.", lambda: ingestor.unfinished)
    text = "Lowest measured recall@10 of the dense indexes in memory; 1 where all are searched exactly."
    metrics.watch("dense_recall", text, lambda: min(indexes.recalls().values(), default=1.0))
