"""The picture actor: a text becomes a picture, drawn here and not by an AI."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import ContentKind, NewContent
from appworker.actors.base import actor
from appworker.actors.contexts import ActorContext
from appworker.actors.script import VISIBLE
from appworker.actors.threads import in_thread
from appworker.providers.local.pictures.cards import Card, DrawnCards

CARDS = DrawnCards()
MAX_PROMPT_CHARACTERS = 4_000


class PicturePayload(BaseModel):
    """A picture to draw."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS, pattern=VISIBLE)] = Field(
        description="The text; it is written on the picture."
    )
    title: str | None = Field(None, max_length=120, description="A line above it.")
    number: int = Field(1, ge=1, le=10_000, description="Which picture of a series this is.")
    total: int = Field(1, ge=1, le=10_000, description="How many pictures the series has.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Another seed draws another picture.")
    width: int = Field(960, ge=320, le=1920, multiple_of=2, description="Pixels.")
    height: int = Field(540, ge=180, le=1080, multiple_of=2, description="Pixels.")


class PictureResult(BaseModel):
    """The picture that was drawn."""

    content_ids: list[str]
    seed: int


@actor("picture", queue="media", timeout=timedelta(minutes=5))
async def picture(context: ActorContext, payload: PicturePayload) -> PictureResult:
    """Draw a picture: a seeded landscape with a caption, the same for the same request."""
    card = Card(
        text=payload.prompt,
        title=payload.title,
        number=payload.number,
        total=payload.total,
        seed=payload.seed,
        width=payload.width,
        height=payload.height,
    )
    await context.describe(operation="txt2img", provider=CARDS.name, source_data={"seed": payload.seed})
    drawn = await in_thread(lambda: CARDS.draw(card))
    content_id = await context.store(
        NewContent(
            key="picture",
            kind=ContentKind.IMAGE,
            role="picture",
            media_type="image/png",
            filename="picture.png",
            data=drawn.png,
            seed=drawn.seed,
            width=drawn.width,
            height=drawn.height,
            caption=payload.prompt,
        )
    )
    return PictureResult(content_ids=[content_id], seed=drawn.seed)
