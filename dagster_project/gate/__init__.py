"""The gate: expectations on what was delivered and on what may be published, and the refusal to go on without them."""
