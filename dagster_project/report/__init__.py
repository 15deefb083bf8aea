"""What people read, rendered from a release and nothing but the release."""
