"""Time: the loop, what it minimises, what it is fed with, and how it survives a kill."""
