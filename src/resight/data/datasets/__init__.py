"""Named data sets: one file each, a grammar of file names and a table of published counts."""
