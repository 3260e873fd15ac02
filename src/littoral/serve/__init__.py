"""An exported model as an HTTP API and a page, on one machine: FastAPI and uvicorn over `deploy/runtime.py`.

A request goes guard → api → bodies → decoding → batching → answers. Nothing here needs torch.
"""
