"""Fetches the leads of many workspaces on a Ray cluster, and shares their limits there.

Needs the extra ``ray``, which is Ray Data. It is imported on first use.

Decides how batches of ids become tables of leads, and where on a cluster a limit is kept. Must not
know how leads are fetched.
"""

from .fetch import FetchLeads
from .limiter import RayLimiter

__all__ = ["FetchLeads", "RayLimiter"]
