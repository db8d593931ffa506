"""How people lay pictures out: folder per person, CSV, lists, file-name patterns; reading and writing."""
