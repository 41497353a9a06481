"""An engine in a process of its own, which this server starts, watches and ends; or none, where none is installed."""

import asyncio

from models.engines.engine import Engine, Pace
from models.engines.engine_process import EngineProcess, EngineSpec, launch
from models.errors import ModelError, Unavailable
from models.wire.openai_client import OpenAIClient, Timeouts


class ProcessEngine(Engine):
    """Starts the process of `spec`, starts it again when it ends or hangs, ends it with the server."""

    def __init__(self, spec: EngineSpec, *, pace: Pace | None = None, timeouts: Timeouts | None = None) -> None:
        client = OpenAIClient(
            spec.url or "",
            spec.model,
            spec.api_key,
            context_tokens=spec.context_tokens,
            languages=spec.languages,
            traits=spec.traits,
            capacity=spec.capacity,
            check=self.check,
            timeouts=timeouts,
        )
        super().__init__(client, pace or Pace())
        self.spec = spec
        self._process: EngineProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def progress(self) -> str | None:
        return self._process.progress if self._process and self.status in ("starting", "restarting") else None

    async def _watch(self) -> None:
        failures = 0
        while True:
            begun = self.pace.clock()
            try:
                async with launch(self.spec) as process:
                    self._process = process
                    await self._serve(process)
                    begun = self.pace.clock()
                    reason = await self._until_it_ends(process)
            except ModelError as error:
                reason = str(error)
            self._process = None
            failures = 1 if self.pace.clock() - begun > self.pace.steady else failures + 1
            self.restarts += 1
            self.move("restarting", reason)
            await self.pace.sleep(self.pace.delay(failures))

    async def _serve(self, process: EngineProcess) -> None:
        """Raises Unavailable where the process ends, or does not serve within start_seconds."""
        try:
            async with asyncio.timeout(self.spec.start_seconds):
                root = None if self.spec.url else await process.read_url()
                self.generator.base_url = self.spec.url or f"{root}/v1"
                while not await self._healthy():
                    if process.process.returncode is not None:
                        raise Unavailable(await process.exit())
                    await asyncio.sleep(self.pace.poll)
        except TimeoutError:
            raise Unavailable(f"the engine did not serve within {self.spec.start_seconds:g} s") from None
        self.known_url = self.generator.base_url
        self.move("ready")

    async def _until_it_ends(self, process: EngineProcess) -> str:
        """The reason why the engine must be started again."""
        ended = asyncio.create_task(process.exit())
        try:
            misses = 0
            while misses < self.pace.misses:
                await asyncio.wait([ended], timeout=self.pace.watch)
                if ended.done():
                    return ended.result()
                misses = 0 if await self._healthy() else misses + 1
            return f"the engine missed {misses} health checks in a row"
        finally:
            ended.cancel()

    async def _healthy(self) -> bool:
        status, _ = await self.get(self.generator.root + self.spec.health)
        return status == 200


class AbsentEngine(Engine):
    """Where none is installed: every answer is quoted, and what only an engine can do raises Unavailable."""

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(OpenAIClient("", model, check=self.check), Pace())
        self._reason = reason

    def check(self) -> None:
        raise Unavailable(f"the engine {self.generator.name} is not installed on this server")

    async def _watch(self) -> None:
        self.last_error = self._reason
        self.move("absent")
