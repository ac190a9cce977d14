"""A server to be measured, with what its command line does not set.

python -m benchmarks.serving_process FOLDER PORT [--batch-tokens 1] [--audit-log FILE]
python -m benchmarks.serving_process --empty PORT      the HTTP stack alone: the same request, answered at once
"""

import argparse
from pathlib import Path

from fewshot.native import leave_a_core
from fewshot.serving.audit import AuditLog, TextDigest
from fewshot.serving.guard import Guard
from fewshot.serving.limits import Limits
from fewshot.serving.models import Models
from fewshot.serving.server import bound, serve
from fewshot.serving.service import Service


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("port", type=int)
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--batch-tokens", type=int, default=Limits.batch_tokens)
    parser.add_argument("--audit-log", type=Path)
    arguments = parser.parse_args()
    leave_a_core()
    if arguments.empty:
        _serve_nothing(arguments.port)
        return
    audit = None if arguments.audit_log is None else AuditLog(arguments.audit_log, TextDigest(None))
    models = Models({"model": Path(arguments.folder)})
    service = Service(models, Limits(batch_tokens=arguments.batch_tokens), audit=audit)
    serve(service, bound("127.0.0.1", arguments.port), "127.0.0.1", None, lambda: None)


def _serve_nothing(port: int) -> None:
    import uvicorn
    from fastapi import FastAPI, Request, Response

    from fewshot.serving.schemas import PredictRequest, PredictResponse

    app = FastAPI()

    @app.post("/predict", response_model=PredictResponse)
    async def predict(body: PredictRequest, request: Request) -> Response:
        return Response(b'{"predictions": []}', media_type="application/json")

    guard = Guard(app, key=None, hosts=(), timeout=10.0, on_response=lambda path, status, seconds: None)
    uvicorn.run(guard, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
