"""Raw exports to typed bronze: every row ends in a table or in quarantine, with its reason."""
