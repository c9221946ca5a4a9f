"""Serves example tables of piccolo-admin, with an OpenAPI document at /openapi.json.

Usage: ``python piccolo_app.py DATABASE PORT``.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import create_db_tables
from piccolo_admin.example.tables import Director, Movie, Studio, set_engine
from piccolo_api.crud.endpoints import PiccoloCRUD
from piccolo_api.fastapi.endpoints import FastAPIWrapper


def create_app(database: str) -> FastAPI:
    """Create the application. `database`: path of a SQLite file, which is created if missing."""
    set_engine("sqlite")
    engine = SQLiteEngine(path=database)
    tables = (Director, Studio, Movie)
    for table in tables:
        table._meta._db = engine

    @asynccontextmanager
    async def create_tables(app: FastAPI) -> AsyncIterator[None]:
        await create_db_tables(*tables, if_not_exists=True)
        yield

    app = FastAPI(lifespan=create_tables)
    for table in tables:
        crud = PiccoloCRUD(table, read_only=False)
        FastAPIWrapper(f"/{table._meta.tablename}/", fastapi_app=app, piccolo_crud=crud)
    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), port=int(sys.argv[2]))
