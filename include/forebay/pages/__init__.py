"""Quality history as static pages: one over the project, one a pipeline, one a night. Plain values in, HTML out; no
script, nothing loaded from elsewhere."""
