"""Writing: what modules write beside the log, in the transaction of their completion."""

from __future__ import annotations

from appdb import derived_id
from appdb.host import Session
from appdb.models import FileCategory, FileFormat, NewFile, Run, UsedKeyword
from appserver.engine.core.decision import ModuleWrite
from appserver.engine.runner.loading import HALF_LIFE, history_of
from appserver.engine.runner.stores import EngineStores
from appserver.modules.contract import SaveFile, SaveKeywords, SaveOptions


class Writer:
    """
    Writes files, options and keywords of runs.

    Args:
        stores: Where they go.
    """

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores

    async def write(self, run: Run, wanted: ModuleWrite, number: int, session: Session) -> None:
        """Write what a module wants in the caller's transaction, of which it is the write with this *number*."""
        match wanted.write:
            case SaveFile() as file:
                await self._file(run, wanted, file, session)
            case SaveOptions(options=options):
                await self._stores.database.use_options(
                    options,
                    owner_id=run.owner_id,
                    template_id=history_of(run),
                    step_id=wanted.step,
                    module=wanted.module,
                    use_id=_use(run, number),
                    session=session,
                )
            case SaveKeywords(weights=weights, category=category):
                await self._stores.database.use_keywords(
                    [
                        UsedKeyword(keyword=word, category=category or "", weight=weight)
                        for word, weight in weights.items()
                    ],
                    owner_id=run.owner_id,
                    template_id=history_of(run),
                    half_life=HALF_LIFE,
                    use_id=_use(run, number),
                    session=session,
                )

    async def _file(self, run: Run, wanted: ModuleWrite, file: SaveFile, session: Session) -> None:
        new = NewFile(
            run_id=run.id,
            branch_id=run.branch_id,
            category=FileCategory(file.category),
            name=file.name,
            content=file.content,
            format=FileFormat.TEXT if isinstance(file.content, str) else FileFormat.JSON,
            metadata={"step": wanted.step, "module": wanted.module},
        )
        await self._stores.files.put(new, owner_id=run.owner_id, session=session)


def _use(run: Run, number: int) -> str:
    # Of the events that are appended with it: a repeated transaction counts once.
    return derived_id("use_", run.id, str(run.event_count), str(number))
