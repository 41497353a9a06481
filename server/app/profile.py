"""The settings, as the options of the models room's profiles."""

from dataclasses import dataclass

from models.engines.vllm import VllmOptions
from models.profiles import EngineOptions, ModelOptions
from server.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Options:
    models: ModelOptions
    engines: EngineOptions


def options(settings: Settings) -> Options:
    given, engine = settings.models, settings.engine
    models = ModelOptions(
        embedder=given.embedder,
        previous_embedder=given.previous_embedder,
        reranker=given.reranker,
        reranker_url=given.reranker_url,
        reranker_api_key=given.reranker_api_key.get_secret_value() if given.reranker_api_key else None,
        device=given.device,
        dtype=given.dtype,
    )
    vllm = VllmOptions(
        model=engine.model,
        executable=engine.vllm,
        tensor_parallel=engine.tensor_parallel,
        data_parallel=engine.data_parallel,
        context_tokens=engine.context_tokens,
        reserved=engine.reserved_gib,
        arguments=engine.arguments,
        ray=engine.ray,
        start_seconds=engine.start_seconds,
    )
    key = engine.api_key.get_secret_value() if engine.api_key else None
    return Options(models, EngineOptions(engine.url, engine.model, key, vllm))
