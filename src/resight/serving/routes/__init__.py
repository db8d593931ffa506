"""The routes under /v1."""

from resight.serving.routes import oversight, records, search

ROUTERS = (search.router, records.router, oversight.router)
