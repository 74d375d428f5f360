"""How the application is served: by the fast loop and the fast reader of requests, whatever else is installed."""

from __future__ import annotations

import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from appserver.__main__ import server_config
from appserver.settings import load_settings


def test_server_runs_on_uvloop_and_httptools() -> None:
    config = server_config(load_settings(mongo_uri="mongodb://127.0.0.1:1/", mongo_database="none"))
    config.load()
    loop = config.get_loop_factory()

    assert loop is not None
    made = loop()
    made.close()
    assert isinstance(made, uvloop.Loop)
    assert config.http_protocol_class is HttpToolsProtocol
