"""Who is told what: one webhook that takes CloudEvents."""

from typing import Annotated, Literal

from pydantic import Field

from pointsman.api.cel import matching
from pointsman.api.values import ApiModel, Name

Occasion = Literal["RolledBack", "Promoted", "Undecided", "Drifted"]

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
    secret_ref: SecretRef | None = Field(None, description="The credential that the endpoint asks for.")
    allow_private: bool | None = Field(
        None,
        description="Whether the URL may lead to private addresses, as those of the cluster are; false by default.",
    )


class Notify(ApiModel):
    """A webhook, and what it is told."""

    webhook: Webhook
    on: Annotated[list[Occasion], Field(min_length=1, max_length=4)] = Field(
        description="What is told.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )
