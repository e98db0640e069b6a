"""Who is told what: one webhook that takes CloudEvents."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pointsman.api.cel import matching, rules
from pointsman.api.values import ApiModel, Name, Time

Occasion = Literal[
    "Started", "AwaitingApproval", "Undecided", "Promoted", "RolledBack", "Aborted", "Superseded", "Drifted"
]

Url = Annotated[
    str,
    matching(
        r"^https?://([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?([/?][^\s#]*)?$",
        "write a URL such as https://hooks.example.com/path, without user, password and fragment",
        max_length=2048,
    ),
]

SecretKey = Annotated[
    str,
    matching(r"^[-._a-zA-Z0-9]+$", "write a key of a Secret: letters, digits, `-`, `_` and `.`", max_length=253),
]


class SecretRef(ApiModel):
    """A key of a Secret in the ModelDeployment's namespace."""

    name: Name = Field(description="Of the Secret.")
    key: SecretKey = Field(description="Of its data.")


class Webhook(ApiModel):
    """An HTTP endpoint that takes CloudEvents as JSON."""

    url: Url = Field(description="Where it is.")
    secret_ref: SecretRef | None = Field(
        None, description="The token that the endpoint asks for; sent as `Authorization: Bearer`."
    )
    allow_private: bool | None = Field(
        None,
        description="Whether the URL may lead to private addresses, as those of the cluster are; false by default.",
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.secretRef) || self.url.startsWith('https:') || (has(self.allowPrivate) && self.allowPrivate)",
                "write an https:// URL, or leave `secretRef` out: without TLS everybody on the way reads the token",
            ),
        )
    )


class Notify(ApiModel):
    """A webhook, and what it is told."""

    webhook: Webhook
    when: Annotated[list[Occasion], Field(min_length=1, max_length=8)] = Field(
        description="What is told.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )


class Notification(ApiModel):
    """Something that a webhook has still to be told."""

    id: Annotated[str, Field(max_length=256)] = Field(description="The id of the CloudEvent, the same at every try.")
    webhook: Annotated[str, Field(max_length=16)] = Field(description="Which one of `notify`: a digest of it.")
    occasion: Occasion
    at: Time
    revision: Annotated[str, Field(max_length=256)]
    version: Annotated[str, Field(max_length=256)] = ""
    attempt: int | None = None
    reason: Annotated[str, Field(max_length=256)] | None = None
    gate: Annotated[str, Field(max_length=2048)] | None = None
    message: Annotated[str, Field(max_length=1024)] = ""
