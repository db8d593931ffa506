"""The scene of a picture: place, things, light, who stands where, rendering."""
