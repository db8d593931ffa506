"""Recipes that come with the package: one method on one data set each, `resight train --list`."""
