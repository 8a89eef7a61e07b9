"""The HTTP server that classifies clips: `mocliplite serve`. The only room that imports starlette and uvicorn.

May import: predict and what it may import.
"""
