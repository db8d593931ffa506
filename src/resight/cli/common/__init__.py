"""Parameters, output, processes and run folders that verbs share."""
