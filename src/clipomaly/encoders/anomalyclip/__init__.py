"""AnomalyCLIP's models: `folder` and `graph` run without torch; `tower`, `prompts`, `export` need it."""
