"""How long the pipeline takes, beside two scripts of the same scoring."""
