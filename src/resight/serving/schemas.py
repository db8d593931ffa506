"""What is asked and answered over HTTP.  The words are those of `Gallery`; times are seconds since 1970 or ISO 8601."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from resight.gallery.records import Filter, Hit, Record

T = TypeVar("T")
Text = Annotated[str, Field(min_length=1, max_length=512)]
Id = Text
Texts = Annotated[list[Text], Field(max_length=1000)]
Time = Annotated[float | Annotated[str, Field(max_length=64)], BeforeValidator(lambda value: _seconds(value))]
Picture = Annotated[str, Field(description="The bytes of a picture file, in base64.")]


def _seconds(value: Any) -> Any:
    """Seconds that came as the text of an address."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Asked(BaseModel):
    """Base of every request body; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Success(BaseModel, Generic[T]):
    """The shape of every success."""

    ok: Literal[True] = True
    data: T


class Problem(BaseModel):
    """code: for programs.  message: what was found and expected.  hint: what to do."""

    code: str
    message: str
    hint: str = ""


class Failure(BaseModel):
    """The shape of every error."""

    ok: Literal[False] = False
    error: Problem


class Conditions(Asked):
    """Which records: all conditions that are given must be met."""

    pids: Texts | None = None
    exclude_pids: Texts | None = None
    cameras: Texts | None = None
    exclude_cameras: Texts | None = None
    labels: Texts | None = None
    sources: Texts | None = None
    after: Time | None = None
    before: Time | None = None

    def where(self) -> Filter:
        """The filter that asks for the same.  Raises UsageError for a time that is none."""
        given: Any = {name: value for name in Conditions.model_fields if (value := getattr(self, name)) is not None}
        return Filter.of(conditions=given)


class ListQuery(Conditions):
    """A page of records: those after `after_id`."""

    gallery: Text | None = None
    limit: Annotated[int, Field(ge=1)] = 100
    after_id: Annotated[str, Field(max_length=512)] = ""


class EmbedQuery(Asked):
    """Pictures come beside it, as files or in base64."""

    pictures: list[Picture] = []


class SearchQuery(Conditions):
    """By pictures, by records of the gallery, or both together; each gets a list of hits, or one list if fused."""

    gallery: Text | None = Field(None, description="Needed where the service has several.")
    pictures: list[Picture] = []
    records: Annotated[list[Id], Field(max_length=64)] = []
    k: Annotated[int, Field(ge=1)] = 20
    fuse: Literal["mean", "max"] | None = Field(None, description="Several pictures of one person: one list.")
    group: bool = Field(False, description="k persons instead of k records.")
    rerank: bool = Field(False, description="Order the short list by k-reciprocal re-ranking.")
    exact: bool = False
    min_similarity: float | None = None
    camera: Text | None = Field(None, description="The camera of the query pictures, for `same_camera`.")
    same_camera: Literal["keep", "exclude", "exclude_same_pid"] = "keep"


class NewRecord(Asked):
    """What is known of one picture that is added."""

    id: Id | None = None
    pid: Text | None = None
    camera: Text | None = None
    time: Time | None = None
    source: Annotated[str, Field(max_length=512)] | None = None
    label: Text | None = None
    note: Annotated[str, Field(max_length=4096)] | None = None


class AddQuery(Asked):
    """One entry of `records` for each picture, in their order; none at all where nothing is known."""

    gallery: Text | None = None
    pictures: list[Picture] = []
    records: list[NewRecord] = []


class ChangeQuery(Asked):
    """New values; null clears."""

    gallery: Text | None = None
    pid: Text | None = None
    camera: Text | None = None
    time: Time | None = None
    label: Text | None = None
    note: Annotated[str, Field(max_length=4096)] | None = None


class DeleteQuery(Conditions):
    """The records that meet all of it, ids and conditions; nothing given deletes nothing."""

    gallery: Text | None = None
    ids: Annotated[list[Id], Field(max_length=10_000)] | None = None


class UndoQuery(Asked):
    """token: from the answer to the deletion."""

    token: Annotated[str, Field(min_length=1, max_length=64)]


class LabelQuery(Asked):
    """Whether a hit was right: kept to calibrate with."""

    gallery: Text | None = None
    id: Id = Field(description="The record that was found.")
    same: bool = Field(description="The same person as the query.")
    similarity: float
    query: Id | None = Field(None, description="As `queries` of the search names it.")


class RetentionQuery(Asked):
    """Delete what is older."""

    gallery: Text | None = None
    keep_days: Annotated[float, Field(gt=0, le=36_500)]


class PersonOut(BaseModel):
    """Hits of one person, best first."""

    pid: str | None
    similarity: float
    hits: list[Hit]


class SearchOut(BaseModel):
    """One list for each query: `hits`, or `persons` where grouped."""

    queries: Annotated[list[str], Field(description="Of each list the record, else a digest of the pictures.")] = []
    hits: list[list[Hit]] = []
    persons: list[list[PersonOut]] = []
    seconds: float


class EmbedOut(BaseModel):
    """vectors: one for each picture, of the model `fingerprint`."""

    vectors: list[list[float]]
    fingerprint: str
    metric: str


class AddOut(BaseModel):
    """ids: one for each picture.  An id that was there was updated."""

    ids: list[str]


class DeleteOut(BaseModel):
    """undo: a token that brings the records back for so many seconds; they are deleted whatever happens."""

    deleted: int
    undo: str | None = None
    undo_seconds: float = 0.0


class ListOut(BaseModel):
    """after: give it as `after_id` for the next page; null at the end."""

    records: list[Record]
    after: str | None = None


class Count(BaseModel):
    """A value of a field and how many records have it; null is unknown."""

    value: str | None
    records: int


class GalleryOut(BaseModel):
    """What a gallery holds."""

    name: str
    records: int
    dim: int
    metric: str
    fingerprint: str
    calibrated: bool
    audit: bool
    cameras: list[Count]


class Health(BaseModel):
    """Whether the service answers, and what it wants."""

    status: Literal["ok"] = "ok"
    version: str
    keys: bool = Field(description="A key is needed.")


class Me(BaseModel):
    """Who the service takes the caller for."""

    name: str
    role: Literal["search", "write", "admin"]
    limits: dict[str, float]
