"""What users do wrong, through the entry points they use: clear errors, and nothing lost that was written before."""
