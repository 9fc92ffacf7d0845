"""Words of the jobs room."""

from __future__ import annotations

from malha.kernel.errors import BadInput, MalhaError


class JobError(MalhaError):
    """A job cannot be made or found."""

    slug = "job"


class NotAnId(JobError, BadInput):
    """Arguments of jobs are ids: they lie in a table without tenants, so nothing about people may be in them."""

    slug = "job-argument"


#: how often a job is tried, unless it says otherwise, and how many workers may end with it in hand
ATTEMPTS = 3
#: longest text that passes for an id (a UUID, a name of ours, a key)
ID_LENGTH = 200

type Id = int | str | bool | None
