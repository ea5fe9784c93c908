"""What `/v1/files` reads and answers, in OpenAI's shape and in Anthropic's."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from otari.web.answers.terms import Count, Time

Id = Annotated[str, Meta(pattern="^file-[0-9a-f]{32}$")]
Epoch = Annotated[int, Meta(ge=0, description="Seconds since 1970.")]


class FileOwner(Struct, kw_only=True):
    """Whose file it is, when the master key asks."""

    user: Annotated[str, Meta(max_length=255)] | None = None


class FilePage(FileOwner, kw_only=True):
    """Which files of a user. `page`, `after_id`, `before_id` are for clients that send `anthropic-version`."""

    purpose: Annotated[str, Meta(max_length=255, description="Only those that were sent for it.")] | None = None
    limit: (
        Annotated[int, Meta(ge=1, le=10_000, description="10000 without it; 20 in Anthropic's shape.")] | UnsetType
    ) = UNSET
    after: Annotated[str, Meta(max_length=255, description="Those behind this one.")] | None = None
    order: Annotated[Literal["asc", "desc"], Meta(description="Oldest or newest first.")] = "desc"
    page: Annotated[str, Meta(max_length=255)] | None = None
    after_id: Annotated[str, Meta(max_length=255)] | None = None
    before_id: Annotated[str, Meta(max_length=255)] | None = None


class NewFile(Struct, forbid_unknown_fields=True, kw_only=True):
    """A form with a file to keep; its fields may stand before the file or behind it."""

    file: Annotated[str, Meta(description="The file, with its name.", extra_json_schema={"format": "binary"})]
    purpose: Annotated[str, Meta(min_length=1, max_length=64, description="A word of your own.")] = "user_data"
    user: Annotated[str | None, Meta(description="Whose it is, when the master key asks.")] = None
    expires_after_anchor: Literal["created_at"] | None = field(default=None, name="expires_after[anchor]")
    expires_after_seconds: Annotated[
        Annotated[int, Meta(ge=3_600, le=2_592_000)] | None, Meta(description="It is removed after so long.")
    ] = field(default=None, name="expires_after[seconds]")
    expires_in_seconds: Annotated[
        Annotated[int, Meta(ge=3_600, le=7_776_000)] | None, Meta(description="The same, in Anthropic's words.")
    ] = None


class File(Struct, kw_only=True):
    """A file."""

    id: Id
    object: Literal["file"]
    bytes: Count
    created_at: Epoch
    expires_at: Annotated[Epoch | None, Meta(description="null: it stays until it is deleted.")]
    filename: str
    purpose: str
    status: Literal["processed"]


class FileList(Struct, kw_only=True):
    """A part of the list of files."""

    object: Literal["list"]
    data: Sequence[File]
    first_id: Id | None
    last_id: Annotated[Id | None, Meta(description="Send it as `after` for the next part.")]
    has_more: bool


class FileDeleted(Struct, kw_only=True):
    """A file is gone."""

    id: Id
    object: Literal["file"]
    deleted: Literal[True]


class FileInfo(Struct, kw_only=True):
    """A file, in Anthropic's shape."""

    id: Id
    type: Literal["file"]
    filename: str
    mime_type: str
    size_bytes: Count
    created_at: Time
    expires_at: Annotated[Time | None, Meta(description="null: it stays until it is deleted.")]
    downloadable: Literal[True]


class FileInfoPage(Struct, kw_only=True):
    """A part of the list of files, in Anthropic's shape."""

    data: Sequence[FileInfo]
    has_more: Annotated[bool, Meta(description="Whether there are more in the direction that was asked for.")]
    first_id: Id | None
    last_id: Id | None
    next_page: Annotated[str | None, Meta(description="Send it as `page` for the next part. null: there is none.")]


class FileInfoDeleted(Struct, kw_only=True):
    """A file is gone, in Anthropic's shape."""

    id: Id
    type: Literal["file_deleted"]
